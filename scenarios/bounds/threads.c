/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: semaphores, deadlines, interrupts, and threads that another CPU or nobody wakes. */
#include "bounds.h"

#define LATER_MS 30u

enum { SEL_COUNTED = SEL_THREADS, SEL_WAITED };

static u64 deadline;
static volatile bool stop, touched;

static u64 ms(u64 n)
{
    return n * max(program_page()->tsc_khz, 1ul);
}

/* ---- Semaphores ---- */

static void counted_make(void)
{
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_COUNTED, 0), "semaphore");
}

static void counted_drop(void)
{
    take(SEL_COUNTED, 1, SPACE_OBJECT, REVOKE_SELF);
}

static void counted_wait(u32 index)
{
    const enum status s = hv_sm_down(SEL_COUNTED, 0, 0);
    require(s == OK || s == STATUS_ABORT, "waiter");
}

static void waiters_abort(void)
{
    counted_drop();
    pool_wait(POOL);
}

static void waiters_prepare(void)
{
    counted_make();
    pool_run(POOL, counted_wait);
}

static void up_act(void)
{
    check(hv_sm_up(SEL_COUNTED), "up");
}

static void up_undo(void)
{
    for (u32 i = 1; i < POOL; i++)
        up_act();
    pool_wait(POOL);
    counted_drop();
}

/* ---- Deadlines ---- */

static void sleep_until(u32 index)
{
    require(hv_sm_down(SEL_NEVER, 0, deadline) == STATUS_TIMEOUT, "deadline");
}

static void sleep_longer(u32 index)
{
    require(hv_sm_down(SEL_NEVER, 0, deadline + ms(1)) == STATUS_TIMEOUT, "deadline");
}

static void sleepers_prepare(void)
{
    deadline = thread_tsc() + ms(LATER_MS);
    pool_run(POOL, sleep_until);
}

static void sleeper_act(void)
{
    pool_run(1, sleep_longer);
}

static void sleepers_undo(void)
{
    pool_wait(POOL + 1);
}

static void expire_act(void)
{
    while (thread_tsc() < deadline)
        hv_relax();
    pool_wait(POOL);
}

/* ---- From another CPU ---- */

static void other_ups(void)
{
    for (u32 i = 0; i < POOL; i++)
        up_act();
}

static void inbox_act(void)
{
    other_run(other_ups);
    other_wait();
    pool_wait(POOL);
}

/* It has the page's translation, and spins. */
static void other_spins(void)
{
    (void)*(const volatile u64 *)(PAGE_FREE << PAGE_BITS);
    touched = true;
    while (!stop)
        hv_relax();
}

static void shootdown_prepare(void)
{
    stop = touched = false;
    memory_copy(PROGRAM_SEL_PD, PAGE_RUN, PAGE_FREE, 1);
    other_run(other_spins);
    while (!touched)
        hv_relax();
}

static void shootdown_act(void)
{
    take(PAGE_RUN, 1, SPACE_MEMORY, 0);
}

static void shootdown_undo(void)
{
    stop = true;
    other_wait();
}

const struct row rows_threads[] = {
    { "sm-up", waiters_prepare, up_act, up_undo },
    { "sm-down", sleepers_prepare, sleeper_act, sleepers_undo },
    { "timer", sleepers_prepare, expire_act, 0 },
    { "inbox", waiters_prepare, inbox_act, counted_drop },
    { "shootdown", shootdown_prepare, shootdown_act, shootdown_undo },
    { "release-sm", waiters_prepare, waiters_abort, 0 },
    { 0, 0, 0, 0 },
};
