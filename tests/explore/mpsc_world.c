/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds of scenarios/lib/mpsc: does each node come out once, in its producer's order; is EMPTY true; is a consumer that sleeps woken; and does
 * nobody write to a node that has been popped? */
#include "mpsc.h"
#include "world.h"

#define PRODUCERS 2u
#define POPPED    0xdeadul   /* in `next` of a node that is the consumer's again */

struct item {
    struct mpsc_node node;
    u64 producer, number;
};

static u32 each;                     /* items per producer */
static struct mpsc *queue;
static struct item *items;           /* [PRODUCERS][each] */
static atomic_u64 *wake, *ended;     /* a semaphore; pushes that have ended */

static void setup(u32 count)
{
    each = count;
    queue = world_alloc(sizeof(*queue));
    items = world_alloc(PRODUCERS * each * sizeof(*items));
    wake = world_alloc(8);
    ended = world_alloc(8);
    mpsc_init(queue);
    world_label(&queue->newest, 8, "newest");
    world_label(&queue->stub.next, 8, "stub.next");
    for (u32 i = 0; i < PRODUCERS * each; i++)
        world_label(&items[i].node.next, 8, "item[%u][%u].next", i / each, i % each);
    world_label(wake, 8, "wake");
    world_label(ended, 8, "ended");
}

static void setup_one(void)
{
    setup(1);
}

static void setup_two(void)
{
    setup(2);
}

static void producer(void)
{
    const u32 id = world_id();
    for (u32 n = 0; n < each; n++) {
        struct item *i = &items[id * each + n];
        i->producer = id;
        i->number = n;
        if (mpsc_push(queue, &i->node))
            atomic_add(wake, 1);
        atomic_add(ended, 1);
    }
}

static void consumer_sleep(void)
{
    while (!atomic_load(wake))
        mach_relax();
    atomic_xchg(wake, 0);
}

static void consumer(void)
{
    u64 next[PRODUCERS] = { 0 };
    for (u32 popped = 0; popped < PRODUCERS * each;) {
        const u64 before = atomic_load(ended);
        struct mpsc_node *n;
        const enum mpsc_status s = mpsc_pop(queue, &n);
        if (s == MPSC_OK) {
            struct item *i = container_of(n, struct item, node);
            world_assert(i->producer < PRODUCERS && i->number == next[i->producer], "item %lu of producer %lu is out of order", i->number, i->producer);
            next[i->producer]++;
            popped++;
            atomic_store(&n->next, POPPED);
        } else if (s == MPSC_EMPTY) {
            world_assert(before <= popped, "EMPTY, but %lu pushes had ended and %u were popped", before, popped);
            consumer_sleep();
        } else {
            mach_relax();
        }
    }
    struct mpsc_node *n;
    world_assert(mpsc_pop(queue, &n) == MPSC_EMPTY, "not empty at the end");
}

static void end(void)
{
    for (u32 i = 0; i < PRODUCERS * each; i++)
        world_assert(world_peek(&items[i].node.next) == POPPED, "item %u was written after it had been popped", i);
}

WORLD_TEST(mpscone, .question = "Is a node lost, doubled or late, or a sleeping consumer forgotten?", .cpus = 3, .setup = setup_one,
           .program = { producer, producer, consumer }, .end = end, .unbounded = true);
WORLD_TEST(mpsctwo, .question = "The same with two nodes per producer: does their order stay?", .cpus = 3, .setup = setup_two,
           .program = { producer, producer, consumer }, .end = end);
