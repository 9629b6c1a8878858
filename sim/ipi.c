/* SPDX-License-Identifier: BSD-2-Clause */
/* Inter-processor interrupts (Intel SDM 3A 10.6): fixed, NMI, INIT, start-up; physical destinations and the three shorthands. Delivered at
 * once; a fixed one may be seen late by choice (irq_raise). */
#include "arch/apic.h"
#include "irq.h"
#include "race.h"
#include "start.h"

#define ICR_MODE(icr)      ((u32)(icr)&0x700)
#define ICR_LOGICAL        0x800u
#define ICR_LEVEL          0x8000u
#define ICR_SHORTHAND(icr) ((u32)((icr) >> 18 & 3))
enum { ICR_DESTINATION, ICR_SELF, ICR_ALL, ICR_OTHERS };

static bool ipi_matches(const struct sim_cpu *from, const struct sim_cpu *to, u64 icr)
{
    const u32 broadcast = irq_x2apic(from) ? ~0u : 0xffu;
    switch (ICR_SHORTHAND(icr)) {
    case ICR_SELF:
        return to == from;
    case ICR_ALL:
        return true;
    case ICR_OTHERS:
        return to != from;
    }
    return to->apic_id == (u32)(icr >> 32) || (u32)(icr >> 32) == broadcast;
}

static void ipi_deliver(struct sim_cpu *from, struct sim_cpu *to, u64 icr)
{
    switch (ICR_MODE(icr)) {
    case APIC_ICR_FIXED:
        irq_raise(to, (u32)icr & 0xff);
        break;
    case APIC_ICR_NMI:
        if (to->state != CPU_OFF)
            to->nmi = true;
        sim_wake(to);
        break;
    case APIC_ICR_INIT:
        if (to == from)
            sim_broken(RULE_IPI_SELF, "INIT to the CPU itself");
        start_init(to);
        break;
    case APIC_ICR_STARTUP:
        if (to != from)
            start_up(to, (u32)icr & 0xff);
        break;
    default:
        sim_broken(RULE_IPI_MODE, "IPI with reserved delivery mode %u (SDM 3A 10.6.1)", ICR_MODE(icr) >> 8);
    }
}

void ipi_send(struct sim_cpu *cpu, u64 icr)
{
    sim_count(SIM_COUNT_IPI);
    struct sim *s = cpu->sim;
    sim_hash_event(s, HASH_IPI, cpu->id, icr >> 32, icr & 0xffffffff, 0);
    if (ICR_MODE(icr) == APIC_ICR_INIT && icr & ICR_LEVEL && !(icr & APIC_ICR_ASSERT))
        return;   /* INIT level de-assert: no effect on these CPUs */
    if (ICR_SHORTHAND(icr) == ICR_DESTINATION && icr & ICR_LOGICAL)
        sim_broken(RULE_MACHINE_MODEL, "IPI with a logical destination: not modelled");
    if (ICR_MODE(icr) == APIC_ICR_FIXED && !(cpu->apic.spurious & APIC_SVR_ENABLE))
        sim_broken(RULE_IPI_OFF, "IPI sent while the APIC is disabled by software");
    for (u32 i = 0; i < s->cpu_count; i++) {
        if (!ipi_matches(cpu, &s->cpu[i], icr))
            continue;
        race_send(s, OBJECT_APIC(i), irq_x2apic(cpu) ? cpu->fenced : race_store(cpu));
        sim_did(cpu, OP_IPI, EFFECT_WRITE, OBJECT_APIC(i), 0, icr);
        ipi_deliver(cpu, &s->cpu[i], icr);
    }
}
