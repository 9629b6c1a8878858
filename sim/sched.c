/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps: which agent goes on, and how time passes. Every atomic and every mach_* is a step of the CPU that makes it; the flusher of a store buffer
 * steps on its own. In worlds only operations that another agent can notice are schedule points.
 *
 * The chooser is asked when more than one agent can step. Its answer 0 means: go on (sim_step), the next CPU in order (sim_yield, sim_wait), or
 * the own flusher (sim_drain), so that a run of zeros is fair. A CPU whose whole turn of a loop changed nothing, and nothing of what it read
 * has changed, sleeps until one of these words does. When nobody can step, the clock jumps to the next timer; without one the machine is
 * deadlocked, or a world is at its end. Invariant: the CPU whose fiber runs is sim->current. */
#include "irq.h"
#include "machine_model.h"
#include "race.h"
#include "store_buffer.h"
#include "timer.h"
#include "upcall.h"
#include "world_model.h"

#define RELAX_TICKS 1000u   /* a turn that only waits for time to pass may skip this much of it */
#define UNIT_RELAXES 1000000u

_Thread_local struct sim *sim_here;

enum order {
    ORDER_GO,      /* this CPU first */
    ORDER_YIELD,   /* the others first */
    ORDER_DRAIN,   /* its flusher first; it waits for it */
    ORDER_WAIT,    /* the others; it cannot go on */
};

static void agents_add(struct sim_agents *a, u64 set, u32 base)
{
    for (; set; set &= set - 1)
        a->list[a->count++] = (u8)(base + (u32)__builtin_ctzl(set));
}

/* CPUs in cyclic order after `from`. */
static void agents_cyclic(struct sim_agents *a, u64 set, u32 from)
{
    const u64 above = from == 63 ? 0 : set & ~0ul << (from + 1);
    agents_add(a, above, 0);
    agents_add(a, set & ~above, 0);
}

static void agents_list(struct sim *s, const struct sim_cpu *cpu, enum order order)
{
    struct sim_agents *a = &s->agents;
    const u64 me = bit(cpu->id), others = s->steppable & ~me;
    u64 flushers = s->buffered;
    a->count = 0;
    a->current = (u8)cpu->id;
    a->free = order != ORDER_GO && order != ORDER_DRAIN;
    if (order == ORDER_DRAIN) {
        a->list[a->count++] = (u8)(SIM_FLUSHER + cpu->id);
        flushers &= ~me;
    }
    if (order == ORDER_GO)
        a->list[a->count++] = (u8)cpu->id;
    agents_cyclic(a, others, cpu->id);
    if (order == ORDER_YIELD || (order == ORDER_WAIT && s->steppable & me))
        a->list[a->count++] = (u8)cpu->id;
    agents_add(a, flushers, SIM_FLUSHER);
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
    if (!s->world && ++s->clock >= s->timer_next)
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
    race_acquire(cpu, OBJECT_APIC(cpu->id));
    cpu->in_nmi = true;
    cpu->sim->upcall.nmi(cpu->kern_cpu, 2);
    cpu->in_nmi = false;
}

void sim_due(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (s->clock >= s->timer_next)
        timer_fire(s);
    if (s->result.steps >= s->steps_end)
        sched_pause(cpu);
    sched_nmi(cpu);
}

/* Nobody but spinners is left. One whose turn also wrote gets another: perhaps its loop writes in each turn. One of whose words has changed
 * goes on if that word may have been read before the loop. What the others would read now, another order of steps reads at once: such a run is
 * explored anyway, and this one ends. */
static bool stuck_wake(struct sim *s)
{
    u64 wake = 0;
    for (u64 left = s->spinning; left; left &= left - 1) {
        const struct sim_cpu *cpu = &s->cpu[__builtin_ctzl(left)];
        if (!cpu->turn_moot && (s->awake & bit(cpu->id) || cpu->turn_wrote))
            wake |= bit(cpu->id);
    }
    if (!wake && s->awake)
        sim_end(s, SIM_STOPPED, "%s", "");
    s->steppable |= wake;
    s->spinning &= ~wake;
    s->awake &= ~wake;
    return wake;
}

/* Nobody can step: spinners that were to come last, else time passes, else it is over. */
static void sched_stuck(struct sim *s)
{
    if (s->spinning && stuck_wake(s))
        return;
    if (s->world)
        world_quiet(s);   /* comes back if a timer is to be waited for */
    if (s->timer_next == ~0ul)
        sim_end(s, SIM_DEADLOCK, s->spinning ? "CPUs spin on what nobody can change; no timer is armed"
                                             : "every CPU is halted, nothing is pending, no timer is armed");
    s->clock = max(s->clock, s->timer_next);
    timer_fire(s);
    sched_count(s->current);
}

/* Who goes on? Returns when it is this CPU. */
static void sched_decide(struct sim_cpu *cpu, enum order order)
{
    struct sim *s = cpu->sim;
    for (;;) {
        if (s->world)
            world_step(s);
        agents_list(s, cpu, order == ORDER_DRAIN && !cpu->store_count ? ORDER_GO : order);
        if (!s->agents.count) {
            sched_stuck(s);
            continue;
        }
        const u32 agent = s->agents.list[choice(s->agents.count, CHOICE_STEP)];
        if (s->world)
            world_chose(s, agent);
        if (agent >= SIM_FLUSHER) {
            store_flush(&s->cpu[agent - SIM_FLUSHER]);
            continue;
        }
        sched_switch(cpu, agent);
        return;   /* whoever switched back has chosen this CPU */
    }
}

/* Does anybody else come into question? */
bool sim_alone(const struct sim_cpu *cpu)
{
    const struct sim *s = cpu->sim;
    return !((s->steppable & ~bit(cpu->id)) | s->buffered) || !s->config.chooser;
}

void sim_step(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (unlikely(s->unit)) {
        sched_unit(s);
        return;
    }
    sched_count(cpu);
    if (s->world) {
        if (cpu->pending.op == OP_MACHINE)
            return;
        sched_decide(cpu, ORDER_GO);
    } else if (!sim_alone(cpu)) {
        sched_decide(cpu, ORDER_GO);
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
    if ((s->steppable & ~bit(cpu->id)) | s->buffered)
        sched_decide(cpu, ORDER_YIELD);
    sched_nmi(cpu);
}

void sim_wait(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    s->steppable &= ~bit(cpu->id);
    do {
        sched_count(cpu);
        sched_decide(cpu, ORDER_WAIT);
    } while (!(s->steppable & bit(cpu->id)));
    sched_nmi(cpu);
}

void sim_drain(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (s->unit) {
        while (cpu->store_count)
            store_flush(cpu);
        return;
    }
    cpu->draining = true;   /* flushing the last entry ends it: store_buffer.c */
    s->steppable &= ~bit(cpu->id);
    sched_decide(cpu, ORDER_DRAIN);
}

void sim_wake(struct sim_cpu *cpu)
{
    if (cpu->state == CPU_OFF || cpu->draining)   /* the last flush wakes that one, nothing else can */
        return;
    cpu->sim->steppable |= bit(cpu->id);
    cpu->sim->spinning &= ~bit(cpu->id);
    cpu->sim->awake &= ~bit(cpu->id);
}

static bool turn_reads(const struct sim_cpu *cpu, u64 object)
{
    if (object == OBJECT_NONE || cpu->turn_words > TURN_WORDS)
        return true;
    for (u32 i = 0; i < cpu->turn_words; i++)
        if (cpu->turn_word[i].object == object)
            return true;
    return false;
}

void sim_rouse(struct sim *s, u64 object)
{
    for (u64 left = s->spinning; left; left &= left - 1) {
        struct sim_cpu *cpu = &s->cpu[__builtin_ctzl(left)];
        if (!turn_reads(cpu, object))
            continue;
        cpu->turn_moot = cpu->turn_moot || cpu->turn_again || object == cpu->turn_last;
        if (s->await_last)
            s->awake |= bit(cpu->id);
        else
            sim_wake(cpu);
    }
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

/* Would the CPU read something else now? */
static bool turn_changed(const struct sim_cpu *cpu, u32 i)
{
    const void *word = sim_object_memory(cpu->sim, cpu->turn_word[i].object);
    bool own;
    return word && store_read(cpu, word, cpu->turn_word[i].bytes, &own) != cpu->turn_word[i].value;
}

static bool turn_same(const struct sim_cpu *cpu)
{
    for (u32 i = 0; i < cpu->turn_words; i++)
        if (turn_changed(cpu, i))
            return false;
    return true;
}

static bool turn_last_changed(const struct sim_cpu *cpu)
{
    for (u32 i = 0; i < min(cpu->turn_words, TURN_WORDS); i++)
        if (cpu->turn_word[i].object == cpu->turn_last)
            return turn_changed(cpu, i);
    return false;
}

void mach_relax(void)
{
    struct sim_cpu *cpu = sim_this();
    struct sim *s = cpu->sim;
    const bool outside = cpu->turn_outside || (!cpu->turn_words && !cpu->turn_wrote);   /* a turn that looks at nothing is a delay */
    const bool same = cpu->turn_words > TURN_WORDS ? cpu->turn_writes == s->writes : turn_same(cpu);
    const bool held = cpu->turn_polled && irq_held(cpu);
    const bool failed = !outside && cpu->turn_words, asleep = failed && !held && (same || s->await_last);
    if (!s->unit && failed)
        s->awaits++;
    if (!s->unit && asleep) {
        sim_did(cpu, OP_RELAX, EFFECT_NONE, OBJECT_CPU(cpu->id), 0, 0);
        cpu->turn_moot = !same && (cpu->turn_again || turn_last_changed(cpu));
        s->spinning |= bit(cpu->id);
        if (!same)
            s->awake |= bit(cpu->id);
        sim_wait(cpu);
    }
    cpu->turn_writes = s->writes;
    cpu->turn_words = 0;
    cpu->turn_outside = cpu->turn_wrote = cpu->turn_polled = false;
    cpu->turn_again = true;
    if (!cpu->turn_cas)
        cpu->cas_object = OBJECT_NONE;
    cpu->turn_cas = false;
    if (s->unit) {
        sim_step(cpu);
        if (++s->relaxes > UNIT_RELAXES)
            sim_broken(RULE_SPIN_FOREVER, "spins for ever: %u turns without a write", UNIT_RELAXES);
        return;
    }
    if (outside)
        sim_pass(cpu);
    if (!asleep)
        sim_yield(cpu);
}
