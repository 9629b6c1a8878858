/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds of scenarios/lib/queue_pair with one hostile side that writes into its own area as it likes.
 * badclient, badserver: it breaks one rule in one way out of a table. Is the other side told, whenever it happens?
 * anyclient, anyserver: it writes any words. Does the other side stay in bounds, and does it believe only what the contract allows?
 * Setup brings both into the middle of honest work, by the library itself: the ring that the victim writes to is full. */
#include "queue_pair.h"
#include "world.h"

#define ENTRIES 4u   /* an area is then a multiple of 64 bytes: what lies behind it is out of bounds to the byte */
#define ACTS    2u   /* words that a hostile side writes in the any* worlds */
#define TURNS   3u   /* of its victim there */

static u32 villain;                   /* the side that is hostile: 0 the client, 1 the server. It is CPU 0, its victim CPU 1 */
static struct queue_area *area[2];    /* client, server */
static struct queue_pair *pair[2];    /* the library's; the hostile side's only serves in setup */

static void no_sleep(void *arg)
{
    world_fail("nobody waits in this world");
}

static void no_wake(void *arg)
{
}

static void submits(u32 count)
{
    u32 id;
    while (count--)
        world_assert(queue_pair_submit(pair[0], 0, &id) == QUEUE_OK, "setup: submit");
}

static void receives(bool server, u32 count)
{
    u32 id;
    u64 value;
    while (count--)
        world_assert(queue_pair_receive(pair[server], &id, &value) == QUEUE_OK, "setup: receive");
}

static void answers(u32 id)
{
    world_assert(queue_pair_answer(pair[1], id, 0) == QUEUE_OK, "setup: answer");
}

static void setup(u32 hostile)
{
    villain = hostile;
    static const char *const side[] = { "client", "server" };
    for (u32 i = 0; i < 2; i++) {
        mach_mem_state(world_alloc(64), 64, MEM_REDZONE);
        area[i] = world_alloc(QUEUE_AREA_BYTES(ENTRIES));
        world_label(&area[i]->tail, 4, "%s.tail", side[i]);
        world_label(&area[i]->head, 4, "%s.head", side[i]);
        world_label(&area[i]->asleep, 4, "%s.asleep", side[i]);
        for (u32 k = 0; k < ENTRIES; k++)
            world_label(&area[i]->entry[k].id, 8, "%s.entry[%u].id", side[i], k);
    }
    mach_mem_state(world_alloc(64), 64, MEM_REDZONE);
    for (u32 i = 0; i < 2; i++) {
        pair[i] = world_alloc(sizeof(*pair[i]));
        *pair[i] = (struct queue_pair){ .own = area[i], .peer = area[!i], .entries = ENTRIES, .server = i, .sleep = no_sleep, .wake = no_wake };
    }
}

/* The server has received 0 to 4 and completed 0 to 3, which the client has not read: tails 5 and 4, heads 0 and 5. */
static void setup_client(void)
{
    setup(0);
    submits(ENTRIES);
    receives(true, ENTRIES);
    submits(1);
    receives(true, 1);
    for (u32 id = 0; id < ENTRIES; id++)
        answers(id);
}

/* The client has submitted 0 to 3, which were received, and 4 to 7, which were not; 0 is completed: tails 8 and 1, heads 1 and 4. */
static void setup_server(void)
{
    setup(1);
    submits(ENTRIES);
    receives(true, ENTRIES);
    submits(ENTRIES);
    answers(0);
    receives(false, 1);
    atomic_store(&area[1]->entry[1].id, 1);   /* prepared: good if the tail follows */
}

/* ---- One broken rule ---- */

struct attack {
    u32 tail, head;
    u64 id;          /* in entry 1, which is the next in both rings */
    u32 good;        /* entries that may be received before it is found */
};
static const struct attack by_client[] = {
    { 4, 0, 1, 0 },              /* the tail goes back */
    { 0, 0, 1, 0 },
    { 10, 0, 5, 0 },             /* more than the ring holds */
    { 0x80000005, 0, 5, 0 },
    { 6, 0, 4, 0 },              /* an id that is outstanding */
    { 6, 0, QUEUE_IDS, 0 },      /* none */
    { 6, 0, 1ul << 32 | 5, 0 },
    { 5, 5, 1, 0 },              /* has read what was not written */
    { 5, ~0u, 1, 0 },            /* the head goes back */
};
static const struct attack by_server[] = {
    { 0, 4, 1, 0 },
    { 6, 4, 1, 0 },
    { 0x80000001, 4, 1, 0 },
    { 2, 4, 0, 0 },              /* completed already */
    { 2, 4, 8, 0 },              /* never submitted */
    { 2, 4, QUEUE_IDS, 0 },
    { 2, 4, 1ul << 32 | 1, 0 },
    { 3, 4, 1, 1 },              /* the second one was not outstanding: 0, from entry 2 */
    { 1, 9, 0, 0 },
    { 1, 3, 0, 0 },
};

static u32 good_expected;   /* of the attack that was chosen; written before it, read once it was found */

static void attack(void)
{
    const struct attack *a = villain ? &by_server[world_choose(array_size(by_server))] : &by_client[world_choose(array_size(by_client))];
    struct queue_area *own = area[villain];
    good_expected = a->good;
    atomic_store(&own->entry[1].id, a->id);
    atomic_store32(&own->head, a->head);
    atomic_store32(&own->tail, a->tail);
}

static enum queue_status victim_sends(struct queue_pair *q)
{
    u32 id;
    return q->server ? queue_pair_answer(q, 4, 0) : queue_pair_submit(q, 0, &id);
}

static void victim_told(void)
{
    struct queue_pair *q = pair[!villain];
    u32 id, good = 0;
    u64 value;
    for (;;) {
        good += queue_pair_receive(q, &id, &value) == QUEUE_OK;
        const enum queue_status sent = victim_sends(q);
        if (sent == QUEUE_BROKEN)
            break;
        world_assert(sent == QUEUE_FULL, "room in a full ring: %u", sent);
        mach_relax();
    }
    world_assert(good == good_expected, "%u entries received, %u were good", good, good_expected);
    world_assert(queue_pair_receive(q, &id, &value) == QUEUE_BROKEN && victim_sends(q) == QUEUE_BROKEN, "broken, but not for good");
    world_assert(queue_pair_wait(q, true) == QUEUE_BROKEN, "broken, but not for good");
}

WORLD_TEST(badclient, .question = "Does the server go on although the client broke a rule?", .cpus = 2, .setup = setup_client,
           .program = { attack, victim_told }, .unbounded = true);
WORLD_TEST(badserver, .question = "Does the client go on although the server broke a rule?", .cpus = 2, .setup = setup_server,
           .program = { attack, victim_told }, .unbounded = true);

/* ---- Anything ---- */

static void hostile(void)
{
    static const u64 any[] = { 1, 2, 6, 64, ~0ul };
    struct queue_area *own = area[villain];
    for (u32 i = 0; i < ACTS; i++) {
        const u32 word = world_choose(4);
        const u64 value = any[world_choose(array_size(any))];
        if (word < 2)
            atomic_store32(word ? &own->tail : &own->head, (u32)value);
        else
            atomic_store(&own->entry[word - 2].id, value);
    }
}

static void sane(const struct queue_pair *q)
{
    world_assert(q->peer_tail - q->head <= ENTRIES, "believes that %u entries are filled", q->peer_tail - q->head);
    world_assert(q->tail - q->peer_head <= ENTRIES, "believes that %u entries are in use", q->tail - q->peer_head);
}

static void victim(void)
{
    struct queue_pair *q = pair[!villain];
    u64 outstanding = q->server ? bit(4) : 0xfe;   /* kept apart from the library's */
    for (u32 i = 0; i < TURNS; i++) {
        const bool broken = q->broken;
        u32 id;
        u64 value;
        if (queue_pair_receive(q, &id, &value) == QUEUE_OK) {
            world_assert(!broken, "broken, but not for good");
            world_assert(id < QUEUE_IDS && !(outstanding & bit(id)) == q->server, "received id %u, outstanding: %lx", id, outstanding);
            outstanding ^= bit(id);
        }
        sane(q);
        id = 4;
        if ((q->server ? queue_pair_answer(q, id, 0) : queue_pair_submit(q, 0, &id)) == QUEUE_OK) {
            world_assert(!broken, "broken, but not for good");
            world_assert(!(outstanding & bit(id)) != q->server, "sent id %u, outstanding: %lx", id, outstanding);
            outstanding ^= bit(id);
        }
        sane(q);
    }
}

WORLD_TEST(anyclient, .question = "Can a client that writes anything lead the server astray?", .cpus = 2, .setup = setup_client,
           .program = { hostile, victim }, .unbounded = true);
WORLD_TEST(anyserver, .question = "Can a server that writes anything lead the client astray?", .cpus = 2, .setup = setup_server,
           .program = { hostile, victim }, .unbounded = true);
