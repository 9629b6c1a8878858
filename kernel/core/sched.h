/* SPDX-License-Identifier: BSD-2-Clause */
/* Scheduler of one CPU: queues of ready SCs, round robin within one, budgets in TSC ticks. Which queue is next says a policy, chosen per CPU at boot
 * (docs/hypercalls.md, sc_create): fixed priorities (sched_priority.c) or fair groups (sched_fair.c).
 * Invariant: a queued SC is bound to an EC of this CPU; the current SC is not queued. This CPU only, but for what is marked; other CPUs hand ECs
 * over through cpu.inbox and an IPI. */
#pragma once
#include "abi/hypercall.h"
#include "machine.h"
#include "sched_fair.h"

struct cpu;
struct ec;
struct sc;

struct sched {
    u64 bitmap[PRIORITY_COUNT / 64];
    struct sc *head[PRIORITY_COUNT];      /* circular lists, by sc.priority */
    u64 started;                          /* TSC up to which time is accounted */
    u64 slice;                            /* ticks from then on after which the policy is asked again, whatever is left of the budget */
    struct fair groups;                   /* if fair */
    u32 queues;                           /* sc.priority is below: PRIORITY_COUNT, SC_GROUP_COUNT. Constant after boot: any CPU reads it */
    bool fair;                            /* the policy; constant after boot */
};

void sched_init(struct cpu *cpu, bool fair);             /* at boot */
void sched_ready(struct cpu *cpu, struct sc *sc);        /* home CPU: into its queue; the policy says whether to choose anew */
void sched_remove(struct cpu *cpu, struct sc *sc);       /* home CPU: from wherever it is */
void sched_block(struct cpu *cpu);                       /* current is blocked: current_sc waits for it; choose anew */
void sched_wait(struct cpu *cpu, struct ec *ec);         /* the same, current_sc waits for ec */
void sched_wake(struct cpu *cpu, struct ec *ec);         /* home CPU: all scheduling contexts that wait for ec are ready */
void sched_send(struct cpu *cpu, struct ec *ec, u64 reason);   /* to the inbox of ec's home CPU, another one; EC_INBOX_* */
void sched_inbox(struct cpu *cpu);                       /* take over what other CPUs sent */
void sched_account(struct cpu *cpu);                     /* charge the time since the last call to current_sc */
void sched_tick(struct cpu *cpu);                        /* the timer fired: budgets, deadlines */
/* The end of a trap that is not on a short way (sched_enter.h): account, choose, follow donation and help, switch space and FPU; what to resume. */
struct resume *sched_resume(struct cpu *cpu);

/* sched_priority.c: the queue to take from, current's counted as if it were there: the highest. Nothing is ready: an empty one. */
u32 sched_priority_choose(const struct sched *s, const struct sc *current);

/* sched_follow.c: from the current SC's EC along calls and help to the EC that runs. */
enum sched_follow {
    FOLLOW_RUN,         /* cpu->current is set */
    FOLLOW_NONE,        /* the SC waits at a blocked EC, or its EC is dead: not current any more; or a callee died on the way: look again */
    FOLLOW_PREEMPTED,   /* an interrupt is pending: take it, then begin again */
};
enum sched_follow sched_follow(struct cpu *cpu);
