/* SPDX-License-Identifier: BSD-2-Clause */
/* The time, as a VMM reads it: where a trace is written (VCPU_TRACED in the state page) through the kernel, which notes it, so that a replay can give
 * the same answer; else RDTSC. */
#pragma once
#include "client.h"
#include "hv.h"

static inline u64 clock_read(bool traced)
{
    u64 tsc;
    return traced && hv_clock(&tsc) == OK ? tsc : thread_tsc();
}
