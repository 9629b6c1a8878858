/* SPDX-License-Identifier: BSD-2-Clause */
/* A bug that needs the third of many equal operations, for tests of schedule files: does an anchor tell them apart?
 * Without store buffers, as it is explored by default, there is none. */
#include "world.h"

#define ROUNDS 5u
#define BAD    3u   /* the round both sides must not miss */

static atomic_u64 *round_of[2], *self[2];
static u64 *missed;

static void third_setup(void)
{
    missed = world_alloc(16);
    for (u32 i = 0; i < 2; i++) {
        round_of[i] = world_alloc(8);
        self[i] = world_alloc(8);
        world_label(round_of[i], 8, "round%u", i);
    }
}

static void third_program(void)
{
    const u32 me = world_id();
    atomic_store(self[me], (u64)self[me]);   /* a pointer is in the run's hash: is it the same in another process? */
    for (u64 round = 1; round <= ROUNDS; round++) {
        atomic_store(round_of[me], round);
        const bool behind = atomic_load(round_of[1 - me]) < round;
        if (round == BAD)
            missed[me] = behind;
    }
}

static void third_end(void)
{
    world_assert(!missed[0] || !missed[1], "round %u: both sides missed the other's store", BAD);
}

WORLD_TEST(third, .question = "Can both sides miss the other's third store?", .cpus = 2, .setup = third_setup,
           .program = { third_program, third_program }, .end = third_end, .sc = true);
