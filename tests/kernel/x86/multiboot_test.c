/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a multiboot2 structure say what it says, and can a lie in a size, a count or a pointer lead a read out of the structure or out of
 * memory? */
#include "boot_fixture.h"
#include "protect.h"

static void put32(u64 at, u32 field, u32 value)
{
    memcpy(boot_ram(at + field), &value, 4);
}

static u64 tag_begin(struct boot_writer *w, u32 type)
{
    boot_align(w, 8);
    const u64 at = w->next;
    boot_put(w, type, 4);
    boot_put(w, 0, 4);
    return at;
}

static void tag_end(const struct boot_writer *w, u64 at)
{
    const u32 bytes = (u32)(w->next - at);
    memcpy(boot_ram(at + 4), &bytes, 4);
}

struct mb2 {
    u64 end, line, map, module, rsdp;   /* physical addresses of the tags */
};

static struct mb2 mb2_build(u64 at, u32 entry_bytes)
{
    static const u64 map[][3] = { { 0x80000, 0x80000, 2 }, { 0, 0x9f000, 1 }, { 0x100000, 0xf00000, 1 }, { 0x9f000, 0x1000, 2 } };
    struct mb2 m;
    struct boot_writer w = boot_writer(at);
    boot_put(&w, 0, 8);
    m.line = tag_begin(&w, 1);   /* command line, of odd length */
    boot_put_text(&w, "sched=fair:1");
    boot_put(&w, 0, 1);
    tag_end(&w, m.line);
    m.rsdp = tag_begin(&w, 15);
    boot_put_text(&w, "RSD PTR ");
    tag_end(&w, m.rsdp);
    m.module = tag_begin(&w, 3);
    boot_put(&w, 0x300000, 4);
    boot_put(&w, 0x380001, 4);
    tag_end(&w, m.module);
    m.map = tag_begin(&w, 6);
    boot_put(&w, entry_bytes, 4);
    boot_put(&w, 0, 4);
    for (u32 i = 0; i < array_size(map); i++) {
        for (u32 word = 0; word < 3; word++)
            boot_put(&w, map[i][word], 8);
        w.next += entry_bytes - 24;
    }
    tag_end(&w, m.map);
    const u64 tag = tag_begin(&w, 0);
    tag_end(&w, tag);
    m.end = w.next;
    const u32 bytes = (u32)(m.end - at);
    memcpy(boot_ram(at), &bytes, 4);
    return m;
}

static const char *mb2_parse(struct boot_info *b)
{
    return boot_parse(BOOT_MAGIC_MULTIBOOT2, BOOT_AT, b);
}

static void multiboot2_is_understood(void **state)
{
    struct boot_info b;
    for (u32 entry_bytes = 24; entry_bytes <= 40; entry_bytes += 8) {
        const struct mb2 m = mb2_build(BOOT_AT, entry_bytes);
        assert_null(mb2_parse(&b));
        assert_int_equal(b.rsdp, m.rsdp + 8);
        assert_int_equal(b.range_count, 2);
        boot_assert_range(&b, 0, 0, 0x80000);
        boot_assert_range(&b, 1, 0x100000, 0x1000000);
        assert_int_equal(b.bundle, 0x300000);
        assert_int_equal(b.bundle_bytes, 0x80001);
        assert_int_equal(b.fair, bit(1));
    }
}

static void multiboot2_has_a_command_line(void **state)
{
    static const char *const lines[] = { "mitigations=verw", "mitigations=of" };
    for (u32 i = 0; i < array_size(lines); i++) {
        struct boot_info b;
        const struct mb2 m = mb2_build(BOOT_AT, 24);
        struct boot_writer w = boot_writer(m.end - 8);
        u64 tag = tag_begin(&w, 1);
        boot_put_text(&w, lines[i]);
        boot_put(&w, 0, 1);
        tag_end(&w, tag);
        tag = tag_begin(&w, 0);
        tag_end(&w, tag);
        put32(BOOT_AT, 0, (u32)(w.next - BOOT_AT));
        const char *const error = mb2_parse(&b);
        if (i)
            assert_string_equal(error, "command line: mitigations= takes off, auto, or a list of ibpb, verw, l1d");
        else
            assert_true(!error && b.protect == PROTECT_VERW);
    }
}

/* The bundle is the first module; a new RSDP wins over an old one, whatever the order. */
static void multiboot2_takes_the_first_module_and_the_new_rsdp(void **state)
{
    struct boot_info b;
    struct mb2 m = mb2_build(BOOT_AT, 24);
    struct boot_writer w = boot_writer(m.end - 8);
    u64 tag = tag_begin(&w, 3);
    boot_put(&w, 0x500000, 4);
    boot_put(&w, 0x501000, 4);
    tag_end(&w, tag);
    const u64 old = tag_begin(&w, 14);
    boot_put_text(&w, "RSD PTR ");
    tag_end(&w, old);
    tag = tag_begin(&w, 0);
    tag_end(&w, tag);
    put32(BOOT_AT, 0, (u32)(w.next - BOOT_AT));
    assert_null(mb2_parse(&b));
    assert_int_equal(b.bundle, 0x300000);
    assert_int_equal(b.rsdp, m.rsdp + 8);
    put32(m.rsdp, 0, 99);
    assert_null(mb2_parse(&b));
    assert_int_equal(b.rsdp, old + 8);
}

static void multiboot2_lies_are_refused(void **state)
{
    struct boot_info b;
    struct mb2 m;
#define LIE(at, field, value, message)                                                                                 \
    m = mb2_build(BOOT_AT, 24);                                                                                        \
    put32(at, field, value);                                                                                         \
    assert_string_equal(mb2_parse(&b), message);                                                                       \
    boot_assert_sane(&b)
    LIE(BOOT_AT, 0, 0xffffffff, "multiboot2: information outside memory");
    LIE(BOOT_AT, 0, 0, "multiboot2: a tag leaves the structure");
    LIE(BOOT_AT, 0, (u32)(m.end - BOOT_AT - 8), "multiboot2: a tag leaves the structure");
    LIE(m.map, 4, 15, "multiboot2: memory map too small");
    LIE(m.map, 4, 7, "multiboot2: a tag leaves the structure");
    LIE(m.map, 4, 0, "multiboot2: a tag leaves the structure");
    LIE(m.map, 4, 0xffffffff, "multiboot2: a tag leaves the structure");
    LIE(m.map, 8, 0, "multiboot2: memory map too small");
    LIE(m.map, 8, 23, "multiboot2: memory map too small");
    LIE(m.line, 4, 8, "boot: the command line has no end");
    LIE(m.line, 4, 20, "boot: the command line has no end");
    LIE(m.line, 16, 0x21, "boot: sched= takes fair or fair:CPU,CPU");
    LIE(m.module, 4, 15, "multiboot2: module tag too small");
    LIE(m.module, 12, 0xffffffff, "boot module: outside the memory the kernel can address");
#undef LIE
    assert_string_equal(boot_parse(BOOT_MAGIC_MULTIBOOT2, BOOT_RAM - 7, &b), "multiboot2: information outside memory");
}

/* Whatever stands behind the stated size: it changes nothing. */
static void multiboot2_reads_nothing_behind_its_size(void **state)
{
    const u32 bytes = (u32)(mb2_build(BOOT_AT, 24).end - BOOT_AT);
    for (u32 cut = 0; cut < bytes; cut++) {
        struct boot_info b[2];
        const char *message[2];
        for (u32 i = 0; i < 2; i++) {
            mb2_build(BOOT_AT, 24);
            put32(BOOT_AT, 0, cut);
            if (cut >= 8)
                memset(boot_ram(BOOT_AT + cut), i ? 0xff : 0, bytes - cut);
            message[i] = mb2_parse(&b[i]);
        }
        assert_non_null(message[0]);
        if (cut >= 8) {
            assert_ptr_equal(message[0], message[1]);
            assert_memory_equal(&b[0], &b[1], sizeof(b[0]));
        }
    }
}

static void multiboot2_has_a_bound(void **state)
{
    struct boot_info b;
    struct boot_writer w = boot_writer(BOOT_AT);
    boot_put(&w, 0x100000, 8);
    for (u32 i = 0; i < 2 * BOOT_ENTRIES_MAX; i++)
        tag_end(&w, tag_begin(&w, 99));
    assert_string_equal(mb2_parse(&b), "multiboot2: too many tags");
    const struct mb2 m = mb2_build(BOOT_AT, 24);
    put32(BOOT_AT, 0, 0x100000);
    put32(m.map, 4, 16 + 24 * (BOOT_ENTRIES_MAX + 1));
    assert_string_equal(mb2_parse(&b), "multiboot2: memory map too long");
}

/* Garbage in the right place, at the end of RAM. */
static void damaged_structures_do_no_harm(void **state)
{
    u64 seed = 0x6f72726572795f32;
    for (u32 round = 0; round < 20000; round++) {
        struct boot_info b;
        const u64 bytes = mb2_build(BOOT_AT, 24).end - BOOT_AT, at = BOOT_RAM - bytes;
        mb2_build(at, 24);
        for (u64 n = 1 + boot_garbage(&seed) % 4; n; n--) {
            const u64 field = at + boot_garbage(&seed) % (bytes / 4) * 4, kind = boot_garbage(&seed) % 3, old = *(u32 *)boot_ram(field);
            put32(field, 0, (u32)(kind == 0 ? boot_garbage(&seed) : kind == 1 ? old + boot_garbage(&seed) % 17 - 8 : 0xffffffff));
        }
        (void)boot_parse(BOOT_MAGIC_MULTIBOOT2, at, &b);
        boot_assert_sane(&b);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_setup, boot_teardown)
TEST_GROUP(x86_multiboot, TEST(multiboot2_is_understood), TEST(multiboot2_has_a_command_line), TEST(multiboot2_takes_the_first_module_and_the_new_rsdp),
           TEST(multiboot2_lies_are_refused), TEST(multiboot2_reads_nothing_behind_its_size), TEST(multiboot2_has_a_bound),
           TEST(damaged_structures_do_no_harm));
