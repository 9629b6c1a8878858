/* SPDX-License-Identifier: BSD-2-Clause */
/* The allocator on two CPUs: does a page ever have two owners? Each marks what it has got, in plain memory: the machine judges races and accesses to
 * free memory besides. */
#include "core_world.h"

static u64 free_before;

static u64 *take(void)
{
    void *p;
    world_assert(mem_alloc(core_world()->kern->mem, &core_world()->quota, PAGE_SIZE, &p) == OK, "no page");
    world_assert(world_peek(p) == 0, "a page of CPU %lu is given to CPU %u", world_peek(p) - 1, world_id());
    *(u64 *)p = world_id() + 1;
    return p;
}

static void give(u64 *p)
{
    world_assert(*p == world_id() + 1, "CPU %u: a page was changed by CPU %lu", world_id(), *p - 1);
    *p = 0;
    mem_free(core_world()->kern->mem, &core_world()->quota, p, PAGE_SIZE);
}

static void pages_setup(void)
{
    core_world_open(2);
    u64 *const first = take(), *const second = take(), *const third = take();
    free_before = mem_free_bytes(core_world()->kern->mem);
    give(third);
    give(second);
    give(first);
}

/* The first free page is the same before and after, and the second is not. */
static void takes_and_gives(void)
{
    u64 *const first = take(), *const second = take();
    give(first);
    give(take());
    give(second);
}

static void keeps(void)
{
    (void)take();
    (void)take();
}

static void pages_end(void)
{
    core_world_rest();
    world_assert(mem_free_bytes(core_world()->kern->mem) == free_before + PAGE_SIZE, "%lu bytes are free, of %lu", mem_free_bytes(core_world()->kern->mem),
                 free_before + PAGE_SIZE);
}

WORLD_TEST(pages, .question = "Is a page given to two at once?", .cpus = 2, .setup = pages_setup, .program = { keeps, takes_and_gives },
           .interrupt = core_world_interrupt, .end = pages_end);
