/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a kernel at rest, and does everything in it fit together? Every CPU idle, nothing under way. For worlds and unit tests: each says what is
 * wrong in its own way. */
#pragma once
#include "kernel_fixture.h"

typedef void kernel_rest_fail(const char *format, ...);   /* does not return */

struct object *kernel_rest_object(const struct fixture *f, u64 selector);   /* as memory holds it now; NULL: none */
void kernel_rest_check(struct fixture *f, kernel_rest_fail *fail);
