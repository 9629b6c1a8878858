/* SPDX-License-Identifier: BSD-2-Clause */
/* Scheduler of one CPU: fixed priorities, round robin within one, budgets in TSC ticks. Owns the ready queues.
 * Invariant: a queued SC is bound to an EC of this CPU; the current SC is not queued. This CPU only; other CPUs hand ECs over
 * through cpu.inbox and an IPI. */
#pragma once
#include "abi/hypercall.h"
#include "machine.h"

struct cpu;
struct ec;
struct sc;

struct sched {
    u64 bitmap[PRIORITY_COUNT / 64];
    struct sc *head[PRIORITY_COUNT];      /* circular lists */
    u64 started;                          /* TSC up to which time is accounted */
    bool wanted;                          /* choose anew before the next resume */
    bool helped;                          /* current runs on behalf of an EC_HELPING one: whoever runs after it must be looked for */
};

void sched_ready(struct cpu *cpu, struct sc *sc);        /* home CPU: into its queue; preempts a lower priority */
void sched_remove(struct cpu *cpu, struct sc *sc);       /* home CPU: from wherever it is */
void sched_block(struct cpu *cpu);                       /* current is blocked: current_sc waits for it; choose anew */
void sched_wait(struct cpu *cpu, struct ec *ec);         /* the same, current_sc waits for ec */
void sched_wake(struct cpu *cpu, struct ec *ec);         /* home CPU: all scheduling contexts that wait for ec are ready */
void sched_send(struct cpu *cpu, struct ec *ec, u64 reason);   /* to the inbox of ec's home CPU, another one; EC_INBOX_* */
void sched_inbox(struct cpu *cpu);                       /* take over what other CPUs sent */
void sched_account(struct cpu *cpu);                     /* charge the time since the last call to current_sc */
void sched_tick(struct cpu *cpu);                        /* the timer fired: budgets, deadlines */
/* The end of every trap: account, choose, follow donation and help, switch space and FPU; what to resume. */
struct resume *sched_resume(struct cpu *cpu);

/* sched_follow.c: from the current SC's EC along calls and help to the EC that runs. */
enum sched_follow {
    FOLLOW_RUN,         /* cpu->current is set */
    FOLLOW_NONE,        /* the SC waits at a blocked EC, or its EC is dead: not current any more; or a callee died on the way: look again */
    FOLLOW_PREEMPTED,   /* an interrupt is pending: take it, then begin again */
};
enum sched_follow sched_follow(struct cpu *cpu);
