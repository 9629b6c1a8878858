/* SPDX-License-Identifier: BSD-2-Clause */
/* Semaphores. Whoever pops an EC from the queue, under the lock, owns its wake-up: an up, the deadline, the EC's end or the semaphore's.
 * Invariant: count is 0 while the queue is not empty; an EC is in the queue iff its state is EC_WAIT_SM and no wake-up is on its way. */
#include "sm.h"
#include "cpu.h"
#include "ec.h"
#include "pd.h"

#define SM_DESTROY_STEP 32u   /* waiters aborted per epoch */

enum status sm_create(struct cpu *cpu, struct pd *pd, u64 count, struct sm **out)
{
    void *p;
    const enum status s = pd_alloc(pd, sizeof(struct sm), &p);
    if (s != OK)
        return s;
    struct sm *const sm = p;
    object_init(&sm->object, OBJ_SM, pd, cpu->id);
    sm->count = count;
    *out = sm;
    return OK;
}

static void queue_add(struct sm *sm, struct ec *ec)
{
    ec->queue_next = NULL;
    ec->queue_prev = sm->last;
    if (sm->last)
        sm->last->queue_next = ec;
    else
        sm->first = ec;
    sm->last = ec;
}

static void queue_remove(struct sm *sm, struct ec *ec)
{
    if (ec->queue_prev)
        ec->queue_prev->queue_next = ec->queue_next;
    else
        sm->first = ec->queue_next;
    if (ec->queue_next)
        ec->queue_next->queue_prev = ec->queue_prev;
    else
        sm->last = ec->queue_prev;
    ec->queue_next = ec->queue_prev = NULL;
}

/* Wakes the first waiter; false if there is none. The lock is held: a waiter's wake-up is marked before anybody else can look. */
static bool wake_first(struct cpu *cpu, struct sm *sm, enum status result)
{
    struct ec *const ec = sm->first;
    if (!ec)
        return false;
    queue_remove(sm, ec);
    ec_wake(cpu, ec, result);
    return true;
}

enum status sm_wake(struct cpu *cpu, struct sm *sm)
{
    const bool woken = wake_first(cpu, sm, OK);
    lock_drop(&sm->lock);
    return woken ? OK : STATUS_BUSY;
}

enum status sm_wait(struct cpu *cpu, struct ec *ec, struct sm *sm, u64 deadline)
{
    if (deadline && deadline <= mach_tsc_read()) {
        lock_drop(&sm->lock);
        return STATUS_TIMEOUT;
    }
    /* All that this CPU owns is in place before the lock is dropped: from then on another CPU may wake it. */
    ec->state = EC_WAIT_SM;
    ec->sm = sm;
    ec->deadline = deadline;
    queue_add(sm, ec);
    lock_drop(&sm->lock);
    if (deadline)
        timeout_add(cpu, ec);
    sched_block(cpu);
    return STATUS_BLOCKED;
}

bool sm_leave(struct ec *ec)
{
    /* Marked: it was popped already, and the semaphore may be gone. */
    if (atomic_load(&ec->inbox_reason) & EC_INBOX_WAKE)
        return false;
    struct sm *const sm = ec->sm;
    lock_take(&sm->lock);
    const bool mine = !(atomic_load(&ec->inbox_reason) & EC_INBOX_WAKE);
    if (mine)
        queue_remove(sm, ec);
    lock_drop(&sm->lock);
    return mine;
}

void sm_timeout(struct cpu *cpu, struct ec *ec)
{
    if (sm_leave(ec))
        ec_awake(cpu, ec, STATUS_TIMEOUT);
}

static void sm_finish(struct cpu *cpu, struct epoch_item *item)
{
    struct sm *const sm = container_of(item, struct sm, object.release);
    pd_release(cpu, &sm->object, sizeof(*sm));
}

static void sm_step(struct cpu *cpu, struct epoch_item *item)
{
    struct sm *const sm = container_of(item, struct sm, object.release);
    u32 steps = 0;
    lock_take(&sm->lock);
    while (steps < SM_DESTROY_STEP && wake_first(cpu, sm, STATUS_ABORT))
        steps++;
    lock_drop(&sm->lock);
    /* A waiter's deadline may be looking at the semaphore on another CPU: one more epoch. */
    item->release = steps < SM_DESTROY_STEP ? sm_finish : sm_step;
    epoch_defer(cpu, item, 0);
}

void sm_destroy(struct cpu *cpu, struct sm *sm)
{
    sm_step(cpu, &sm->object.release);
}
