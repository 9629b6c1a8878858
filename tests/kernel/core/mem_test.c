/* SPDX-License-Identifier: BSD-2-Clause */
/* Does every byte come back, to the pool and to its quota, whatever fails on the way? */
#include "mem.h"
#include "kernel/core_fixture.h"

static struct mem *mem(struct core *w)
{
    return w->kern->mem;
}

static u64 used(struct core *w)
{
    return atomic_load(&w->quota.used);
}

static void charge_is_the_size_class(void **state)
{
    static const struct { u64 bytes, charge; } table[] = {
        { 0, 64 }, { 1, 64 }, { 64, 64 }, { 65, 128 }, { 129, 192 }, { 193, 256 }, { 257, 384 }, { 512, 512 }, { 769, 1024 },
        { 1025, 1344 }, { 1345, 2048 }, { 2048, 2048 }, { 2049, 4096 }, { 4096, 4096 }, { 4097, 8192 }, { 12288, 16384 },
        { MEM_BYTES_MAX, MEM_BYTES_MAX },
    };
    for (size_t i = 0; i < array_size(table); i++)
        assert_int_equal(mem_charge(table[i].bytes), table[i].charge);
}

static void every_class_is_aligned_zeroed_and_charged(void **state)
{
    struct core *w = *state;
    for (u64 bytes = 1; bytes <= 4 * PAGE_SIZE; bytes = bytes * 5 / 4 + 1) {
        u8 *p[3];
        for (u32 i = 0; i < 3; i++) {
            assert_int_equal(mem_alloc(mem(w), &w->quota, bytes, (void **)&p[i]), OK);
            assert_int_equal((u64)p[i] % MEM_ALIGN, 0);
            if (!(bytes & (bytes - 1)))
                assert_int_equal(mach_virt_to_phys(p[i]) % min(bytes, PAGE_SIZE), 0);
            for (u64 j = 0; j < bytes; j++)
                assert_int_equal(p[i][j], 0);
            for (u64 j = 0; j < bytes; j++)
                p[i][j] = (u8)(i + 1);
        }
        for (u32 i = 0; i < 3; i++)
            for (u64 j = 0; j < bytes; j++)
                assert_int_equal(p[i][j], i + 1);   /* no overlap */
        assert_int_equal(used(w), 3 * mem_charge(bytes));
        assert_int_equal(mem_free_bytes(mem(w)), w->free_bytes - 3 * mem_charge(bytes));
        for (u32 i = 0; i < 3; i++)
            mem_free(mem(w), &w->quota, p[i], bytes);
        assert_int_equal(used(w), 0);
    }
}

static void freed_memory_comes_back_zeroed(void **state)
{
    struct core *w = *state;
    u8 *p, *q;
    assert_int_equal(mem_alloc(mem(w), &w->quota, 100, (void **)&p), OK);
    for (u32 i = 0; i < 100; i++)
        p[i] = 0xaa;
    mem_free(mem(w), &w->quota, p, 100);
    assert_int_equal(mem_alloc(mem(w), &w->quota, 100, (void **)&q), OK);
    assert_ptr_equal(p, q);   /* else the test shows nothing */
    for (u32 i = 0; i < 100; i++)
        assert_int_equal(q[i], 0);
    mem_free(mem(w), &w->quota, q, 100);
}

/* How many pages are there to be had, one by one? */
static u32 pages(struct core *w)
{
    static void *p[3000];
    struct quota q = { .limit.v = ~0ul };
    u32 n = 0;
    while (n < array_size(p) && mem_alloc(mem(w), &q, PAGE_SIZE, &p[n]) == OK)
        n++;
    for (u32 i = 0; i < n; i++)
        mem_free(mem(w), &q, p[i], PAGE_SIZE);
    return n;
}

static void slots_fill_pages_and_pages_come_back(void **state)
{
    struct core *w = *state;
    enum { COUNT = 200 };
    void *p[COUNT];
    const u32 before = pages(w);
    for (u32 i = 0; i < COUNT; i++)
        assert_int_equal(mem_alloc(mem(w), &w->quota, 64, &p[i]), OK);
    for (u32 i = 0; i < COUNT; i++)
        for (u32 j = 0; j < i; j++)
            assert_ptr_not_equal(p[i], p[j]);
    assert_int_equal(pages(w), before - 4);   /* 64 slots to a page */
    /* In an order that neither fills nor empties pages one by one. */
    for (u32 i = 0; i < COUNT; i++)
        mem_free(mem(w), &w->quota, p[i * 77 % COUNT], 64);
    assert_int_equal(pages(w), before);
}

/* Takes all single pages of a pool, gives them back in a mixed order: the largest block is there again. */
static void buddies_merge_to_the_largest_block(void **state)
{
    struct core *w = *state;
    enum { PAGES = 3000 };
    static void *p[PAGES];
    struct quota q = { .limit.v = ~0ul };
    void *large;
    assert_int_equal(mem_alloc(mem(w), &q, PAGE_SIZE << 9, &large), OK);
    mem_free(mem(w), &q, large, PAGE_SIZE << 9);
    u32 n = 0;
    while (n < PAGES && mem_alloc(mem(w), &q, PAGE_SIZE, &p[n]) == OK)
        n++;
    assert_true(n < PAGES && n > 1000);
    assert_int_equal(mem_free_bytes(mem(w)), 0);
    assert_int_equal(mem_alloc(mem(w), &q, 1, &large), STATUS_MEMORY);
    /* Every other page: nothing merges. */
    for (u32 i = 0; i < n; i += 2)
        mem_free(mem(w), &q, p[i], PAGE_SIZE);
    assert_int_equal(mem_alloc(mem(w), &q, 2 * PAGE_SIZE, &large), STATUS_MEMORY);
    for (u32 i = 1; i < n; i += 2)
        mem_free(mem(w), &q, p[i], PAGE_SIZE);
    assert_int_equal(mem_alloc(mem(w), &q, PAGE_SIZE << 9, &large), OK);
    mem_free(mem(w), &q, large, PAGE_SIZE << 9);
    assert_int_equal(atomic_load(&q.used), 0);
}

static void quota_edge_is_exact(void **state)
{
    struct core *w = *state;
    struct quota q = { .limit.v = 4096 + 64 };
    void *a, *b, *c = (void *)1;
    assert_int_equal(mem_alloc(mem(w), &q, 4096, &a), OK);
    assert_int_equal(mem_alloc(mem(w), &q, 65, &c), STATUS_QUOTA);
    assert_ptr_equal(c, (void *)1);
    assert_int_equal(mem_alloc(mem(w), &q, 64, &b), OK);
    assert_int_equal(mem_alloc(mem(w), &q, 1, &c), STATUS_QUOTA);
    assert_int_equal(atomic_load(&q.used), 4096 + 64);
    mem_free(mem(w), &q, b, 64);
    assert_int_equal(mem_alloc(mem(w), &q, 1, &b), OK);
    mem_free(mem(w), &q, b, 1);
    mem_free(mem(w), &q, a, 4096);
    assert_int_equal(atomic_load(&q.used), 0);
}

static void sizes_beyond_the_largest_block_fail(void **state)
{
    struct core *w = *state;
    struct quota q = { .limit.v = ~0ul };
    void *p = NULL;
    assert_int_equal(mem_alloc(mem(w), &q, MEM_BYTES_MAX + 1, &p), STATUS_MEMORY);
    assert_int_equal(mem_alloc(mem(w), &q, ~0ul, &p), STATUS_MEMORY);
    assert_null(p);
    assert_int_equal(atomic_load(&q.used), 0);
}

static void every_allocation_asks_for_a_fault_once(void **state)
{
    struct core *w = *state;
    for (u64 nth = 1; nth <= 5; nth++) {
        void *p[4] = { 0 };
        sim_unit_fail(w->sim, nth);
        for (u32 i = 0; i < 4; i++) {
            const u64 before = used(w), free_before = mem_free_bytes(mem(w));
            const enum status s = mem_alloc(mem(w), &w->quota, 1000, &p[i]);
            assert_int_equal(s, i + 1 == nth ? STATUS_MEMORY : OK);
            if (s != OK) {
                assert_null(p[i]);
                assert_int_equal(used(w), before);
                assert_int_equal(mem_free_bytes(mem(w)), free_before);
            }
        }
        sim_unit_fail(w->sim, 0);
        for (u32 i = 0; i < 4; i++)
            if (p[i])
                mem_free(mem(w), &w->quota, p[i], 1000);
    }
}

static void transfer_moves_what_is_unused(void **state)
{
    struct core *w = *state;
    struct quota a = { .limit.v = 1000 }, b = { .limit.v = 0 };
    void *p;
    assert_int_equal(mem_alloc(mem(w), &a, 64, &p), OK);
    assert_int_equal(quota_transfer(&a, &b, 937), STATUS_QUOTA);
    assert_int_equal(atomic_load(&a.limit), 1000);
    assert_int_equal(atomic_load(&b.limit), 0);
    assert_int_equal(quota_transfer(&a, &b, 936), OK);
    assert_int_equal(atomic_load(&a.limit), 64);
    assert_int_equal(atomic_load(&a.used), 64);
    assert_int_equal(atomic_load(&b.limit), 936);
    assert_int_equal(atomic_load(&b.used), 0);
    assert_int_equal(quota_transfer(&b, &a, ~0ul), STATUS_QUOTA);   /* no wrap */
    mem_free(mem(w), &a, p, 64);
}

/* While CPU 0 charges, another CPU moves the limit away and uses up nothing: is the limit kept at every step? */
struct race {
    struct quota q, away;
    u32 at, step;
};

static void race_hook(void *arg)
{
    struct race *r = arg;
    if (r->step++ == r->at)
        (void)!quota_transfer(&r->q, &r->away, 64);
}

static void transfer_between_look_and_charge_is_seen(void **state)
{
    struct core *w = *state;
    u32 refused = 0, granted = 0;
    for (u32 at = 0; at < 12; at++) {
        struct race r = { .q.limit.v = 64, .at = at };
        void *p;
        sim_unit_hook(w->sim, race_hook, &r);
        const enum status s = mem_alloc(mem(w), &r.q, 64, &p);
        sim_unit_hook(w->sim, NULL, NULL);
        assert_true(atomic_load(&r.q.used) <= atomic_load(&r.q.limit));
        assert_int_equal(atomic_load(&r.q.limit) + atomic_load(&r.away.limit), 64);
        refused += s == STATUS_QUOTA;
        granted += s == OK;
        if (s == OK)
            mem_free(mem(w), &r.q, p, 64);
    }
    assert_true(refused >= 3 && granted >= 1);   /* both orders were met */
}

/* The other way round: CPU 1 allocates at each point of a transfer. */
struct transfer {
    struct core *w;
    struct quota from;
    u32 at, points;
    bool acted;
    void *p;
};

static void alloc_hook(void *arg)
{
    struct transfer *t = arg;
    if (++t->points != t->at)
        return;
    t->acted = true;
    if (mem_alloc(mem(t->w), &t->from, 64, &t->p) != OK)
        t->p = NULL;
}

static void nobody_uses_what_is_being_transferred(void **state)
{
    struct core *w = *state;
    struct transfer t = { .w = w, .at = 1, .acted = true };
    for (; t.acted; t.at++) {
        struct quota to = { 0 };
        t.from = (struct quota){ .limit.v = 64 };
        t.points = 0;
        t.acted = false;
        t.p = NULL;
        sim_unit_hook(w->sim, alloc_hook, &t);
        const enum status s = quota_transfer(&t.from, &to, 64);
        sim_unit_hook(w->sim, NULL, NULL);
        assert_true(atomic_load(&t.from.used) <= atomic_load(&t.from.limit));
        assert_int_equal(atomic_load(&t.from.limit) + atomic_load(&to.limit), 64);
        assert_false(s == OK && t.p);
        if (t.p)
            mem_free(mem(w), &t.from, t.p, 64);
    }
    assert_true(t.at > 6);
}

static void recharge_moves_the_charge_not_the_memory(void **state)
{
    struct core *w = *state;
    struct quota full = { 0 };
    void *p;
    assert_int_equal(mem_alloc(mem(w), &w->quota, 100, &p), OK);
    mem_recharge(&w->quota, &full, 100);
    assert_int_equal(used(w), 0);
    assert_int_equal(atomic_load(&full.used), 128);
    mem_free(mem(w), &full, p, 100);
    assert_int_equal(atomic_load(&full.used), 0);
}

struct bad_free {
    struct core *w;
    void *p;
    u64 bytes;
};

static void bad_free(void *arg)
{
    struct bad_free *b = arg;
    mem_free(mem(b->w), &b->w->quota, b->p, b->bytes);
}

/* Each in a world of its own: after a panic nothing there can be used. */
static bool free_panics(u64 offset, u64 bytes, bool twice)
{
    struct core *w;
    struct bad_free b;
    core_setup((void **)&w);
    b = (struct bad_free){ .w = w, .bytes = bytes };
    assert_int_equal(mem_alloc(mem(w), &w->quota, 128, &b.p), OK);
    if (twice)
        bad_free(&b);
    b.p = (u8 *)b.p + offset;
    const bool panics = sim_unit_expect_panic(w->sim, bad_free, &b);
    sim_destroy(w->sim);
    free(w);
    return panics;
}

static void wrong_frees_are_found(void **state)
{
    assert_false(free_panics(0, 128, false));
    assert_true(free_panics(0, 128, true));
    assert_true(free_panics(0, 64, false));            /* another class */
    assert_true(free_panics(64, 128, false));          /* inside a slot */
    assert_true(free_panics(0, PAGE_SIZE, false));     /* a block, not a slot */
    assert_true(free_panics(1ul << 40, 128, false));   /* not in the pool */
}

static void red_zone_and_freed_memory_are_told(void **state)
{
    struct core *w = *state;
    u8 *p;
    assert_int_equal(mem_alloc(mem(w), &w->quota, 1400, (void **)&p), OK);   /* class of 2048 bytes */
    const u64 phys = mach_virt_to_phys(p);
    assert_int_equal(w->sim->shadow[phys / 64], MEM_LIVE);
    assert_int_equal(w->sim->shadow[(phys + 1399) / 64], MEM_LIVE);
    assert_int_equal(w->sim->shadow[(phys + 1472) / 64], MEM_REDZONE);
    assert_int_equal(w->sim->shadow[(phys + 2047) / 64], MEM_REDZONE);
    mem_free(mem(w), &w->quota, p, 1400);
    for (u64 at = phys; at < phys + 2048; at += 64)
        assert_int_equal(w->sim->shadow[at / 64], MEM_FREE);
}

static void a_pool_too_small_is_refused(void **state)
{
    assert_null(mem_init(0xe00000, PAGE_SIZE));
    struct mem *m = mem_init(0xe00000, 2 * PAGE_SIZE);
    assert_non_null(m);
    assert_int_equal(mem_free_bytes(m), PAGE_SIZE);
}

TEST_GROUP(mem, CORE_TEST(charge_is_the_size_class), CORE_TEST(every_class_is_aligned_zeroed_and_charged),
           CORE_TEST(freed_memory_comes_back_zeroed), CORE_TEST(slots_fill_pages_and_pages_come_back),
           CORE_TEST(buddies_merge_to_the_largest_block), CORE_TEST(quota_edge_is_exact), CORE_TEST(sizes_beyond_the_largest_block_fail),
           CORE_TEST(every_allocation_asks_for_a_fault_once), CORE_TEST(transfer_moves_what_is_unused),
           CORE_TEST(transfer_between_look_and_charge_is_seen), CORE_TEST(nobody_uses_what_is_being_transferred), CORE_TEST(recharge_moves_the_charge_not_the_memory),
           cmocka_unit_test(wrong_frees_are_found), CORE_TEST(red_zone_and_freed_memory_are_told), CORE_TEST(a_pool_too_small_is_refused));
