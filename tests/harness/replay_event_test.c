/* SPDX-License-Identifier: BSD-2-Clause */
/* Does what replay makes of a recorded exit become that exit again, on the machine it comes from and on the other? Each exit is made once by an event
 * of the test's, taken from the state page as words, and then made again from these, by kernels with VMX and SVM. */
#include "guest_fixture.h"
#include <string.h>
#include "arch/x86.h"
#include "replay/compare.h"
#include "replay/event.h"
#include "replay_words.h"

static struct trace_words recorded;

/* The state an exit is made in; later exits are loaded over it. */
static void scene(struct guest *g, struct sim_guest *guest)
{
    for (u32 i = 0; i < 16; i++)
        guest->gpr[i] = 0x100ul + i;
    guest->gpr[RCX] = 0xabc0000000000174ul;
    guest->rip = 0x1234;
    guest->rflags = RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF;
    guest->cr2 = 0x5678;
}

static void loaded(struct guest *g, struct sim_guest *guest)
{
    replay_load(&recorded, g->vendor, guest);
}

static struct compare_machines machines(enum sim_vendor from, enum sim_vendor to)
{
    const u32 svm = VCPU_GROUP_PDPTE | VCPU_GROUP_FPU;
    return (struct compare_machines){.groups = from == SIM_SVM || to == SIM_SVM ? VCPU_GROUP_ALL & ~svm : VCPU_GROUP_ALL & ~(u32)VCPU_GROUP_FPU,
                                     .same_vendor = from == to, .memory = true, .vendor = to};
}

static void made(enum sim_vendor vendor, struct engine_event e, u32 reason, u32 exceptions)
{
    struct guest *g = guest_open(vendor);
    g->s->exceptions = exceptions;
    g->s->want = TRACE_EXIT_GROUPS & ~(vendor == SIM_SVM ? (u32)VCPU_GROUP_PDPTE : 0);
    g->before = scene;
    guest_does(g, e);
    assert_int_equal(guest_run(g, VCPU_GROUP_CONTROL), reason);
    words_of_page(&recorded, g->s, 0);
    guest_close(g);
}

static void made_again(enum sim_vendor from, enum sim_vendor to, u32 exceptions)
{
    struct guest *g = guest_open(to);
    struct engine_event e;
    struct sim_guest guest = {0};
    struct trace_words got;
    struct difference d;
    const struct compare_machines m = machines(from, to);
    replay_load(&recorded, to, &guest);
    assert_true(replay_event(&recorded, to, &guest, &e));
    g->s->exceptions = exceptions;
    g->s->want = TRACE_EXIT_GROUPS & ~(to == SIM_SVM ? (u32)VCPU_GROUP_PDPTE : 0);
    g->before = loaded;
    g->keep_event = true;   /* as loaded */
    guest_does(g, e);
    guest_run(g, VCPU_GROUP_CONTROL);
    assert_int_equal(g->entries, 1);   /* the first event was it */
    words_of_page(&got, g->s, 0);
    if (!compare_exit(&m, &recorded, &got, &d)) {
        char text[200];
        difference_print(&d, 0, 0, text, sizeof(text));
        fail_msg("%u to %u: %s", from, to, text);
    }
    guest_close(g);
}

static void round_trip(struct engine_event e, u32 reason, u32 exceptions)
{
    for (enum sim_vendor from = SIM_VMX; from <= SIM_SVM; from++)
        for (enum sim_vendor to = SIM_VMX; to <= SIM_SVM; to++) {
            made(from, e, reason, exceptions);
            if (reason == VCPU_EXIT_HYPERCALL && from == SIM_SVM)
                assert_int_equal(recorded.word[0] & 0xffffffff, VCPU_EXIT_HYPERCALL);
            made_again(from, to, exceptions);
        }
}

static void instructions(void **state)
{
    round_trip((struct engine_event){.kind = EVENT_CPUID, .insn_len = 2}, VCPU_EXIT_CPUID, 0);
    round_trip((struct engine_event){.kind = EVENT_HLT, .insn_len = 1}, VCPU_EXIT_HLT, 0);
    round_trip((struct engine_event){.kind = EVENT_RDMSR, .insn_len = 2}, VCPU_EXIT_MSR_READ, 0);
    round_trip((struct engine_event){.kind = EVENT_WRMSR, .insn_len = 2}, VCPU_EXIT_MSR_WRITE, 0);
}

static void ports(void **state)
{
    round_trip((struct engine_event){.kind = EVENT_IO, .insn_len = 1, .io = {.port = 0x3f8, .size = 1}}, VCPU_EXIT_IO, 0);
    round_trip((struct engine_event){.kind = EVENT_IO, .insn_len = 1, .io = {.port = 0x3f8, .size = 1, .address_size = 8}}, VCPU_EXIT_IO, 0);
    round_trip((struct engine_event){.kind = EVENT_IO, .insn_len = 2, .io = {.port = 0xcfc, .size = 4, .in = 1}}, VCPU_EXIT_IO, 0);
    round_trip((struct engine_event){.kind = EVENT_IO, .insn_len = 2, .io = {.port = 0x1f0, .size = 2, .in = 1, .string = 1, .rep = 1, .address_size = 8}},
               VCPU_EXIT_IO, 0);
    round_trip((struct engine_event){.kind = EVENT_IO, .insn_len = 3, .io = {.port = 0x1f0, .size = 2, .string = 1, .rep = 1, .address_size = 4, .seg = VCPU_SEG_FS}},
               VCPU_EXIT_IO, 0);
}

/* A nested fault met while an interrupt was delivered. */
static void undelivered_events(void **state)
{
    const struct engine_event fault = {.kind = EVENT_NESTED_FAULT, .gpa = 0x7f000, .access = 2, .gva = 0x1000, .gva_valid = true};
    for (enum sim_vendor from = SIM_VMX; from <= SIM_SVM; from++)
        for (enum sim_vendor to = SIM_VMX; to <= SIM_SVM; to++) {
            struct guest *g = guest_open(from);
            g->s->want = TRACE_EXIT_GROUPS & ~(from == SIM_SVM ? (u32)VCPU_GROUP_PDPTE : 0);
            g->s->inject = VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR | 0x18ul << 32;
            g->s->cr0 |= 1;   /* real mode has no error codes */
            g->keep_event = true;
            guest_does(g, fault);
            assert_int_equal(guest_run(g, VCPU_GROUP_INJECT | VCPU_GROUP_CR), VCPU_EXIT_MMIO);
            words_of_page(&recorded, g->s, 0);
            assert_true(recorded.word[TRACE_WORD_pending] & VCPU_EVENT_VALID);
            guest_close(g);
            made_again(from, to, 0);
        }
}

static void hypercalls(void **state)
{
    made(SIM_VMX, (struct engine_event){.kind = EVENT_HYPERCALL, .insn_len = 3}, VCPU_EXIT_HYPERCALL, 0);
    made_again(SIM_VMX, SIM_VMX, 0);
    made_again(SIM_VMX, SIM_SVM, 0);
    made(SIM_SVM, (struct engine_event){.kind = EVENT_HYPERCALL, .insn_len = 3, .info = 1}, VCPU_EXIT_HYPERCALL, 0);
    made_again(SIM_SVM, SIM_VMX, 0);
    made_again(SIM_SVM, SIM_SVM, 0);
}

static void nested_faults(void **state)
{
    for (u32 access = 1; access <= 4; access <<= 1)
        round_trip((struct engine_event){.kind = EVENT_NESTED_FAULT, .gpa = 0x7f000 + access, .access = access, .gva = 0x1000, .gva_valid = true},
                   VCPU_EXIT_MMIO, 0);
    round_trip((struct engine_event){.kind = EVENT_NESTED_FAULT, .gpa = 0x7f008, .access = 3, .gva = 0x1000, .gva_valid = true, .info = 1}, VCPU_EXIT_MMIO, 0);
}

/* An event has the bytes that were recorded; more than there can be is the model's to refuse. */
static void instruction_bytes(void **state)
{
    struct engine_event e;
    struct sim_guest guest = {0};
    made(SIM_SVM, (struct engine_event){.kind = EVENT_NESTED_FAULT, .gpa = 0x7f000, .access = 1}, VCPU_EXIT_MMIO, 0);
    u8 *const instruction = (u8 *)&recorded.word[TRACE_WORD_instruction0];
    for (u32 count = 0; count < 256; count++) {
        for (u32 i = 0; i < 15; i++)
            instruction[i] = i < count ? (u8)(0x90 + i) : 0;
        instruction[15] = (u8)count;
        assert_true(replay_event(&recorded, SIM_SVM, &guest, &e));
        assert_int_equal(e.fetched_bytes, count);
        assert_memory_equal(e.fetched, instruction, sizeof(e.fetched));
    }
    made_again(SIM_SVM, SIM_SVM, 0);
    made_again(SIM_SVM, SIM_VMX, 0);
}

static void control_registers(void **state)
{
    round_trip((struct engine_event){.kind = EVENT_MOV_CR, .insn_len = 4, .cr = {.number = 8, .gpr = 5, .write = 1}}, VCPU_EXIT_CR, 0);
    round_trip((struct engine_event){.kind = EVENT_MOV_CR, .insn_len = 4, .cr = {.number = 8, .gpr = 6}}, VCPU_EXIT_CR, 0);
}

static void exceptions(void **state)
{
    const u32 wanted = 1u << VECTOR_UD | 1u << VECTOR_PF | 1u << VECTOR_DB | 1u << VECTOR_BP;
    round_trip((struct engine_event){.kind = EVENT_EXCEPTION, .vector = VECTOR_UD}, VCPU_EXIT_EXCEPTION, wanted);
    round_trip((struct engine_event){.kind = EVENT_EXCEPTION, .vector = VECTOR_PF, .error = 6, .error_valid = true, .address = 0x123456}, VCPU_EXIT_EXCEPTION,
               wanted);
    round_trip((struct engine_event){.kind = EVENT_EXCEPTION, .vector = VECTOR_DB, .info = DR6_BS}, VCPU_EXIT_EXCEPTION, wanted);
    round_trip((struct engine_event){.kind = EVENT_EXCEPTION, .vector = VECTOR_BP, .insn_len = 1}, VCPU_EXIT_EXCEPTION, wanted);
}

static void triple_fault(void **state)
{
    round_trip((struct engine_event){.kind = EVENT_TRIPLE_FAULT}, VCPU_EXIT_SHUTDOWN, 0);
}

static void other_instructions(void **state)
{
    round_trip((struct engine_event){.kind = EVENT_XSETBV, .insn_len = 3}, VCPU_EXIT_OTHER, 0);
    round_trip((struct engine_event){.kind = EVENT_OTHER_INSN, .insn_len = 2, .info = 0x0f33}, VCPU_EXIT_OTHER, 0);
    round_trip((struct engine_event){.kind = EVENT_OTHER_INSN, .insn_len = 2, .info = 0x0f08}, VCPU_EXIT_OTHER, 0);
    round_trip((struct engine_event){.kind = EVENT_OTHER_INSN, .insn_len = 3, .info = 0x0f01c8}, VCPU_EXIT_OTHER, 0);
}

/* One vendor's own instructions make no exit of the other's. */
static void own_instructions(void **state)
{
    struct engine_event e;
    struct sim_guest guest = {0};
    made(SIM_VMX, (struct engine_event){.kind = EVENT_OTHER_INSN, .insn_len = 3, .info = 0x0f01c2}, VCPU_EXIT_OTHER, 0);
    made_again(SIM_VMX, SIM_VMX, 0);
    assert_false(replay_event(&recorded, SIM_SVM, &guest, &e));
    made(SIM_SVM, (struct engine_event){.kind = EVENT_OTHER_INSN, .insn_len = 3, .info = 0x0f01d8}, VCPU_EXIT_OTHER, 0);
    made_again(SIM_SVM, SIM_SVM, 0);
    assert_false(replay_event(&recorded, SIM_VMX, &guest, &e));
}

static void the_kernels_own_have_no_event(void **state)
{
    static const u32 own[] = {VCPU_EXIT_STARTUP, VCPU_EXIT_KICKED, VCPU_EXIT_ENTRY_FAILED};
    struct engine_event e;
    struct sim_guest guest = {0};
    for (u32 i = 0; i < array_size(own); i++) {
        words_long_mode(&recorded);
        recorded.word[0] = own[i];
        assert_false(replay_event(&recorded, SIM_VMX, &guest, &e));
        assert_false(replay_event(&recorded, SIM_SVM, &guest, &e));
    }
    recorded.word[0] = VCPU_EXIT_OTHER;
    recorded.word[TRACE_WORD_raw_reason] = 0x1234;
    assert_false(replay_event(&recorded, SIM_VMX, &guest, &e));
}

/* A window is shut while interrupts are: an event would be the engine's fault. */
static void windows(void **state)
{
    struct engine_event e;
    words_long_mode(&recorded);
    recorded.word[0] = VCPU_EXIT_INTR_WINDOW;
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct sim_guest guest = {0};
        replay_load(&recorded, vendor, &guest);
        assert_true(replay_event(&recorded, vendor, &guest, &e));
        assert_int_equal(e.kind, EVENT_INTR_WINDOW);
        guest.interruptibility = VCPU_BLOCKED_STI;
        assert_false(replay_event(&recorded, vendor, &guest, &e));
        guest.interruptibility = 0;
        guest.rflags &= ~RFLAGS_IF;
        assert_false(replay_event(&recorded, vendor, &guest, &e));
    }
}

/* A port access of three bytes, an exception 32, control register 16: nobody has seen them happen. */
static void nobody_does(void **state)
{
    static const struct { u32 reason; struct vcpu_exit good, bad; } rows[] = {
        {VCPU_EXIT_IO, {.u.io = {.size = 4}}, {.u.io = {.size = 3}}},
        {VCPU_EXIT_IO, {.u.io = {.size = 1}}, {.u.io = {.size = 0}}},
        {VCPU_EXIT_EXCEPTION, {.u.exception = {.vector = 31}}, {.u.exception = {.vector = 32}}},
        {VCPU_EXIT_CR, {.u.cr = {.number = 8}}, {.u.cr = {.number = 16}}},
        {VCPU_EXIT_CR, {.u.cr = {.gpr = 15}}, {.u.cr = {.gpr = 16}}},
    };
    struct engine_event e;
    struct sim_guest guest = {0};
    for (u32 i = 0; i < array_size(rows); i++)
        for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
            words_long_mode(&recorded);
            memcpy(recorded.word, &rows[i].good, sizeof(rows[i].good));
            recorded.word[0] = rows[i].reason;
            assert_true(replay_event(&recorded, vendor, &guest, &e));
            memcpy(recorded.word, &rows[i].bad, sizeof(rows[i].bad));
            recorded.word[0] = rows[i].reason;
            assert_false(replay_event(&recorded, vendor, &guest, &e));
        }
}

/* The upper half of RCX is not what names an MSR. */
static void rcx_is_kept(void **state)
{
    struct sim_guest guest = {0};
    struct engine_event e;
    made(SIM_VMX, (struct engine_event){.kind = EVENT_RDMSR, .insn_len = 2}, VCPU_EXIT_MSR_READ, 0);
    replay_load(&recorded, SIM_VMX, &guest);
    assert_true(replay_event(&recorded, SIM_VMX, &guest, &e));
    assert_int_equal(guest.gpr[RCX], 0xabc0000000000174ul);
    guest.gpr[RCX] = 5;
    assert_true(replay_event(&recorded, SIM_VMX, &guest, &e));
    assert_int_equal(guest.gpr[RCX], 0x174);
}

#define T cmocka_unit_test
TEST_GROUP(replay_event, T(instructions), T(ports), T(undelivered_events), T(hypercalls), T(nested_faults), T(instruction_bytes), T(control_registers), T(exceptions), T(triple_fault),
           T(other_instructions), T(own_instructions), T(the_kernels_own_have_no_event), T(windows), T(nobody_does),
           T(rcx_is_kept));
