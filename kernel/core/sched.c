/* SPDX-License-Identifier: BSD-2-Clause */
/* The scheduler of one CPU: ready queues, the inbox, accounting, and the end of every trap.
 * An SC that is preempted keeps the rest of its budget and its place at the head of its queue; at the end of its budget it goes to the tail
 * with a new one. Time is accounted when an SC stops being current, never in between: a trap that reschedules nothing reads no clock. */
#include "sched.h"
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "fpu.h"
#include "pd.h"
#include "protect.h"
#include "sc.h"
#include "sched_enter.h"
#include "vcpu.h"

void sched_init(struct cpu *cpu, bool fair)
{
    cpu->sched.fair = fair;
    cpu->sched.queues = fair ? SC_GROUP_COUNT : PRIORITY_COUNT;
    cpu->sched.slice = ~0ul;
    cpu->sched.groups.minimum = max(cpu->kern->clock.tsc_khz, 1ul) * FAIR_MINIMUM_MS;
}

/* ---- Ready queues ---- */

static void queue_add(struct sched *s, struct sc *sc, bool at_head)
{
    struct sc **const head = &s->head[sc->priority];
    if (*head) {
        sc->next = *head;
        sc->prev = (*head)->prev;
        sc->prev->next = sc;
        sc->next->prev = sc;
    } else {
        sc->next = sc->prev = sc;
        s->bitmap[sc->priority / 64] |= bit(sc->priority % 64);
    }
    if (at_head || !*head)
        *head = sc;
    sc->queued = true;
}

static void queue_remove(struct sched *s, struct sc *sc)
{
    struct sc **const head = &s->head[sc->priority];
    if (sc->next == sc) {
        *head = NULL;
        s->bitmap[sc->priority / 64] &= ~bit(sc->priority % 64);
    } else {
        sc->prev->next = sc->next;
        sc->next->prev = sc->prev;
        if (*head == sc)
            *head = sc->next;
    }
    sc->next = sc->prev = NULL;
    sc->queued = false;
}

/* ---- Waiting at a blocked EC ---- */

static void park(struct sc *sc, struct ec *ec)
{
    sc->waits = ec;
    sc->prev = NULL;
    sc->next = ec->helpers;
    if (sc->next)
        sc->next->prev = sc;
    ec->helpers = sc;
}

static void unpark(struct sc *sc)
{
    if (sc->prev)
        sc->prev->next = sc->next;
    else
        sc->waits->helpers = sc->next;
    if (sc->next)
        sc->next->prev = sc->prev;
    sc->next = sc->prev = NULL;
    sc->waits = NULL;
}

/* Fair groups: one that gets work may come first, and ends the slice of who runs. */
static bool preempts(const struct sched *s, const struct sc *sc, const struct sc *current)
{
    if (s->fair)
        return sc->priority != current->priority && !s->head[sc->priority];
    return sc->priority > current->priority;
}

void sched_ready(struct cpu *cpu, struct sc *sc)
{
    if (!cpu->current_sc || preempts(&cpu->sched, sc, cpu->current_sc))
        cpu->due |= DUE_CHOICE;
    queue_add(&cpu->sched, sc, false);
}

void sched_remove(struct cpu *cpu, struct sc *sc)
{
    if (sc->queued)
        queue_remove(&cpu->sched, sc);
    if (sc->waits)
        unpark(sc);
    if (cpu->current_sc == sc) {
        sched_account(cpu);   /* its group pays, although it goes */
        cpu->current_sc = NULL;
        cpu->current = NULL;
        cpu->due |= DUE_CHOICE;
    }
}

void sched_wait(struct cpu *cpu, struct ec *ec)
{
    if (cpu->current_sc) {
        sched_account(cpu);
        park(cpu->current_sc, ec);
        cpu->current_sc = NULL;
    }
    cpu->due |= DUE_CHOICE;
}

void sched_block(struct cpu *cpu)
{
    sched_wait(cpu, cpu->current);
}

void sched_wake(struct cpu *cpu, struct ec *ec)
{
    while (ec->helpers) {   /* bound: SCs of this CPU */
        struct sc *const sc = ec->helpers;
        unpark(sc);
        sched_ready(cpu, sc);
    }
}

/* ---- Inbox ---- */

void sched_send(struct cpu *cpu, struct ec *ec, u64 reason)
{
    struct cpu *const target = cpu->kern->cpu[ec->object.cpu];
    if (atomic_fetch_or(&ec->inbox_reason, reason))
        return;   /* on its way already */
    u64 first = atomic_load(&target->inbox);
    for (;;) {   /* bound: pushes of other CPUs */
        ec->inbox_next = (struct ec *)first;
        if (atomic_cas(&target->inbox, &first, (u64)ec))
            break;
        mach_relax();
    }
    /* From here on ec is not ours. Not empty before: whoever pushed first has sent the IPI. */
    if (!first)
        apic_ipi(cpu, target);
}

static void inbox_take(struct cpu *cpu, struct ec *ec)
{
    const u64 reason = atomic_xchg(&ec->inbox_reason, 0);
    struct sc *const sc = (struct sc *)atomic_load(&ec->own);
    if (reason & EC_INBOX_SC && sc)
        sc_start(cpu, sc);
    if (reason & EC_INBOX_WAKE)
        ec_awake(cpu, ec, (enum status)ec->wake_status);
    else if ((ec->flags & (EC_FLAG_DYING | EC_FLAG_AWAITED)) == EC_FLAG_DYING)
        ec_awake(cpu, ec, OK);
}

void sched_inbox(struct cpu *cpu)
{
    if (!atomic_load(&cpu->inbox))
        return;
    struct ec *ec = (struct ec *)atomic_xchg(&cpu->inbox, 0), *oldest = NULL;
    while (ec) {   /* newest first: turn it round; bound: ECs of this CPU */
        struct ec *const next = ec->inbox_next;
        ec->inbox_next = oldest;
        oldest = ec;
        ec = next;
    }
    while (oldest) {
        struct ec *const next = oldest->inbox_next;   /* once taken it may be pushed again */
        inbox_take(cpu, oldest);
        oldest = next;
    }
}

/* ---- Time ---- */

void sched_account(struct cpu *cpu)
{
    const u64 now = mach_tsc_read();
    const u64 ran = now > cpu->sched.started ? now - cpu->sched.started : 0;
    struct sc *const sc = cpu->current_sc;
    cpu->sched.started = now;
    if (!sc)
        return;
    sc->used += ran;
    sc->left -= min(ran, sc->left);
    if (cpu->sched.fair)
        fair_account(&cpu->sched.groups, sc->priority, ran);
}

void sched_tick(struct cpu *cpu)
{
    cpu->timeouts.armed = 0;   /* one shot */
    timeout_expire(cpu, mach_tsc_read());
    cpu->due |= DUE_CHOICE;
}

/* ---- The end of a trap ---- */

static u32 fair_queue(struct sched *s, const struct sc *current)
{
    const u32 ready = (u32)s->bitmap[0] | (current ? (u32)bit(current->priority) : 0);
    return fair_choose(&s->groups, ready, current ? current->priority : FAIR_NONE, s->started, &s->slice);
}

/* Which SC's time is used next: the current one, unless its budget is spent or the policy wants another queue. */
static void choose(struct cpu *cpu)
{
    struct sched *const s = &cpu->sched;
    struct sc *const old = cpu->current_sc;
    sched_account(cpu);
    const u32 queue = s->fair ? fair_queue(s, old) : sched_priority_choose(s, old);
    if (old) {
        const bool spent = !old->left;
        if (spent)
            old->left = old->budget;
        if (queue == old->priority && (!spent || !s->head[queue]))
            return;
        queue_add(s, old, !spent);
    }
    cpu->current_sc = s->head[queue];
    if (cpu->current_sc)
        queue_remove(s, cpu->current_sc);
}

/* Nobody's registers are saved and no space stays loaded: whose they were may go before anybody runs here again. */
static struct resume *idle(struct cpu *cpu, enum resume_kind kind)
{
    if (cpu->space)
        tlb_load(cpu, NULL);
    cpu->current = NULL;
    cpu->idle.kind = kind;
    return &cpu->idle;
}

static struct resume *halt(struct cpu *cpu)
{
    timeout_arm(cpu, cpu->id == 0 ? cpu->kern->boot_deadline : 0);
    return idle(cpu, RESUME_IDLE);
}

static u64 turn_end(const struct cpu *cpu)
{
    const u64 end = cpu->sched.started + min(cpu->current_sc->left, cpu->sched.slice);
    return end < cpu->sched.started ? 0 : end;
}

struct resume *sched_enter(struct cpu *cpu)
{
    struct ec *const ec = cpu->current;
    if (cpu->space != &ec->pd->memory) {
        tlb_switch(cpu, &ec->pd->memory);
        if (cpu->protect)
            protect_switch(cpu);
    }
    if (ec->vcpu)
        return vcpu_resume(cpu, ec);
    if (cpu->protect)
        protect_enter(cpu, NULL);
    fpu_switch(cpu, ec->fpu);
    return &ec->resume;
}

struct resume *sched_more(struct cpu *cpu)
{
    return cpu->due & (DUE_CHOICE | DUE_RELEASE) ? sched_resume(cpu) : sched_enter(cpu);
}

struct resume *sched_resume(struct cpu *cpu)
{
    if (unlikely(cpu->trace))
        trace_outcome(cpu);
    sched_inbox(cpu);
    if (atomic_load(&cpu->tlb.requested) != atomic_load(&cpu->tlb.done))
        tlb_handle(cpu);
    epoch_quiesce(cpu);
    for (u32 turn = 0; cpu->due & DUE_CHOICE; turn++) {   /* bound: SCs and ECs of this CPU; each turn but the last takes one away */
        choose(cpu);
        cpu->due &= ~DUE_CHOICE;
        cpu->current = NULL;
        if (!cpu->current_sc)
            return halt(cpu);
        const enum sched_follow follow = sched_follow(cpu);
        if (follow == FOLLOW_PREEMPTED || (follow == FOLLOW_NONE && turn % 32 == 31 && mach_preempt_pending())) {
            cpu->due |= DUE_CHOICE;
            return idle(cpu, RESUME_WINDOW);
        }
        cpu->due |= follow == FOLLOW_NONE ? DUE_CHOICE : 0;
        if (follow == FOLLOW_RUN)
            timeout_arm(cpu, turn_end(cpu));
    }
    if (!cpu->current)
        return halt(cpu);
    return likely(!cpu->due) ? sched_go_on(cpu) : sched_enter(cpu);
}
