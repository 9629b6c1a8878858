/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps: which CPU goes on, and how time passes. Every atomic and every mach_* is a step of the CPU that makes it.
 *
 * The chooser is asked only when more than one CPU can step. Its answer 0 means: go on (sim_step), or the next CPU in order (sim_yield,
 * sim_wait), so that a run of zeros is fair. A CPU that spins is put to sleep when a whole turn of its loop saw no write by anybody;
 * any write wakes it. When nobody can step, the clock jumps to the next timer; without one the machine is deadlocked.
 * Invariant: the CPU whose fiber runs is sim->current. */
#include "machine_model.h"
#include "memory.h"
#include "store_buffer.h"
#include "timer.h"
#include "upcall.h"

#define RELAX_TICKS 1000u   /* a turn that only waits for time to pass may skip this much of it */
#define UNIT_RELAXES 1000000u

_Thread_local struct sim *sim_here;

/* The n-th CPU of `set` after `from` in cyclic order, from 0. */
static u32 sched_nth(u64 set, u32 from, u32 n)
{
    const u64 above = from == 63 ? 0 : set & ~0ul << (from + 1);
    for (u64 left = above; left; left &= left - 1)
        if (n-- == 0)
            return (u32)__builtin_ctzl(left);
    for (u64 left = set & ~above; left; left &= left - 1)
        if (n-- == 0)
            return (u32)__builtin_ctzl(left);
    return from;
}

static void sched_switch(struct sim_cpu *from, u32 to)
{
    struct sim *s = from->sim;
    if (to == from->id)
        return;
    s->current = &s->cpu[to];
    fiber_switch(&from->fiber, &s->current->fiber);
}

/* Hand the thread back to sim_run; the next sim_run goes on here. */
static void sched_pause(struct sim_cpu *cpu)
{
    cpu->sim->result.end = cpu->sim->stopped ? SIM_STOPPED : SIM_BUDGET;
    fiber_switch(&cpu->fiber, &cpu->sim->main);
}

static void sched_count(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    s->result.steps++;
    if (++s->clock >= s->timer_next)
        timer_fire(s);
    if (s->result.steps >= s->steps_end && !s->unit)
        sched_pause(cpu);
}

static void sched_unit(struct sim *s)
{
    s->result.steps++;
    if (++s->clock >= s->timer_next)
        timer_fire(s);
    if (!s->hook || s->in_hook)
        return;
    struct sim_cpu *const cpu = s->current;
    s->in_hook = true;
    s->hook(s->hook_arg);
    s->in_hook = false;
    s->current = cpu;
}

static void sched_nmi(struct sim_cpu *cpu)
{
    /* In a guest it is the VMX or SVM model's: it exits. */
    if (!cpu->nmi || cpu->in_nmi || !cpu->kern_cpu || cpu->state == CPU_GUEST)
        return;
    cpu->nmi = false;
    cpu->in_nmi = true;
    cpu->sim->upcall.nmi(cpu->kern_cpu, 2);
    cpu->in_nmi = false;
}

void sim_step(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (s->unit) {
        sched_unit(s);
        return;
    }
    sched_count(cpu);
    const u64 others = s->steppable & ~bit(cpu->id);
    if (others && s->config.chooser) {
        const u32 answer = choice((u32)__builtin_popcountl(others) + 1, CHOICE_STEP);
        if (answer)
            sched_switch(cpu, sched_nth(others, cpu->id, answer - 1));
    }
    sched_nmi(cpu);
}

void sim_yield(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (s->unit) {
        sched_unit(s);
        return;
    }
    sched_count(cpu);
    const u64 others = s->steppable & ~bit(cpu->id);
    if (others)
        sched_switch(cpu, sched_nth(others | bit(cpu->id), cpu->id, choice((u32)__builtin_popcountl(others) + 1, CHOICE_STEP)));
    sched_nmi(cpu);
}

/* Nobody can step: time passes. */
static void sched_jump(struct sim *s)
{
    if (s->timer_next == ~0ul)
        sim_end(s, SIM_DEADLOCK, s->stuck ? "CPUs spin on what nobody can change; no timer is armed"
                                          : "every CPU is halted, nothing is pending, no timer is armed");
    s->clock = max(s->clock, s->timer_next);
    timer_fire(s);
}

void sim_wait(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    s->steppable &= ~bit(cpu->id);
    do {
        sched_count(cpu);
        s->stuck = s->spinning != 0;
        while (!s->steppable) {
            sched_jump(s);
            sched_count(cpu);
        }
        sched_switch(cpu, sched_nth(s->steppable, cpu->id, choice((u32)__builtin_popcountl(s->steppable), CHOICE_STEP)));
    } while (!(s->steppable & bit(cpu->id)));
    sched_nmi(cpu);
}

void sim_wake(struct sim_cpu *cpu)
{
    if (cpu->state == CPU_OFF)
        return;
    cpu->sim->steppable |= bit(cpu->id);
    cpu->sim->spinning &= ~bit(cpu->id);
}

void sim_wrote(struct sim *s)
{
    s->writes++;
    s->relaxes = 0;
    s->steppable |= s->spinning;
    s->spinning = 0;
}

void sim_time(struct sim_cpu *cpu, u64 ticks)
{
    struct sim *s = cpu->sim;
    s->clock += ticks;
    if (s->clock >= s->timer_next)
        timer_fire(s);
}

void sim_pass(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (s->steppable & ~bit(cpu->id))
        return;
    sim_time(cpu, min((u64)RELAX_TICKS, s->timer_next > s->clock ? s->timer_next - s->clock : 0));
}

void mach_relax(void)
{
    struct sim_cpu *cpu = sim_this();
    struct sim *s = cpu->sim;
    store_drain(cpu);
    const bool outside = cpu->turn_outside || !cpu->turn_looked;   /* a turn that looks at nothing is a delay */
    const bool asleep = !outside && cpu->turn_writes == s->writes;
    cpu->turn_writes = s->writes;
    cpu->turn_outside = cpu->turn_looked = false;
    if (s->unit) {
        sim_step(cpu);
        if (++s->relaxes > UNIT_RELAXES)
            sim_broken(RULE_SPIN_FOREVER, "spins for ever: %u turns without a write", UNIT_RELAXES);
        return;
    }
    if (outside)
        sim_pass(cpu);
    if (!asleep) {
        sim_yield(cpu);
        return;
    }
    s->spinning |= bit(cpu->id);
    sim_wait(cpu);
}
