/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU's VMM: run, compare what the state page says with the recorded exit, write the recorded answer, again. One load and one store of the state page
 * for each exit; the exit that comes next is applied to the cursor before the run, so that the guest finds it there. */
#include <string.h>
#include "abi/hypercall.h"
#include "abi/info.h"
#include "answer_model.h"
#include "program.h"

static struct vcpu_state *state(struct answer_vcpu *v)
{
    return (struct vcpu_state *)v->page;   /* as far as page_rest */
}

static u32 reason(const struct answer_vcpu *v)
{
    return trace_words_exit(&v->cursor.words)->reason;
}

/* ---- The exit ---- */

static void gather_groups(struct answer_vcpu *v, u32 groups, struct trace_words *got)
{
    got->word[TRACE_WORD_valid_and_known] = groups | (u64)groups << 32;
    got->known = true;
    for (u32 left = groups; left; left &= left - 1) {
        const u32 group = (u32)__builtin_ctz(left);
        memcpy(got->word + v->answer->word[group], v->page + vcpu_group_range[group].offset, vcpu_group_range[group].bytes);
    }
}

/* The state page as words; what is not to be compared as it was recorded. */
static void gather(struct answer_vcpu *v, struct trace_words *got)
{
    const struct trace_words *const recorded = &v->cursor.words;
    const struct vcpu_state *const s = state(v);
    if (v->moved) {
        *got = *recorded;
        memcpy(got->word, &s->exit, sizeof(s->exit));
        return;
    }
    memcpy(got->word, &s->exit, sizeof(s->exit) + sizeof(s->pending));
    gather_groups(v, s->valid & v->answer->groups, got);
}

/* Equal to the bit: nothing is left to look at. */
static bool same(const struct answer *a, const struct trace_words *x, const struct trace_words *y)
{
    const u32 words = a->machines.same_vendor ? TRACE_WORD_raw_info2 + 1 : TRACE_WORD_raw_reason;
    if (trace_valid(x) != trace_valid(y) || memcmp(x->word, y->word, words * sizeof(u64)) || x->word[TRACE_WORD_pending] != y->word[TRACE_WORD_pending])
        return false;
    for (u32 left = trace_valid(y); left; left &= left - 1) {
        const u32 group = (u32)__builtin_ctz(left);
        if (memcmp(x->word + a->word[group], y->word + a->word[group], vcpu_group_range[group].bytes))
            return false;
    }
    return true;
}

static void compare(struct answer_vcpu *v)
{
    const struct answer *const a = v->answer;
    struct trace_words got;
    struct difference d;
    a->result->exits++;
    if (a->options->mode == ANSWER_LOAD)
        return;
    gather(v, &got);
    if (!same(a, &v->cursor.words, &got) && !compare_exit(&a->machines, &v->cursor.words, &got, &d))
        answer_differs(v, &d, v->cursor.turn);
}

/* ---- The answer ---- */

/* All that is known of a vCPU: what was read, and what cannot be the zeros that a trace begins with. */
static u32 all_groups(const struct answer_vcpu *v)
{
    const u64 *const word = v->cursor.words.word;
    u32 groups = trace_known(&v->cursor.words);
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        for (u32 j = 0; j < vcpu_group_range[i].bytes / 8u; j++)
            if (word[v->answer->word[i] + j])
                groups |= 1u << i;
    return groups & TRACE_GROUPS & ~(u32)VCPU_GROUP_INJECT;   /* an event is not asked for twice */
}

static void store(struct answer_vcpu *v, u32 dirty, u32 length)
{
    const struct answer *const a = v->answer;
    const u64 *const word = v->left.word;
    struct vcpu_state *const s = state(v);
    u32 end = offset_of(struct vcpu_state, want) + sizeof(s->want);
    s->dirty = dirty & a->groups & TRACE_GROUPS;
    s->want = trace_want(&v->left) & a->groups;
    for (u32 left = s->dirty; left; left &= left - 1) {
        const u32 group = (u32)__builtin_ctz(left);
        const struct vcpu_group_range *const r = &vcpu_group_range[group];
        memcpy(v->page + r->offset, word + a->word[group], r->bytes);
        end = max(end, (u32)r->offset + r->bytes);
    }
    s->rip += length;
    if (a->options->vendor == SIM_SVM)
        s->pending_debug = 0;   /* has no place there */
    user_store(ANSWER_STATE(v->number) + offset_of(struct vcpu_state, dirty), &s->dirty, end - offset_of(struct vcpu_state, dirty));
}

/* Nobody has recorded what was asked for before this exit: no event, but the window if it is one. */
static u32 ask(struct answer_vcpu *v)
{
    const u64 windows = reason(v) == VCPU_EXIT_INTR_WINDOW ? VCPU_WINDOW_INTR : reason(v) == VCPU_EXIT_NMI_WINDOW ? VCPU_WINDOW_NMI : 0;
    v->left.word[TRACE_WORD_inject] = 0;
    v->left.word[TRACE_WORD_inject_length_and_windows] = windows << 32;
    return VCPU_GROUP_INJECT;
}

/* Over the answer of this turn: the groups it writes. Without a recorded one the instruction is skipped: *length. */
static u32 pass(struct answer_vcpu *v, u32 *length)
{
    *length = 0;
    if (course_entry(&v->cursor))
        return trace_dirty(&v->cursor.words);
    *length = trace_words_exit(&v->cursor.words)->insn_len;
    return *length ? VCPU_GROUP_RIP : 0;
}

void answer_skip(struct answer_vcpu *v)
{
    u32 length;
    v->owed |= pass(v, &length) & ~(u32)VCPU_GROUP_INJECT;
    v->last = !course_exit(&v->cursor);
}

/* False: nothing is left to be answered. */
static bool answer(struct answer_vcpu *v)
{
    const struct course_vcpu *const recorded = &v->cursor.course->vcpu[v->cursor.vcpu];
    const bool told = recorded->turn[v->cursor.turn].entry != COURSE_NONE, compares = v->answer->options->mode != ANSWER_LOAD;
    u32 length;
    if (v->cursor.turn + 1 >= recorded->count && !(told && compares))
        return false;
    v->answered = v->cursor.turn;
    u32 dirty = pass(v, &length) | v->owed;
    v->owed = 0;
    v->told = told && compares;
    v->left = v->cursor.words;
    v->last = !course_exit(&v->cursor);
    if (!told)
        dirty |= ask(v);
    store(v, dirty, length);
    return true;
}

/* ---- The thread ---- */

/* The guest went on, in the recording, until it was kicked; here it is kicked before. */
static void kick(struct answer_vcpu *v)
{
    v->moved = memcmp(v->left.word + TRACE_WORD_STATE, v->cursor.words.word + TRACE_WORD_STATE, (TRACE_WORDS - TRACE_WORD_STATE) * sizeof(u64));
    if (v->moved)
        v->owed = all_groups(v);
    answer_hypercall(v->answer, "vcpu_kick", HYPERCALL_vcpu_kick, ANSWER_SEL_VCPU(v->number), 0, 0, 0, 0, 0);
}

static void read_page(struct answer_vcpu *v)
{
    user_load(v->page, ANSWER_STATE(v->number), sizeof(v->page));
}

static void run(struct answer_vcpu *v)
{
    v->entered = false;
    answer_hypercall(v->answer, "vcpu_run", HYPERCALL_vcpu_run, ANSWER_SEL_VCPU(v->number), 0, 0, 0, 0, 0);
    if (v->answer->options->mode != ANSWER_LOAD)
        read_page(v);
}

/* Root starts the next vCPU when the guest of this one is known. */
static void ready(struct answer_vcpu *v)
{
    if (!v->ready)
        answer_hypercall(v->answer, "sm_up", HYPERCALL_sm_up, ANSWER_SEL_READY, 0, 0, 0, 0, 0);
    v->ready = true;
}

static void turn(struct answer_vcpu *v)
{
    v->moved = false;
    if (!v->last && reason(v) == VCPU_EXIT_KICKED)
        kick(v);
    run(v);
    if (v->context)
        ready(v);
    if (!v->last)
        compare(v);
    if (v->answer->options->fetch)
        answer_hypercall(v->answer, "vcpu_fetch", HYPERCALL_vcpu_fetch, ANSWER_SEL_VCPU(v->number), v->answer->groups, 0, 0, 0, 0);
}

void answer_vcpu_main(void *arg)
{
    struct answer_vcpu *const v = arg;
    struct answer *const a = v->answer;
    run(v);
    read_page(v);
    a->groups = state(v)->capabilities & TRACE_GROUPS;
    a->machines.groups &= a->groups;
    (void)!course_exit(&v->cursor);   /* there is one */
    if (reason(v) == VCPU_EXIT_STARTUP) {
        compare(v);
    } else {   /* it begins later: what it was then is written first */
        v->left = v->cursor.words;
        store(v, all_groups(v) | ask(v), 0);
        turn(v);
    }
    while (!v->last && answer(v))
        turn(v);
    ready(v);
    answer_hypercall(a, "sm_up", HYPERCALL_sm_up, ANSWER_SEL_DONE, 0, 0, 0, 0, 0);
    answer_hypercall(a, "sm_down", HYPERCALL_sm_down, ANSWER_SEL_PARK, 0, 0, 0, 0, 0);
}
