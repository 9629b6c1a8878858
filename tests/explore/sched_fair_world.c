/* SPDX-License-Identifier: BSD-2-Clause */
/* A CPU with fair groups among CPUs with priorities: what others hand to it, does it arrive and run, whatever group it is in, and has the CPU's book of
 * who has work nobody left in the end? */
#include "kernel_world.h"

#define SM     SEL(0)
#define OTHER  SEL(1)
#define FIRST  SEL(2)
#define SECOND SEL(3)
#define ACTOR  SEL(4)

static u64 told[3], ran;

static struct fixture *open(void)
{
    struct fixture *const f = kernel_world_open(2);
    sched_init(f->k->cpu[0], true);
    return f;
}

static void fair_end(void)
{
    const struct sched *const s = &kernel_world()->k->cpu[0]->sched;
    world_assert(s->fair && !s->groups.ready, "the idle CPU has groups 0x%x with work", s->groups.ready);
    for (u32 i = 0; i < array_size(told); i++)
        world_assert(told[i] == OK, "%u: status %lu", i, told[i]);
}

/* ---- Another CPU wakes two groups ---- */

static void wait(void *arg)
{
    const u64 number = (u64)arg;
    told[number] = hv_down(number ? OTHER : SM, 0);
    world_paid();
}

static void wake(void *arg)
{
    told[2] = hv_up(SM) | hv_up(OTHER);
    world_paid();
}

static void wake_setup(void)
{
    struct fixture *const f = open();
    kernel_world_sm(0, SM);
    kernel_world_sm(0, OTHER);
    kernel_world_thread(0, f->pd, SC_GROUP_BACKGROUND, FIRST, wait, (void *)0);
    kernel_world_thread(0, f->pd, SC_GROUP_DRIVER, SECOND, wait, (void *)1);
    kernel_world_thread(1, f->pd, 10, ACTOR, wake, NULL);
    world_owe(3);
    kernel_world_ready();
}

KERNEL_WORLD(sched_fair_wake, .question = "Another CPU wakes a thread in the background and a driver: do both run?", .cpus = 2,
             .setup = wake_setup, .end = fair_end);

/* ---- Another CPU gives time to one of a group, while one of another group comes and goes ---- */

static void run(void *arg)
{
    ran++;
    world_paid();
}

static void give(void *arg)
{
    told[0] = hv_sc_create(FIRST + 1, FIRST, SC_GROUP_BACKGROUND);
    told[1] = hv_up(OTHER);
    world_paid();
}

static void come_and_go(void *arg)
{
    told[2] = hv_down(OTHER, 0);
    world_paid();
}

static void give_setup(void)
{
    struct fixture *const f = open();
    kernel_world_sm(0, OTHER);
    kernel_world_ec(0, FIRST, run, NULL);
    kernel_world_thread(0, f->pd, SC_GROUP_DEFAULT, SECOND, come_and_go, NULL);
    kernel_world_thread(1, f->pd, 10, ACTOR, give, NULL);
    world_owe(3);
    kernel_world_ready();
}

static void give_end(void)
{
    fair_end();
    world_assert(ran == 1, "it ran %lu times", ran);
}

KERNEL_WORLD(sched_fair_give, .question = "A thread of a CPU with fair groups is given time from elsewhere: does it run, once?", .cpus = 2,
             .setup = give_setup, .end = give_end);
