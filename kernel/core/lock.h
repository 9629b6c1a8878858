/* SPDX-License-Identifier: BSD-2-Clause */
/* Spin lock: interrupts are off in the kernel, sections are short and bounded, nobody waits for an interrupt inside one.
 * Order (outer first): TLB waiters, derivation, memory, a semaphore; the end of the trace, a ring of it, its stream; a CPU's inbox is lock-free. */
#pragma once
#include "atomic.h"
#include "machine.h"

struct lock {
    atomic_u32 held;
};

static inline void lock_take(struct lock *l)
{
    while (atomic_xchg32(&l->held, 1))
        mach_relax();
}

static inline void lock_drop(struct lock *l)
{
    atomic_store32(&l->held, 0);
}
