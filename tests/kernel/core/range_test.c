/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a byte free after ranges were taken out exactly if it was free before and in none of them? Against a bitmap. */
#include "range.h"
#include <string.h>
#include "unit.h"

#define END 64u

static u64 map_of(const struct ranges *r)
{
    u64 map = 0;
    for (u32 i = 0; i < r->count; i++) {
        assert_true(r->range[i].start < r->range[i].end);
        for (u64 b = r->range[i].start; b < r->range[i].end; b++) {
            assert_false(map >> b & 1);
            map |= bit(b);
        }
    }
    return map;
}

static u64 span(u64 start, u64 end)
{
    u64 map = 0;
    for (u64 b = start; b < end; b++)
        map |= bit(b);
    return map;
}

static void every_hole_in_two_ranges(void **state)
{
    for (u64 start = 0; start <= END; start++)
        for (u64 end = 0; end <= END; end++) {
            struct ranges r = { .count = 2, .range = { { 8, 24 }, { 30, 50 } } };
            const u64 want = map_of(&r) & ~span(start, end);
            ranges_remove(&r, start, end);
            assert_int_equal(map_of(&r), want);
        }
}

static void a_full_list_loses_the_smaller_rest(void **state)
{
    struct ranges r = { .count = BOOT_RANGES };
    for (u64 i = 0; i < BOOT_RANGES; i++)
        r.range[i] = (struct boot_range){ i * 0x1000, i * 0x1000 + 0x800 };
    ranges_remove(&r, 0x5100, 0x5200);
    assert_int_equal(r.count, BOOT_RANGES);
    u32 found = 0;
    for (u32 i = 0; i < r.count; i++)
        found += r.range[i].start == 0x5200 && r.range[i].end == 0x5800;
    assert_int_equal(found, 1);
}

static void whole_pages_only(void **state)
{
    struct ranges r = { .count = 5, .range = { { 1, 0x2fff }, { 0x4000, 0x4fff }, { 0x5001, 0x5fff }, { ~0xffful + 1, 0 }, { ~0ul - 5, ~0ul } } };
    r.range[3] = (struct boot_range){ 0x8000, 0x9000 };
    ranges_align(&r);
    assert_int_equal(r.count, 2);
    for (u32 i = 0; i < r.count; i++)
        assert_true((r.range[i].start == 0x1000 && r.range[i].end == 0x2000) || (r.range[i].start == 0x8000 && r.range[i].end == 0x9000));
}

static void take_from_the_top_of_the_largest(void **state)
{
    struct ranges r = { .count = 3, .range = { { 0x1000, 0x4000 }, { 0x10000, 0x20000 }, { 0x30000, 0x35000 } } };
    assert_int_equal(ranges_largest(&r, ~0ul), 0x10000);
    assert_int_equal(ranges_take(&r, 0x3000, ~0ul), 0x1d000);
    assert_int_equal(ranges_take(&r, 0x3000, 0x12000), 0x1000);   /* below a limit another one is larger */
    assert_int_equal(ranges_take(&r, 0xe000, ~0ul), 0);
    assert_int_equal(ranges_take(&r, 0xd000, ~0ul), 0x10000);
    assert_int_equal(ranges_take(&r, 0, ~0ul), 0);
    assert_int_equal(r.count, 1);
}

static void an_empty_list(void **state)
{
    struct ranges r = { 0 };
    ranges_remove(&r, 0, ~0ul);
    ranges_align(&r);
    assert_int_equal(ranges_largest(&r, ~0ul), 0);
    assert_int_equal(ranges_take(&r, 1, ~0ul), 0);
}

TEST_GROUP(range, cmocka_unit_test(every_hole_in_two_ranges), cmocka_unit_test(a_full_list_loses_the_smaller_rest),
           cmocka_unit_test(whole_pages_only), cmocka_unit_test(take_from_the_top_of_the_largest), cmocka_unit_test(an_empty_list));
