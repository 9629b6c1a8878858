/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits and entries as deltas against what the trace has said of the vCPU before.
 *
 *   private page 0 of a vCPU: | struct vcpu_state up to page_rest | a backend's | struct shadow |
 *
 * A shadow is right as long as every event of its vCPU was written. Once one is lost nothing more is written of the vCPU until the next exit, which
 * a `state` goes before. */
#include "abi/vcpu_groups.h"
#include "trace_ring.h"
#include "vcpu.h"

struct shadow {
    u64 word[TRACE_WORDS];
    u32 exits;          /* since the last state */
    bool known;
};
#define SHADOW_OFFSET (PAGE_SIZE - sizeof(struct shadow))
static_assert(SHADOW_OFFSET >= offset_of(struct vcpu_state, page_rest) + sizeof(((struct vcpu_state *)0)->page_rest) / 2, "svm_state.c has the other half");
static_assert(sizeof(struct trace_exit) == sizeof(struct trace_entry) && sizeof(struct trace_exit) == sizeof(struct trace_state), "delta()");
static_assert(offset_of(struct vcpu_state, pending) == offset_of(struct vcpu_state, exit) + TRACE_WORD_pending * 8, "words 0 to 10 are one range");

static struct shadow *shadow(const struct vcpu *v)
{
    return (struct shadow *)((u8 *)v->copy + SHADOW_OFFSET);
}

/* The tail: of `head`, the words before the state's, and of these groups what has changed. The words of groups are those of v->copy. */
static void delta(struct cpu *cpu, struct trace_exit *e, struct vcpu *v, const u64 *head, u32 groups)
{
    u64 *const known = shadow(v)->word;
    u8 *const number = (u8 *)(e + 1), *out = number + 2;
    e->vcpu = (u16)v->id;
    number[0] = number[1] = 0;
    for (u32 large = 0; large < 2; large++) {
        u32 word = TRACE_WORD_STATE;
        out = trace_changes(out, &number[large], large, known, head, 0, TRACE_WORD_STATE);
        for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
            const struct vcpu_group_range *const r = &vcpu_group_range[i];
            if (groups >> i & 1)
                out = trace_changes(out, &number[large], large, known, (const u64 *)(const void *)((const u8 *)v->copy + r->offset), word, r->bytes / 8u);
            word += r->bytes / 8u;
        }
    }
    trace_commit(cpu->trace, &e->event, (u32)(out - (u8 *)e));
}

/* Not out of the state page: the VMM may write there by now. What an exit says of injection is that nothing is asked for. */
static void collect(struct cpu *cpu, struct vcpu *v, u32 groups)
{
    v->copy->inject = v->copy->inject_insn_len = v->copy->windows = 0;
    cpu->kern->virt->store(cpu, v, v->copy, groups);
}

static void state(struct cpu *cpu, struct vcpu *v)
{
    static const u64 head[TRACE_WORD_STATE];
    struct shadow *const known = shadow(v);
    struct trace_exit *const e = trace_begin(cpu, TRACE_state, TRACE_EVENT_MAX);
    mach_zero(known, sizeof(*known));
    if (!e)
        return;
    const u32 groups = cpu->kern->virt->groups & TRACE_GROUPS;
    collect(cpu, v, groups);
    delta(cpu, e, v, head, groups);
    known->known = true;
}

/* Room for an event of a vCPU whose words are known to the reader. */
static struct trace_exit *begin(struct cpu *cpu, struct vcpu *v, enum trace_id id)
{
    struct shadow *const known = shadow(v);
    struct trace_exit *e = NULL;
    if (known->known)
        e = trace_begin(cpu, id, TRACE_EVENT_MAX);
    else
        trace_lose(cpu->trace);
    known->known = e;
    return e;
}

void trace_exit(struct cpu *cpu, struct vcpu *v)
{
    struct trace_ring *const r = cpu->trace;
    struct shadow *const known = shadow(v);
    const u32 groups = (v->valid | TRACE_EXIT_GROUPS) & TRACE_GROUPS & cpu->kern->virt->groups;
    u64 head[TRACE_WORD_STATE];
    lock_take(&r->lock);
    if (!known->known || known->exits == TRACE_STATE_EVERY)
        state(cpu, v);
    struct trace_exit *const e = begin(cpu, v, TRACE_exit);
    if (e) {
        known->exits++;
        mach_copy(head, known->word, sizeof(head));
        mach_copy(head, &v->state->exit, sizeof(v->state->exit));
        head[TRACE_WORD_reason_and_length] = v->reason | (head[TRACE_WORD_reason_and_length] & ~0xfffffffful);
        head[TRACE_WORD_pending] = v->state->pending;
        if (cpu->kern->virt->instruction)
            cpu->kern->virt->instruction(v, &head[TRACE_WORD_instruction0]);
        head[TRACE_WORD_valid_and_known] = v->valid | (u64)groups << 32;
        collect(cpu, v, groups);
        delta(cpu, e, v, head, groups);
    }
    trace_drain(r, r->live);
    lock_drop(&r->lock);
}

void trace_entry(struct cpu *cpu, struct vcpu *v, u32 dirty)
{
    struct trace_ring *const r = cpu->trace;
    u64 head[TRACE_WORD_STATE];
    lock_take(&r->lock);
    struct trace_exit *const e = begin(cpu, v, TRACE_entry);
    if (e) {
        mach_copy(head, shadow(v)->word, sizeof(head));
        head[TRACE_WORD_dirty_and_want] = dirty | (u64)v->want << 32;
        delta(cpu, e, v, head, dirty & TRACE_GROUPS);
    }
    trace_drain(r, r->live);
    lock_drop(&r->lock);
}
