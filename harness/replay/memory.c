/* SPDX-License-Identifier: BSD-2-Clause */
/* What the VMM took from outside. Memory is put where the guest would have written it, before the VMM looks; what is not mapped for writing the guest
 * cannot have changed. What the live VMM notes is compared. */
#include <string.h>
#include "abi/hypercall.h"
#include "replay/differ.h"
#include "replay/replay.h"
#include "sim_mem.h"

static const struct trace_value *value_at(const struct replay *r, u64 event)
{
    return (const struct trace_value *)r->course->trace->event[event].raw;
}

/* Page by page. */
static void put(struct replay *r, struct sim_cpu *cpu, const struct sim_nested *n, u64 gpa, const u8 *data, u32 bytes)
{
    while (bytes) {
        const u32 chunk = min(bytes, (u32)(PAGE_SIZE - (gpa & PAGE_MASK)));
        struct sim_translation t;
        struct sim_nested_fault fault;
        if (sim_nested_translate(cpu, n, gpa, RIGHT_W, false, &t, &fault) == SIM_NESTED_OK)
            (void)!sim_phys_write(r->sim, t.phys, data, chunk);
        gpa += chunk;
        data += chunk;
        bytes -= chunk;
    }
}

void replay_memory(struct replay *r, struct sim_cpu *cpu, const struct sim_guest *g, u32 vcpu)
{
    const struct sim_nested n = {.format = r->options.vendor == SIM_VMX ? SIM_EPT : SIM_NPT, .root = g->nested_root, .tag = g->nested_tag, .nxe = true};
    struct course_turn turn;
    if (!replay_turn(r, vcpu, &turn))
        return;
    for (u32 i = 0; i < turn.values; i++) {
        const struct trace_value *v = value_at(r, r->course->value[turn.first_value + i]);
        const struct trace_tail tail = trace_tail(&v->event);
        if (v->kind == TRACE_VALUE_memory)
            put(r, cpu, &n, v->address, tail.data, tail.bytes);
    }
}

/* ---- Comparing ---- */

static u64 word_of(const struct trace_tail *t)
{
    u64 word = 0;
    memcpy(&word, t->data, min(t->bytes, (u32)sizeof(word)));
    return word;
}

/* A machine that does not tell an instruction's length makes its VMM look, and another does not. */
static bool lengths_agree(const struct replay_vcpu *v)
{
    return !trace_words_exit(&v->cursor.words)->insn_len == !trace_words_exit(&v->live)->insn_len;
}

void replay_value(struct replay *r, const struct trace_value *got)
{
    const u32 vcpu = got->vcpu;
    struct course_turn turn;
    struct difference d;
    if (vcpu >= r->course->vcpus || !r->vcpu[vcpu].inside || r->vcpu[vcpu].stray || !lengths_agree(&r->vcpu[vcpu]) || !replay_turn(r, vcpu, &turn))
        return;
    const u32 n = r->vcpu[vcpu].values++;
    if (n >= turn.values)
        return;   /* said at the entry */
    const struct trace_value *const recorded = value_at(r, r->course->value[turn.first_value + n]);
    const struct trace_tail a = trace_tail(&recorded->event), b = trace_tail(&got->event);
    if (differ(&d, "values", "kind", recorded->kind, got->kind) || differ(&d, "values", "address", recorded->address, got->address) ||
        differ(&d, "values", "bytes", a.bytes, b.bytes) ||
        (memcmp(a.data, b.data, a.bytes) && (differ(&d, "values", "data", word_of(&a), word_of(&b)) || differ(&d, "values", "data.rest", 1, 0))))
        replay_differs(r, &d, r->vcpu[vcpu].cursor.turn, vcpu);
}

void replay_values_end(struct replay *r, u32 vcpu)
{
    struct course_turn turn;
    struct difference d;
    if (replay_turn(r, vcpu, &turn) && lengths_agree(&r->vcpu[vcpu]) && differ(&d, "values", "count", turn.values, r->vcpu[vcpu].values))
        replay_differs(r, &d, r->vcpu[vcpu].cursor.turn, vcpu);
}
