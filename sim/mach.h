/* SPDX-License-Identifier: BSD-2-Clause */
/* The beginning of every mach_*: a schedule point of the current CPU. */
#pragma once
#include "machine_model.h"
#include "store_buffer.h"

#define mach_point() mach_point_as(OP_MACHINE, OBJECT_NONE, __builtin_return_address(0))

/* One that other agents can notice: with the object they share. */
static inline struct sim_cpu *mach_point_as(enum sim_op op, u64 object, const void *site)
{
    struct sim_cpu *cpu = sim_this();
    sim_point(cpu, op, object, 0, site);
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
