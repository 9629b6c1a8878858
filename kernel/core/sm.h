/* SPDX-License-Identifier: BSD-2-Clause */
/* Semaphore: a counter or a queue of waiting ECs, first come first served; the form an interrupt takes. Lock: sm.lock. */
#pragma once
#include "lock.h"
#include "object.h"

struct ec;

struct sm {
    struct object object;
    struct lock lock;
    u64 count;                     /* 0 while anybody waits */
    struct ec *first, *last;
};

must_check enum status sm_create(struct cpu *cpu, struct pd *pd, u64 count, struct sm **out);
void sm_destroy(struct cpu *cpu, struct sm *sm);
/* Where nobody waits or has to: true. Else the lock is held, and the function below it goes on. */
must_check static inline bool sm_try_up(struct sm *sm)
{
    lock_take(&sm->lock);
    if (unlikely(sm->first || sm->count == ~0ul))
        return false;
    sm->count++;
    lock_drop(&sm->lock);
    return true;
}
must_check enum status sm_wake(struct cpu *cpu, struct sm *sm);   /* STATUS_BUSY: the count would wrap */

must_check static inline bool sm_try_down(struct sm *sm, bool zero)
{
    lock_take(&sm->lock);
    if (unlikely(!sm->count))
        return false;
    sm->count = zero ? 0 : sm->count - 1;
    lock_drop(&sm->lock);
    return true;
}
must_check enum status sm_wait(struct cpu *cpu, struct ec *ec, struct sm *sm, u64 deadline);

void sm_timeout(struct cpu *cpu, struct ec *ec);   /* ec's deadline passed */
must_check bool sm_leave(struct ec *ec);           /* on ec's CPU, in EC_WAIT_SM: out of the queue; false: a wake-up was faster */
