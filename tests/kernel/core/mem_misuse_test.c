/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the allocator notice what is freed wrongly, find again what is freed rightly, and trust nothing that stood in the pool before? */
#include <string.h>
#include "mem.h"
#include "kernel/core_fixture.h"

static struct mem *mem(struct core *w)
{
    return w->kern->mem;
}

struct bad_free {
    struct core *w;
    u8 *p;
    u64 bytes;
};

static void bad_free(void *arg)
{
    const struct bad_free *b = arg;
    mem_free(mem(b->w), &b->w->quota, b->p, b->bytes);
}

/* Allocates `bytes`, twice if there shall be a neighbour, frees `freed` of it at offset. Each in a world of its own: after a panic nothing
 * there can be used. */
static bool panics(u64 bytes, bool neighbour, s64 offset, u64 freed, u32 times)
{
    struct core *w;
    struct bad_free b;
    void *other;
    bool panic = false;
    core_setup((void **)&w);
    assert_int_equal(mem_alloc(mem(w), &w->quota, bytes, (void **)&b.p), OK);
    if (neighbour)
        assert_int_equal(mem_alloc(mem(w), &w->quota, bytes, &other), OK);
    b = (struct bad_free){ .w = w, .p = b.p + offset, .bytes = freed };
    for (u32 i = 0; i < times; i++)
        panic = sim_unit_expect_panic(w->sim, bad_free, &b) != NULL;
    sim_destroy(w->sim);
    free(w);
    return panic;
}

static void wrong_frees(void **state)
{
    assert_false(panics(64, true, 0, 64, 1));
    assert_false(panics(PAGE_SIZE, false, 0, PAGE_SIZE, 1));
    assert_true(panics(64, true, 0, 64, 2));                     /* twice, while its page lives */
    assert_true(panics(PAGE_SIZE, false, 0, PAGE_SIZE, 2));
    assert_true(panics(PAGE_SIZE, false, 0, 64, 1));             /* class 0 of a block of order 0 */
    assert_true(panics(64, false, 0, PAGE_SIZE, 1));             /* and the other way round */
    assert_true(panics(PAGE_SIZE, false, 64, PAGE_SIZE, 1));     /* not the first byte */
    assert_true(panics(PAGE_SIZE, false, 0, 2 * PAGE_SIZE, 1));  /* another size */
    assert_true(panics(4 * PAGE_SIZE, false, 0, PAGE_SIZE, 1));
    assert_true(panics(4 * PAGE_SIZE, false, PAGE_SIZE, PAGE_SIZE, 1));
    assert_true(panics(64, false, -(s64)CORE_POOL_BYTES, 64, 1));
    assert_true(panics(64, false, (s64)CORE_POOL_BYTES, 64, 1));
}

/* A page that was full gives its first free slot away before any new page is cut. */
static void a_full_page_is_found_again(void **state)
{
    struct core *w = *state;
    enum { SLOTS = PAGE_SIZE / 64 };
    u8 *p[SLOTS], *again;
    for (u32 i = 0; i < SLOTS; i++)
        assert_int_equal(mem_alloc(mem(w), &w->quota, 64, (void **)&p[i]), OK);
    for (u32 i = 1; i < SLOTS; i++)
        assert_int_equal((u64)p[i] & ~PAGE_MASK, (u64)p[0] & ~PAGE_MASK);
    for (u32 i = 0; i < SLOTS; i += 9) {
        mem_free(mem(w), &w->quota, p[i], 64);
        assert_int_equal(mem_alloc(mem(w), &w->quota, 64, (void **)&again), OK);
        assert_ptr_equal(again, p[i]);
    }
    for (u32 i = 1; i < SLOTS; i += 2)
        mem_free(mem(w), &w->quota, p[i], 64);
    for (u32 i = 1; i < SLOTS; i += 2) {
        assert_int_equal(mem_alloc(mem(w), &w->quota, 64, (void **)&p[i]), OK);
        assert_int_equal((u64)p[i] & ~PAGE_MASK, (u64)p[0] & ~PAGE_MASK);
    }
    for (u32 i = 0; i < SLOTS; i++)
        mem_free(mem(w), &w->quota, p[i], 64);
    assert_int_equal(mem_free_bytes(mem(w)), w->free_bytes);
}

static void beyond_the_largest(void **state)
{
    static const u64 bytes[] = { MEM_BYTES_MAX + 1, 3 * MEM_BYTES_MAX, bit(63) + 1, ~0ul };
    for (u32 i = 0; i < array_size(bytes); i++)
        assert_int_equal(mem_charge(bytes[i]), bytes[i]);
}

/* Whatever stood there: the allocator's tables begin empty, all the rest is free and told to be. */
static void a_dirty_pool(void **state)
{
    struct core *w = *state;
    enum { START = 0xe00000, PAGES = 64 };
    struct quota q = { .limit.v = PAGES * PAGE_SIZE };
    u8 *p[PAGES];
    u32 count = 0;
    memset(sim_phys(w->sim, START, PAGES * PAGE_SIZE), 0xa5, PAGES * PAGE_SIZE);
    struct mem *const m = mem_init(START, PAGES * PAGE_SIZE);
    assert_non_null(m);
    const u64 free = mem_free_bytes(m);
    assert_int_equal(memory_state_of(w, START), MEM_LIVE);
    for (u64 at = START + PAGES * PAGE_SIZE - free; at < START + PAGES * PAGE_SIZE; at += 64)
        assert_int_equal(memory_state_of(w, at), MEM_FREE);
    while (count < PAGES && mem_alloc(m, &q, PAGE_SIZE, (void **)&p[count]) == OK)
        count++;
    assert_int_equal(count, free / PAGE_SIZE);
    for (u32 i = 0; i < count; i++)
        mem_free(m, &q, p[i], PAGE_SIZE);
    assert_int_equal(mem_free_bytes(m), free);
    assert_int_equal(atomic_load(&q.used), 0);
}

/* Pools of every length, also those that end in the middle of a pair: what is freed merges inside the pool only. */
static void pools_of_any_length(void **state)
{
    struct core *w = *state;
    for (u64 pages = 2; pages < 200; pages++) {
        struct quota q = { .limit.v = CORE_POOL_BYTES };
        void *p[200];
        u32 count = 0;
        struct mem *const m = mem_init(0xe00000, pages * PAGE_SIZE);
        const u64 free = mem_free_bytes(m);
        u8 *const behind = sim_phys(w->sim, 0xe00000 + pages * PAGE_SIZE - free, PAGE_SIZE);   /* the table: as if it went on with free blocks */
        mach_mem_state(behind, PAGE_SIZE, MEM_LIVE);
        memset(behind, 2, PAGE_SIZE);
        mach_mem_state(behind, PAGE_SIZE, MEM_FREE);
        while (mem_alloc(m, &q, PAGE_SIZE, &p[count]) == OK) {
            assert_true(mach_virt_to_phys(p[count]) < 0xe00000 + pages * PAGE_SIZE);
            count++;
        }
        assert_int_equal(count, free / PAGE_SIZE);
        while (count)
            mem_free(m, &q, p[--count], PAGE_SIZE);
        assert_int_equal(mem_free_bytes(m), free);
        while (mem_alloc(m, &q, PAGE_SIZE, &p[count]) == OK)
            assert_true(mach_virt_to_phys(p[count++]) < 0xe00000 + pages * PAGE_SIZE);
        assert_int_equal(count, free / PAGE_SIZE);
        mach_mem_state(m, pages * PAGE_SIZE, MEM_LIVE);
    }
}

TEST_GROUP(mem_misuse, cmocka_unit_test(wrong_frees), CORE_TEST(a_full_page_is_found_again), CORE_TEST(beyond_the_largest),
           CORE_TEST(a_dirty_pool),
           CORE_TEST(pools_of_any_length));
