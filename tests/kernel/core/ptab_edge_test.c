/* SPDX-License-Identifier: BSD-2-Clause */
/* What at and behind the end of the address space, of nothing at all, of large pages when tables die, and of a large page that appears or is
 * split by somebody else in the middle of a step? */
#include <string.h>
#include "ptab_fixture.h"

static u64 end_of(const struct fixture *f)
{
    return bit(f->format->address_bits - PAGE_BITS);
}

static void behind_the_end(void **state)
{
    struct fixture *f = *state;
    u64 done, frame;
    u32 rights;
    map(f, 5, 77, 1, RIGHT_R);
    const u64 before = used(f);
    const u64 behind[] = { end_of(f), end_of(f) + 5, 2 * end_of(f) + 5, bit(45) + 5, ~0ul };
    for (u32 i = 0; i < array_size(behind); i++) {
        assert_false(ptab_lookup(&f->p, behind[i], &frame, &rights));
        assert_int_equal(ptab_map(&f->p, behind[i], 1, 1, RIGHT_R, &f->change, &done), STATUS_ARG);
        assert_int_equal(ptab_reserve(&f->p, behind[i], 1, 1, &done), STATUS_ARG);
        assert_int_equal(ptab_unmap(&f->p, behind[i], 1, &f->change, &done), STATUS_ARG);
    }
    assert_int_equal(ptab_map(&f->p, 5, 1, 0, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_unmap(&f->p, 5, 0, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_unmap(&f->p, end_of(f) - 1, 2, &f->change, &done), STATUS_ARG);
    assert_int_equal(used(f), before);
    is_mapped(f, 5, 77, f->format->rights(*look(f, 5).word), 0);
    unmap(f, 5, 1);
}

/* The end is an edge of every page: nothing to split, least of all at address 0. */
static void a_split_at_the_end(void **state)
{
    struct fixture *f = *state;
    map(f, 0, 512, 512, RIGHT_R);
    const u64 before = used(f);
    assert_int_equal(ptab_split(&f->p, end_of(f)), OK);
    assert_int_equal(used(f), before);
    assert_int_equal(look(f, 0).level, 1);
    unmap(f, 0, 512);
}

/* The last large page goes, and with it all tables above: the level it stood on has none. */
static void tables_above_a_large_page(void **state)
{
    struct fixture *f = *state;
    for (u32 level = 1; level <= 2; level++) {
        map(f, PAGE_1G, PAGE_1G, PTAB_SPAN(level), RIGHT_R);
        assert_int_equal(look(f, PAGE_1G).level, level);
        unmap(f, PAGE_1G, PTAB_SPAN(level));
        ptab_reclaim(&f->p, PAGE_1G, &f->change);
        ptab_release(f->w->cpu, &f->p, &f->change, 0);
        core_settle(f->w);
        assert_int_equal(used(f), PAGE_SIZE);   /* the root */
    }
}

/* The frame of a large page looks like an empty table, and is none. */
static void a_large_page_of_zeros_stays(void **state)
{
    struct fixture *f = *state;
    memset(sim_phys(f->w->sim, 0xe00000, PAGE_SIZE), 0, PAGE_SIZE);
    map(f, PAGE_2M, 0xe00, 512, RIGHT_R);
    assert_int_equal(look(f, PAGE_2M).level, 1);
    ptab_reclaim(&f->p, PAGE_2M + 3, &f->change);
    assert_null(f->change.dead);
    assert_int_equal(look(f, PAGE_2M).frame, 0xe00);
    unmap(f, PAGE_2M, 512);
}

/* CPU 1 maps the whole large page, or splits it, at each point where it could. */
static bool splits;
static void large_hook(void *arg)
{
    struct fixture *f = arg;
    u64 done;
    if (++f->points < f->at || f->other != STATUS_COUNT || !core_unlocked(f->w))
        return;
    sim_unit_cpu(f->w->sim, 1);
    f->other = splits ? ptab_split(&f->p, PAGE_2M + 9) : ptab_map(&f->p, PAGE_2M, 0xe00, 512, RIGHT_R, &f->change, &done);
    sim_unit_cpu(f->w->sim, 0);
}

static void tidy_up(struct fixture *f)
{
    unmap(f, PAGE_2M, 512);
    ptab_reclaim(&f->p, PAGE_2M, &f->change);
    ptab_release(f->w->cpu, &f->p, &f->change, 0);
    core_settle(f->w);
    assert_int_equal(used(f), 3 * PAGE_SIZE);   /* the root, and the way to PAGE_2M + 512 */
}

static void a_large_page_appears_meanwhile(void **state)
{
    struct fixture *f = *state;
    u32 lost = 0;
    splits = false;
    map(f, PAGE_2M + 512, 512, 512, RIGHT_R);
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at++) {
        u64 done;
        f->points = 0;
        f->other = STATUS_COUNT;
        sim_unit_hook(f->w->sim, large_hook, f);
        const enum status s = ptab_map(&f->p, PAGE_2M + 3, 2000, 1, RIGHT_R, &f->change, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        const bool large = look(f, PAGE_2M).level == 1 && look(f, PAGE_2M).present;
        assert_true(s == OK ? look(f, PAGE_2M + 3).frame == 2000 : s == STATUS_EXISTS && large);
        lost += s != OK;
        tidy_up(f);
    }
    assert_true(lost > 1);
    unmap(f, PAGE_2M + 512, 512);
}

static void split_by_two(void **state)
{
    struct fixture *f = *state;
    u32 second = 0;
    splits = true;
    map(f, PAGE_2M + 512, 512, 512, RIGHT_R);
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at++) {
        map(f, PAGE_2M, 1024, 512, RIGHT_R | RIGHT_W);
        f->points = 0;
        f->other = STATUS_COUNT;
        sim_unit_hook(f->w->sim, large_hook, f);
        assert_int_equal(ptab_split(&f->p, PAGE_2M + 3), OK);
        sim_unit_hook(f->w->sim, NULL, NULL);
        second += f->other == OK;
        for (u64 i = 0; i < 512; i += 73) {
            const struct seen e = look(f, PAGE_2M + i);
            assert_true(e.present && e.level == 0);
            assert_true(is_ept(f) || !(*e.word & bit(7)));   /* of a small page: PAT */
            assert_int_equal(e.frame, 1024 + i);
        }
        tidy_up(f);
    }
    assert_true(second > 3);
    unmap(f, PAGE_2M + 512, 512);
}

TEST_GROUP(ptab_edge, EACH(behind_the_end), EACH(a_split_at_the_end), EACH(tables_above_a_large_page), EACH(a_large_page_of_zeros_stays),
           EACH(a_large_page_appears_meanwhile), EACH(split_by_two));
