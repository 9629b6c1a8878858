/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of memory spaces share: root with two ranges, two PDs' host memory, a guest. Every look at a page checks that what is mapped is
 * what is held. */
#pragma once
#include "space_mem.h"
#include "kernel/core_fixture.h"

enum { ROOT, A, B, GUEST, SPACES };

#define RW  (RIGHT_R | RIGHT_W)
#define RWX RIGHT_MEMORY
#define R0  0x40000ul     /* root's range: pages R0 .., frames F0 .., 16 MiB */
#define F0  0x80000ul
#define N0  4096ul
#define R1  0x60000ul     /* and another one: 16 pages, odd frames, no X */
#define F1  0x12345ul

struct fixture {
    struct core *w;
    struct space_mem s[SPACES];
    /* What a hook does. */
    u32 at, points;
    enum status other;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    core_setup((void **)&f->w);
    for (u32 i = 0; i < SPACES; i++)
        assert_int_equal(space_mem_init(&f->s[i], i == GUEST ? &ptab_ept : &ptab_host, &f->w->quota, 2, USER_END >> PAGE_BITS), OK);
    assert_int_equal(space_mem_insert(&f->s[ROOT], R0, F0, N0, RWX), OK);
    assert_int_equal(space_mem_insert(&f->s[ROOT], R1, F1, 16, RW), OK);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    struct core *w = f->w;
    for (u32 i = 0; i < SPACES; i++) {
        u64 g;
        f->s[i].cpus.v = 0;
        assert_int_equal(space_mem_clear(w->cpu, &f->s[i], &g), OK);
        assert_null(f->s[i].index);
    }
    core_settle(w);
    for (u32 i = 0; i < SPACES; i++)
        ptab_destroy(&f->s[i].ptab);
    free(f);
    return core_teardown((void **)&w);
}

/* What is mapped at a page, checked against what is held: the frame, or 0. */
static inline u64 frame_at(struct fixture *f, u32 space, u64 page)
{
    u64 held = 0, mapped = 0;
    u32 rights = 0, entered = 0;
    const bool h = space_mem_lookup(&f->s[space], page, &held, &rights), m = ptab_lookup(&f->s[space].ptab, page, &mapped, &entered);
    assert_int_equal(h, m);
    if (!h)
        return 0;
    assert_int_equal(held, mapped);
    assert_int_equal(entered, space == GUEST || (rights & 6) != 6 ? rights : RW);
    return held;
}

/* In [page, page + count) exactly [from, to) is there, and consecutive frames from `frame` on. */
static inline void expect(struct fixture *f, u32 space, u64 page, u64 count, u64 from, u64 to, u64 frame)
{
    for (u64 p = page; p < page + count; p++)
        assert_int_equal(frame_at(f, space, p), p >= from && p < to ? frame + (p - from) : 0);
}

static inline enum status delegate(struct fixture *f, u32 from, u64 page, u32 to, u64 target, u64 count, u32 rights)
{
    u64 done = 0;
    const enum status s = space_mem_delegate(&f->s[from], page, &f->s[to], target, count, rights, &done);
    assert_int_equal(s == OK, done == count);
    return s;
}

/* What is left of a delegation that was preempted. */
static inline enum status delegate_on(struct fixture *f, u32 from, u64 page, u32 to, u64 target, u64 count, u32 rights, u64 *done)
{
    struct mem_delegation d = { &f->s[from], &f->s[to], page, target, count, rights, .begun = true };
    return space_mem_delegate_part(&d, done);
}

static inline enum status revoke(struct fixture *f, u32 space, u64 page, u64 count, bool self)
{
    u64 g;
    return space_mem_revoke(f->w->cpu, &f->s[space], page, count, self, &g);
}

static inline u64 used(struct fixture *f)
{
    return atomic_load(&f->w->quota.used);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
