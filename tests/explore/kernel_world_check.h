/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a kernel at rest, and does everything in it fit together? Every CPU idle, nothing under way. world_fail says what is not. */
#pragma once
#include "kernel_fixture.h"

struct object *kernel_world_object(const struct fixture *f, u64 selector);   /* as memory holds it now; NULL: none */
void kernel_world_check(struct fixture *f);
