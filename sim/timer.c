/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC timer: one-shot, periodic and TSC-deadline (Intel SDM 3A 10.5.4). A masked timer is not armed: nobody could see it expire
 * but by reading the count, which is computed. */
#include "arch/apic.h"
#include "irq.h"
#include "timer.h"

#define LVT_MODE_MASK 0x60000u

static u64 timer_tick(const struct sim_cpu *cpu)
{
    const u32 code = (cpu->apic.divide & 3) | (cpu->apic.divide >> 1 & 4);
    return SIM_APIC_DIVIDER * (code == 7 ? 1 : 2ul << code);
}

static void timer_next(struct sim *s)
{
    s->timer_next = ~0ul;
    for (u32 i = 0; i < s->cpu_count; i++)
        if (s->cpu[i].apic.expires)
            s->timer_next = min(s->timer_next, s->cpu[i].apic.expires);
}

void timer_update(struct sim_cpu *cpu)
{
    struct sim_apic *a = &cpu->apic;
    const bool masked = a->lvt_timer & APIC_LVT_MASKED;
    a->expires = 0;
    if ((a->lvt_timer & LVT_MODE_MASK) == APIC_LVT_TIMER_DEADLINE) {
        if (a->deadline && !masked)
            a->expires = a->deadline > cpu->tsc_skew ? max(a->deadline - cpu->tsc_skew, 1ul) : 1;
    } else if (a->initial_count && !masked) {
        const u64 end = a->timer_start + a->initial_count * timer_tick(cpu);
        if (end > cpu->sim->clock || !a->counted)
            a->expires = end;
    }
    timer_next(cpu->sim);
    if (cpu->sim->timer_next <= cpu->sim->clock)
        timer_fire(cpu->sim);
}

u32 timer_count(const struct sim_cpu *cpu)
{
    const struct sim_apic *a = &cpu->apic;
    if ((a->lvt_timer & LVT_MODE_MASK) == APIC_LVT_TIMER_DEADLINE || !a->initial_count)
        return 0;
    const u64 gone = (cpu->sim->clock - a->timer_start) / timer_tick(cpu);
    return gone >= a->initial_count ? 0 : (u32)(a->initial_count - gone);
}

static void timer_expire(struct sim_cpu *cpu)
{
    struct sim_apic *a = &cpu->apic;
    const u32 mode = a->lvt_timer & LVT_MODE_MASK;
    if (mode == APIC_LVT_TIMER_PERIODIC) {
        a->timer_start = a->expires;
        a->expires += a->initial_count * timer_tick(cpu);
    } else {
        a->expires = 0;
        a->deadline = 0;
        a->counted = true;
    }
    irq_raise(cpu, a->lvt_timer & 0xff);
}

void timer_fire(struct sim *s)
{
    for (u32 i = 0; i < s->cpu_count; i++)
        if (s->cpu[i].apic.expires && s->cpu[i].apic.expires <= s->clock)
            timer_expire(&s->cpu[i]);
    timer_next(s);
}

void timer_choose(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (s->timer_next == ~0ul || s->timer_next <= s->clock || !choice(2, CHOICE_TIMER))
        return;
    s->clock = s->timer_next;
    timer_fire(s);
}
