/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds of scenarios/lib/queue_pair with one hostile side that writes into its own area as it likes.
 * badclient, badserver: it breaks one rule in one way out of a table. Is the other side told, whenever it happens?
 * anyclient, anyserver: it writes any words. Does the other side stay in bounds, and does it believe only what the contract allows?
 * Setup brings both into the middle of honest work, by the library itself: the ring that the victim writes to is full. */
#include "queue_pair.h"
#include "world.h"

#define ENTRIES 2u
#define ACTS    2u   /* words that a hostile side writes in the any* worlds */
#define TURNS   3u   /* of its victim there */

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

static void setup(void)
{
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

/* The server has received 0, 1, 2 and completed 0, 1, which the client has not read: tails 3 and 2, heads 0 and 3. */
static void setup_client(void)
{
    setup();
    submits(2);
    receives(true, 2);
    submits(1);
    receives(true, 1);
    answers(0);
    answers(1);
}

/* The client has submitted 0, 1, which were received, and 2, 3, which were not; 0 is completed: tails 4 and 1, heads 1 and 2. */
static void setup_server(void)
{
    setup();
    submits(2);
    receives(true, 2);
    submits(2);
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
    { 2, 0, 1, 0 },              /* the tail goes back */
    { 0, 0, 1, 0 },
    { 6, 0, 3, 0 },              /* more than the ring holds */
    { 0x80000003, 0, 3, 0 },
    { 4, 0, 2, 0 },              /* an id that is outstanding */
    { 4, 0, QUEUE_IDS, 0 },      /* none */
    { 4, 0, 1ul << 32 | 3, 0 },
    { 3, 3, 1, 0 },              /* has read what was not written */
    { 3, ~0u, 1, 0 },            /* the head goes back */
};
static const struct attack by_server[] = {
    { 0, 2, 1, 0 },
    { 4, 2, 1, 0 },
    { 0x80000001, 2, 1, 0 },
    { 2, 2, 0, 0 },              /* completed already */
    { 2, 2, 4, 0 },              /* never submitted */
    { 2, 2, QUEUE_IDS, 0 },
    { 2, 2, 1ul << 32 | 1, 0 },
    { 3, 2, 1, 1 },              /* the second entry is the old one again */
    { 1, 5, 0, 0 },
    { 1, 1, 0, 0 },
};

static void attacker_do(u32 self, const struct attack *a)
{
    atomic_store(&area[self]->entry[1].id, a->id);
    atomic_store32(&area[self]->head, a->head);
    atomic_store32(&area[self]->tail, a->tail);
}

static u32 good_expected;   /* of the attack that was chosen; written before it, read once it was found */

static void attack_client(void)
{
    const struct attack *a = &by_client[world_choose(array_size(by_client))];
    good_expected = a->good;
    attacker_do(0, a);
}

static void attack_server(void)
{
    const struct attack *a = &by_server[world_choose(array_size(by_server))];
    good_expected = a->good;
    attacker_do(1, a);
}

static enum queue_status victim_sends(struct queue_pair *q)
{
    u32 id;
    return q->server ? queue_pair_answer(q, 2, 0) : queue_pair_submit(q, 0, &id);
}

static void victim_told(u32 self)
{
    struct queue_pair *q = pair[self];
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

static void told_server(void)
{
    victim_told(1);
}

static void told_client(void)
{
    victim_told(0);
}

WORLD_TEST(badclient, .question = "Does the server go on although the client broke a rule?", .cpus = 2, .setup = setup_client,
           .program = { attack_client, told_server });
WORLD_TEST(badserver, .question = "Does the client go on although the server broke a rule?", .cpus = 2, .setup = setup_server,
           .program = { told_client, attack_server });

/* ---- Anything ---- */

static void hostile(void)
{
    static const u64 any[] = { 0, 1, 2, 4, 64, 0x80000002, ~0ul };
    struct queue_area *own = area[world_id()];
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
    struct queue_pair *q = pair[world_id()];
    u64 outstanding = q->server ? bit(2) : bit(1) | bit(2) | bit(3);   /* kept apart from the library's */
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
        id = 2;
        if ((q->server ? queue_pair_answer(q, id, 0) : queue_pair_submit(q, 0, &id)) == QUEUE_OK) {
            world_assert(!broken, "broken, but not for good");
            world_assert(!(outstanding & bit(id)) != q->server, "sent id %u, outstanding: %lx", id, outstanding);
            outstanding ^= bit(id);
        }
        sane(q);
    }
}

WORLD_TEST(anyclient, .question = "Can a client that writes anything lead the server astray?", .cpus = 2, .setup = setup_client,
           .program = { hostile, victim });
WORLD_TEST(anyserver, .question = "Can a server that writes anything lead the client astray?", .cpus = 2, .setup = setup_server,
           .program = { victim, hostile });
