/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a machine that nobody runs: a unit test's. */
#pragma once
#include "machine_model.h"

void unit_end(struct sim *s) __attribute__((noreturn));
