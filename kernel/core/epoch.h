/* SPDX-License-Identifier: BSD-2-Clause */
/* Epoch-based release: memory that other CPUs may still be reading is released when every CPU has left the trap it was in.
 * Invariant: an item deferred at epoch e runs after every CPU that was in the kernel at e has returned from kern_trap (epoch_quiesce).
 * A CPU that stays in user mode, guest or idle is asked by an IPI. Lock: none; lists are per CPU. */
#pragma once
#include "atomic.h"

struct cpu;

struct epoch_item {
    struct epoch_item *next;
    void (*release)(struct cpu *cpu, struct epoch_item *item);
    u64 epoch;              /* global epoch when deferred */
    u64 generation;         /* and TLB generation that must be complete too, 0: none */
};

struct epoch_cpu {
    atomic_u64 seen;        /* newest global epoch this CPU has seen at a trap's end; others read */
    atomic_u64 waits;       /* epoch the oldest item here waits for, 0: none; others read, to know whom to tell */
    struct epoch_item *first, **last;   /* this CPU only: waiting, oldest first. Not empty at the end of a trap: DUE_RELEASE */
    u64 asked;              /* this CPU only: epoch for which IPIs were sent */
    u64 tlb_done;           /* this CPU only: TLB generation at the last quiesce */
};

#define EPOCH_BATCH 16u     /* items released per trap */

void epoch_init(struct cpu *cpu);
void epoch_defer(struct cpu *cpu, struct epoch_item *item, u64 tlb_generation);
/* At the end of a trap on no short way, or if anything waits here: publish what was seen, release what is due (bounded), ask laggards. */
void epoch_quiesce(struct cpu *cpu);
