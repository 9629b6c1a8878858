/* SPDX-License-Identifier: BSD-2-Clause */
/* Semaphores on two CPUs: is a wake-up lost, or made twice, whoever ends the wait: an up, a deadline, the semaphore's end? */
#include "kernel_world.h"

#define SM     SEL(0)
#define WAITER SEL(1)
#define UPPER  SEL(2)
#define OTHER  SEL(3)

static u64 down[2], up[2];   /* what each was told */

static void waiter(void *arg)
{
    down[(u64)arg] = hv_down(SM, 0);
    world_paid();
}

static void upper(void *arg)
{
    up[(u64)arg] = hv_up(SM);
    world_paid();
}

/* ---- One down, one up ---- */

static void wake_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_sm(0, SM);
    kernel_world_thread(0, f->pd, 10, WAITER, waiter, (void *)0);
    kernel_world_thread(1, f->pd, 10, UPPER, upper, (void *)0);
    world_owe(2);
    kernel_world_ready();
}

static void wake_end(void)
{
    world_assert(down[0] == OK && up[0] == OK, "down: %lu, up: %lu", down[0], up[0]);
}

KERNEL_WORLD(sm_wake, .question = "Does an up on another CPU wake the one that is about to wait?", .cpus = 2, .setup = wake_setup, .end = wake_end);
