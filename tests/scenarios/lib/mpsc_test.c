/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does each node come out once, in order, and what does the consumer hear while a producer is between its two writes?
 * All schedules: tests/explore/mpsc_world.c. */
#include "unit.h"
#include "mpsc.h"
#include "sim.h"

struct state {
    struct sim *sim;
    struct mpsc q;
    struct mpsc_node node[4];
    u32 steps;
};

static int open(void **state)
{
    static struct state s;
    s = (struct state){ .sim = sim_unit(1, 0x1000000, SIM_NONE) };
    mpsc_init(&s.q);
    *state = &s;
    return 0;
}

static int close(void **state)
{
    sim_destroy(((struct state *)*state)->sim);
    return 0;
}

static void pops(struct state *s, struct mpsc_node *expected)
{
    struct mpsc_node *n = NULL;
    assert_int_equal(mpsc_pop(&s->q, &n), expected ? MPSC_OK : MPSC_EMPTY);
    assert_ptr_equal(n, expected);
}

static void order(void **state)
{
    struct state *s = *state;
    pops(s, NULL);
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < 4; i++)
            assert_int_equal(mpsc_push(&s->q, &s->node[i]), i == 0);
        for (u32 i = 0; i < 4; i++)
            pops(s, &s->node[i]);
        pops(s, NULL);
    }
}

/* A node may be pushed again as soon as it has been popped. */
static void reuse(void **state)
{
    struct state *s = *state;
    mpsc_push(&s->q, &s->node[0]);
    mpsc_push(&s->q, &s->node[1]);
    for (u32 i = 0; i < 8; i++) {
        pops(s, &s->node[i % 2]);
        mpsc_push(&s->q, &s->node[i % 2]);
    }
}

/* The hook stands before the third access of a push, its link: the consumer's turn. */
static void consumer_looks(void *arg)
{
    struct state *s = arg;
    if (++s->steps != 3)
        return;
    struct mpsc_node *n = NULL;
    assert_int_equal(mpsc_pop(&s->q, &n), MPSC_BUSY);
    assert_null(n);
}

static void between_the_writes(void **state)
{
    struct state *s = *state;
    sim_unit_hook(s->sim, consumer_looks, s);
    assert_true(mpsc_push(&s->q, &s->node[0]));    /* after the stub */
    s->steps = 0;
    assert_false(mpsc_push(&s->q, &s->node[1]));   /* after a node that cannot be popped yet */
    sim_unit_hook(s->sim, NULL, NULL);
    pops(s, &s->node[0]);
    pops(s, &s->node[1]);
    pops(s, NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open, close)
TEST_GROUP(mpsc, CASE(order), CASE(reuse), CASE(between_the_writes));
