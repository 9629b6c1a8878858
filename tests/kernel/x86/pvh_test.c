/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the PVH start information say what it says, and can a lie in it lead a read out of memory? */
#include "boot_fixture.h"
#include "protect.h"

enum { VERSION = 4, MODULE_COUNT = 12, MODULES = 16, LINE = 24, RSDP = 32, MAP = 40, MAP_COUNT = 48, INFO_BYTES = 56, MODULE_BYTES = 32, REGIONS = 3 };

static u64 build(u64 at)
{
    static const u64 map[REGIONS][3] = { { 0x100000, 0xf00000, 1 }, { 0, 0x9fc00, 1 }, { 0x9fc00, 0x400, 2 } };
    struct boot_writer w = boot_writer(at);
    const u64 module = at + INFO_BYTES, regions = module + MODULE_BYTES;
    const u64 words[] = { BOOT_MAGIC_PVH | 1ul << 32, 1ul << 32, module, 0, 0xe0000, regions, REGIONS, 0x300000, 0x80001, 0, 0 };
    for (u32 i = 0; i < array_size(words); i++)
        boot_put(&w, words[i], 8);
    for (u32 i = 0; i < REGIONS; i++)
        for (u32 word = 0; word < 3; word++)
            boot_put(&w, map[i][word], 8);
    return w.next;
}

static void set(u32 field, u64 value, u32 bytes)
{
    memcpy(boot_ram(BOOT_AT + field), &value, bytes);
}

static void is_understood(void **state)
{
    struct boot_info b;
    build(BOOT_AT);
    assert_null(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b));
    assert_int_equal(b.range_count, 2);
    boot_assert_range(&b, 0, 0, 0x9f000);
    boot_assert_range(&b, 1, 0x100000, 0x1000000);
    assert_int_equal(b.bundle, 0x300000);
    assert_int_equal(b.bundle_bytes, 0x80001);
    assert_int_equal(b.rsdp, 0xe0000);
    assert_int_equal(b.fair, 0);
    memcpy(boot_ram(BOOT_RAM - 6), "a b c", 6);
    set(LINE, BOOT_RAM - 6, 8);
    assert_null(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b));
    memcpy(boot_ram(BOOT_RAM - 11), "sched=fair", 11);
    set(LINE, BOOT_RAM - 11, 8);
    assert_null(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b));
    assert_int_equal(b.fair, ~0ul);
    set(LINE, 0, 8);
    set(MODULE_COUNT, 0, 4);
    assert_null(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b));
    assert_int_equal(b.bundle_bytes, 0);
}

static void a_command_line(void **state)
{
    struct boot_info b;
    build(BOOT_AT);
    assert_null(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b));
    assert_int_equal(b.protect, PROTECT_ALL);
    strcpy((char *)boot_ram(0x200000), "console mitigations=ibpb,l1d");
    set(LINE, 0x200000, 8);
    assert_null(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b));
    assert_int_equal(b.protect, PROTECT_IBPB | PROTECT_L1D);
    memcpy(boot_ram(BOOT_RAM - 15), "mitigations=off", 15);   /* memory ends before it does */
    set(LINE, BOOT_RAM - 15, 8);
    assert_string_equal(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b), "boot: the command line has no end");
}

static void lies_are_refused(void **state)
{
    static const struct {
        u32 field;
        u64 value;
        u32 bytes;
        const char *message;
    } lies[] = {
        { 0, 0x336ec579, 4, "pvh: no start information" },
        { VERSION, 0, 4, "pvh: no memory map" },
        { LINE, BOOT_RAM + 1, 8, "boot: the command line has no end" },
        { LINE, ~0ul, 8, "boot: the command line has no end" },
        { MAP_COUNT, 0, 4, "pvh: no memory map" },
        { MAP_COUNT, BOOT_ENTRIES_MAX + 1, 4, "pvh: memory map too long" },
        { MAP_COUNT, 0xffffffff, 4, "pvh: memory map too long" },
        { MAP, BOOT_RAM - 24 * REGIONS + 1, 8, "pvh: memory map outside memory" },
        { MAP, ~0ul, 8, "pvh: memory map outside memory" },
        { MODULES, BOOT_RAM - MODULE_BYTES + 1, 8, "pvh: module list outside memory" },
        { MODULES, ~0ul, 8, "pvh: module list outside memory" },
        { LINE, BOOT_RAM, 8, "boot: the command line has no end" },
        { LINE, ~0ul, 8, "boot: the command line has no end" },
        { LINE, BOOT_RAM - 1, 8, "boot: the command line has no end" },
        { INFO_BYTES, ~0ul, 8, "boot module: outside the memory the kernel can address" },
        { INFO_BYTES + 8, ~0ul, 8, "boot module: outside the memory the kernel can address" },
        { INFO_BYTES + 8, ~0ul - 0x2fffff, 8, "boot module: outside the memory the kernel can address" },
        { INFO_BYTES + 8, 0, 8, "boot module: outside the memory the kernel can address" },
        { INFO_BYTES, 0x300001, 8, "boot module: not page-aligned" },
    };
    struct boot_info b;
    *boot_ram(BOOT_RAM - 1) = 'x';
    for (u32 i = 0; i < array_size(lies); i++) {
        build(BOOT_AT);
        set(lies[i].field, lies[i].value, lies[i].bytes);
        assert_string_equal(boot_parse(BOOT_MAGIC_PVH, BOOT_AT, &b), lies[i].message);
        boot_assert_sane(&b);
    }
    assert_string_equal(boot_parse(BOOT_MAGIC_PVH, BOOT_RAM - INFO_BYTES + 1, &b), "pvh: no start information");
    assert_string_equal(boot_parse(BOOT_MAGIC_PVH, ~0ul, &b), "pvh: no start information");
}

static void damaged_structures_do_no_harm(void **state)
{
    u64 seed = 0x6f72726572795f33;
    const u64 bytes = build(BOOT_AT) - BOOT_AT, at = BOOT_RAM - bytes;
    for (u32 round = 0; round < 10000; round++) {
        struct boot_info b;
        build(at);
        for (u64 n = 1 + boot_garbage(&seed) % 4; n; n--) {
            u64 word;
            u8 *const place = boot_ram(at + boot_garbage(&seed) % (bytes / 4) * 4);
            memcpy(&word, place, 4);
            word = boot_garbage(&seed) % 2 ? boot_garbage(&seed) : word + boot_garbage(&seed) % 17 - 8;
            memcpy(place, &word, 4);
        }
        (void)boot_parse(BOOT_MAGIC_PVH, at, &b);
        boot_assert_sane(&b);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_setup, boot_teardown)
TEST_GROUP(x86_pvh, TEST(is_understood), TEST(a_command_line), TEST(lies_are_refused), TEST(damaged_structures_do_no_harm));
