/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: do slots come out in order around the end of the ring, is a full ring full, and is a consumer woken if it sleeps and not otherwise?
 * All schedules: tests/explore/ring_world.c. */
#include "unit.h"
#include "ring.h"
#include "sim.h"

#define SLOTS 4u

struct state {
    struct sim *sim;
    struct ring ring;
    struct { u64 a, b, c; } slot[SLOTS];
    struct ring_end producer, consumer;
    u32 sleeps, wakes;
};

static void put(struct state *s, u64 value)
{
    u64 *slot = ring_free(&s->producer);
    assert_non_null(slot);
    slot[0] = value;
    slot[2] = ~value;
    ring_put(&s->producer);
}

static void take(struct state *s, u64 value)
{
    const u64 *slot = ring_first(&s->consumer);
    assert_non_null(slot);
    assert_int_equal(slot[0], value);
    assert_int_equal(slot[2], ~value);
    ring_take(&s->consumer);
}

/* Asleep, the first time woken for nothing. */
static void sleeper(void *arg)
{
    struct state *s = arg;
    assert_int_equal(s->ring.asleep.v, 1);
    if (++s->sleeps == 2)
        put(s, 7);
}

static void waker(void *arg)
{
    ((struct state *)arg)->wakes++;
}

static int open(void **state)
{
    static struct state s;
    s = (struct state){ .sim = sim_unit(1, 0x1000000, SIM_NONE) };
    s.producer = s.consumer = (struct ring_end){ &s.ring, (u8 *)s.slot, SLOTS, sizeof(s.slot[0]), sleeper, waker, &s, 0, 0 };
    *state = &s;
    return 0;
}

static int close(void **state)
{
    sim_destroy(((struct state *)*state)->sim);
    return 0;
}

static void around(void **state)
{
    struct state *s = *state;
    assert_null(ring_first(&s->consumer));
    for (u64 n = 0; n < 3 * SLOTS + 1; n++) {
        put(s, n);
        if (n >= 2)
            take(s, n - 2);
    }
    assert_int_equal(s->wakes, 0);
}

static void full(void **state)
{
    struct state *s = *state;
    for (u64 round = 0; round < 3; round++) {
        for (u64 n = 0; n < SLOTS; n++)
            put(s, n);
        assert_null(ring_free(&s->producer));
        for (u64 n = 0; n < SLOTS; n++)
            take(s, n);
        assert_null(ring_first(&s->consumer));
    }
}

static void wakes_who_sleeps(void **state)
{
    struct state *s = *state;
    const u64 *slot = ring_wait(&s->consumer);
    assert_int_equal(slot[0], 7);
    assert_int_equal(s->sleeps, 2);
    assert_int_equal(s->wakes, 1);
    assert_int_equal(s->ring.asleep.v, 0);
    put(s, 8);
    put(s, 9);
    assert_int_equal(s->wakes, 1);
    assert_ptr_equal(ring_wait(&s->consumer), slot);   /* not taken yet; no sleep */
    assert_int_equal(s->sleeps, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open, close)
TEST_GROUP(ring, CASE(around), CASE(full), CASE(wakes_who_sleeps));
