/* SPDX-License-Identifier: BSD-2-Clause */
/* World of scenarios/lib/queue_pair, both sides honest: is each submission completed once, with its own result, though the server answers in
 * another order; and does neither side sleep for ever? Dishonest sides: queue_pair_hostile_world.c. */
#include "queue_pair.h"
#include "world.h"

#define REQUESTS_MAX 3u

static u32 entries, requests;        /* one more request than entries: both rings are full at times, and go around */
static struct queue_area *area[2];   /* client, server */
static atomic_u64 *wake;             /* a semaphore each */

static void setup(u32 ring)
{
    entries = ring;
    requests = ring + 1;
    static const char *const side[] = { "client", "server" };
    for (u32 i = 0; i < 2; i++) {
        area[i] = world_alloc(QUEUE_AREA_BYTES(entries));
        world_label(&area[i]->tail, 4, "%s.tail", side[i]);
        world_label(&area[i]->head, 4, "%s.head", side[i]);
        world_label(&area[i]->asleep, 4, "%s.asleep", side[i]);
        for (u32 k = 0; k < entries; k++)
            world_label(&area[i]->entry[k], sizeof(struct queue_entry), "%s.entry[%u]", side[i], k);
    }
    mach_mem_state(world_alloc(64), 64, MEM_REDZONE);
    wake = world_alloc(16);
    world_label(&wake[0], 8, "client.wake");
    world_label(&wake[1], 8, "server.wake");
}

static void setup_one(void)
{
    setup(1);
}

static void setup_two(void)
{
    setup(2);
}

static void side_sleep(void *arg)
{
    atomic_u64 *own = &wake[world_id()];
    while (!atomic_load(own))
        mach_relax();
    atomic_xchg(own, 0);
}

static void side_wake(void *arg)
{
    atomic_add(&wake[!world_id()], 1);
}

static struct queue_pair side_open(bool server)
{
    return (struct queue_pair){ .own = area[server], .peer = area[!server], .entries = entries, .server = server, .sleep = side_sleep, .wake = side_wake };
}

static u64 answer_to(u64 request)
{
    return request ^ 0xa5a5;
}

static void client(void)
{
    struct queue_pair q = side_open(false);
    u64 request[REQUESTS_MAX], done = 0, submitted = 0, value;
    u32 id;
    while (done != bit(requests) - 1) {
        while (submitted < requests && queue_pair_submit(&q, submitted, &id) == QUEUE_OK) {
            world_assert(id < requests, "the lowest free id is %u", id);
            request[id] = submitted++;
        }
        if (queue_pair_receive(&q, &id, &value) == QUEUE_OK) {
            world_assert(value == answer_to(request[id]), "request %lu got the answer %lx", request[id], value);
            world_assert(!(done & bit(request[id])), "request %lu was completed twice", request[id]);
            done |= bit(request[id]);
        } else {
            world_assert(queue_pair_wait(&q, submitted < requests) == QUEUE_OK, "an honest server is called broken");
        }
    }
}

/* Holds what it received and answers the newest first. */
static void server(void)
{
    struct queue_pair q = side_open(true);
    struct { u32 id; u64 value; } held[REQUESTS_MAX];
    u32 count = 0;
    for (u32 answered = 0; answered < requests;) {
        u32 id;
        u64 value;
        enum queue_status s = queue_pair_receive(&q, &id, &value);
        if (s == QUEUE_OK) {
            world_assert(count + answered < requests, "more requests than were made");
            held[count].id = id;
            held[count++].value = value;
            continue;
        }
        if (count && (s = queue_pair_answer(&q, held[count - 1].id, answer_to(held[count - 1].value))) == QUEUE_OK) {
            count--;
            answered++;
            continue;
        }
        world_assert(s == QUEUE_EMPTY || s == QUEUE_FULL, "status %u", s);
        world_assert(queue_pair_wait(&q, count) == QUEUE_OK, "an honest client is called broken");
    }
}

WORLD_TEST(queueone, .question = "Is a request lost, answered twice or with another's result, or a sleeping side forgotten?", .cpus = 2,
           .setup = setup_one, .program = { client, server });
WORLD_TEST(queuetwo, .question = "The same with two entries per ring, so that answers overtake each other", .cpus = 2, .setup = setup_two,
           .program = { client, server });
