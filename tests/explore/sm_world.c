/* SPDX-License-Identifier: BSD-2-Clause */
/* Semaphores on two CPUs: is a wake-up lost, or made twice, whoever ends the wait: an up, a deadline, the end of the semaphore or of the EC?
 * CPU 0 waits, CPU 1 ends it. */
#include "kernel_world.h"

#define SM     SEL(0)
#define WAITER SEL(1)
#define SECOND SEL(2)
#define ACTOR  SEL(3)

static struct sm *sm;
static u64 deadline[2];       /* of each wait; 0: none */
static u64 down[2], acted;    /* what each was told */

static void waiter(void *arg)
{
    down[(u64)arg] = hv_down(SM, deadline[(u64)arg]);
    world_paid();
}

static void upper(void *arg)
{
    acted = hv_up(SM);
    world_paid();
}

static void destroyer(void *arg)
{
    acted = hv_revoke(SM, 1);
    world_paid();
}

static void begin(u64 first, u64 second)
{
    kernel_world_open(2);
    sm = kernel_world_sm(0, SM);
    deadline[0] = first;
    deadline[1] = second;
    kernel_world_thread(0, kernel_world()->pd, 10, WAITER, waiter, (void *)0);
}

static void finish(void (*actor)(void *), u32 owed)
{
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, actor, NULL);
    world_owe(owed);
    kernel_world_ready();
}

/* ---- Down and up ---- */

/* Its end is a trap that looks into the inbox before the interrupt comes that says so. */
static void passer_by(void *arg)
{
}

static void wake_setup(void)
{
    begin(0, 0);
    kernel_world_thread(0, kernel_world()->pd, 5, SECOND, passer_by, NULL);
    finish(upper, 2);
}

static void wake_end(void)
{
    world_assert(down[0] == OK && acted == OK && !sm->count, "down: %lu, up: %lu, count: %lu", down[0], acted, sm->count);
}

KERNEL_WORLD(sm_wake, .question = "Does an up on another CPU wake the one that is about to wait?", .cpus = 2, .setup = wake_setup, .end = wake_end);

/* ---- Down with a deadline, and up ---- */

static void timeout_setup(void)
{
    begin(kernel_world_soon(1), 0);
    finish(upper, 2);
}

static void timeout_end(void)
{
    const bool late = down[0] == STATUS_TIMEOUT;
    world_assert(late || down[0] == OK, "down: %lu", down[0]);
    world_assert(acted == OK && sm->count == late, "down: %lu, and the count is %lu: an up was lost or used twice", down[0], sm->count);
}

KERNEL_WORLD(sm_timeout, .question = "Deadline and up at the same time: does exactly one of them end the wait?", .cpus = 2, .setup = timeout_setup,
             .end = timeout_end);

/* ---- The semaphore goes while somebody waits, or is about to ---- */

static void destroy_setup(void)
{
    begin(0, 0);
    finish(destroyer, 2);
}

static void destroy_end(void)
{
    world_assert(down[0] == STATUS_ABORT || down[0] == STATUS_CAP, "down: %lu", down[0]);
}

KERNEL_WORLD(sm_destroy, .question = "Is who waits at a semaphore that goes always told?", .cpus = 2, .setup = destroy_setup, .end = destroy_end);

static void destroy_timeout_setup(void)
{
    begin(kernel_world_soon(1), 0);
    finish(destroyer, 2);
}

static void destroy_timeout_end(void)
{
    world_assert(down[0] == STATUS_ABORT || down[0] == STATUS_CAP || down[0] == STATUS_TIMEOUT, "down: %lu", down[0]);
}

KERNEL_WORLD(sm_destroy_timeout, .question = "Does a deadline look at a semaphore that is gone?", .cpus = 2, .setup = destroy_timeout_setup,
             .end = destroy_timeout_end);

/* ---- Two wait, one with a deadline behind the other's; one up ---- */

static void two_setup(void)
{
    begin(kernel_world_soon(1), kernel_world_soon(2));
    kernel_world_thread(0, kernel_world()->pd, 10, SECOND, waiter, (void *)1);
    finish(upper, 3);
}

static void two_end(void)
{
    const u64 woken = (down[0] == OK) + (down[1] == OK), late = (down[0] == STATUS_TIMEOUT) + (down[1] == STATUS_TIMEOUT);
    world_assert(woken + late == 2 && woken + sm->count == 1, "one up, %lu woken, %lu late, count %lu", woken, late, sm->count);
}

KERNEL_WORLD(sm_two, .question = "Two deadlines in one list and an up: is every EC woken once?", .cpus = 2, .setup = two_setup, .end = two_end);

/* ---- Two wait, the first with a deadline; two ups ---- */

static void upper_twice(void *arg)
{
    acted = hv_up(SM) + hv_up(SM);
    world_paid();
}

static void queue_setup(void)
{
    begin(kernel_world_soon(1), 0);
    kernel_world_thread(0, kernel_world()->pd, 10, SECOND, waiter, (void *)1);
    finish(upper_twice, 3);
}

static void queue_end(void)
{
    const bool late = down[0] == STATUS_TIMEOUT;
    world_assert((late || down[0] == OK) && down[1] == OK && sm->count == late, "two ups: told %lu and %lu, count %lu", down[0], down[1], sm->count);
}

KERNEL_WORLD(sm_queue, .question = "A deadline takes the first out of the queue while an up does: is the second forgotten?", .cpus = 2,
             .setup = queue_setup, .end = queue_end);

/* ---- Who waits is killed while it is being woken ---- */

static void killer(void *arg)
{
    (void)hv_revoke(WAITER, 2);
    world_paid();
}

static void doomed(void *arg)
{
    (void)hv_down(SM, deadline[0]);
}

static void kill_begin(void (*actor)(void *))
{
    struct fixture *const f = kernel_world_open(2);
    sm = kernel_world_sm(0, SM);
    deadline[0] = 0;
    kernel_world_thread(0, f->pd, 10, WAITER, doomed, NULL);
    kernel_world_thread(0, f->pd, 5, SECOND, killer, NULL);
    finish(actor, 2);
}

static void kill_setup(void)
{
    kill_begin(upper);
}

static void kill_end(void)
{
    world_assert(acted == OK && sm->count <= 1, "up: %lu, count: %lu", acted, sm->count);
}

KERNEL_WORLD(sm_kill, .question = "Is an EC released while its wake-up from another CPU is under way?", .cpus = 2, .setup = kill_setup, .end = kill_end);

static void kill_destroy_setup(void)
{
    kill_begin(destroyer);
}

KERNEL_WORLD(sm_kill_destroy, .question = "Does an EC that is killed look at the semaphore it waited for, when that is gone?", .cpus = 2,
             .setup = kill_destroy_setup);
