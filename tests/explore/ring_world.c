/* SPDX-License-Identifier: BSD-2-Clause */
/* World of scenarios/lib/ring: does each slot come out once, whole and in order, and is a consumer that sleeps woken? */
#include "ring.h"
#include "world.h"

#define SLOTS 2u
#define COUNT 3u   /* of elements: the ring is full once, and goes around */

struct slot {
    u64 number, complement, padding[2];
};

static struct ring *ring;
static struct slot *slots;
static atomic_u64 *wake;   /* a semaphore */

static void setup(void)
{
    ring = world_alloc(sizeof(*ring));
    slots = world_alloc(SLOTS * sizeof(*slots));
    mach_mem_state(world_alloc(64), 64, MEM_REDZONE);
    wake = world_alloc(8);
    world_label(&ring->tail, 8, "tail");
    world_label(&ring->head, 8, "head");
    world_label(&ring->asleep, 8, "asleep");
    for (u32 i = 0; i < SLOTS; i++)
        world_label(&slots[i], sizeof(slots[i]), "slot[%u]", i);
    world_label(wake, 8, "wake");
}

static void consumer_sleep(void *arg)
{
    while (!atomic_load(wake))
        mach_relax();
    atomic_xchg(wake, 0);
}

static void consumer_wake(void *arg)
{
    atomic_add(wake, 1);
}

static struct ring_end ring_side(void)
{
    return (struct ring_end){ .ring = ring, .slot = (u8 *)slots, .slots = SLOTS, .slot_bytes = sizeof(*slots), .sleep = consumer_sleep, .wake = consumer_wake };
}

static void producer(void)
{
    struct ring_end p = ring_side();
    for (u64 n = 0; n < COUNT; n++) {
        struct slot *s;
        while (!(s = ring_free(&p)))
            mach_relax();
        s->number = n;
        s->complement = ~n;
        ring_put(&p);
    }
}

static void consumer(void)
{
    struct ring_end c = ring_side();
    for (u64 n = 0; n < COUNT; n++) {
        const struct slot *s = ring_wait(&c);
        world_assert(s->number == n && s->complement == ~n, "element %lu is %lu, %lx", n, s->number, s->complement);
        ring_take(&c);
    }
    world_assert(!ring_first(&c), "not empty at the end");
}

static void check(void)
{
    world_assert(world_peek(&ring->tail) - world_peek(&ring->head) <= SLOTS, "more is filled than there are slots");
}

WORLD_TEST(ring, .question = "Is a slot lost, doubled or torn, or a sleeping consumer forgotten?", .cpus = 2, .setup = setup,
           .program = { producer, consumer }, .check = check, .unbounded = true);
