/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the answerers stay in bounds, repeat themselves by seed, and play a list back exactly? */
#include "unit.h"
#include "choose.h"

static u32 ask(struct chooser *c, u32 bound, enum choice_kind kind)
{
    return c->choose(c, bound, kind);
}

static void straight_is_zero(void **state)
{
    struct choose_straight c;
    choose_straight(&c);
    for (u32 kind = 0; kind < CHOICE_KINDS; kind++)
        assert_int_equal(ask(&c.chooser, 5, kind), 0);
}

static void random_is_in_bounds_and_covers_them(void **state)
{
    struct choose_random c;
    choose_random(&c, 1);
    for (u32 bound = 2; bound < 20; bound++) {
        u32 seen[20] = { 0 };
        for (u32 i = 0; i < 4000; i++) {
            const u32 answer = ask(&c.chooser, bound, CHOICE_STEP);
            assert_true(answer < bound);
            seen[answer]++;
        }
        for (u32 i = 0; i < bound; i++)
            assert_true(seen[i] > 0);
        assert_in_range(seen[0], 3000, 3400);   /* 800 of a thousand stay with the default */
    }
}

static void random_repeats_by_seed(void **state)
{
    struct choose_random a, b, other;
    choose_random(&a, 7);
    choose_random(&b, 7);
    choose_random(&other, 8);
    u32 differ = 0;
    for (u32 i = 0; i < 1000; i++) {
        const u32 answer = ask(&a.chooser, 10, CHOICE_STEP);
        assert_int_equal(answer, ask(&b.chooser, 10, CHOICE_STEP));
        differ += answer != ask(&other.chooser, 10, CHOICE_STEP);
    }
    assert_true(differ > 100);
}

static void random_makes_no_faults_unless_told(void **state)
{
    struct choose_random c;
    choose_random(&c, 3);
    for (u32 i = 0; i < 1000; i++)
        assert_int_equal(ask(&c.chooser, 2, CHOICE_FAULT), 0);
    c.per_mille[CHOICE_FAULT] = 1000;
    assert_int_equal(ask(&c.chooser, 2, CHOICE_FAULT), 1);
}

static void a_list_is_played_back(void **state)
{
    static const u32 answers[] = { 3, 1, 4, 5 };
    struct choose_list c;
    choose_list(&c, answers, array_size(answers));
    assert_int_equal(ask(&c.chooser, 4, CHOICE_STEP), 3);
    assert_int_equal(ask(&c.chooser, 2, CHOICE_FAULT), 1);
    assert_int_equal(ask(&c.chooser, 4, CHOICE_STEP), 0);   /* 4 of 4 does not fit */
    assert_int_equal(c.misfits, 1);
    assert_int_equal(ask(&c.chooser, 9, CHOICE_STEP), 5);
    assert_int_equal(ask(&c.chooser, 9, CHOICE_STEP), 0);   /* the end */
    assert_int_equal(c.next, 4);
}

static void a_recording_counts_what_it_cannot_keep(void **state)
{
    static const u32 answers[] = { 1, 2, 3 };
    struct choose_list from;
    struct choose_record c;
    u32 kept[2] = { 0 };
    choose_list(&from, answers, 3);
    choose_record(&c, &from.chooser, kept, 2);
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(ask(&c.chooser, 4, CHOICE_STEP), answers[i]);
    assert_int_equal(kept[0] * 10 + kept[1], 12);
    assert_int_equal(c.count, 3);
}

TEST_GROUP(choose, cmocka_unit_test(straight_is_zero), cmocka_unit_test(random_is_in_bounds_and_covers_them),
           cmocka_unit_test(random_repeats_by_seed), cmocka_unit_test(random_makes_no_faults_unless_told),
           cmocka_unit_test(a_list_is_played_back), cmocka_unit_test(a_recording_counts_what_it_cannot_keep));
