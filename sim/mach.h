/* SPDX-License-Identifier: BSD-2-Clause */
/* The beginning of every mach_*: a schedule point of the current CPU. */
#pragma once
#include "machine_model.h"
#include "store_buffer.h"

static inline struct sim_cpu *mach_point(void)
{
    struct sim_cpu *cpu = sim_this();
    sim_step(cpu);
    return cpu;
}

/* What was read may change without a write by any CPU: who spins on it is not asleep. */
static inline struct sim_cpu *mach_point_outside(void)
{
    struct sim_cpu *cpu = mach_point();
    cpu->turn_outside = true;
    return cpu;
}

/* A serializing instruction: all earlier stores are out (Intel SDM 3A 8.3). */
static inline struct sim_cpu *mach_point_serial(void)
{
    struct sim_cpu *cpu = mach_point();
    store_drain(cpu);
    return cpu;
}
