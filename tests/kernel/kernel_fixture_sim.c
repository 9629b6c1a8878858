/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel_fixture_sim.h"
#include "irq.h"
#include "timer.h"
#include "translations.h"

u32 fixture_sim_interrupt(struct sim *s, u32 cpu)
{
    sim_unit_cpu(s, cpu);
    return sim_irq_pending(&s->cpu[cpu]) ? sim_irq_accept(&s->cpu[cpu]) : 0;
}

void fixture_sim_serve(struct sim *s, u32 cpu, u32 vector)
{
    s->cpu[cpu].apic.isr[vector / 64] |= bit(vector % 64);
}

void fixture_sim_later(struct sim *s, u64 ticks)
{
    s->clock += ticks;
    timer_fire(s);
}

u64 fixture_sim_timer(struct sim *s, u32 cpu)
{
    return s->cpu[cpu].apic.expires;
}

bool fixture_sim_in_service(struct sim *s, u32 cpu, u32 vector)
{
    return s->cpu[cpu].apic.isr[vector / 64] >> vector % 64 & 1;
}

void fixture_sim_console(struct sim *s, void (*console)(void *arg, const char *text, u32 bytes))
{
    s->config.console = console;
}

void fixture_sim_unwatched(struct sim *s)
{
    translations_destroy(s);
}
