/* SPDX-License-Identifier: BSD-2-Clause */
/* What does a walker see between any two steps of a writer, and what if it or another writer writes there too? */
#include "ptab_fixture.h"

static void every_step_of_map_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_2M - 1, PAGE_2M, PAGE_2M + 7, PAGE_2M + 511, PAGE_2M + 512, PAGE_1G };
    map(f, PAGE_2M + 512, 3, 1, RIGHT_R);
    watch(f, pages);
    for (u32 i = 1; i <= 3; i++)
        f->after[i] = (struct seen){ .present = true, .frame = 1 + pages[i] - PAGE_2M, .rights = RIGHT_R | RIGHT_W };
    sim_unit_hook(f->w->sim, watch_hook, f);
    map(f, PAGE_2M, 1, 512, RIGHT_R | RIGHT_W);
    watch_end(f);
    assert_true(f->points > 512 && !f->moved[0] && f->moved[1] && f->moved[3] && !f->moved[4]);
}

static void every_step_of_a_large_map_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_1G - 1, PAGE_1G, PAGE_1G + 7, PAGE_1G + 511, PAGE_1G + 512, PAGE_1G + 262143 };
    watch(f, pages);
    for (u32 i = 1; i < WATCH; i++)
        f->after[i] = (struct seen){ .present = true, .frame = pages[i], .rights = RIGHT_R };
    sim_unit_hook(f->w->sim, watch_hook, f);
    map(f, PAGE_1G, PAGE_1G, PTAB_SPAN(2), RIGHT_R);
    watch_end(f);
    assert_true(!f->moved[0] && f->moved[1] && f->moved[5]);
}

static void every_step_of_a_partial_unmap_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_1G, PAGE_1G + 511, PAGE_1G + 512, PAGE_1G + 600, PAGE_1G + 601, PAGE_1G + 262143 };
    map(f, PAGE_1G, PAGE_1G, PTAB_SPAN(2), RIGHT_R | RIGHT_X);
    watch(f, pages);
    f->after[3] = (struct seen){ 0 };
    sim_unit_hook(f->w->sim, watch_hook, f);
    unmap(f, PAGE_1G + 600, 1);
    watch_end(f);
    assert_true(f->points > 1024);   /* two tables were filled under our eyes */
    assert_true(f->moved[3] && !f->moved[0] && !f->moved[4] && !f->moved[5]);
}

static void every_step_of_unmap_and_reclaim_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_2M, PAGE_2M + 1, PAGE_2M + 511, PAGE_2M + 512, PAGE_1G, PAGE_4K };
    map(f, PAGE_2M, 1, 512, RIGHT_R);
    map(f, PAGE_1G, 1, 1, RIGHT_R);
    watch(f, pages);
    f->after[0] = f->after[1] = f->after[2] = (struct seen){ 0 };
    sim_unit_hook(f->w->sim, watch_hook, f);
    unmap(f, PAGE_2M, 512);
    ptab_reclaim(&f->p, PAGE_2M, &f->change);
    ptab_release(f->w->cpu, &f->p, &f->change, 0);
    watch_end(f);
    assert_true(f->moved[0] && f->moved[2] && !f->moved[4]);
    assert_int_equal(look(f, PAGE_2M).level, 2);   /* both tables below are gone, the one shared with PAGE_1G is not */
}

/* ---- A and D bits ---- */

/* The walker uses every watched page that is mapped, now. */
static void use_hook(void *arg)
{
    struct fixture *f = arg;
    const u64 bits = is_ept(f) ? bit(8) | bit(9) : bit(5) | bit(6);
    f->points++;
    for (u32 i = 0; i < WATCH; i++) {
        const struct seen s = look(f, f->page[i]);
        if (s.present && f->points == f->at)
            *s.word |= bits;
    }
}

static void accessed_and_dirty_survive_a_split(void **state)
{
    struct fixture *f = *state;
    const u64 bits = is_ept(f) ? bit(8) | bit(9) : bit(5) | bit(6);
    for (u32 i = 0; i < WATCH; i++)
        f->page[i] = PAGE_2M;
    u32 kept = 0;
    /* At each point of the split once. */
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at += 16) {
        map(f, PAGE_2M, 512, 512, RIGHT_R | RIGHT_W);
        f->points = 0;
        sim_unit_hook(f->w->sim, use_hook, f);
        assert_int_equal(ptab_split(&f->p, PAGE_2M + 1), OK);
        sim_unit_hook(f->w->sim, NULL, NULL);
        /* Set while it was one large page: on all small ones, as any of them may be the one that was written. */
        const struct seen first = look(f, PAGE_2M), last = look(f, PAGE_2M + 511);
        assert_int_equal(first.level, 0);
        if (f->points >= f->at)
            assert_int_equal(*first.word & bits, bits);
        kept += (*last.word & bits) == bits;
        unmap(f, PAGE_2M, 512);
        ptab_reclaim(&f->p, PAGE_2M, &f->change);
        ptab_release(f->w->cpu, &f->p, &f->change, 0);
    }
    assert_true(kept > 30);
}

static void accessed_and_dirty_do_not_bring_a_page_back(void **state)
{
    struct fixture *f = *state;
    for (u32 i = 0; i < WATCH; i++)
        f->page[i] = PAGE_4K;
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at++) {
        map(f, PAGE_4K, 5, 1, RIGHT_R | RIGHT_W);
        f->points = 0;
        sim_unit_hook(f->w->sim, use_hook, f);
        unmap(f, PAGE_4K, 1);
        sim_unit_hook(f->w->sim, NULL, NULL);
        assert_int_equal(*look(f, PAGE_4K).word, 0);
    }
    assert_true(f->at > 4);
}

/* ---- Other writers ---- */

static void other_map_hook(void *arg)
{
    struct fixture *f = arg;
    u64 done;
    if (++f->points < f->at || f->other != STATUS_COUNT || !core_unlocked(f->w))
        return;
    sim_unit_cpu(f->w->sim, 1);
    f->other = ptab_map(&f->p, f->other_page, 1000, 1, RIGHT_R, &f->change, &done);
}

/* CPU 1 maps other_page at each point of CPU 0's map once. Counts how often who won. */
static void race(struct fixture *f, u64 other_page, u32 *first, u32 *second)
{
    *first = *second = 0;
    f->other_page = other_page;
    for (f->at = 1, f->other = OK; f->other != STATUS_COUNT; f->at++) {
        u64 done;
        f->points = 0;
        f->other = STATUS_COUNT;
        sim_unit_hook(f->w->sim, other_map_hook, f);
        const enum status s = ptab_map(&f->p, PAGE_2M, 2000, 8, RIGHT_R | RIGHT_W, &f->change, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        *first += s == OK && f->other != STATUS_COUNT;
        *second += f->other == OK;
        for (u64 i = 0; i < 8; i++) {
            const struct seen e = look(f, PAGE_2M + i);
            const bool others = f->other == OK && PAGE_2M + i == other_page;
            assert_int_equal(e.present, s == OK || others);
            if (e.present)
                assert_int_equal(e.frame, others ? 1000 : 2000 + i);
        }
        assert_int_equal(look(f, other_page).present, f->other == OK || (s == OK && other_page - PAGE_2M < 8));
        unmap(f, PAGE_2M, 512);
        ptab_reclaim(&f->p, PAGE_2M, &f->change);
        ptab_release(f->w->cpu, &f->p, &f->change, 0);
        core_settle(f->w);
        assert_int_equal(used(f), PAGE_SIZE);   /* the root: each table lost or won was freed once */
    }
}

static void another_writer_in_the_same_table_is_kept(void **state)
{
    struct fixture *f = *state;
    u32 first, second;
    race(f, PAGE_2M + 100, &first, &second);
    assert_true(first > 20);
    assert_int_equal(first, second);   /* both always succeed */
}

static void of_two_writers_of_a_page_one_wins(void **state)
{
    struct fixture *f = *state;
    u32 first, second;
    race(f, PAGE_2M + 4, &first, &second);
    assert_true(first > 2 && second > 2);
}

static void what_was_visible_for_a_moment_owes_a_flush(void **state)
{
    struct fixture *f = *state;
    u64 done;
    map(f, PAGE_2M + 64, 1, 1, RIGHT_R);   /* all tables are there */
    f->other_page = PAGE_2M + 4;
    /* Some point lies between the checks and the fifth page: there the other one wins when four pages have been visible. */
    for (f->at = 1; f->at < 100; f->at++) {
        f->points = 0;
        f->other = STATUS_COUNT;
        f->change.flush = false;
        sim_unit_hook(f->w->sim, other_map_hook, f);
        const enum status s = ptab_map(&f->p, PAGE_2M, 2000, 8, RIGHT_R, &f->change, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        const bool flush = f->change.flush;
        for (u64 i = 0; i < 8; i++)
            if (s != OK && i != 4)
                is_absent(f, PAGE_2M + i);
        unmap(f, PAGE_2M, 8);
        if (flush) {
            assert_int_equal(s, STATUS_EXISTS);
            return;
        }
    }
    fail();
}

TEST_GROUP(ptab_steps, EACH(every_step_of_map_is_legal), EACH(every_step_of_a_large_map_is_legal),
           EACH(every_step_of_a_partial_unmap_is_legal), EACH(every_step_of_unmap_and_reclaim_is_legal),
           EACH(accessed_and_dirty_survive_a_split), EACH(accessed_and_dirty_do_not_bring_a_page_back),
           EACH(another_writer_in_the_same_table_is_kept), EACH(of_two_writers_of_a_page_one_wins),
           EACH(what_was_visible_for_a_moment_owes_a_flush));
