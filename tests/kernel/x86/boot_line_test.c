/* SPDX-License-Identifier: BSD-2-Clause */
/* Which CPUs does a command line give fair groups, where does its trace go and what is in it, which words are refused, and is nothing read behind the line's end? */
#include "boot_fixture.h"

#define BAD "boot: sched= takes fair or fair:CPU,CPU"
#define LINE_END "boot: the command line has no end"

/* At the very end of RAM, with its NUL. */
static const char *parse(const char *text, struct boot_info *b)
{
    const u64 bytes = strlen(text) + 1;
    memcpy(boot_ram(BOOT_RAM - bytes), text, bytes);
    *b = (struct boot_info){ 0 };
    return boot_line(b, BOOT_RAM - bytes, bytes);
}

static void our_words(void **state)
{
    static const struct { const char *text; u64 fair; } rows[] = {
        { "", 0 }, { " ", 0 }, { "quiet", 0 }, { "sched", 0 }, { "schedule=fair", 0 }, { "xsched=fair", 0 }, { "x=sched=fair", 0 }, { "s", 0 },
        { "sched=fair", ~0ul }, { "  sched=fair  ", ~0ul }, { "a sched=fair b", ~0ul }, { "sched=fair:0", 1 }, { "sched=fair:63", bit(63) },
        { "sched=fair:1,3", bit(1) | bit(3) }, { "sched=fair:3,1,3", bit(1) | bit(3) }, { "sched=fair:007", bit(7) }, { "sched=fair:10", bit(10) },
        { "sched=fair sched=fair:2", bit(2) }, { "sched=fair:2 sched=fair", ~0ul }, { "sched=fair:2 sched", bit(2) },
    };
    struct boot_info b;
    for (u32 i = 0; i < array_size(rows); i++) {
        assert_null(parse(rows[i].text, &b));
        assert_int_equal(b.fair, rows[i].fair);
    }
}

static void wrong_words(void **state)
{
    static const char *const rows[] = {
        "sched=", "sched=f", "sched=fai", "sched=priority", "sched=fairy", "sched=fair,1", "sched=fair:", "sched=fair:,", "sched=fair:1,", "sched=fair:,1",
        "sched=fair:64", "sched=fair:1,64", "sched=fair:4294967296", "sched=fair:18446744073709551616", "sched=fair:-1", "sched=fair:1x", "sched=fair:1;2",
        "sched=fair:1 sched=", "sched=fair:1, 3", "sched= fair", "sched=fair:1:2", "sched=FAIR",
    };
    struct boot_info b;
    for (u32 i = 0; i < array_size(rows); i++) {
        const char *const message = parse(rows[i], &b);
        assert_non_null(message);
        assert_string_equal(message, BAD);
    }
}

static void where_the_trace_goes(void **state)
{
    static const struct { const char *text; bool memory, all; } rows[] = {
        { "", 0, 0 }, { "trace", 0, 0 }, { "tracer=memory", 0, 0 }, { "xtrace=memory", 0, 0 }, { "sched=fair", 0, 0 }, { "trace=memory", 1, 0 }, { " trace=memory ", 1, 0 },
        { "sched=fair:1 trace=memory quiet", 1, 0 }, { "trace=memory trace=memory", 1, 0 }, { "trace=all", 0, 1 }, { "quiet trace=all ", 0, 1 },
        { "trace=all trace=memory", 1, 1 }, { "trace=memory trace=all", 1, 1 }, { "tracer=all", 0, 0 },
    };
    static const char *const wrong[] = { "trace=", "trace=m", "trace=memories", "trace=memory:1", "trace=al", "trace=alle", "trace=all,memory", "trace= memory", "trace=memory trace=", "trace=MEMORY" };
    struct boot_info b;
    for (u32 i = 0; i < array_size(rows); i++) {
        assert_null(parse(rows[i].text, &b));
        assert_int_equal(b.trace_memory, rows[i].memory);
        assert_int_equal(b.trace_all, rows[i].all);
    }
    for (u32 i = 0; i < array_size(wrong); i++) {
        const char *const message = parse(wrong[i], &b);
        assert_non_null(message);
        assert_string_equal(message, "boot: trace= takes memory or all");
    }
}

static void a_line_has_an_end(void **state)
{
    struct boot_info b = { 0 };
    memset(boot_ram(BOOT_RAM - 100), 'x', 100);
    assert_string_equal(boot_line(&b, BOOT_RAM - 100, 100), LINE_END);
    assert_string_equal(boot_line(&b, BOOT_RAM - 100, ~0ul), LINE_END);
    assert_string_equal(boot_line(&b, BOOT_RAM, 1), LINE_END);
    assert_string_equal(boot_line(&b, ~0ul, ~0ul), LINE_END);
    assert_string_equal(boot_line(&b, 0, 0), LINE_END);
}

static void garbage_does_no_harm(void **state)
{
    static const char letter[] = "sched=fair:1234567890,  ";
    u64 seed = 0x6f72726572795f34;
    u32 good = 0;
    for (u32 round = 0; round < 50000; round++) {
        struct boot_info b;
        char text[40] = "sched=fair:";
        const u64 from = boot_garbage(&seed) % 12, count = boot_garbage(&seed) % 24;
        for (u64 i = 0; i < count; i++)
            text[from + i] = letter[boot_garbage(&seed) % (sizeof(letter) - 1)];
        const char *const message = parse(text, &b);
        good += !message;
        assert_true(!message || !strcmp(message, BAD));
    }
    assert_in_range(good, 1000, 49000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_setup, boot_teardown)
TEST_GROUP(x86_boot_line, TEST(our_words), TEST(wrong_words), TEST(where_the_trace_goes), TEST(a_line_has_an_end), TEST(garbage_does_no_harm));
