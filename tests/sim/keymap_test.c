/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the map hold what was put in, no more, and nothing after it was emptied? */
#include "unit.h"
#include "keymap.h"

static void holds_what_was_put_in(void **state)
{
    struct keymap m;
    assert_true(keymap_create(&m, 7));
    for (u32 round = 0; round < 3; round++) {
        for (u64 i = 0; i < 96; i++) {
            const u64 key = i * 0x1000000040ul;            /* far apart, many in one place */
            assert_null(keymap_find(&m, key));
            u32 *value = keymap_take(&m, key);
            assert_int_equal(*value, 0);
            *value = (u32)i + 1;
        }
        assert_null(keymap_take(&m, 5));               /* full */
        for (u64 i = 0; i < 96; i++)
            assert_int_equal(*keymap_take(&m, i * 0x1000000040ul), i + 1);
        if (round == 0)
            m.version = ~0u;                               /* the next emptying wraps */
        keymap_empty(&m);
    }
    keymap_destroy(&m);
}

static void sum(void *arg, u32 value)
{
    *(u32 *)arg += value;
}

static void clears_a_range(void **state)
{
    struct keymap m;
    assert_true(keymap_create(&m, 10));
    for (u64 i = 0; i < 100; i++)
        *keymap_take(&m, 1000 + i) = 1;
    u32 gone = 0;
    keymap_clear(&m, 1010, 1020, sum, &gone);
    assert_int_equal(gone, 10);
    keymap_clear(&m, 0, 1030, sum, &gone);
    assert_int_equal(gone, 30);
    keymap_clear(&m, 0, 1030, sum, &gone);
    assert_int_equal(gone, 30);
    assert_int_equal(*keymap_find(&m, 1029), 0);
    assert_int_equal(*keymap_find(&m, 1030), 1);
    keymap_clear(&m, 0, ~0ul, NULL, NULL);
    assert_int_equal(*keymap_find(&m, 1099), 0);
    keymap_destroy(&m);
}

TEST_GROUP(keymap, cmocka_unit_test(holds_what_was_put_in), cmocka_unit_test(clears_a_range));
