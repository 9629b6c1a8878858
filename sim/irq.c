/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt requests of a local APIC: what waits, what is in service, what is next (Intel SDM 3A 10.8). */
#include <string.h>
#include "arch/apic.h"
#include "irq.h"
#include "race.h"
#include "timer.h"

static bool map_get(const u64 *map, u32 vector)
{
    return map[vector / 64] >> (vector % 64) & 1;
}

static void map_set(u64 *map, u32 vector)
{
    map[vector / 64] |= bit(vector % 64);
}

static void map_clear(u64 *map, u32 vector)
{
    map[vector / 64] &= ~bit(vector % 64);
}

/* Highest vector or 0: vectors below 16 are never set. */
static u32 map_top(const u64 *map)
{
    for (u32 i = 4; i-- > 0;)
        if (map[i])
            return i * 64 + 63 - (u32)__builtin_clzl(map[i]);
    return 0;
}

void irq_reset(struct sim_cpu *cpu)
{
    const u64 base = cpu->apic.base;
    memset(&cpu->apic, 0, sizeof(cpu->apic));
    cpu->apic.base = base ? base : SIM_APIC_BASE | APIC_BASE_ENABLE | (cpu->id ? 0 : APIC_BASE_BSP);
    cpu->apic.spurious = 0xff;
    cpu->apic.dfr = ~0u;
    cpu->apic.lvt_timer = APIC_LVT_MASKED;
    for (u32 i = 0; i < array_size(cpu->apic.lvt_other); i++)
        cpu->apic.lvt_other[i] = APIC_LVT_MASKED;
}

bool irq_xapic(const struct sim_cpu *cpu)
{
    return (cpu->apic.base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE;
}

bool irq_x2apic(const struct sim_cpu *cpu)
{
    return (~cpu->apic.base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == 0;
}

u32 irq_priority(const struct sim_cpu *cpu)
{
    const u32 service = map_top(cpu->apic.isr);
    return cpu->apic.tpr >> 4 >= service >> 4 ? cpu->apic.tpr : service & 0xf0;
}

static inline bool irq_waiting(const struct sim_cpu *cpu)
{
    return !irq_none(cpu) && map_top(cpu->apic.irr) >> 4 > irq_priority(cpu) >> 4;
}

bool sim_irq_pending(struct sim_cpu *cpu)
{
    const bool waiting = irq_waiting(cpu);
    sim_did(cpu, OP_LOOK, EFFECT_READ, OBJECT_APIC(cpu->id), 0, waiting);
    return waiting && (sim_alone(cpu) || choice(2, CHOICE_INTERRUPT) == 0);
}

bool irq_held(const struct sim_cpu *cpu)
{
    return irq_waiting(cpu);
}

void sim_look(struct sim_cpu *cpu, const void *site)
{
    sim_point(cpu, OP_LOOK, OBJECT_APIC(cpu->id), 0, site);
    if (cpu->sim->world && cpu->apic.expires)
        timer_choose(cpu);
}

void irq_raise(struct sim_cpu *target, u32 vector)
{
    struct sim_apic *a = &target->apic;
    if (target->state == CPU_OFF || !(a->base & APIC_BASE_ENABLE) || !(a->spurious & APIC_SVR_ENABLE))
        return;
    if (vector < 16)
        sim_broken(RULE_APIC_VECTOR, "interrupt vector %u: 0 to 15 are illegal (SDM 3A 10.5.2)", vector);
    if (map_get(a->irr, vector))
        return;
    map_set(a->irr, vector);
    sim_wake(target);
}

u32 sim_irq_accept(struct sim_cpu *cpu)
{
    race_acquire(cpu, OBJECT_APIC(cpu->id));
    if (choice(2, CHOICE_SPURIOUS))
        return cpu->apic.spurious & 0xff;   /* the request is delivered later; nothing is in service (SDM 3A 10.9) */
    const u32 vector = map_top(cpu->apic.irr);
    sim_did(cpu, OP_ACCEPT, EFFECT_WRITE, OBJECT_APIC(cpu->id), 0, vector);
    map_clear(cpu->apic.irr, vector);
    map_set(cpu->apic.isr, vector);
    return vector;
}

void irq_eoi(struct sim_cpu *cpu)
{
    const u32 vector = map_top(cpu->apic.isr);
    if (!vector)
        sim_broken(RULE_APIC_EOI, "CPU %u: EOI, but nothing is in service; a spurious vector is not ended (SDM 3A 10.9)", cpu->id);
    map_clear(cpu->apic.isr, vector);
}
