/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each field that changes named, once, and is what the two vendors say differently of one thing no difference? */
#include "unit.h"
#include <string.h>
#include "arch/x86.h"
#include "replay/compare.h"
#include "replay/event.h"
#include "replay_words.h"

static struct compare_machines machines(enum sim_vendor vendor, bool same)
{
    return (struct compare_machines){.groups = TRACE_GROUPS & ~(vendor == SIM_SVM ? (u32)VCPU_GROUP_PDPTE : 0), .same_vendor = same, .memory = true,
                                     .vendor = vendor};
}

/* The guest as a model has it that was loaded with these words. */
static void guest_of(const struct trace_words *w, enum sim_vendor vendor, struct sim_guest *g)
{
    *g = (struct sim_guest){0};
    replay_load(w, vendor, g);
    g->tsc_offset = w->word[TRACE_WORD_tsc_offset];
    g->star = w->word[TRACE_WORD_star];
    g->lstar = w->word[TRACE_WORD_lstar];
    g->cstar = w->word[TRACE_WORD_cstar];
    g->fmask = w->word[TRACE_WORD_fmask];
    g->exceptions = (u32)w->word[TRACE_WORD_exceptions_and_flags] | 1u << VECTOR_DB;
}

static bool is(const struct vcpu_field *f, const char *name)
{
    return strcmp(f->name, name) == 0;
}

static void each_field_of_an_exit_is_named(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        const struct compare_machines m = machines(vendor, true);
        for (u32 i = 0; i < vcpu_field_count; i++) {
            struct trace_words recorded, got;
            struct difference d;
            words_long_mode(&recorded);
            got = recorded;
            assert_true(compare_exit(&m, &recorded, &got, &d));
            assert_null(d.where);
            words_flip(&got, &vcpu_field[i], 1);
            const bool skipped = is(&vcpu_field[i], "pending_debug") || vcpu_field[i].group == 11;   /* PDPTEs: no PAE paging here */
            assert_int_equal(compare_exit(&m, &recorded, &got, &d), skipped);
            if (!skipped) {
                assert_string_equal(d.where, "exit");
                assert_string_equal(d.field, vcpu_field[i].name);
                assert_int_equal(d.recorded ^ d.got, 1);
            }
        }
    }
}

static void each_field_of_an_answer_is_named(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        const struct compare_machines m = machines(vendor, true);
        for (u32 i = 0; i < vcpu_field_count; i++) {
            struct trace_words recorded, got;
            struct difference d;
            words_long_mode(&recorded);
            got = recorded;
            words_flip(&got, &vcpu_field[i], 1);
            const bool skipped = vcpu_field[i].group == 11 || (vendor == SIM_SVM && is(&vcpu_field[i], "pending_debug"));
            assert_int_equal(compare_answer(&m, &recorded, &got, &d), skipped);
            assert_true(skipped || strcmp(d.field, vcpu_field[i].name) == 0);
            /* What is not dirty is not the VMM's. */
            recorded.word[TRACE_WORD_dirty_and_want] &= ~(1ul << vcpu_field[i].group);
            got.word[TRACE_WORD_dirty_and_want] = recorded.word[TRACE_WORD_dirty_and_want];
            assert_true(compare_answer(&m, &recorded, &got, &d));
        }
    }
}

/* In no place that the model loads, or not before a guest uses it. */
static bool not_loaded(const struct vcpu_field *f, enum sim_vendor vendor)
{
    return is(f, "cr8") || is(f, "tsc_aux") || is(f, "pending_debug") || is(f, "inject_insn_len") || f->group == 11 ||
           (f->group == 5 && !is(f, "dr6") && !is(f, "dr7"));
}

static void each_field_of_a_resume_is_named(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        const struct compare_machines m = machines(vendor, true);
        for (u32 i = 0; i < vcpu_field_count; i++) {
            struct trace_words recorded;
            struct sim_guest g;
            struct difference d;
            words_long_mode(&recorded);
            guest_of(&recorded, vendor, &g);
            assert_true(compare_resume(&m, &recorded, &g, &d));
            assert_null(d.where);
            words_flip(&recorded, &vcpu_field[i], is(&vcpu_field[i], "inject") ? VCPU_EVENT_INTERRUPT(0x20) : 1);
            if (not_loaded(&vcpu_field[i], vendor)) {
                assert_true(compare_resume(&m, &recorded, &g, &d));
                continue;
            }
            assert_false(compare_resume(&m, &recorded, &g, &d));
            assert_string_equal(d.where, "resume");
            assert_string_equal(d.field, is(&vcpu_field[i], "inject") ? "event" : vcpu_field[i].name);
        }
    }
}

static void a_resume_has_window_and_event(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        const struct compare_machines m = machines(vendor, true);
        struct trace_words recorded;
        struct sim_guest g;
        struct difference d;
        words_long_mode(&recorded);
        guest_of(&recorded, vendor, &g);
        g.want_window = true;
        assert_false(compare_resume(&m, &recorded, &g, &d));
        assert_string_equal(d.field, "windows");
        recorded.word[TRACE_WORD_inject_length_and_windows] = (u64)VCPU_WINDOW_INTR << 32;
        assert_true(compare_resume(&m, &recorded, &g, &d));
        g.event = VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 5ul << 32;
        assert_false(compare_resume(&m, &recorded, &g, &d));
        assert_string_equal(d.field, "event");
        recorded.word[TRACE_WORD_inject] = g.event;
        assert_true(compare_resume(&m, &recorded, &g, &d));
        g.event += 1ul << 32;
        assert_false(compare_resume(&m, &recorded, &g, &d));
        /* INT 0x80, two bytes: the guest returns behind it. */
        recorded.word[TRACE_WORD_inject] = g.event = VCPU_EVENT_VALID | 0x400 | 0x80;
        recorded.word[TRACE_WORD_inject_length_and_windows] |= 2;
        assert_false(compare_resume(&m, &recorded, &g, &d));
        assert_string_equal(d.field, "rip");
        g.rip += 2;
        assert_true(compare_resume(&m, &recorded, &g, &d));
        /* An NMI blocks others. */
        g.rip -= 2;
        recorded.word[TRACE_WORD_inject] = g.event = VCPU_EVENT_NMI;
        assert_int_equal(compare_resume(&m, &recorded, &g, &d), vendor == SIM_SVM);
        g.interruptibility |= VCPU_BLOCKED_NMI;
        assert_true(compare_resume(&m, &recorded, &g, &d));
    }
}

/* ---- What belongs to a reason ---- */

struct detail {
    u32 reason;
    const char *field;
    u32 offset, bytes;           /* in struct vcpu_exit */
    struct vcpu_exit good;
    u64 flip;
};
#define U(member) offset_of(struct vcpu_exit, u.member), sizeof(((struct vcpu_exit *)0)->u.member)
static const struct detail details[] = {
    {VCPU_EXIT_IO, "io.port", U(io.port), {.u.io = {.port = 0x3f8, .size = 1}}, 1},
    {VCPU_EXIT_IO, "io.size", U(io.size), {.u.io = {.port = 0x3f8, .size = 1}}, 3},
    {VCPU_EXIT_IO, "io.in", U(io.in), {.u.io = {.size = 1}}, 1},
    {VCPU_EXIT_IO, "io.string", U(io.string), {.u.io = {.size = 1}}, 1},
    {VCPU_EXIT_IO, "io.rep", U(io.rep), {.u.io = {.size = 1}}, 1},
    {VCPU_EXIT_IO, "io.address_size", U(io.address_size), {.u.io = {.size = 1, .string = 1, .address_size = 4}}, 6},
    {VCPU_EXIT_IO, "io.count", U(io.count), {.u.io = {.size = 1, .rep = 1, .count = 8}}, 1},
    {VCPU_EXIT_MMIO, "mmio.gpa", U(mmio.gpa), {.u.mmio = {.access = 1}}, 8},
    {VCPU_EXIT_MMIO, "mmio.access", U(mmio.access), {.u.mmio = {.access = 1}}, 3},
    {VCPU_EXIT_MMIO, "mmio.present", U(mmio.present), {.u.mmio = {.access = 2}}, 1},
    {VCPU_EXIT_MMIO, "mmio.gva", U(mmio.gva), {.u.mmio = {.access = 2, .gva_valid = 1}}, 1},
    {VCPU_EXIT_MSR_READ, "msr.index", U(msr.index), {.u.msr.index = 0x10}, 1},
    {VCPU_EXIT_MSR_WRITE, "msr.index", U(msr.index), {.u.msr.index = 0x10}, 1},
    {VCPU_EXIT_CR, "cr.number", U(cr.number), {.u.cr = {.number = 8}}, 4},
    {VCPU_EXIT_CR, "cr.gpr", U(cr.gpr), {.u.cr = {.number = 8}}, 4},
    {VCPU_EXIT_CR, "cr.write", U(cr.write), {.u.cr = {.number = 8}}, 1},
    {VCPU_EXIT_CR, "cr.kind", U(cr.kind), {.u.cr = {.number = 0}}, 1},
    {VCPU_EXIT_EXCEPTION, "exception.vector", U(exception.vector), {.u.exception.vector = 6}, 1},
    {VCPU_EXIT_EXCEPTION, "exception.error_valid", U(exception.error_valid), {.u.exception = {.vector = 14}}, 1},
    {VCPU_EXIT_EXCEPTION, "exception.error", U(exception.error), {.u.exception = {.vector = 14, .error_valid = 1}}, 2},
    {VCPU_EXIT_EXCEPTION, "exception.address", U(exception.address), {.u.exception = {.vector = 14, .error_valid = 1}}, 0x1000},
    {VCPU_EXIT_ENTRY_FAILED, "entry_failed.check", U(entry_failed.check), {.u.entry_failed.check = VCPU_CHECK('G', 2)}, 1},
    {VCPU_EXIT_HLT, "reason", offset_of(struct vcpu_exit, reason), 4, {.insn_len = 1}, 1},
    {VCPU_EXIT_HLT, "insn_len", offset_of(struct vcpu_exit, insn_len), 4, {.insn_len = 1}, 2},
    {VCPU_EXIT_IO, "insn_len", offset_of(struct vcpu_exit, insn_len), 4, {.insn_len = 1, .u.io.size = 1}, 1},   /* none any more */
    {VCPU_EXIT_HLT, "raw_reason", offset_of(struct vcpu_exit, raw_reason), 8, {.insn_len = 1}, 4},
    {VCPU_EXIT_MMIO, "raw_info2", offset_of(struct vcpu_exit, raw_info2), 8, {.u.mmio.access = 1}, 8},
    {VCPU_EXIT_IO, "raw_info1", offset_of(struct vcpu_exit, raw_info1), 8, {.u.io.size = 1}, 0x10000},
};

static void detail_of(const struct detail *t, struct trace_words *recorded, struct trace_words *got)
{
    words_long_mode(recorded);
    struct vcpu_exit x = t->good;
    x.reason = t->reason;
    memcpy(recorded->word, &x, sizeof(x));
    *got = *recorded;
    u64 value = 0;
    memcpy(&value, (u8 *)got->word + t->offset, t->bytes);
    value ^= t->flip;
    memcpy((u8 *)got->word + t->offset, &value, t->bytes);
}

static void each_detail_of_a_reason_is_named(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        const struct compare_machines m = machines(vendor, true);
        for (u32 i = 0; i < array_size(details); i++) {
            struct trace_words recorded, got;
            struct difference d;
            detail_of(&details[i], &recorded, &got);
            assert_true(compare_exit(&m, &recorded, &recorded, &d));
            assert_false(compare_exit(&m, &recorded, &got, &d));
            assert_string_equal(d.field, details[i].field);
            assert_int_equal(d.recorded ^ d.got, details[i].flip);
        }
    }
}

static void control_words_are_compared(void **state)
{
    const struct compare_machines m = machines(SIM_VMX, true);
    static const struct {
        enum trace_word word;
        u64 flip;
        bool answer;
        const char *field;
    } rows[] = {
        {TRACE_WORD_pending, VCPU_EVENT_INTERRUPT(0x30), false, "pending"},
        {TRACE_WORD_valid_and_known, VCPU_GROUP_DR, false, "valid"},
        {TRACE_WORD_dirty_and_want, VCPU_GROUP_RIP, true, "dirty"},
        {TRACE_WORD_dirty_and_want, (u64)VCPU_GROUP_SEG << 32, true, "want"},
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        struct trace_words recorded, got;
        struct difference d;
        words_long_mode(&recorded);
        got = recorded;
        got.word[rows[i].word] ^= rows[i].flip;
        assert_false(rows[i].answer ? compare_answer(&m, &recorded, &got, &d) : compare_exit(&m, &recorded, &got, &d));
        assert_string_equal(d.field, rows[i].field);
        assert_true(rows[i].answer ? compare_exit(&m, &recorded, &got, &d) : compare_answer(&m, &recorded, &got, &d));
    }
}

/* ---- Two vendors ---- */

static void what_vendors_say_differently_is_equal(void **state)
{
    struct trace_words recorded, got;
    struct difference d;
    words_long_mode(&recorded);
    recorded.word[TRACE_WORD_ds_limit_and_attributes] = 0x1234 | (u64)(VCPU_SEG_UNUSABLE | 0xf3) << 32;
    recorded.word[TRACE_WORD_activity_and_interruptibility] = (u64)VCPU_BLOCKED_MOV_SS << 32;
    got = recorded;
    got.word[TRACE_WORD_rflags] ^= RFLAGS_RF;
    got.word[TRACE_WORD_cr0] ^= CR0_NE;
    got.word[TRACE_WORD_cr4] ^= CR4_MCE;
    got.word[TRACE_WORD_activity_and_interruptibility] = (u64)(VCPU_BLOCKED_STI | VCPU_BLOCKED_NMI) << 32;
    got.word[TRACE_WORD_raw_reason] ^= 0x40;
    got.word[TRACE_WORD_ds_limit_and_attributes] = (u64)(VCPU_SEG_UNUSABLE | 0x13) << 32;
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        const struct compare_machines other = machines(vendor, false), same = machines(vendor, true);
        assert_true(compare_exit(&other, &recorded, &got, &d));
        assert_false(compare_exit(&same, &recorded, &got, &d));
        got.word[TRACE_WORD_activity_and_interruptibility] = 0;   /* but no shadow at all is one */
        assert_false(compare_exit(&other, &recorded, &got, &d));
        assert_string_equal(d.field, "interruptibility");
        got.word[TRACE_WORD_activity_and_interruptibility] = (u64)VCPU_BLOCKED_STI << 32;
    }
}

/* Only of one vendor, and if both machines gave some. */
static void instructions_are_compared(void **state)
{
    for (u32 same = 0; same < 2; same++)
        for (u32 i = TRACE_WORD_instruction0; i <= TRACE_WORD_instruction1; i++) {
            const struct compare_machines m = machines(SIM_SVM, same);
            struct trace_words recorded, got;
            struct difference d;
            words_long_mode(&recorded);
            got = recorded;
            recorded.word[TRACE_WORD_instruction0] = 0x038b48;
            recorded.word[TRACE_WORD_instruction1] = 3ul << 56;
            assert_true(compare_exit(&m, &recorded, &got, &d) && compare_exit(&m, &got, &recorded, &d));
            got = recorded;
            assert_true(compare_exit(&m, &recorded, &got, &d));
            got.word[i] ^= 4;
            assert_int_equal(compare_exit(&m, &recorded, &got, &d), !same);
            assert_true(!same || strcmp(d.field, i == TRACE_WORD_instruction0 ? "instruction0" : "instruction1") == 0);
        }
}

static void groups_that_one_lacks_are_not_compared(void **state)
{
    struct compare_machines m = machines(SIM_VMX, false);
    struct trace_words recorded, got;
    struct difference d;
    words_long_mode(&recorded);
    got = recorded;
    got.word[TRACE_WORD_pat] ^= 1;
    m.groups &= ~(u32)VCPU_GROUP_EFER;
    assert_true(compare_exit(&m, &recorded, &got, &d));
    assert_true(compare_answer(&m, &recorded, &got, &d));
    struct sim_guest g;
    guest_of(&got, SIM_VMX, &g);
    assert_true(compare_resume(&m, &recorded, &g, &d));
    m.groups |= VCPU_GROUP_EFER;
    assert_false(compare_resume(&m, &recorded, &g, &d));
}

static void a_difference_is_a_line(void **state)
{
    char text[200];
    const struct difference rip = {.where = "resume", .field = "rip", .recorded = 0x1004, .got = 0x1002};
    const struct difference reason = {.where = "exit", .field = "reason", .recorded = VCPU_EXIT_IO, .got = VCPU_EXIT_CPUID};
    const struct difference event = {.where = "resume", .field = "event", .recorded = VCPU_EVENT_INTERRUPT(0x20)};
    const struct difference fault = {.where = "answer", .field = "inject", .recorded = VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 2ul << 32,
                                     .got = VCPU_EVENT_NMI};
    const struct difference check = {.where = "exit", .field = "entry_failed.check", .recorded = VCPU_CHECK('G', 2), .got = VCPU_CHECK('K', 10)};
    const struct difference refused = {.where = "exit", .field = "reason", .recorded = VCPU_EXIT_HLT, .got = VCPU_EXIT_ENTRY_FAILED, .check = VCPU_CHECK('G', 3)};
    difference_print(&rip, 17, 0, text, sizeof(text));
    assert_string_equal(text, "exit 17 vcpu 0: resume: field rip recorded 0x1004 got 0x1002");
    difference_print(&reason, 1, 3, text, sizeof(text));
    assert_string_equal(text, "exit 1 vcpu 3: exit: field reason recorded IO got CPUID");
    difference_print(&event, 0, 0, text, sizeof(text));
    assert_string_equal(text, "exit 0 vcpu 0: resume: field event recorded interrupt 0x20 got none");
    difference_print(&fault, 2, 0, text, sizeof(text));
    assert_string_equal(text, "exit 2 vcpu 0: answer: field inject recorded exception 0xd error 0x2 got NMI 0x2");
    difference_print(&check, 2, 0, text, sizeof(text));
    assert_string_equal(text, "exit 2 vcpu 0: exit: field entry_failed.check recorded G2 got K10");
    difference_print(&refused, 2, 0, text, sizeof(text));
    assert_string_equal(text, "exit 2 vcpu 0: exit: field reason recorded HLT got ENTRY_FAILED, check G3");
}

#define T cmocka_unit_test
TEST_GROUP(replay_compare, T(each_field_of_an_exit_is_named), T(each_field_of_an_answer_is_named), T(each_field_of_a_resume_is_named),
           T(a_resume_has_window_and_event), T(each_detail_of_a_reason_is_named), T(control_words_are_compared), T(what_vendors_say_differently_is_equal),
           T(groups_that_one_lacks_are_not_compared), T(instructions_are_compared), T(a_difference_is_a_line));
