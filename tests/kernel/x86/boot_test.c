/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the list of RAM sorted, disjoint and free of whatever firmware keeps, in any order of entries? Can a boot module be named that is not
 * ours to use? */
#include "boot_fixture.h"

#define ADD(start, end)    boot_range(&b, BOOT_PASS_ADD, start, (end) - (start), BOOT_TYPE_RAM)
#define REMOVE(start, end) boot_range(&b, BOOT_PASS_REMOVE, start, (end) - (start), 2)

static void sorts_and_merges(void **state)
{
    struct boot_info b = { 0 };
    ADD(0x300000, 0x400000);
    ADD(0x100000, 0x200000);
    assert_int_equal(b.range_count, 2);
    boot_assert_range(&b, 0, 0x100000, 0x200000);
    ADD(0x200000, 0x300000);   /* touches both */
    assert_int_equal(b.range_count, 1);
    boot_assert_range(&b, 0, 0x100000, 0x400000);
    ADD(0x180000, 0x190000);   /* inside */
    ADD(0x380000, 0x500000);   /* overlaps the end */
    assert_int_equal(b.range_count, 1);
    boot_assert_range(&b, 0, 0x100000, 0x500000);
}

static void takes_out_what_is_kept(void **state)
{
    struct boot_info b = { 0 };
    ADD(0x100000, 0x500000);
    REMOVE(0x200000, 0x300000);
    assert_int_equal(b.range_count, 2);
    boot_assert_range(&b, 0, 0x100000, 0x200000);
    boot_assert_range(&b, 1, 0x300000, 0x500000);
    REMOVE(0x1ff800, 0x300001);   /* partial pages go as a whole */
    boot_assert_range(&b, 0, 0x100000, 0x1ff000);
    boot_assert_range(&b, 1, 0x301000, 0x500000);
    REMOVE(0, 0x400000);
    assert_int_equal(b.range_count, 1);
    boot_assert_range(&b, 0, 0x400000, 0x500000);
    REMOVE(0x400000, 0x500000);
    assert_int_equal(b.range_count, 0);
}

static void each_pass_sees_its_own_type(void **state)
{
    struct boot_info b = { 0 };
    boot_range(&b, BOOT_PASS_ADD, 0x100000, 0x100000, 2);
    assert_int_equal(b.range_count, 0);
    boot_range(&b, BOOT_PASS_ADD, 0x100000, 0x100000, BOOT_TYPE_RAM);
    boot_range(&b, BOOT_PASS_REMOVE, 0x100000, 0x100000, BOOT_TYPE_RAM);
    assert_int_equal(b.range_count, 1);
}

static void rounds_to_whole_pages(void **state)
{
    struct boot_info b = { 0 };
    ADD(0x1001, 0x2fff);   /* no whole page inside */
    assert_int_equal(b.range_count, 0);
    ADD(0x1001, 0x3fff);
    boot_assert_range(&b, 0, 0x2000, 0x3000);
}

static void ends_at_the_physical_address_limit(void **state)
{
    struct boot_info b = { 0 };
    boot_range(&b, BOOT_PASS_ADD, bit(52), 0x1000, BOOT_TYPE_RAM);
    boot_range(&b, BOOT_PASS_ADD, ~0ul, ~0ul, BOOT_TYPE_RAM);
    boot_range(&b, BOOT_PASS_ADD, 0x1000, 0, BOOT_TYPE_RAM);
    assert_int_equal(b.range_count, 0);
    boot_range(&b, BOOT_PASS_ADD, bit(52) - 0x2000, ~0ul, BOOT_TYPE_RAM);
    boot_assert_range(&b, 0, bit(52) - 0x2000, bit(52));
    boot_range(&b, BOOT_PASS_REMOVE, 1, ~0ul, 2);
    assert_int_equal(b.range_count, 0);
}

static void a_full_list_drops_memory_and_nothing_else(void **state)
{
    struct boot_info b = { 0 };
    for (u64 i = 0; i < BOOT_RANGES + 5; i++)
        ADD(i * 0x10000, i * 0x10000 + 0x4000);
    assert_int_equal(b.range_count, BOOT_RANGES);
    boot_assert_sane(&b);
    /* A split needs a slot that is not there: the upper part is given up, never what was to go. */
    REMOVE(0x1000, 0x2000);
    assert_int_equal(b.range_count, BOOT_RANGES);
    boot_assert_range(&b, 0, 0, 0x1000);
    boot_assert_range(&b, 1, 0x10000, 0x14000);
}

/* Against a bitmap of pages. */
static void agrees_with_a_bitmap(void **state)
{
    u64 seed = 0x6f72726572795f31;
    for (u32 round = 0; round < 2000; round++) {
        struct boot_info b = { 0 };
        u64 pages = 0;
        for (u32 i = 0; i < 12; i++) {
            const u64 first = boot_garbage(&seed) % 60, count = 1 + boot_garbage(&seed) % (60 - first), mask = (bit(count) - 1) << first;
            const bool add = i < 8;
            boot_range(&b, add ? BOOT_PASS_ADD : BOOT_PASS_REMOVE, first << 12, count << 12, add ? BOOT_TYPE_RAM : 2);
            pages = add ? pages | mask : pages & ~mask;
        }
        boot_assert_sane(&b);
        for (u32 i = 0; i < b.range_count; i++)
            for (u64 p = b.range[i].start >> 12; p < b.range[i].end >> 12; p++)
                pages ^= bit(p);
        assert_int_equal(pages, 0);
    }
}

static void takes_a_module_that_is_free_memory(void **state)
{
    struct boot_info b = { 0 };
    assert_null(boot_bundle(&b, 0x200000, 0x200001));
    assert_int_equal(b.bundle, 0x200000);
    assert_int_equal(b.bundle_bytes, 1);
    assert_null(boot_bundle(&b, BOOT_RAM - PAGE_SIZE, BOOT_RAM));
}

static void refuses_any_other_module(void **state)
{
    u64 start, end;
    struct boot_info b = { 0 };
    assert_non_null(boot_bundle(&b, 0x200000, 0x200000));
    assert_non_null(boot_bundle(&b, 0x200000, 0x1ff000));
    assert_non_null(boot_bundle(&b, 0x200800, 0x300000));
    assert_non_null(boot_bundle(&b, BOOT_RAM - PAGE_SIZE, BOOT_RAM + 1));
    assert_non_null(boot_bundle(&b, BOOT_RAM, BOOT_RAM + PAGE_SIZE));
    assert_non_null(boot_bundle(&b, 0, ~0ul));
    assert_true(mach_reserved(0, &start, &end));
    assert_non_null(boot_bundle(&b, align_down(end - 1, PAGE_SIZE), end + PAGE_SIZE));
    assert_int_equal(b.bundle | b.bundle_bytes, 0);
}

static void views_stay_inside_memory(void **state)
{
    assert_non_null(boot_view(BOOT_RAM - 4, 4));
    assert_null(boot_view(BOOT_RAM - 4, 5));
    assert_null(boot_view(~0ul, 2));
    assert_null(boot_view(2, ~0ul));
    assert_null(boot_view(BOOT_RAM + 1, 0));
}

static void knows_its_protocols(void **state)
{
    struct boot_info b;
    assert_string_equal(boot_parse(0x12345678, 0, &b), "boot: unknown boot protocol");
    assert_string_equal(boot_parse(BOOT_MAGIC_AP, 0, &b), "boot: unknown boot protocol");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_setup, boot_teardown)
TEST_GROUP(x86_boot, TEST(sorts_and_merges), TEST(takes_out_what_is_kept), TEST(each_pass_sees_its_own_type), TEST(rounds_to_whole_pages),
           TEST(ends_at_the_physical_address_limit), TEST(a_full_list_drops_memory_and_nothing_else), TEST(agrees_with_a_bitmap),
           TEST(takes_a_module_that_is_free_memory), TEST(refuses_any_other_module), TEST(views_stay_inside_memory),
           TEST(knows_its_protocols));
