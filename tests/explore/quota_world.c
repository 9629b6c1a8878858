/* SPDX-License-Identifier: BSD-2-Clause */
/* Quotas on two CPUs: is a byte ever charged to nobody, or spent twice? Limits move and memory is charged at once; between the steps of a move a
 * quota may hold more than its limit, at the end never. */
#include "core_world.h"

#define PAGES 4ul   /* the limit of the first quota; the second has none of its own */

static struct quota quota[2];
static u64 moved, owned[2];   /* bytes */
static void *memory;

static void setup(void)
{
    core_world_open(2);
    quota[0] = (struct quota){ .limit = { PAGES * PAGE_SIZE } };
    quota[1] = (struct quota){ 0 };
}

static void *take(u64 bytes)
{
    void *p;
    if (mem_alloc(core_world()->kern->mem, &quota[0], bytes, &p) != OK)
        return NULL;
    owned[world_id()] = bytes;
    return p;
}

static void move(void)
{
    if (quota_transfer(&quota[0], &quota[1], 3 * PAGE_SIZE) == OK)
        moved = 3 * PAGE_SIZE;
}

static void keep(void)
{
    memory = take(2 * PAGE_SIZE);
}

static void use(void)
{
    void *const p = take(2 * PAGE_SIZE);
    if (!p)
        return;
    mem_free(core_world()->kern->mem, &quota[0], p, 2 * PAGE_SIZE);
    owned[world_id()] = 0;
}

static void move_and_use(void)
{
    move();
    use();
}

static void books_end(void)
{
    core_world_rest();
    const u64 used = quota[0].used.v, limit = quota[0].limit.v;
    world_assert(used == owned[0] + owned[1], "%lu bytes are charged, %lu are used", used, owned[0] + owned[1]);
    world_assert(limit == PAGES * PAGE_SIZE - moved && quota[1].limit.v == moved, "limits of %lu and %lu, moved %lu", limit, quota[1].limit.v, moved);
    world_assert(used <= limit && !quota[1].used.v, "%lu bytes are charged to a limit of %lu", used, limit);
}

static void keep_end(void)
{
    books_end();
    world_assert(moved || memory, "each of the two was told that the other has it all");
}

#define QUOTA_WORLD(id, ...) WORLD_TEST(id, .cpus = 2, .setup = setup, .interrupt = core_world_interrupt, __VA_ARGS__)

QUOTA_WORLD(quota_move, .question = "A limit moves while memory is charged to it: is a byte promised to both?", .program = { move, keep },
            .end = keep_end);
QUOTA_WORLD(quota_use, .question = "Two CPUs charge and give back: do the books balance?", .program = { use, use }, .end = books_end);
QUOTA_WORLD(quota_late, .question = "A limit moves while memory comes and goes: do the books balance?", .program = { move_and_use, use },
            .end = books_end);

/* ---- What was handed on comes back ---- */

static void move_back(void)
{
    world_assert(quota_transfer(&quota[1], &quota[0], PAGE_SIZE) == OK, "nothing comes back");
    moved -= PAGE_SIZE;
}

static void back_setup(void)
{
    setup();
    move();
}

WORLD_TEST(quota_back, .question = "A limit comes back while memory is charged to it: is all of it there?", .cpus = 2, .setup = back_setup,
           .program = { move_back, keep }, .end = books_end, .interrupt = core_world_interrupt);

/* ---- Memory changes its account ---- */

static void recharge(void)
{
    mem_recharge(&quota[0], &quota[1], PAGE_SIZE);
    owned[0] -= PAGE_SIZE;
}

static void use_second(void)
{
    void *p;
    if (mem_alloc(core_world()->kern->mem, &quota[1], PAGE_SIZE, &p) == OK)
        mem_free(core_world()->kern->mem, &quota[1], p, PAGE_SIZE);
    use();
}

static void recharge_setup(void)
{
    setup();
    quota[1].limit.v = PAGE_SIZE;
    memory = take(PAGE_SIZE);
}

static void recharge_end(void)
{
    core_world_rest();
    world_assert(quota[0].used.v == owned[0] + owned[1] && quota[1].used.v == PAGE_SIZE, "%lu and %lu bytes are charged", quota[0].used.v, quota[1].used.v);
}

WORLD_TEST(quota_recharge, .question = "Memory changes its account while both are used: do the books balance?", .cpus = 2, .setup = recharge_setup,
           .program = { recharge, use_second }, .end = recharge_end, .interrupt = core_world_interrupt);
