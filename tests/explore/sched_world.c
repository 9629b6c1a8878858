/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes to a CPU from others and from its own timer at once: does everybody who can run get to run, and on whose time? */
#include "arch/x86.h"
#include "ec.h"
#include "kernel_world.h"

#define SM      SEL(0)
#define OTHER   SEL(1)
#define FIRST   SEL(2)
#define SECOND  SEL(3)
#define ACTOR   SEL(4)
#define ACTOR_2 SEL(5)
#define INNER   SEL(6)
#define OUTER   SEL(7)

static u64 told[2], inner, ran;
static struct ec *handler[2];

static void wait_first(void *arg)
{
    told[0] = hv_down(SM, 0);
    world_paid();
}

static void wait_second(void *arg)
{
    told[1] = hv_down(OTHER, 0);
    world_paid();
}

static void wake_first(void *arg)
{
    (void)hv_up(SM);
    world_paid();
}

static void wake_second(void *arg)
{
    (void)hv_up(OTHER);
    world_paid();
}

static void told_end(void)
{
    world_assert(told[0] == OK && told[1] == OK, "the waits ended with %lu and %lu", told[0], told[1]);
}

/* ---- Two CPUs wake two ECs of a third ---- */

static void inbox_setup(void)
{
    struct fixture *const f = kernel_world_open(3);
    kernel_world_sm(0, SM);
    kernel_world_sm(0, OTHER);
    kernel_world_thread(0, f->pd, 10, FIRST, wait_first, NULL);
    kernel_world_thread(0, f->pd, 20, SECOND, wait_second, NULL);
    kernel_world_thread(1, f->pd, 10, ACTOR, wake_first, NULL);
    kernel_world_thread(2, f->pd, 10, ACTOR_2, wake_second, NULL);
    world_owe(4);
    kernel_world_ready();
}

KERNEL_WORLD(sched_inbox, .question = "Two CPUs hand ECs to a third: do both arrive?", .cpus = 3, .setup = inbox_setup, .end = told_end);

/* ---- One CPU wakes two ECs of another, one behind the other ---- */

static void wake_both(void *arg)
{
    (void)hv_up(SM);
    (void)hv_up(OTHER);
    world_paid();
}

static void pair_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_sm(0, SM);
    kernel_world_sm(0, OTHER);
    kernel_world_thread(0, f->pd, 10, FIRST, wait_first, NULL);
    kernel_world_thread(0, f->pd, 20, SECOND, wait_second, NULL);
    kernel_world_thread(1, f->pd, 10, ACTOR, wake_both, NULL);
    world_owe(3);
    kernel_world_ready();
}

KERNEL_WORLD(sched_pair, .question = "A second EC is handed over while the first is taken in: does it need, and get, an interrupt of its own?",
             .cpus = 2, .setup = pair_setup, .end = told_end);

/* ---- Time is given to an EC of another CPU ---- */

static void run(void *arg)
{
    ran++;
    world_paid();
}

static void give_time(void *arg)
{
    told[0] = hv_sc_create(FIRST + 1, FIRST, 10);
    world_paid();
}

static void start_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_ec(0, FIRST, run, NULL);
    kernel_world_thread(1, f->pd, 10, ACTOR, give_time, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void start_end(void)
{
    world_assert(told[0] == OK && ran == 1, "sc_create: %lu, ran %lu times", told[0], ran);
}

KERNEL_WORLD(sched_start, .question = "Does an EC that is given time on another CPU run there, once?", .cpus = 2, .setup = start_setup,
             .end = start_end);

/* ---- Help along a chain of two handlers, the inner one of which waits ---- */

static void client(void *arg)
{
    told[(u64)arg] = hv_call(OUTER + 1);
    world_paid();
}

static void serve_outer(void *arg)
{
    (void)hv_call(INNER + 1);
}

static void serve_inner(void *arg)
{
    if (!inner++)
        (void)hv_down(SM, 0);
}

static void help_begin(void (*outer)(void *), void (*actor)(void *))
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_sm(0, SM);
    handler[0] = kernel_world_handler(0, f->pd, INNER, serve_inner, NULL);
    handler[1] = kernel_world_handler(0, f->pd, OUTER, outer, NULL);
    kernel_world_thread(0, f->pd, 10, FIRST, client, (void *)0);
    kernel_world_thread(0, f->pd, 5, SECOND, client, (void *)1);
    kernel_world_thread(1, f->pd, 10, ACTOR, actor, NULL);
    world_owe(3);
    kernel_world_ready();
}

static void help_setup(void)
{
    help_begin(serve_outer, wake_first);
}

static void help_end(void)
{
    told_end();
    for (u32 i = 0; i < 2; i++)
        world_assert(handler[i]->state == EC_IDLE && !handler[i]->caller, "handler %u is not free after all calls", i);
}

KERNEL_WORLD(sched_help, .question = "Two clients of a chain of handlers that waits: does either stay behind?", .cpus = 2, .setup = help_setup,
             .end = help_end);

/* ---- The same, and the outer handler goes ---- */

/* Not without the up: who helps a handler has a reference to it, and so keeps it alive until it is free. */
static void destroy_outer(void *arg)
{
    (void)hv_up(SM);
    (void)hv_revoke(OUTER, 2);
    world_paid();
}

static void help_destroy_setup(void)
{
    help_begin(serve_outer, destroy_outer);
}

static void help_destroy_end(void)
{
    for (u32 i = 0; i < 2; i++)
        world_assert(told[i] == OK || told[i] == STATUS_ABORT || told[i] == STATUS_CAP, "client %u: %lu", i, told[i]);
}

KERNEL_WORLD(sched_help_destroy, .question = "A handler goes that a client helps, and that calls another: are all clients told?", .cpus = 2,
             .setup = help_destroy_setup, .end = help_destroy_end);

/* ---- The same, and the outer handler dies of an exception that nobody handles ---- */

static void serve_and_fault(void *arg)
{
    serve_outer(arg);
    program_raise(VECTOR_UD, 0);
}

static void help_fault_setup(void)
{
    help_begin(serve_and_fault, wake_first);
}

static void help_fault_end(void)
{
    for (u32 i = 0; i < 2; i++)
        world_assert(told[i] == STATUS_ABORT, "client %u: %lu", i, told[i]);
}

KERNEL_WORLD(sched_help_fault, .question = "A handler dies that one client has called and another helps: are both told?", .cpus = 2,
             .setup = help_fault_setup, .end = help_fault_end);
