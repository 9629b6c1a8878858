/* SPDX-License-Identifier: BSD-2-Clause */
/* Is what was written what is read, event by event and word by word, as one stream and as a folder, and again after it was rewritten? */
#define _GNU_SOURCE
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "trace_made.h"

static void folder_remove(const char *folder)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void words_written_are_read(void **state)
{
    struct trace_writer *const w = trace_writer_new();
    static u64 word[40][TRACE_WORDS];
    const struct trace_machine machine = { .version = TRACE_VERSION, .cpu_count = 1, .groups = 5 };
    u64 r = 1, count;
    assert_true(trace_write_machine(w, &machine));
    for (u32 i = 0; i < 40; i++) {
        for (u32 k = 0; k < TRACE_WORDS; k++)
            word[i][k] = i && made_random(&r) % 4 ? word[i - 1][k] : made_word(&r);
        assert_true(trace_write_words(w, 0, 10 * i, i % 2 ? TRACE_entry : TRACE_exit, 3, word[i]));
    }
    assert_true(trace_write_value(w, 0, 400, 3, TRACE_VALUE_port_in, 0x3f8, "abc", 3));
    assert_true(trace_write_end(w, 7));
    u8 *const bytes = trace_writer_bytes(w, &count);
    struct trace t;
    assert_true(trace_open_bytes("made", bytes, count, &t));
    assert_true(trace_whole(&t));
    assert_int_equal(t.count, 1 + 1 + 40 + 2);   /* one `state` more */
    assert_int_equal(t.exits, 20);
    assert_int_equal(t.vcpus, 4);
    assert_int_equal(t.machine.groups, 5);
    struct trace_words *const words = trace_words_new(&t);
    for (u32 i = 0; i < 40; i++) {
        if (i == 0)
            assert_true(trace_words_apply(&words[3], &t.event[1]));
        assert_true(trace_words_apply(&words[3], &t.event[2 + i]));
        assert_memory_equal(words[3].word, word[i], sizeof(word[i]));
        assert_int_equal(t.event[2 + i].tsc, 10 * i);
    }
    const struct trace_value *const v = (const struct trace_value *)t.event[42].raw;
    const struct trace_tail tail = trace_tail(t.event[42].raw);
    assert_true(v->kind == TRACE_VALUE_port_in && v->address == 0x3f8 && tail.bytes == 3 && memcmp(tail.data, "abc", 3) == 0);
    assert_int_equal(((const struct trace_end *)t.event[43].raw)->code, 7);
    free(words);
    trace_close(&t);
    trace_writer_free(w);
    free(bytes);
}

/* Made with and without several CPUs; then as a folder, split, and rewritten. */
static void any_trace_survives(void **state)
{
    for (u64 seed = 1; seed < 12; seed++) {
        char folder[] = "/tmp/orrery-trace-XXXXXX";
        const u32 cpus = 1 + (u32)seed % 4;
        u64 count;
        struct trace_writer *const w = made_trace(seed, cpus, 2 * cpus, 4000);
        u8 *const bytes = trace_writer_bytes(w, &count);
        struct trace one, many, split, again;
        assert_non_null(mkdtemp(folder));
        assert_true(trace_open_bytes("made", bytes, count, &one));
        assert_true(trace_whole(&one));
        assert_true(one.count > 4000 && one.exits > 1000);
        const u64 hash = made_hash(&one);
        assert_true(trace_writer_save(w, folder, NULL));
        assert_true(trace_open(folder, &many));
        assert_true(trace_whole(&many) && many.source_count == cpus && many.count == one.count);
        assert_true(made_hash(&many) == hash);
        assert_true(trace_split(&one, folder, NULL));   /* over the one before */
        assert_true(trace_open(folder, &split));
        assert_true(trace_whole(&split) && split.source_count == cpus && made_hash(&split) == hash);
        struct trace_writer *const copy = made_again(&one);
        u8 *const copied = trace_writer_bytes(copy, &count);
        assert_true(trace_open_bytes("again", copied, count, &again));
        assert_true(trace_whole(&again) && made_hash(&again) == hash);
        trace_close(&one);
        trace_close(&many);
        trace_close(&split);
        trace_close(&again);
        trace_writer_free(w);
        trace_writer_free(copy);
        free(bytes);
        free(copied);
        folder_remove(folder);
    }
}

static void a_folder_holds_one_trace(void **state)
{
    char folder[] = "/tmp/orrery-trace-XXXXXX";
    assert_non_null(mkdtemp(folder));
    for (u32 i = 0; i < 2; i++) {
        const u32 cpus = i ? 1 : 3;
        struct trace_writer *const w = made_trace(cpus, cpus, 3, 300);
        struct trace t;
        assert_true(trace_writer_save(w, folder, NULL));
        assert_true(trace_open(folder, &t));
        assert_true(trace_whole(&t) && t.source_count == cpus);
        trace_close(&t);
        trace_writer_free(w);
    }
    folder_remove(folder);
}

/* And says all that is not 0, also what has just become 0. */
static void a_period_begins_with_a_state(void **state)
{
    enum { EXITS = 3 * TRACE_STATE_EVERY };
    static u64 word[2 * EXITS][TRACE_WORDS];
    struct trace_writer *const w = trace_writer_new();
    u64 r = 2, count, states = 0, next = 0;
    for (u32 i = 0; i < 2 * EXITS; i++) {
        for (u32 k = 0; k < TRACE_WORDS; k++)
            word[i][k] = i && made_random(&r) % 2 ? word[i - 1][k] : made_word(&r);
        assert_true(trace_write_words(w, 0, i, i % 2 ? TRACE_entry : TRACE_exit, 0, word[i]));
    }
    u8 *const bytes = trace_writer_bytes(w, &count);
    struct trace t;
    assert_true(trace_open_bytes("made", bytes, count, &t));
    struct trace_words *const words = trace_words_new(&t);
    for (u64 i = 0; i < t.count; i++) {
        assert_true(trace_words_apply(words, &t.event[i]));
        if (t.event[i].raw->id == TRACE_state)
            assert_int_equal(next, 2 * TRACE_STATE_EVERY * states++);
        assert_memory_equal(words->word, word[next], sizeof(word[next]));
        next += t.event[i].raw->id != TRACE_state;
    }
    assert_true(states == 3 && next == 2 * EXITS);
    free(words);
    trace_close(&t);
    trace_writer_free(w);
    free(bytes);
}

static void what_cannot_be_written_is_refused(void **state)
{
    static const u8 data[25];
    u64 word[TRACE_WORDS] = { 0 }, count;
    struct trace_writer *w[3] = { trace_writer_new(), trace_writer_new(), trace_writer_new() };
    assert_false(trace_write_value(w[0], 0, 0, 0, TRACE_VALUE_memory, 0, data, sizeof(data)));
    assert_false(trace_write_words(w[1], TRACE_CPUS, 0, TRACE_exit, 0, word));
    assert_false(trace_write_words(w[2], 0, 0, TRACE_value, 0, word));
    for (u32 i = 0; i < 3; i++) {
        assert_false(trace_write_end(w[i], 0));   /* and from then on all */
        assert_null(trace_writer_bytes(w[i], &count));
        trace_writer_free(w[i]);
    }
}

static void time_does_not_go_back(void **state)
{
    struct trace_writer *const w = trace_writer_new();
    u64 word[TRACE_WORDS] = { 0 }, count;
    const u64 times[] = { 100, 50, 200, 1ul << 40, 1ul << 39 }, raised[] = { 100, 100, 100, 200, 1ul << 40, 1ul << 40 };
    for (u32 i = 0; i < array_size(times); i++)
        assert_true(trace_write_words(w, 0, times[i], TRACE_exit, 0, word));
    u8 *const bytes = trace_writer_bytes(w, &count);
    struct trace t;
    assert_true(trace_open_bytes("made", bytes, count, &t));
    assert_int_equal(t.count, array_size(raised));
    for (u32 i = 0; i < t.count; i++)
        assert_int_equal(t.event[i].tsc, raised[i]);
    trace_close(&t);
    trace_writer_free(w);
    free(bytes);
}

TEST_GROUP(trace_writer, cmocka_unit_test(words_written_are_read), cmocka_unit_test(any_trace_survives), cmocka_unit_test(a_folder_holds_one_trace),
           cmocka_unit_test(a_period_begins_with_a_state), cmocka_unit_test(what_cannot_be_written_is_refused), cmocka_unit_test(time_does_not_go_back));
