/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of single kernel files stand on: a simulated machine, a struct kern and CPUs in its RAM, a pool of kernel memory. No objects, no
 * boot. The teardown is a test of its own: no memory is live, nothing is charged. */
#pragma once
#include <stdlib.h>
#include "cpu.h"
#include "apic.h"
#include "space_mem.h"
#include "space_obj.h"
#include "sim.h"
#include "sim_mem.h"
#include "../../sim/machine_model.h"
#include "../../sim/irq.h"
#include "unit.h"

#define CORE_CPUS       4u
#define CORE_POOL       0x200000ul
#define CORE_POOL_BYTES 0x800000ul
#define CORE_KERN       0xc00000ul    /* struct kern, then the CPUs, a page-aligned place each */
#define CORE_QUOTA      0x600000ul

struct core {
    struct sim *sim;
    struct kern *kern;
    struct cpu *cpu;         /* the CPU acting: CPU 0 */
    struct quota quota;      /* what the tests charge to */
    u64 free_bytes;
};

/* From here on CPU n acts. */
static inline struct cpu *core_cpu(struct core *w, u32 n)
{
    sim_unit_cpu(w->sim, n);
    return w->kern->cpu[n];
}

/* On a machine that exists: CPUs 0 .. cpus - 1. */
static inline void core_open(struct core *w, struct sim *s, u32 cpus)
{
    w->sim = s;
    w->kern = sim_phys(w->sim, CORE_KERN, sizeof(struct kern));
    mach_kern_set(w->kern);
    w->kern->mem = mem_init(CORE_POOL, CORE_POOL_BYTES);
    w->kern->cpu_count = cpus;
    w->kern->host_leaf_level = 2;
    w->kern->boot.apic_base = 0xfee00000;
    w->kern->quota.limit.v = CORE_POOL_BYTES;
    w->quota.limit.v = CORE_QUOTA;
    for (u32 i = 0; i < cpus; i++) {
        struct cpu *c = sim_phys(w->sim, CORE_KERN + (i + 4) * 0x4000, sizeof(*c));
        static_assert(sizeof(struct cpu) <= 0x4000 && sizeof(struct kern) <= 0x10000, "the place above");
        w->kern->cpu[i] = c;
        c->id = i;
        c->self = bit(i);
        c->kern = w->kern;
        sim_unit_cpu(w->sim, i);
        mach_cpu_set(c);
        apic_cpu_init(c);
        epoch_init(c);
        atomic_or(&w->kern->cpus_online, bit(i));
    }
    w->cpu = core_cpu(w, 0);
    w->free_bytes = mem_free_bytes(w->kern->mem);
}

static inline int core_setup_as(void **state, enum sim_vendor vendor)
{
    struct core *w = calloc(1, sizeof(*w));
    struct sim *s = sim_unit(CORE_CPUS, 0x1000000, vendor);
    assert_non_null(s);
    core_open(w, s, CORE_CPUS);
    *state = w;
    return 0;
}

static inline int core_setup(void **state)
{
    return core_setup_as(state, SIM_VMX);
}

/* Is an IPI on its way to CPU n? Takes it. */
static inline bool core_ipi(struct core *w, u32 n)
{
    u64 *word = &w->sim->cpu[n].apic.irr[VECTOR_IPI / 64];
    const bool pending = *word & bit(VECTOR_IPI % 64);
    *word &= ~bit(VECTOR_IPI % 64);
    return pending;
}

/* An interrupt waits on the acting CPU: mach_preempt_pending() is true until the end of core_ipi(w, cpu). */
static inline void core_preempt(struct core *w)
{
    irq_raise(w->sim->current, VECTOR_IPI);
}

/* May a hook act as another CPU here? Not while the CPU it interrupts holds a lock: it would spin for ever. */
static inline bool core_unlocked(struct core *w)
{
    const struct lock *mem = (const struct lock *)w->kern->mem;
    return !mem->held.v && !w->kern->derive_lock.held.v && !w->kern->tlb_lock.held.v;
}

static inline enum mem_state memory_state_of(struct core *w, u64 phys)
{
    return (enum mem_state)w->sim->shadow[phys / 64];
}

/* One empty trap on CPU n. */
static inline void core_trap(struct core *w, u32 n)
{
    struct cpu *cpu = core_cpu(w, n);
    core_ipi(w, n);
    tlb_handle(cpu);
    epoch_quiesce(cpu);
    core_cpu(w, 0);
}

/* All CPUs take traps until nothing waits any more. */
static inline void core_settle(struct core *w)
{
    for (u32 round = 0; round < 200; round++)
        for (u32 i = 0; i < CORE_CPUS; i++)
            core_trap(w, i);
}

static inline int core_teardown(void **state)
{
    struct core *w = *state;
    sim_unit_hook(w->sim, NULL, NULL);
    sim_unit_fail(w->sim, 0);
    core_cpu(w, 0);
    core_settle(w);
    assert_int_equal(mem_free_bytes(w->kern->mem), w->free_bytes);
    assert_int_equal(atomic_load(&w->quota.used), 0);
    assert_int_equal(atomic_load(&w->kern->quota.used), 0);
    sim_destroy(w->sim);
    free(w);
    return 0;
}

#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)
