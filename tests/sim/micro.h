/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel of a few lines for tests of the machine: boot and trap are the test's own functions, its state is a page of simulated RAM. */
#pragma once
#include <string.h>
#include "unit.h"
#include "arch/apic.h"
#include "arch/x86.h"
#include "atomic.h"
#include "choose.h"
#include "machine.h"
#include "machine_model.h"

#define MICRO_RAM   (16ul << 20)
#define MICRO_STATE 0x200000ul   /* struct micro, physical */

struct micro_cpu {
    struct resume resume;
    u32 id;
    u64 traps, nmis, last;
    u64 at;            /* TSC of the last trap */
};

struct micro {
    struct micro_cpu cpu[8];
    atomic_u64 next, word, done;
    u64 list[64];
    u64 plain;
};

static inline struct micro *micro(void)
{
    return mach_phys_to_virt(MICRO_STATE);
}

/* First lines of a test's boot: give this CPU its structure. */
static inline struct micro_cpu *micro_boot(u32 magic)
{
    struct micro *m = micro();
    struct micro_cpu *c = &m->cpu[atomic_fetch_add(&m->next, 1)];
    if (magic != BOOT_MAGIC_AP)
        mach_kern_set(m);
    c->id = (u32)(c - m->cpu);
    mach_cpu_set(c);
    return c;
}

static inline struct resume *micro_go(struct micro_cpu *c, enum resume_kind kind)
{
    c->resume.kind = kind;
    return &c->resume;
}

static inline struct resume *micro_shutdown(struct micro_cpu *c, u32 code)
{
    mach_shutdown(code);
    return micro_go(c, RESUME_IDLE);
}

/* x2APIC helpers. */
static inline void micro_apic_on(void)
{
    mach_msr_write(MSR_APIC_BASE, mach_msr_read(MSR_APIC_BASE) | APIC_BASE_X2APIC);
    mach_msr_write(MSR_X2APIC(APIC_SVR), APIC_SVR_ENABLE | 0xff);
}

static inline void micro_ipi(u32 apic_id, u32 icr)
{
    mach_fence();
    mach_msr_write(MSR_X2APIC(APIC_ICR), (u64)apic_id << 32 | icr);
}

static inline void micro_eoi(void)
{
    mach_msr_write(MSR_X2APIC(APIC_EOI), 0);
}

static inline u32 micro_x2(u32 reg)
{
    return (u32)mach_msr_read(MSR_X2APIC(reg));
}

static inline void micro_start(u32 apic_id)
{
    micro_ipi(apic_id, APIC_ICR_INIT | APIC_ICR_ASSERT);
    micro_ipi(apic_id, APIC_ICR_STARTUP | APIC_ICR_ASSERT | mach_ap_vector());
}

static inline void micro_deadline(u64 tsc)
{
    mach_msr_write(MSR_X2APIC(APIC_LVT_TIMER), APIC_LVT_TIMER_DEADLINE | 0xf0);
    mach_fence();
    mach_msr_write(MSR_TSC_DEADLINE, tsc);
}

static inline void micro_nmi(void *cpu, u32 vector)
{
    ((struct micro_cpu *)cpu)->nmis++;
}

static inline struct sim *micro_create(u32 cpus, struct chooser *chooser, struct resume *(*boot)(u32, u64),
                                       struct resume *(*trap)(void *, u64, u64))
{
    struct sim *s = sim_create(&(struct sim_config){ .cpus = cpus, .ram_bytes = MICRO_RAM, .x2apic = true, .chooser = chooser });
    s->upcall = (struct sim_upcall){ boot, trap, micro_nmi };
    return s;
}

/* Run to the end, compare, destroy. */
static inline u64 micro_run(struct sim *s, enum sim_end end, const char *part)
{
    assert_int_equal(sim_run(s, 1000000), end);
    assert_non_null(strstr(sim_result(s)->message, part));
    const u64 hash = sim_result(s)->event_hash;
    sim_destroy(s);
    return hash;
}

/* For tests that only need CPUs: a unit machine of three, with and without x2APIC mode on. */
static inline int micro_unit(void **state)
{
    *state = sim_unit(3, MICRO_RAM, SIM_VMX);
    return *state ? 0 : -1;
}

static inline int micro_unit_x2(void **state)
{
    if (micro_unit(state) != 0)
        return -1;
    for (u32 i = 3; i-- > 0;) {
        sim_unit_cpu(*state, i);
        micro_apic_on();
    }
    return 0;
}

static inline int micro_unit_end(void **state)
{
    sim_destroy(*state);
    return 0;
}
