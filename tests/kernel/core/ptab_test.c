/* SPDX-License-Identifier: BSD-2-Clause */
/* Does each call do exactly what it says: levels, rights, splits, statuses, flushes, tables? What others see meanwhile: ptab_steps_test.c. */
#include "ptab_fixture.h"

static void rights_are_entered_as_asked(void **state)
{
    struct fixture *f = *state;
    const struct { u32 asked, entered; } table[] = {
        { RIGHT_R, RIGHT_R },
        { RIGHT_R | RIGHT_W, RIGHT_R | RIGHT_W },
        { RIGHT_R | RIGHT_X, RIGHT_R | RIGHT_X },
        { RIGHT_MEMORY, f->format == &ptab_host ? RIGHT_R | RIGHT_W : RIGHT_MEMORY },   /* a guest has tables of its own */
    };
    for (u32 i = 0; i < array_size(table); i++) {
        map(f, PAGE_4K + i, 100 + i, 1, table[i].asked);
        is_mapped(f, PAGE_4K + i, 100 + i, table[i].entered, 0);
    }
    is_absent(f, PAGE_4K + 4);
    is_absent(f, PAGE_4K - 1);
    assert_false(f->change.flush);
}

static void large_pages_follow_alignment(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 512 * 5, 512, RIGHT_R);
    is_mapped(f, PAGE_2M + 511, 512 * 5 + 511, RIGHT_R, 1);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R | RIGHT_W);
    is_mapped(f, PAGE_1G + 12345, PTAB_SPAN(2) + 12345, RIGHT_R | RIGHT_W, 2);
    map(f, PAGE_2M + 512, 1, 512, RIGHT_R);   /* frames out of step */
    is_mapped(f, PAGE_2M + 512, 1, RIGHT_R, 0);
    map(f, PAGE_2M + 1024 + 511, 512 * 8 + 511, 1 + 512 + 1, RIGHT_R);   /* small, large, small */
    is_mapped(f, PAGE_2M + 1535, 512 * 8 + 511, RIGHT_R, 0);
    is_mapped(f, PAGE_2M + 1536, 512 * 9, RIGHT_R, 1);
    is_mapped(f, PAGE_2M + 2048, 512 * 10, RIGHT_R, 0);
    is_absent(f, PAGE_2M + 2049);
}

static void the_machines_largest_page_is_kept(void **state)
{
    struct fixture *f = *state;
    for (u32 level = 0; level <= 1; level++) {
        f->p.leaf_level_max = level;
        map(f, PAGE_1G + (u64)level * PTAB_SPAN(2), 0, 512, RIGHT_R);
        is_mapped(f, PAGE_1G + (u64)level * PTAB_SPAN(2) + 3, 3, RIGHT_R, level);
    }
    u64 done;
    assert_int_equal(ptab_map(&f->p, PAGE_1G + 2 * PTAB_SPAN(2), 0, PTAB_SPAN(2), RIGHT_R, &f->change, &done), OK);
    assert_int_equal(done, 512);
}

static void a_step_ends_with_its_table(void **state)
{
    struct fixture *f = *state;
    u64 done = 0;
    assert_int_equal(ptab_map(&f->p, PAGE_2M + 500, 1, 1000, RIGHT_R, &f->change, &done), OK);
    assert_int_equal(done, 12);
    is_absent(f, PAGE_2M + 512);
    assert_int_equal(ptab_unmap(&f->p, PAGE_2M + 505, 1000, &f->change, &done), OK);
    assert_int_equal(done, 7);
    assert_int_equal(ptab_unmap(&f->p, PAGE_2M + 1024, 1000, &f->change, &done), OK);   /* nothing below that entry */
    assert_int_equal(done, 512);
    assert_int_equal(ptab_unmap(&f->p, 5 * PTAB_SPAN(3), ~0ul >> 31, &f->change, &done), OK);
    assert_int_equal(done, PTAB_SPAN(3));
}

static void nothing_is_mapped_over_something(void **state)
{
    struct fixture *f = *state;
    u64 done = 77;
    map(f, PAGE_2M + 5, 50, 1, RIGHT_R);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    const u64 charged = used(f);
    assert_int_equal(ptab_map(&f->p, PAGE_2M + 5, 51, 1, RIGHT_R, &f->change, &done), STATUS_EXISTS);
    assert_int_equal(ptab_map(&f->p, PAGE_2M, 512, 512, RIGHT_R, &f->change, &done), STATUS_EXISTS);   /* one of 512 */
    assert_int_equal(ptab_map(&f->p, PAGE_1G + 1, 51, 1, RIGHT_R, &f->change, &done), STATUS_EXISTS);  /* inside a large page */
    assert_int_equal(ptab_map(&f->p, PAGE_1G, 0, PTAB_SPAN(2), RIGHT_R, &f->change, &done), STATUS_EXISTS);
    assert_int_equal(ptab_reserve(&f->p, PAGE_1G + 1, 51, 1, &done), STATUS_EXISTS);
    assert_int_equal(ptab_reserve(&f->p, PAGE_2M + 5, 51, 2, &done), STATUS_EXISTS);
    assert_int_equal(done, 77);
    assert_int_equal(used(f), charged);
    assert_false(f->change.flush);
    is_mapped(f, PAGE_2M + 5, 50, RIGHT_R, 0);
    is_absent(f, PAGE_2M + 4);
}

static void addresses_beyond_the_format_are_refused(void **state)
{
    struct fixture *f = *state;
    const u64 end = bit(f->format->address_bits - PAGE_BITS);
    u64 done, frame;
    u32 rights;
    assert_int_equal(ptab_map(&f->p, end, 1, 1, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_map(&f->p, end - 1, 1, 2, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_map(&f->p, 1, 1, ~0ul, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_map(&f->p, 1, 1, 0, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_unmap(&f->p, end - 1, 2, &f->change, &done), STATUS_ARG);
    assert_false(ptab_lookup(&f->p, end, &frame, &rights));
    map(f, end - 1, 1, 1, RIGHT_R);
    is_mapped(f, end - 1, 1, RIGHT_R, 0);
    assert_int_equal(ptab_split(&f->p, end), OK);
}

static void unmap_of_part_splits_once_or_twice(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 512 * 4, 512, RIGHT_R | RIGHT_X);
    unmap(f, PAGE_2M + 10, 20);
    is_mapped(f, PAGE_2M + 9, 512 * 4 + 9, RIGHT_R | RIGHT_X, 0);
    is_absent(f, PAGE_2M + 10);
    is_absent(f, PAGE_2M + 29);
    is_mapped(f, PAGE_2M + 30, 512 * 4 + 30, RIGHT_R | RIGHT_X, 0);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R | RIGHT_W);
    unmap(f, PAGE_1G + 700, 1);
    is_mapped(f, PAGE_1G + 699, PTAB_SPAN(2) + 699, RIGHT_R | RIGHT_W, 0);
    is_mapped(f, PAGE_1G + 511, PTAB_SPAN(2) + 511, RIGHT_R | RIGHT_W, 1);
    is_absent(f, PAGE_1G + 700);
    unmap(f, PAGE_1G + 3072, 5);         /* from the first page of a large one on */
    is_absent(f, PAGE_1G + 3076);
    is_mapped(f, PAGE_1G + 3077, PTAB_SPAN(2) + 3077, RIGHT_R | RIGHT_W, 0);
    unmap(f, PAGE_1G + 1024, 512 * 3);   /* whole large pages: no further split */
    const u64 charged = used(f);
    is_absent(f, PAGE_1G + 2559);
    is_mapped(f, PAGE_1G + 2560, PTAB_SPAN(2) + 2560, RIGHT_R | RIGHT_W, 1);
    assert_int_equal(used(f), charged);
}

static void flush_is_said_exactly_when_owed(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 512 * 4, 512, RIGHT_R);
    map(f, PAGE_4K, 9, 1, RIGHT_R);
    assert_false(f->change.flush);                                /* only rights were added */
    unmap(f, PAGE_4K + 1, 20);
    unmap(f, PAGE_1G, PTAB_SPAN(2));
    assert_false(f->change.flush);                                /* nothing was there */
    assert_int_equal(ptab_split(&f->p, PAGE_2M + 3), OK);
    is_mapped(f, PAGE_2M + 3, 512 * 4 + 3, RIGHT_R, 0);
    assert_false(f->change.flush);                                /* the same translations */
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_false(f->change.flush);                                /* its table is not empty */
    unmap(f, PAGE_4K, 1);
    assert_true(f->change.flush);
    f->change.flush = false;
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_true(f->change.flush);                                 /* a walker may have cached the way down */
    assert_non_null(f->change.dead);
}

static void split_at_an_edge_changes_nothing_else(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    const u64 charged = used(f);
    assert_int_equal(ptab_split(&f->p, PAGE_1G), OK);             /* an edge already */
    assert_int_equal(used(f), charged);
    assert_int_equal(ptab_split(&f->p, PAGE_1G + 1024), OK);      /* to 2 MiB is enough */
    is_mapped(f, PAGE_1G + 1024, PTAB_SPAN(2) + 1024, RIGHT_R, 1);
    assert_int_equal(used(f), charged + PAGE_SIZE);
    assert_int_equal(ptab_split(&f->p, PAGE_1G + 1025), OK);
    is_mapped(f, PAGE_1G + 1025, PTAB_SPAN(2) + 1025, RIGHT_R, 0);
    assert_int_equal(used(f), charged + 2 * PAGE_SIZE);
    assert_int_equal(ptab_split(&f->p, PAGE_4K), OK);             /* nothing there */
    assert_int_equal(used(f), charged + 2 * PAGE_SIZE);
}

/* ---- Memory that is not there ---- */

static void a_map_that_gets_no_table_changes_nothing(void **state)
{
    struct fixture *f = *state;
    u64 done;
    for (u64 nth = 1; nth <= 3; nth++) {
        sim_unit_fail(f->w->sim, nth);
        assert_int_equal(ptab_map(&f->p, PAGE_4K, 5, 1, RIGHT_R, &f->change, &done), STATUS_MEMORY);
        assert_int_equal(used(f), PAGE_SIZE);
        assert_int_equal(look(f, PAGE_4K).level, 3);   /* no table was linked */
    }
    sim_unit_fail(f->w->sim, 4);
    assert_int_equal(ptab_map(&f->p, PAGE_4K, 5, 1, RIGHT_R, &f->change, &done), OK);
    assert_int_equal(used(f), 4 * PAGE_SIZE);
    sim_unit_fail(f->w->sim, 0);
    f->w->quota.limit.v = used(f) + 2 * PAGE_SIZE;
    assert_int_equal(ptab_map(&f->p, PAGE_4K + PTAB_SPAN(3), 5, 1, RIGHT_R, &f->change, &done), STATUS_QUOTA);
    assert_int_equal(used(f), 4 * PAGE_SIZE);
}

static void an_unmap_that_cannot_split_changes_nothing(void **state)
{
    struct fixture *f = *state;
    u64 done;
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    const u64 charged = used(f);
    sim_unit_fail(f->w->sim, 1);
    assert_int_equal(ptab_unmap(&f->p, PAGE_1G + 5, 1, &f->change, &done), STATUS_MEMORY);
    assert_int_equal(used(f), charged);
    sim_unit_fail(f->w->sim, 2);
    assert_int_equal(ptab_unmap(&f->p, PAGE_1G + 5, 1, &f->change, &done), STATUS_MEMORY);
    is_mapped(f, PAGE_1G + 5, PTAB_SPAN(2) + 5, RIGHT_R, 1);   /* an equal, smaller page */
    assert_false(f->change.flush);
    sim_unit_fail(f->w->sim, 0);
    unmap(f, PAGE_1G + 5, 1);
    is_absent(f, PAGE_1G + 5);
}

static void after_reserve_map_needs_no_memory(void **state)
{
    struct fixture *f = *state;
    u64 done;
    assert_int_equal(ptab_reserve(&f->p, PAGE_2M + 3, 9, 100, &done), OK);
    assert_int_equal(done, 100);
    assert_int_equal(ptab_reserve(&f->p, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), &done), OK);
    assert_int_equal(done, PTAB_SPAN(2));
    is_absent(f, PAGE_2M + 3);
    f->w->quota.limit.v = used(f);
    map(f, PAGE_2M + 3, 9, 100, RIGHT_R);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    is_mapped(f, PAGE_2M + 102, 108, RIGHT_R, 0);
    is_mapped(f, PAGE_1G, PTAB_SPAN(2), RIGHT_R, 2);
}

static void an_empty_table_is_used_again(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 1, 1, RIGHT_R);
    unmap(f, PAGE_2M, 1);   /* not reclaimed */
    const u64 charged = used(f);
    map(f, PAGE_2M, 512, 512, RIGHT_R);
    is_mapped(f, PAGE_2M + 3, 515, RIGHT_R, 0);   /* not as a large page: the table stays linked */
    assert_int_equal(used(f), charged);
}

/* ---- Tables that die ---- */

static void dead_tables_wait_for_every_cpu(void **state)
{
    struct fixture *f = *state;
    struct core *w = f->w;
    map(f, PAGE_4K, 5, 1, RIGHT_R);
    unmap(f, PAGE_4K, 1);
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_int_equal(look(f, PAGE_4K).level, 3);
    assert_int_equal(used(f), PAGE_SIZE);   /* the owner is not charged for what only waits */
    const u64 tables = 3 * (PAGE_SIZE + mem_charge(sizeof(struct ptab_dead)));
    assert_int_equal(atomic_load(&w->kern->quota.used), tables);
    const u64 dead = mach_virt_to_phys(f->change.dead->table);
    ptab_release(w->cpu, &f->p, &f->change, 0);
    assert_null(f->change.dead);
    for (u32 i = 0; i < CORE_CPUS; i++) {
        assert_int_equal(memory_state_of(w, dead), MEM_EPOCH);
        assert_int_equal(atomic_load(&w->kern->quota.used), tables);
        core_trap(w, (i + 1) % CORE_CPUS);   /* CPU 0, which has them, last */
    }
    assert_int_equal(memory_state_of(w, dead), MEM_FREE);
    assert_int_equal(atomic_load(&w->kern->quota.used), 0);
}

static void a_table_that_cannot_be_buried_stays(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_4K, 5, 1, RIGHT_R);
    unmap(f, PAGE_4K, 1);
    f->change.flush = false;
    sim_unit_fail(f->w->sim, 1);
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_null(f->change.dead);
    assert_false(f->change.flush);
    assert_int_equal(look(f, PAGE_4K).level, 0);
    sim_unit_fail(f->w->sim, 2);
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_int_equal(look(f, PAGE_4K).level, 1);
    map(f, PAGE_4K, 6, 1, RIGHT_R);
    is_mapped(f, PAGE_4K, 6, RIGHT_R, 0);
}

/* A table of leaves that was used last is remembered: not for other pages, and not when it is gone. */
static void a_table_that_is_gone_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_4K, 5, 1, RIGHT_R);
    map(f, PAGE_2M, 6, 1, RIGHT_R);
    map(f, PAGE_2M + 1, 7, 1, RIGHT_R);
    map(f, PAGE_4K + 1, 8, 1, RIGHT_R);
    is_mapped(f, PAGE_4K, 5, RIGHT_R, 0);
    is_mapped(f, PAGE_4K + 1, 8, RIGHT_R, 0);
    is_mapped(f, PAGE_2M, 6, RIGHT_R, 0);
    is_mapped(f, PAGE_2M + 1, 7, RIGHT_R, 0);
    for (u32 turn = 0; turn < 2; turn++) {
        unmap(f, PAGE_4K, 2);
        ptab_reclaim(&f->p, PAGE_4K, &f->change);
        is_absent(f, PAGE_4K);
        ptab_release(f->w->cpu, &f->p, &f->change, 0);
        core_settle(f->w);
        map(f, PAGE_4K, 9, 2, RIGHT_R);
        is_mapped(f, PAGE_4K + 1, 10, RIGHT_R, 0);
    }
    is_absent(f, 0);
    map(f, 0, 11, 1, RIGHT_R);   /* no table was remembered for page 0 */
    is_mapped(f, 0, 11, RIGHT_R, 0);
}

/* Whichever entry goes last, and whichever stays: a table is found empty exactly when it is. */
static void one_entry_keeps_its_table(void **state)
{
    struct fixture *f = *state;
    static const u64 at[] = { 0, 1, 2, 255, 256, 510, 511 };
    for (u32 i = 0; i < array_size(at); i++)
        for (u32 k = 0; k < array_size(at); k++) {
            map(f, PAGE_2M + at[i], 1, 1, RIGHT_R);
            if (k != i)
                map(f, PAGE_2M + at[k], 1, 1, RIGHT_R);
            unmap(f, PAGE_2M + at[i], 1);
            ptab_reclaim(&f->p, PAGE_2M + at[i], &f->change);
            assert_int_equal(f->change.dead != NULL, k == i);
            ptab_release(f->w->cpu, &f->p, &f->change, 0);
            unmap(f, PAGE_2M + at[k], 1);
            ptab_reclaim(&f->p, PAGE_2M + at[k], &f->change);
            ptab_release(f->w->cpu, &f->p, &f->change, 0);
            core_settle(f->w);
            assert_int_equal(used(f), PAGE_SIZE);
        }
}

static void only_the_host_shares_the_machines_half(void **state)
{
    struct fixture *f = *state;
    const u64 *root = sim_phys(f->w->sim, f->p.root, PAGE_SIZE), *boot = sim_phys(f->w->sim, mach_boot_root(), PAGE_SIZE);
    u32 entries = 0;
    for (u32 i = 0; i < 512; i++) {
        const u64 expected = f->format == &ptab_host && i >= 256 ? boot[i] : 0;
        assert_int_equal(root[i], expected);
        entries += root[i] != 0;
    }
    assert_int_equal(entries > 0, f->format == &ptab_host);
}

static void destroy_frees_tables_of_every_level(void **state)
{
    struct fixture *f = *state;
    map(f, 0, 0, 1, RIGHT_R);
    map(f, PAGE_2M, 512, 512, RIGHT_R);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    map(f, PTAB_SPAN(3) * 200 + 511 * 512 + 511, 1, 2, RIGHT_R);
    map(f, bit(f->format->address_bits - PAGE_BITS) - 1, 1, 1, RIGHT_R);
    assert_true(used(f) > 8 * PAGE_SIZE);
    ptab_destroy(&f->p);
    assert_int_equal(used(f), 0);
    assert_int_equal(ptab_init(&f->p, f->format, &f->w->quota, 2), OK);   /* for the teardown */
}

TEST_GROUP(ptab, EACH(rights_are_entered_as_asked), EACH(large_pages_follow_alignment), EACH(the_machines_largest_page_is_kept),
           EACH(a_step_ends_with_its_table), EACH(nothing_is_mapped_over_something), EACH(addresses_beyond_the_format_are_refused),
           EACH(unmap_of_part_splits_once_or_twice), EACH(flush_is_said_exactly_when_owed),
           EACH(split_at_an_edge_changes_nothing_else), EACH(a_map_that_gets_no_table_changes_nothing),
           EACH(an_unmap_that_cannot_split_changes_nothing), EACH(after_reserve_map_needs_no_memory),
           EACH(an_empty_table_is_used_again), EACH(dead_tables_wait_for_every_cpu), EACH(a_table_that_cannot_be_buried_stays),
           EACH(a_table_that_is_gone_is_not_used_again), EACH(one_entry_keeps_its_table),
           EACH(only_the_host_shares_the_machines_half), EACH(destroy_frees_tables_of_every_level));
