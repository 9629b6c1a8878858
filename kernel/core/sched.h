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
    u64 started;                          /* TSC when current_sc began to run */
    bool wanted;                          /* choose anew before the next resume */
};

void sched_ready(struct cpu *cpu, struct sc *sc);        /* home CPU: into its queue; preempts a lower priority */
void sched_remove(struct cpu *cpu, struct sc *sc);
void sched_block(struct cpu *cpu);                       /* current_sc stops for now: account, choose anew */
void sched_wake(struct cpu *cpu, struct ec *ec);         /* any CPU: ec goes on with its sc (and helpers) on its home CPU */
void sched_inbox(struct cpu *cpu);                       /* take over what other CPUs woke */
void sched_tick(struct cpu *cpu);                        /* the timer fired: budgets, deadlines */
/* The end of every trap: account, choose, follow donation and help, switch space and FPU; what to resume. */
struct resume *sched_resume(struct cpu *cpu);
