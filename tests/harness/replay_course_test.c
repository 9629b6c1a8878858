/* SPDX-License-Identifier: BSD-2-Clause */
/* Are turns what the trace says, vCPU by vCPU, with their values and their words, and is a trace that makes no turns refused? */
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "replay/course.h"
#include "replay_words.h"
#include "trace/writer.h"

static const struct trace_machine machine = {.version = TRACE_VERSION, .vendor = 1, .cpu_count = 2, .groups = VCPU_GROUP_ALL, .tsc_khz = 1000};

static void put(struct trace_writer *w, enum trace_id id, u32 cpu, u32 vcpu, u64 rax)
{
    struct trace_words words;
    words_long_mode(&words);
    words.word[TRACE_WORD_rax] = rax;
    assert_true(trace_write_words(w, cpu, rax, id, vcpu, words.word));
}

static void value(struct trace_writer *w, u32 cpu, u32 vcpu, u64 address)
{
    assert_true(trace_write_value(w, cpu, 0, vcpu, TRACE_VALUE_memory, address, &address, 8));
}

static struct trace_writer *begun(void)
{
    struct trace_writer *w = trace_writer_new();
    assert_non_null(w);
    assert_true(trace_write_machine(w, &machine));
    return w;
}

static void ended(struct trace_writer *w, struct trace *t)
{
    u64 count;
    assert_true(trace_write_end(w, 0));
    u8 *bytes = trace_writer_bytes(w, &count);
    assert_non_null(bytes);
    assert_true(trace_open_bytes("test", bytes, count, t));
    assert_null(t->fault.why);
    free(bytes);
    trace_writer_free(w);
}

static u64 rax(const struct course_cursor *k)
{
    return k->words.word[TRACE_WORD_rax];
}

static void turns_of_two_vcpus_are_told_apart(void **state)
{
    struct trace_writer *w = begun();
    struct trace t;
    struct course c;
    put(w, TRACE_exit, 0, 0, 10);
    put(w, TRACE_exit, 1, 1, 20);
    value(w, 0, 0, 0x1000);
    value(w, 1, 1, 0x2000);
    value(w, 0, 0, 0x1008);
    put(w, TRACE_entry, 1, 1, 21);
    put(w, TRACE_entry, 0, 0, 11);
    put(w, TRACE_exit, 0, 0, 12);
    put(w, TRACE_exit, 1, 1, 22);
    put(w, TRACE_entry, 0, 0, 13);
    ended(w, &t);
    assert_true(course_open(&c, &t));
    assert_int_equal(c.vcpus, 2);
    assert_int_equal(c.exits, 4);
    assert_int_equal(c.vcpu[0].count, 2);
    assert_int_equal(c.vcpu[1].cpu, 1);
    assert_int_equal(c.vcpu[0].turn[0].values, 2);
    assert_int_equal(c.vcpu[0].turn[1].values, 0);
    assert_int_equal(c.vcpu[1].turn[0].values, 1);
    const u64 second = c.value[c.vcpu[0].turn[0].first_value + 1];
    assert_int_equal(((const struct trace_value *)t.event[second].raw)->address, 0x1008);
    assert_int_equal(c.vcpu[1].turn[1].entry, COURSE_NONE);
    struct course_cursor k[2];
    for (u32 i = 0; i < 2; i++) {
        course_begin(&k[i], &c, i);
        assert_true(course_exit(&k[i]));
        assert_int_equal(rax(&k[i]), 10 + 10 * i);
        assert_true(course_exit(&k[i]));   /* twice is once */
        assert_int_equal(rax(&k[i]), 10 + 10 * i);
        assert_true(course_entry(&k[i]));
        assert_int_equal(rax(&k[i]), 11 + 10 * i);
        assert_true(course_exit(&k[i]));
        assert_int_equal(rax(&k[i]), 12 + 10 * i);
        assert_int_equal(k[i].turn, 1);
    }
    assert_true(course_entry(&k[0]));
    assert_int_equal(rax(&k[0]), 13);
    assert_false(course_entry(&k[1]));
    assert_int_equal(rax(&k[1]), 22);
    assert_false(course_exit(&k[0]));
    assert_false(course_exit(&k[1]));
    course_close(&c);
    trace_close(&t);
}

/* Deltas go on from the full state that the writer puts in now and then. */
static void many_turns_keep_their_words(void **state)
{
    struct trace_writer *w = begun();
    struct trace t;
    struct course c;
    struct course_cursor k;
    const u32 turns = 3 * TRACE_STATE_EVERY;
    for (u32 i = 0; i < turns; i++) {
        put(w, TRACE_exit, 0, 0, 2 * i);
        put(w, TRACE_entry, 0, 0, 2 * i + 1);
    }
    ended(w, &t);
    assert_true(course_open(&c, &t));
    course_begin(&k, &c, 0);
    for (u32 i = 0; i < turns; i++) {
        assert_true(course_exit(&k));
        assert_int_equal(rax(&k), 2 * i);
        assert_true(course_entry(&k));
        assert_int_equal(rax(&k), 2 * i + 1);
    }
    assert_int_equal(c.exits, turns);
    course_close(&c);
    trace_close(&t);
}

static void exits_without_entries_are_turns(void **state)
{
    struct trace_writer *w = begun();
    struct trace t;
    struct course c;
    struct course_cursor k;
    for (u32 i = 0; i < 3; i++)
        put(w, TRACE_exit, 0, 0, i);
    ended(w, &t);
    assert_true(course_open(&c, &t));
    course_begin(&k, &c, 0);
    for (u32 i = 0; i < 3; i++) {
        assert_true(course_exit(&k));
        assert_int_equal(rax(&k), i);
        assert_false(course_entry(&k));
    }
    assert_false(course_exit(&k));
    course_close(&c);
    trace_close(&t);
}

static void what_makes_no_turns_is_refused(void **state)
{
    struct trace_writer *w = begun();
    struct trace t;
    struct course c;
    put(w, TRACE_exit, 0, 0, 1);
    put(w, TRACE_entry, 0, 0, 2);
    put(w, TRACE_entry, 0, 0, 3);
    ended(w, &t);
    assert_false(course_open(&c, &t));
    assert_string_equal(c.why, "an entry without an exit before it");
    assert_int_equal(t.event[c.event].raw->id, TRACE_entry);
    t.lost = 1;   /* its exit may be among what was lost: the words go on, there is no turn */
    assert_true(course_open(&c, &t));
    assert_int_equal(c.vcpu[0].count, 1);
    course_close(&c);
    trace_close(&t);

    w = begun();
    put(w, TRACE_exit, 0, COURSE_VCPUS, 1);
    ended(w, &t);
    assert_false(course_open(&c, &t));
    assert_string_equal(c.why, "more vCPUs than a replay has");
    trace_close(&t);
}

#define T cmocka_unit_test
TEST_GROUP(replay_course, T(turns_of_two_vcpus_are_told_apart), T(many_turns_keep_their_words), T(exits_without_entries_are_turns),
           T(what_makes_no_turns_is_refused));
