/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the deltas of exits and entries give the state pages back, word for word, whatever was lost in between? */
#include "abi/vcpu_groups.h"
#include "trace_stream.h"

#define LOADED (VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_CR | VCPU_GROUP_SYSENTER | VCPU_GROUP_INJECT)

static u64 random_state;
static u64 random_word(void)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    const u64 value = random_state ^ random_state >> 29;
    return value >> (value >> 58 & 3) * 16;   /* small and large ones */
}

static void guest_changes(struct guest *g, struct sim_guest *guest)
{
    guest->gpr[RBX] = random_word();
    guest->gpr[RCX] = random_word() & 1 ? random_word() : guest->gpr[RCX];
    guest->cr2 = random_word();
    guest->rip = random_word() & 0xffff;
}

static void vmm_changes(struct guest *g, u32 groups)
{
    guest_fetch(g, groups & ~VCPU_GROUP_INJECT);
    if (groups & VCPU_GROUP_GPR)
        g->s->gpr[R9] = random_word();
    if (groups & VCPU_GROUP_RIP)
        g->s->rip = random_word() & 0xffff;
    if (groups & VCPU_GROUP_CR)
        g->s->cr2 = random_word();
    if (groups & VCPU_GROUP_SYSENTER)
        g->s->sysenter_eip = random_word() & 0xffffffff;
    if (groups & VCPU_GROUP_INJECT) {
        g->s->inject = VCPU_EVENT_EXCEPTION(6);
        g->s->inject_insn_len = g->s->windows = 0;
        if (random_word() & 1)
            vcpu_kick(fixture_cpu(g->f, 0), g->v);   /* then it is pending at the exit */
    }
}

static void same_groups(const u64 *word, const struct vcpu_state *s, u32 groups)
{
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
        const struct vcpu_group_range *const r = &vcpu_group_range[i];
        if (groups >> i & 1)
            assert_memory_equal(word + trace_group_word(i), (const u8 *)s + r->offset, r->bytes);
    }
}

/* What the words must be after an exit, taken from the state page at once. */
struct expected {
    u64 word[TRACE_WORDS];
    u32 groups, dirty;
};

static void expect(struct guest *g, struct expected *x, u32 dirty)
{
    const u32 valid = g->s->valid;
    memcpy(x->word, &g->s->exit, sizeof(g->s->exit));
    x->word[TRACE_WORD_pending] = g->s->pending;
    x->groups = (valid | TRACE_EXIT_GROUPS) & TRACE_GROUPS & g->s->capabilities;
    x->word[TRACE_WORD_valid_and_known] = valid | (u64)x->groups << 32;
    guest_fetch(g, x->groups & ~VCPU_GROUP_INJECT);
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        memcpy(x->word + trace_group_word(i), (const u8 *)g->s + vcpu_group_range[i].offset, vcpu_group_range[i].bytes);
}

static void same(const struct expected *x, const u64 *word)
{
    assert_memory_equal(word, x->word, TRACE_WORD_dirty_and_want * 8);
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        if (x->groups >> i & 1)
            assert_memory_equal(word + trace_group_word(i), x->word + trace_group_word(i), vcpu_group_range[i].bytes);
}

#define ROUNDS 600u
static struct expected expected[ROUNDS];

static void a_round(struct stream *s, u32 i)
{
    struct guest *const g = s->g;
    const u32 dirty = (u32)(random_word() & LOADED), want = (u32)random_word() & VCPU_GROUP_ALL & g->s->capabilities;
    if (dirty)
        vmm_changes(g, dirty);
    g->s->want = want;
    guest_does(g, random_word() & 1 ? (struct engine_event){ .kind = EVENT_CPUID } : (struct engine_event){ .kind = EVENT_IO, .io.port = 0x60, .io.size = 1 });
    guest_run(g, dirty);
    expect(g, &expected[i], dirty);
    expected[i].word[TRACE_WORD_dirty_and_want] = dirty | (u64)want << 32;
}

static void deltas_give_the_state_back(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    u64 word[TRACE_WORDS] = { 0 };
    u32 exits = 0, states = 0, undelivered = 0;
    random_state = 7;
    s->g->before = guest_changes;
    for (u32 i = 0; i < ROUNDS; i++)
        a_round(s, i);
    trace_end(s->cpu, 0);
    stream_read(s);
    for (u32 i = 0; i < s->events; i++) {
        const struct trace_event *const e = s->event[i].e;
        if (e->id != TRACE_state && e->id != TRACE_exit && e->id != TRACE_entry)
            continue;
        assert_int_equal(((const struct trace_exit *)e)->vcpu, s->g->v->id);
        stream_apply(word, e);
        states += e->id == TRACE_state;
        if (e->id == TRACE_state)
            assert_int_equal(exits % TRACE_STATE_EVERY, 0);
        /* The first entry comes before any state: it is not there. */
        if (e->id == TRACE_entry)
            assert_int_equal(word[TRACE_WORD_dirty_and_want], expected[exits].word[TRACE_WORD_dirty_and_want]);
        undelivered += e->id == TRACE_exit && word[TRACE_WORD_pending];
        if (e->id == TRACE_exit)
            same(&expected[exits++], word);
    }
    assert_true(undelivered > 50);
    assert_int_equal(exits, ROUNDS);
    assert_int_equal(states, 1 + (ROUNDS - 1) / TRACE_STATE_EVERY);
    assert_int_equal(stream_number(s, TRACE_entry), ROUNDS - 1);
    assert_int_equal(s->event[s->events - 1].discarded, 1);   /* that entry */
    stream_close(s);
}

/* The words of the dirty groups are what the VMM wrote, also if the run is then refused. */
static void an_entry_has_what_was_written(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct guest *const g = s->g;
    u64 word[TRACE_WORDS];
    guest_run(g, 0);
    guest_fetch(g, VCPU_GROUP_ALL & g->s->capabilities);
    g->s->cr8 = 99;
    g->s->gpr[R15] = 0x1122334455667788;
    g->s->star = 0x998;
    struct vcpu_state wrote = *g->s;
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR | VCPU_GROUP_CR | VCPU_GROUP_SYSCALL), VCPU_EXIT_ENTRY_FAILED);
    guest_fetch(g, VCPU_GROUP_FPU);
    guest_run(g, VCPU_GROUP_FPU);   /* that group is not traced, but said to be dirty */
    trace_end(s->cpu, 0);
    stream_read(s);
    stream_apply(word, stream_find(s, TRACE_state, 0));
    stream_apply(word, stream_find(s, TRACE_exit, 0));
    stream_apply(word, stream_find(s, TRACE_entry, 0));
    assert_int_equal(word[TRACE_WORD_dirty_and_want], VCPU_GROUP_GPR | VCPU_GROUP_CR | VCPU_GROUP_SYSCALL);
    same_groups(word, &wrote, VCPU_GROUP_GPR | VCPU_GROUP_CR | VCPU_GROUP_SYSCALL);
    stream_apply(word, stream_find(s, TRACE_exit, 1));
    assert_int_equal((u32)word[TRACE_WORD_reason_and_length], VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(word[TRACE_WORD_r15], 0);   /* nothing was loaded */
    stream_apply(word, stream_find(s, TRACE_entry, 1));
    assert_int_equal((u32)word[TRACE_WORD_dirty_and_want], VCPU_GROUP_FPU);
    assert_int_equal(word[TRACE_WORD_fpu_bytes] | word[TRACE_WORD_xcr0], 0);
    stream_close(s);
}

/* A state has every group that the machine has but the FPU, and all of it against zeros. */
static void a_state_is_whole(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct guest *const g = s->g;
    u64 word[TRACE_WORDS];
    memset(word, 0xee, sizeof(word));
    guest_fetch(g, VCPU_GROUP_ALL & g->s->capabilities);
    g->s->pat = 0x0606060606060606;
    g->s->exceptions = 0x40;
    g->s->lstar = 0xffff800000001234;
    g->s->tsc_offset = 5;
    g->s->want = VCPU_GROUP_ALL & g->s->capabilities & ~VCPU_GROUP_FPU;
    guest_run(g, VCPU_GROUP_EFER | VCPU_GROUP_CONTROL | VCPU_GROUP_SYSCALL | VCPU_GROUP_TSC);
    trace_end(s->cpu, 0);
    stream_read(s);
    stream_apply(word, stream_find(s, TRACE_state, 0));
    same_groups(word, g->s, TRACE_GROUPS & g->s->capabilities);
    assert_int_equal(word[TRACE_WORD_fpu_bytes] | word[TRACE_WORD_xcr0] | word[TRACE_WORD_reserved] | word[TRACE_WORD_reason_and_length], 0);
    stream_close(s);
}

/* A kick brings no group; the exit has the groups a replay needs, with the guest's values. */
static void groups_nobody_asked_for(void **state)
{
    struct stream *const s = stream_open(VENDOR(state));
    struct guest *const g = s->g;
    u64 word[TRACE_WORDS];
    guest_fetch(g, VCPU_GROUP_GPR | VCPU_GROUP_RIP);
    g->s->gpr[RBX] = 0x1122334455667788;
    g->s->gpr[RSP] = 0x9876;
    g->s->rip = 0x4567;
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR | VCPU_GROUP_RIP), VCPU_EXIT_HYPERCALL);
    trace_init(s->cpu);
    vcpu_kick(s->cpu, g->v);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    assert_int_equal(g->s->valid, 0);
    trace_end(s->cpu, 0);
    stream_read(s);
    stream_apply(word, stream_find(s, TRACE_state, 0));
    stream_apply(word, stream_find(s, TRACE_exit, 0));
    const u32 known = (u32)(word[TRACE_WORD_valid_and_known] >> 32);
    assert_int_equal(known, TRACE_EXIT_GROUPS & g->s->capabilities);
    guest_fetch(g, known);
    assert_int_equal(g->s->gpr[RBX], 0x1122334455667788);
    same_groups(word, g->s, known);
    stream_close(s);
}

#define FAULTS 6u
static const u8 fetched[FAULTS] = { 15, 7, 8, 0, 9, 1 };   /* bytes of each; after each comes a kick, at the end a CPUID */

static void instruction_is(const struct stream *s, const u64 *word, u32 exit)
{
    const bool fault = s->g->vendor == SIM_SVM && exit % 2 == 0 && exit / 2 < FAULTS;
    u8 expect[16] = { [15] = fault ? fetched[exit / 2] : 0 };
    memset(expect, 0x81, expect[15]);
    assert_memory_equal(&word[TRACE_WORD_instruction0], expect, sizeof(expect));
}

/* The instruction's bytes stand in the words of the exit that the processor gave them with, and of no other: not of one the kernel makes itself. */
static void an_exit_has_its_instruction(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct engine_event fault = { .kind = EVENT_NESTED_FAULT, .gpa = 0x7f008, .access = 1 };
    u64 word[TRACE_WORDS] = { 0 };
    u32 exits = 0;
    memset(fault.fetched, 0x81, sizeof(fault.fetched));
    for (u32 i = 0; i < FAULTS; i++) {
        fault.fetched_bytes = fetched[i];
        guest_does(s->g, fault);
        assert_int_equal(guest_run(s->g, 0), VCPU_EXIT_MMIO);
        vcpu_kick(s->cpu, s->g->v);
        assert_int_equal(guest_run(s->g, 0), VCPU_EXIT_KICKED);
    }
    guest_does(s->g, (struct engine_event){ .kind = EVENT_CPUID });
    assert_int_equal(guest_run(s->g, 0), VCPU_EXIT_CPUID);
    trace_end(s->cpu, 0);
    stream_read(s);
    for (u32 i = 0; i < s->events; i++) {
        const struct trace_event *const e = s->event[i].e;
        if (e->id == TRACE_state || e->id == TRACE_exit || e->id == TRACE_entry)
            stream_apply(word, e);
        if (e->id == TRACE_exit)
            instruction_is(s, word, exits++);
    }
    assert_int_equal(exits, 2 * FAULTS + 1);
    stream_close(s);
}

/* An exit that finds no room is counted, and nothing of the vCPU is written until a state has said again how it stands. */
static void after_a_loss_comes_a_state(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct guest *const g = s->g;
    u64 word[TRACE_WORDS];
    const u32 others = 6000;
    guest_run(g, 0);
    for (u32 i = 0; i < others; i++)
        trace_flushed(s->cpu, i);
    trace_exit(s->cpu, g->v);       /* lost; then there is room again */
    assert_true(s->packets > 0);
    trace_entry(s->cpu, g->v, 0);   /* a delta to what was lost: dropped */
    random_state = 3;
    s->g->before = guest_changes;
    guest_run(g, 0);
    expect(g, &expected[0], 0);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_exit), 2);
    assert_int_equal(stream_number(s, TRACE_entry), 0);
    assert_int_equal(stream_number(s, TRACE_state), 2);
    const u32 lost = others - stream_number(s, TRACE_flushed);
    assert_true(lost > 1000);
    assert_int_equal(s->event[s->events - 1].discarded, lost + 1 + 3);   /* the exit, three entries */
    stream_apply(word, stream_find(s, TRACE_state, 1));
    stream_apply(word, stream_find(s, TRACE_exit, 1));
    expected[0].word[TRACE_WORD_dirty_and_want] = 0;
    same(&expected[0], word);
    stream_close(s);
}

/* All groups, all of them large: no event is longer than what a reader allows for. */
static void the_largest_event_fits(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct vcpu *const v = s->g->v;
    guest_run(s->g, 0);
    memset(&v->state->exit, 0xdd, sizeof(v->state->exit));
    v->state->pending = ~0ul;
    trace_exit(s->cpu, v);
    memset(&v->copy->inject, 0xcc, offset_of(struct vcpu_state, page_rest) - offset_of(struct vcpu_state, inject));
    v->want = ~0u;
    trace_entry(s->cpu, v, VCPU_GROUP_ALL);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_true(stream_last(s, 1)->bytes > 700 && stream_last(s, 1)->bytes <= TRACE_EVENT_MAX);
    assert_int_equal(stream_last(s, 1)->id, TRACE_entry);
    stream_close(s);
}

GUEST_GROUP(trace_vcpu, GUEST_TEST(deltas_give_the_state_back), GUEST_TEST(an_entry_has_what_was_written), GUEST_TEST(a_state_is_whole), GUEST_TEST(an_exit_has_its_instruction),
            GUEST_TEST(groups_nobody_asked_for), GUEST_TEST(after_a_loss_comes_a_state), GUEST_TEST(the_largest_event_fits));
