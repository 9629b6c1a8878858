/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a trace replay without its VMM, on the machine it comes from and on the other, and is whatever is not as recorded named: which exit, which field? */
#include <stdlib.h>
#include <string.h>
#include "unit.h"
#include "answer_made.h"
#include "replay/answer.h"
#include "trace/writer.h"

#define EXITS 60u

/* What an event is before it is written again. False: it is left out. */
typedef bool (*change)(u32 exit, enum trace_id id, u64 *word);

static u32 cpus_made = ~0u;   /* CPUs of the trace that is written: those of the recording share them */
static u32 exits_made = EXITS;

static void exits_again(struct trace_writer *w, const struct trace *t, change f)
{
    struct trace_words *const words = trace_words_new(t);
    u32 exits[COURSE_VCPUS] = { 0 };
    for (u64 i = 0; i < t->count; i++) {
        const u32 vcpu = trace_vcpu(&t->event[i]), id = t->event[i].raw->id;
        u64 word[TRACE_WORDS];
        if (id != TRACE_state && id != TRACE_exit && id != TRACE_entry)
            continue;
        assert_true(trace_words_apply(&words[vcpu], &t->event[i]));
        memcpy(word, words[vcpu].word, sizeof(word));
        if (id != TRACE_state && (!f || f(exits[vcpu], id, word)))
            assert_true(trace_write_words(w, t->event[i].cpu % cpus_made, t->event[i].tsc, id, vcpu, word));
        exits[vcpu] += id == TRACE_entry;
    }
    free(words);
}

/* A trace of `from`, changed, replayed on `to`. */
static struct answer_result replayed(enum sim_vendor from, u32 vcpus, change f, struct answer_options o)
{
    struct trace t, changed;
    struct course c;
    struct answer_result r;
    u64 count;
    u8 *bytes = answer_made(from, vcpus, exits_made, &count);
    assert_true(trace_open_bytes("made", bytes, count, &t));
    free(bytes);
    struct trace_writer *const w = trace_writer_new();
    assert_true(trace_write_machine(w, &t.machine));
    exits_again(w, &t, f);
    assert_true(trace_write_end(w, 0));
    bytes = trace_writer_bytes(w, &count);
    assert_true(trace_open_bytes("changed", bytes, count, &changed));
    assert_true(course_open(&c, &changed));
    answer_run(&c, &o, &r);
    course_close(&c);
    trace_close(&changed);
    trace_close(&t);
    trace_writer_free(w);
    free(bytes);
    return r;
}

static void expect(const struct answer_result *r, enum answer_end end, u64 exits, u64 skipped, u64 differences)
{
    char text[200] = "";
    if (r->differences)
        difference_print(&r->first, r->first_exit, r->first_vcpu, text, sizeof(text));
    if (r->end != end || r->exits != exits || r->skipped != skipped || r->differences != differences)
        fail_msg("end %d exits %lu skipped %lu differences %lu: %s%s", r->end, r->exits, r->skipped, r->differences, r->message, text);
}

#define FOR_BOTH(from, to) \
    for (enum sim_vendor from = SIM_VMX; from <= SIM_SVM; from++) \
        for (enum sim_vendor to = SIM_VMX; to <= SIM_SVM; to++)

static void nothing_differs(void **state)
{
    FOR_BOTH(from, to) {
        const struct answer_result r = replayed(from, 1, NULL, (struct answer_options){ .vendor = to });
        expect(&r, ANSWER_DONE, EXITS, 0, 0);
    }
}

static void runs_are_equal(void **state)
{
    const struct answer_options o = { .vendor = SIM_SVM };
    const struct answer_result a = replayed(SIM_VMX, 2, NULL, o), b = replayed(SIM_VMX, 2, NULL, o);
    assert_int_equal(a.event_hash, b.event_hash);
}

static void many_vcpus(void **state)
{
    FOR_BOTH(from, to) {
        const struct answer_result r = replayed(from, 5, NULL, (struct answer_options){ .vendor = to });
        expect(&r, ANSWER_DONE, 5 * EXITS, 0, 0);
    }
    const struct answer_result r = replayed(SIM_VMX, 64, NULL, (struct answer_options){ .vendor = SIM_SVM });
    expect(&r, ANSWER_DONE, 64 * EXITS, 0, 0);
}

/* Which of them runs says what it was resumed from. */
static void share_a_cpu(void **state)
{
    FOR_BOTH(from, to) {
        cpus_made = 2;
        exits_made = 10 * EXITS;   /* longer than a budget */
        const struct answer_result r = replayed(from, 5, NULL, (struct answer_options){ .vendor = to });
        cpus_made = ~0u;
        exits_made = EXITS;
        expect(&r, ANSWER_DONE, 50 * EXITS, 0, 0);
    }
}

/* The recording's guest ran before each kick. */
static bool other_guest(u32 exit, enum trace_id id, u64 *word)
{
    static bool kicked;
    if (id == TRACE_exit)
        kicked = (u32)word[TRACE_WORD_reason_and_length] == VCPU_EXIT_KICKED;
    if (kicked) {
        word[TRACE_WORD_r9] ^= 0x5000;
        word[TRACE_WORD_es_base] ^= 0x1000;
    }
    return true;
}

static void guests_that_went_on(void **state)
{
    FOR_BOTH(from, to) {
        const struct answer_result r = replayed(from, 1, other_guest, (struct answer_options){ .vendor = to });
        expect(&r, ANSWER_DONE, EXITS, 0, 0);
    }
}

/* ---- Differences ---- */

static struct { u32 exit, word; enum trace_id id; u64 flip; } flipped;

static bool flip(u32 exit, enum trace_id id, u64 *word)
{
    if (exit == flipped.exit && id == flipped.id)
        word[flipped.word] ^= flipped.flip;
    return true;
}

static void each_is_named(void **state)
{
    static const struct { u32 exit, word; enum trace_id id; u64 flip; const char *line; } rows[] = {
        { 1, TRACE_WORD_rax, TRACE_exit, 1, "exit 1 vcpu 0: resume: field rax recorded 0x0 got 0x1" },
        { 1, TRACE_WORD_reason_and_length, TRACE_exit, VCPU_EXIT_IO ^ VCPU_EXIT_STARTUP, "exit 1 vcpu 0: exit: field reason recorded STARTUP got none" },
        { 5, TRACE_WORD_dirty_and_want, TRACE_entry, VCPU_GROUP_RIP, "exit 5 vcpu 0: resume: field rip recorded 0x10096 got 0x10094" },
        { 5, TRACE_WORD_dirty_and_want, TRACE_entry, VCPU_GROUP_INJECT, "exit 6 vcpu 0: exit: field reason recorded INTR_WINDOW got none" },
        { 2, TRACE_WORD_dirty_and_want, TRACE_entry, VCPU_GROUP_CONTROL, "exit 2 vcpu 0: resume: field exceptions recorded 0x40 got 0x0" },
    };
    FOR_BOTH(from, to)
        for (u32 i = 0; i < array_size(rows); i++) {
            char text[200] = "none";
            flipped.exit = rows[i].exit, flipped.word = rows[i].word, flipped.id = rows[i].id, flipped.flip = rows[i].flip;
            const struct answer_result r = replayed(from, 1, flip, (struct answer_options){ .vendor = to });
            if (r.differences)
                difference_print(&r.first, r.first_exit, r.first_vcpu, text, sizeof(text));
            assert_string_equal(text, rows[i].line);
            assert_int_equal(r.end, ANSWER_DIFFERS);
            assert_int_equal(r.differences, 1);
        }
}

/* One that is wrong ends a strict replay; the others go on with what was recorded. */
static bool some_wrong(u32 exit, enum trace_id id, u64 *word)
{
    if (exit % 20 == 1 && id == TRACE_exit)
        word[TRACE_WORD_rax]++;
    return true;
}

static u32 told;

static void tell(void *arg, const struct difference *d, u32 exit, u32 vcpu)
{
    assert_ptr_equal(arg, &told);
    assert_int_equal(exit % 20, 1);
    assert_string_equal(d->field, "rax");
    told++;
}

static void goes_on(void **state)
{
    FOR_BOTH(from, to) {
        told = 0;
        struct answer_result r = replayed(from, 1, some_wrong, (struct answer_options){ .vendor = to, .mode = ANSWER_CONTINUE, .differs = tell, .arg = &told });
        expect(&r, ANSWER_DONE, EXITS, 0, 3);
        assert_int_equal(told, 3);
        r = replayed(from, 1, some_wrong, (struct answer_options){ .vendor = to, .mode = ANSWER_LOAD, .fetch = true });
        expect(&r, ANSWER_DONE, EXITS, 0, 0);
    }
}

/* ---- Traces that are less than whole ---- */

static u32 first_kept;

static bool later(u32 exit, enum trace_id id, u64 *word)
{
    return exit >= first_kept;
}

/* Wherever it is cut: in the middle of injections, windows, kicks. */
static void begins_later(void **state)
{
    FOR_BOTH(from, to)
        for (first_kept = 1; first_kept < 30; first_kept++) {
            const struct answer_result r = replayed(from, 2, later, (struct answer_options){ .vendor = to });
            expect(&r, ANSWER_DONE, 2 * (EXITS - first_kept), 0, 0);
        }
}

static bool no_entries(u32 exit, enum trace_id id, u64 *word)
{
    return id != TRACE_entry;
}

static void without_entries(void **state)
{
    FOR_BOTH(from, to) {
        const struct answer_result r = replayed(from, 2, no_entries, (struct answer_options){ .vendor = to, .mode = ANSWER_LOAD });
        assert_int_equal(r.end, ANSWER_DONE);
        assert_int_equal(r.exits + r.skipped, 2 * EXITS);
        assert_in_range(r.skipped, 0, EXITS / 4);   /* windows that nobody asked for */
    }
}

/* ---- Exits that a machine cannot make ---- */

static bool getsec(u32 exit, enum trace_id id, u64 *word)
{
    if (exit == 14 && id == TRACE_exit) {
        word[TRACE_WORD_reason_and_length] = VCPU_EXIT_OTHER;
        word[TRACE_WORD_raw_reason] = 11;
    }
    return true;
}

/* What its VMM answered is there at the next entry all the same: the TSC offset. */
static void skips(void **state)
{
    struct answer_result r = replayed(SIM_VMX, 1, getsec, (struct answer_options){ .vendor = SIM_SVM, .mode = ANSWER_CONTINUE });
    expect(&r, ANSWER_DONE, EXITS - 1, 1, 0);
    r = replayed(SIM_VMX, 1, getsec, (struct answer_options){ .vendor = SIM_SVM });
    expect(&r, ANSWER_DIFFERS, 14, 1, 1);
    assert_string_equal(r.first.field, "reason");
}

/* The VMM asked for what is refused: the kernel refuses it here, too, and says so to nobody else. */
static bool refused(u32 exit, enum trace_id id, u64 *word)
{
    if (exit == 4 && id == TRACE_entry) {
        word[TRACE_WORD_dirty_and_want] |= VCPU_GROUP_CR;
        word[TRACE_WORD_cr8] = 16;
    }
    return true;
}

static void entry_failed(void **state)
{
    FOR_BOTH(from, to) {
        const struct answer_result r = replayed(from, 1, refused, (struct answer_options){ .vendor = to });
        expect(&r, ANSWER_DIFFERS, 6, 0, 1);
        assert_string_equal(r.first.field, "reason");
        assert_int_equal((u32)r.first.got, VCPU_EXIT_ENTRY_FAILED);
    }
}

TEST_GROUP(answer, cmocka_unit_test(nothing_differs), cmocka_unit_test(runs_are_equal), cmocka_unit_test(many_vcpus),
           cmocka_unit_test(share_a_cpu), cmocka_unit_test(guests_that_went_on), cmocka_unit_test(each_is_named),
           cmocka_unit_test(goes_on), cmocka_unit_test(begins_later), cmocka_unit_test(without_entries), cmocka_unit_test(skips),
           cmocka_unit_test(entry_failed));
