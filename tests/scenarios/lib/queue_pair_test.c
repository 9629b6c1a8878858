/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: do submissions and completions pass each once, also where indices wrap; and is each thing a peer must not do found, for good?
 * All schedules, and peers that write anything: tests/explore/queue_pair_world.c. */
#include "unit.h"
#include "queue_pair.h"
#include "sim.h"
#include <string.h>

#define ENTRIES 4u

static u8 memory[2][QUEUE_AREA_BYTES(ENTRIES)] aligned_to(64);

struct state {
    struct sim *sim;
    struct queue_area *client_area, *server_area;
    struct queue_pair client, server;
    u32 sleeps, wakes;
};

static void submit(struct state *s, u64 value, u32 expected)
{
    u32 id = ~0u;
    assert_int_equal(queue_pair_submit(&s->client, value, &id), QUEUE_OK);
    assert_int_equal(id, expected);
}

static void receive(struct queue_pair *q, u32 expected_id, u64 expected_value)
{
    u32 id;
    u64 value;
    assert_int_equal(queue_pair_receive(q, &id, &value), QUEUE_OK);
    assert_int_equal(id, expected_id);
    assert_int_equal(value, expected_value);
}

static void nothing(struct queue_pair *q, enum queue_status expected)
{
    u32 id = 77;
    u64 value = 77;
    assert_int_equal(queue_pair_receive(q, &id, &value), expected);
    assert_true(id == 77 && value == 77);
}

/* The server's sleep: the first wake-up is for nothing. */
static void sleeper(void *arg)
{
    struct state *s = arg;
    assert_int_equal(s->server_area->asleep.v, 1);
    if (++s->sleeps == 2)
        submit(s, 5, 0);
}

static void waker(void *arg)
{
    ((struct state *)arg)->wakes++;
}

static struct queue_pair side(struct state *s, struct queue_area *own, const struct queue_area *peer, u32 index)
{
    own->tail.v = own->head.v = index;
    return (struct queue_pair){ .own = own, .peer = peer, .entries = ENTRIES, .server = own == s->server_area, .sleep = sleeper,
                                .wake = waker, .arg = s, .tail = index, .head = index, .peer_tail = index, .peer_head = index };
}

static void begin(struct state *s, u32 index)
{
    memset(memory, 0, sizeof(memory));
    s->client_area = (struct queue_area *)memory[0];
    s->server_area = (struct queue_area *)memory[1];
    s->client = side(s, s->client_area, s->server_area, index);
    s->server = side(s, s->server_area, s->client_area, index);
    s->sleeps = s->wakes = 0;
}

static int open(void **state)
{
    static struct state s;
    s.sim = sim_unit(1, 0x1000000, SIM_NONE);
    begin(&s, 0);
    *state = &s;
    return 0;
}

static int close(void **state)
{
    sim_destroy(((struct state *)*state)->sim);
    return 0;
}

/* Each submission is answered, the newest first; indices wrap on the way. */
static void round_trips(void **state)
{
    struct state *s = *state;
    begin(s, 0xfffffffa);
    for (u64 round = 0; round < 5; round++) {
        for (u32 i = 0; i < ENTRIES; i++)
            submit(s, round * 10 + i, i);
        for (u32 i = 0; i < ENTRIES; i++)
            receive(&s->server, i, round * 10 + i);
        nothing(&s->server, QUEUE_EMPTY);
        for (u32 i = ENTRIES; i-- > 0;)
            assert_int_equal(queue_pair_answer(&s->server, i, i), QUEUE_OK);
        for (u32 i = ENTRIES; i-- > 0;)
            receive(&s->client, i, i);
        nothing(&s->client, QUEUE_EMPTY);
    }
    assert_int_equal(s->wakes, 0);
    assert_int_equal(s->client.tail, 14);
}

/* Until the ring is full; until all ids are outstanding; until the ring of completions is full. */
static void full(void **state)
{
    struct state *s = *state;
    u32 id;
    for (u32 i = 0; i < QUEUE_IDS; i++) {
        submit(s, i, i);
        if (i % ENTRIES != ENTRIES - 1)
            continue;
        if (i < QUEUE_IDS - 1)
            assert_int_equal(queue_pair_submit(&s->client, 0, &id), QUEUE_FULL);
        for (u32 k = i + 1 - ENTRIES; k <= i; k++)
            receive(&s->server, k, k);
    }
    assert_int_equal(queue_pair_submit(&s->client, 0, &id), QUEUE_FULL);
    for (u32 i = 0; i < ENTRIES; i++)
        assert_int_equal(queue_pair_answer(&s->server, i, 0), QUEUE_OK);
    assert_int_equal(queue_pair_answer(&s->server, ENTRIES, 0), QUEUE_FULL);
    receive(&s->client, 0, 0);
    assert_int_equal(queue_pair_answer(&s->server, ENTRIES, 0), QUEUE_OK);
    submit(s, 0, 0);   /* the lowest that is free */
}

static void own_mistakes(void **state)
{
    struct state *s = *state;
    submit(s, 0, 0);
    assert_int_equal(queue_pair_answer(&s->server, 0, 0), QUEUE_ID);   /* not received yet */
    receive(&s->server, 0, 0);
    assert_int_equal(queue_pair_answer(&s->server, 1, 0), QUEUE_ID);
    assert_int_equal(queue_pair_answer(&s->server, QUEUE_IDS, 0), QUEUE_ID);
    assert_int_equal(queue_pair_answer(&s->server, 0, 0), QUEUE_OK);
    assert_int_equal(queue_pair_answer(&s->server, 0, 0), QUEUE_ID);
    receive(&s->client, 0, 0);
}

static void wakes_who_sleeps(void **state)
{
    struct state *s = *state;
    assert_int_equal(queue_pair_wait(&s->server, false), QUEUE_OK);
    assert_int_equal(s->sleeps, 2);
    assert_int_equal(s->wakes, 1);
    assert_int_equal(s->server_area->asleep.v, 0);
    receive(&s->server, 0, 5);
    assert_int_equal(queue_pair_wait(&s->server, true), QUEUE_OK);   /* there is room */
    assert_int_equal(s->sleeps, 2);
}

/* ---- A hostile peer: after submissions 0 and 1, received, 0 answered, that received ---- */

struct act {
    bool server;       /* who acts */
    u32 tail, head;    /* its words afterwards; entry 2 (client), 1 (server) has this id: */
    u64 id;
    bool fine;
};
static const struct act acts[] = {
    { false, 3, 1, 0, true },                  { false, 3, 1, 63, true },             { false, 3, 1, 1, false },
    { false, 3, 1, 64, false },                { false, 3, 1, 1ul << 32, false },     { false, 1, 1, 0, false },
    { false, 7, 1, 0, false },                 { false, 0x80000002, 1, 0, false },    { false, ~0u, 1, 0, false },
    { true, 2, 2, 1, true },                   { true, 2, 2, 0, false },              { true, 2, 2, 2, false },
    { true, 2, 2, 64, false },                 { true, 2, 2, ~0ul, false },           { true, 0, 2, 1, false },
    { true, 6, 2, 1, false },                  { true, 5, 2, 1, true },
};

static void peer_acts(void **state)
{
    struct state *s = *state;
    for (u32 i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
        const struct act *a = &acts[i];
        begin(s, 0);
        submit(s, 0, 0);
        submit(s, 0, 1);
        receive(&s->server, 0, 0);
        receive(&s->server, 1, 0);
        assert_int_equal(queue_pair_answer(&s->server, 0, 0), QUEUE_OK);
        receive(&s->client, 0, 0);
        struct queue_area *area = a->server ? s->server_area : s->client_area;
        struct queue_pair *victim = a->server ? &s->client : &s->server;
        area->entry[a->server ? 1 : 2].id.v = a->id;
        area->tail.v = a->tail;
        area->head.v = a->head;
        u32 id;
        u64 value;
        const enum queue_status got = queue_pair_receive(victim, &id, &value);
        if (got != (a->fine ? QUEUE_OK : QUEUE_BROKEN))
            fail_msg("act %u: %d", i, got);
        if (a->fine)
            continue;
        area->tail.v = area->head.v = 2;   /* too late */
        nothing(victim, QUEUE_BROKEN);
        assert_int_equal(a->server ? queue_pair_submit(victim, 0, &id) : queue_pair_answer(victim, 1, 0), QUEUE_BROKEN);
        assert_int_equal(queue_pair_wait(victim, true), QUEUE_BROKEN);
        assert_int_equal(s->sleeps, 0);
    }
}

/* The other index: what the peer says it has read. */
static void peer_head(void **state)
{
    struct state *s = *state;
    static const u32 heads[] = { ENTRIES + 1, 2 * ENTRIES, 0x80000000, ~0u };
    for (u32 i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        begin(s, 0);
        for (u32 k = 0; k < ENTRIES; k++)
            submit(s, 0, k);
        s->server_area->head.v = heads[i];
        u32 id;
        assert_int_equal(queue_pair_submit(&s->client, 0, &id), QUEUE_BROKEN);
        s->server_area->head.v = ENTRIES;
        assert_int_equal(queue_pair_submit(&s->client, 0, &id), QUEUE_BROKEN);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open, close)
TEST_GROUP(queue_pair, CASE(round_trips), CASE(full), CASE(own_mistakes), CASE(wakes_who_sleeps), CASE(peer_acts), CASE(peer_head));
