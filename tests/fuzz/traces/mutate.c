/* SPDX-License-Identifier: BSD-2-Clause */
/* The mutator of fuzz targets whose input is a trace: it knows what is a register, a control bit, an event, a turn. So a changed trace is a trace again,
 * and what is changed reaches the kernel or the VMM. One time in sixteen, and where the input is no trace, bytes are changed instead. */
#include <stdlib.h>
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "model.h"

size_t LLVMFuzzerMutate(u8 *data, size_t bytes, size_t room);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t bytes, size_t room, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const u8 *a, size_t a_bytes, const u8 *b, size_t b_bytes, u8 *out, size_t room, unsigned seed);

#define CHANGES_MAX 4u
#define TURN_EVENTS 16u

static u64 random_state;

/* xorshift64*: G. Marsaglia, Xorshift RNGs; S. Vigna's multiplier. */
static u32 below(u32 bound)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (u32)((random_state * 0x2545f4914f6cdd1dul) >> 32) % bound;
}

/* ---- Values ---- */

static u64 value_of(u64 old)
{
    static const u64 known[] = { 0, 1, 2, 0xff, 0x7ff, 0x1000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xfee00000,
                                 0x00007fffffffffff, 0x0000800000000000, 0xffff800000000000, 0x7fffffffffffffff, 0x8000000000000000, ~0ul };
    switch (below(6)) {
    case 0: return old ^ bit(below(64));
    case 1: return old ^ bit(below(16)) ^ bit(below(16));
    case 2: return old + below(33) - 16;
    case 3: return known[below(array_size(known))];
    case 4: return (u64)below(~0u) << 32 | below(~0u);
    default: return (old & ~0xfffffffful) | below(0x10000);
    }
}

static u64 event_of(void)
{
    static const u8 types[] = { 0, 0, 2, 3, 3, 3, 4, 5, 6, 1, 7 };
    const u32 type = types[below(array_size(types))], vector = type == 2 ? 2 : type == 3 && below(4) ? below(32) : below(256);
    u64 event = VCPU_EVENT_VALID | type << 8 | vector;
    if (type == 3 && (VECTORS_WITH_ERROR >> (vector & 31) & 1) != !below(8))
        event |= VCPU_EVENT_ERROR | (u64)below(0x10000) << 32;
    return below(8) ? event : value_of(event);
}

/* ---- Which events ---- */

static bool any(const struct model *m, u32 ids, u32 *at)
{
    u32 count = 0;
    for (u32 i = 0; i < m->count; i++)
        if (m->event[i].id < 32 && ids >> m->event[i].id & 1 && !below(++count))
            *at = i;
    return count;
}

/* The word keeps its new value in what follows, until it is changed there too: else it is as if the guest or the VMM had put it back at once. */
static void keep(struct model *m, u32 at, u32 word, u64 old, u64 now)
{
    const struct model_event *const e = &m->event[at];
    for (u32 i = at + 1; i < m->count; i++) {
        struct model_event *const f = &m->event[i];
        if (f->vcpu != e->vcpu || (f->id != TRACE_exit && f->id != TRACE_entry))
            continue;
        if (f->word[word] != old)
            return;
        f->word[word] = now;
    }
}

static void set(struct model *m, u32 at, u32 word, u64 now)
{
    const u64 old = m->event[at].word[word];
    m->event[at].word[word] = now;
    if (below(2))
        keep(m, at, word, old, now);
    if (m->event[at].id != TRACE_entry || below(4) == 0)
        return;
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)   /* what the VMM changes it says */
        if (word >= trace_group_word(i) && word < trace_group_word(i) + vcpu_group_range[i].bytes / 8u)
            m->event[at].word[TRACE_WORD_dirty_and_want] |= 1u << i;
}

/* ---- Changes: false if there is nothing to change ---- */

static bool change_word(struct model *m)
{
    u32 at;
    if (!any(m, bit(TRACE_exit) | bit(TRACE_entry), &at))
        return false;
    const u32 word = m->event[at].id == TRACE_exit ? below(TRACE_WORDS) : TRACE_WORD_dirty_and_want + below(TRACE_WORDS - TRACE_WORD_dirty_and_want);
    set(m, at, word, value_of(m->event[at].word[word]));
    return true;
}

/* Bits that decide in which mode a guest is. */
static bool change_mode(struct model *m)
{
    static const struct { u16 word, bits[8]; } mode[] = {
        { TRACE_WORD_cr0, { 0, 1, 3, 5, 16, 29, 30, 31 } }, { TRACE_WORD_cr4, { 4, 5, 7, 9, 13, 17, 18, 22 } }, { TRACE_WORD_efer, { 0, 8, 8, 10, 10, 11, 12, 14 } },
        { TRACE_WORD_rflags, { 1, 8, 9, 9, 14, 16, 17, 18 } }, { TRACE_WORD_activity_and_interruptibility, { 0, 1, 32, 33, 33, 35, 35, 36 } },
        { TRACE_WORD_cs_limit_and_attributes, { 32, 35, 37, 39, 45, 45, 46, 47 } }, { TRACE_WORD_ss_limit_and_attributes, { 32, 36, 37, 39, 46, 47, 48, 48 } },
        { TRACE_WORD_tr_limit_and_attributes, { 32, 33, 34, 35, 36, 39, 47, 48 } }, { TRACE_WORD_dr7, { 0, 1, 7, 10, 13, 14, 16, 32 } },
        { TRACE_WORD_exceptions_and_flags, { 1, 3, 6, 13, 14, 17, 32, 33 } }, { TRACE_WORD_pending_debug, { 0, 3, 12, 14, 14, 16, 2, 1 } },
    };
    u32 at;
    if (!any(m, bit(TRACE_exit) | bit(TRACE_entry), &at))
        return false;
    const u32 i = below(array_size(mode));
    u64 now = m->event[at].word[mode[i].word];
    for (u32 n = 1 + below(3); n; n--)
        now ^= bit(mode[i].bits[below(8)]);
    set(m, at, mode[i].word, now);
    return true;
}

/* The VMM has asked for such an exit, in the entry before it. */
static void asked(struct model *m, u32 exit)
{
    const struct vcpu_exit *const x = (const struct vcpu_exit *)m->event[exit].word;
    for (u32 i = exit; i--;) {
        struct model_event *const e = &m->event[i];
        if (e->id != TRACE_entry || e->vcpu != m->event[exit].vcpu)
            continue;
        if (x->reason == VCPU_EXIT_EXCEPTION) {
            e->word[TRACE_WORD_exceptions_and_flags] |= bit(x->u.exception.vector & 31);
            e->word[TRACE_WORD_dirty_and_want] |= VCPU_GROUP_CONTROL;
        } else if (x->reason == VCPU_EXIT_INTR_WINDOW || x->reason == VCPU_EXIT_NMI_WINDOW) {
            e->word[TRACE_WORD_inject_length_and_windows] |= (x->reason == VCPU_EXIT_NMI_WINDOW ? VCPU_WINDOW_NMI : (u64)VCPU_WINDOW_INTR) << 32;
            e->word[TRACE_WORD_dirty_and_want] |= VCPU_GROUP_INJECT;
        }
        return;
    }
}

static bool change_reason(struct model *m)
{
    u32 at;
    if (!any(m, bit(TRACE_exit), &at))
        return false;
    struct vcpu_exit *const x = (struct vcpu_exit *)m->event[at].word;
    if (below(2))
        x->reason = below(VCPU_EXIT_COUNT);
    x->insn_len = below(4) ? below(16) : 0;
    if (x->reason == VCPU_EXIT_OTHER)
        x->raw_reason = below(2) ? below(70) : 0x40 + below(0x60);
    else if (x->reason == VCPU_EXIT_EXCEPTION && below(2))
        x->u.exception.vector = below(32), x->u.exception.error_valid = below(2);
    else if (x->reason == VCPU_EXIT_CR && below(2))
        x->u.cr.number = below(9), x->u.cr.gpr = below(16), x->u.cr.write = below(2), x->u.cr.kind = below(4);
    else if (x->reason == VCPU_EXIT_MMIO && below(2))
        x->u.mmio.access = 1u << below(3), x->u.mmio.gpa = below(2) ? below(0x100000) : value_of(x->u.mmio.gpa);
    else
        x->u.words[below(6)] = value_of(x->u.words[below(6)]);
    if (x->reason == VCPU_EXIT_IO)
        x->u.io.size = (u8)(1u << below(3));
    if (below(4))
        asked(m, at);
    return true;
}

static bool change_event(struct model *m)
{
    u32 at;
    if (!any(m, bit(TRACE_exit) | bit(TRACE_entry), &at))
        return false;
    u64 *const word = m->event[at].word;
    if (m->event[at].id == TRACE_exit) {
        word[TRACE_WORD_pending] = below(4) ? event_of() : 0;
        return true;
    }
    word[TRACE_WORD_inject] = below(4) ? event_of() : 0;
    word[TRACE_WORD_inject_length_and_windows] = (u64)below(4) << 32 | below(17);
    word[TRACE_WORD_dirty_and_want] |= VCPU_GROUP_INJECT;
    return true;
}

static bool change_groups(struct model *m)
{
    u32 at;
    if (!any(m, bit(TRACE_entry), &at))
        return false;
    u64 *const word = &m->event[at].word[TRACE_WORD_dirty_and_want];
    *word ^= below(4) ? bit(below(15) + 32 * below(2)) : below(VCPU_GROUP_ALL + 1) | (u64)below(VCPU_GROUP_ALL + 1) << 32;
    return true;
}

static bool change_value(struct model *m)
{
    u32 at;
    if (!any(m, bit(TRACE_value), &at))
        return false;
    struct model_event *const e = &m->event[at];
    if (below(4) == 0)
        e->value.address = value_of(e->value.address);
    else if (below(8) == 0)
        e->value.kind = (u8)(1 + below(TRACE_VALUE_COUNT - 1));
    else
        e->value.bytes = (u8)LLVMFuzzerMutate(e->value.data, e->value.bytes, TRACE_VALUE_BYTES);
    return true;
}

/* ---- Turns ---- */

static bool remove_turn(struct model *m)
{
    u32 at, index[TURN_EVENTS];
    if (!any(m, bit(TRACE_exit), &at))
        return false;
    for (u32 n = model_turn(m, at, index, TURN_EVENTS); n; n--)
        model_remove(m, index[n - 1]);
    return true;
}

/* A turn of this trace or of another once more, of the same vCPU or for another. */
static bool insert_turn(struct model *m, const struct model *from)
{
    u32 at, to, index[TURN_EVENTS];
    if (!any(from, bit(TRACE_exit), &at) || !any(m, bit(TRACE_exit), &to))
        return false;
    const u32 n = model_turn(from, at, index, TURN_EVENTS);
    static struct model_event turn[TURN_EVENTS];
    for (u32 i = 0; i < n; i++)
        turn[i] = from->event[index[i]];
    const u16 vcpu = below(8) ? m->event[to].vcpu : (u16)below(4), cpu = vcpu == m->event[to].vcpu ? m->event[to].cpu : (u16)below(2);
    for (u32 i = 0; i < n; i++) {
        turn[i].vcpu = vcpu;
        turn[i].cpu = cpu;
        if (!model_insert(m, to + i, &turn[i]))
            return i;
    }
    return true;
}

static bool swap_exits(struct model *m)
{
    u32 a, b;
    if (!any(m, bit(TRACE_exit), &a) || !any(m, bit(TRACE_exit), &b) || m->event[a].vcpu != m->event[b].vcpu)
        return false;
    const struct model_event first = m->event[a];
    m->event[a] = m->event[b];
    m->event[b] = first;
    return true;
}

static bool repeat_turn(struct model *m)
{
    return insert_turn(m, m);
}

static bool (*const changes[])(struct model *m) = {
    change_word, change_word, change_mode, change_mode, change_reason, change_event, change_event, change_groups, change_value,
    remove_turn, repeat_turn, swap_exits,
};

static struct model model, other;

size_t LLVMFuzzerCustomMutator(u8 *data, size_t bytes, size_t room, unsigned seed)
{
    random_state = seed * 0x9e3779b97f4a7c15ul + 1;
    if (!below(16) || !model_read(&model, data, bytes))
        return LLVMFuzzerMutate(data, bytes, room);
    u32 left = 1 + below(CHANGES_MAX);
    for (u32 tries = 0; left && tries < 32; tries++)
        left -= changes[below(array_size(changes))](&model);
    const u64 written = model_write(&model, data, room);
    return written ? written : LLVMFuzzerMutate(data, bytes, room);
}

size_t LLVMFuzzerCustomCrossOver(const u8 *a, size_t a_bytes, const u8 *b, size_t b_bytes, u8 *out, size_t room, unsigned seed)
{
    random_state = seed * 0x9e3779b97f4a7c15ul + 1;
    if (!model_read(&model, a, a_bytes) || !model_read(&other, b, b_bytes))
        return 0;
    for (u32 n = 1 + below(CHANGES_MAX); n; n--)
        (void)!insert_turn(&model, &other);
    return model_write(&model, out, room);
}
