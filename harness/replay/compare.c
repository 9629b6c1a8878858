/* SPDX-License-Identifier: BSD-2-Clause */
/* What of an exit and of an answer is compared: words first, as nearly all are equal; only where two differ their fields, and of these the bits that
 * both machines say the same of. */
#include "replay/compare.h"
#include "abi/hypercall.h"
#include "arch/svm.h"
#include "arch/vmx.h"
#include "arch/x86.h"
#include "replay/differ.h"
#include "trace/vcpu_field.h"

struct comparing {
    const struct compare_machines *m;
    const struct trace_words *recorded, *got;
    const char *where;
    struct difference *d;
};

bool differ(struct difference *d, const char *where, const char *field, u64 recorded, u64 got)
{
    if (recorded == got)
        return false;
    *d = (struct difference){.where = where, .field = field, .recorded = recorded, .got = got};
    return true;
}

/* ---- Bits of a word that count ---- */

#define LOW  0xfffffffful
#define HIGH (LOW << 32)

u64 compare_cr_mask(const struct compare_machines *m, u32 number)
{
    if (m->same_vendor)
        return ~0ul;
    return number == 0 ? ~(CR0_NE | CR0_CD | CR0_NW) : ~(CR4_VMXE | CR4_MCE);
}

bool compare_pae(const struct trace_words *w)
{
    return w->word[TRACE_WORD_cr0] & CR0_PG && w->word[TRACE_WORD_cr4] & CR4_PAE && !(w->word[TRACE_WORD_efer] & EFER_LMA);
}

/* Busy or not: event.c. */
u32 compare_tr_mask(const struct compare_machines *m)
{
    return m->same_vendor ? ~0u : ~2u;
}

/* VMX sets RF when a fault exits, SVM does not, nor does Bochs. */
u64 compare_rflags_mask(const struct compare_machines *m, const struct trace_words *recorded)
{
    return m->same_vendor && trace_words_exit(recorded)->reason != VCPU_EXIT_EXCEPTION ? ~0ul : ~RFLAGS_RF;
}

bool compare_rdx(const struct trace_words *recorded)
{
    return trace_words_exit(recorded)->reason != VCPU_EXIT_STARTUP;
}

u32 compare_shadow(const struct compare_machines *m, u32 a, u32 b)
{
    const u32 shadow = VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS;
    const u32 all = m->same_vendor && m->vendor == SIM_VMX ? ~0u : ~VCPU_BLOCKED_NMI;
    return !m->same_vendor && a & shadow && b & shadow ? all & ~shadow : all;
}

/* Of an unusable segment only that it is; its base counts, as 64-bit mode has one in FS and GS all the same. */
static u64 segment_mask(const struct comparing *c, u32 word)
{
    const u64 a = c->recorded->word[word] >> 32, b = c->got->word[word] >> 32;
    const u64 mask = word == TRACE_WORD_tr_limit_and_attributes ? compare_tr_mask(c->m) : ~0ul;
    return a & b & VCPU_SEG_UNUSABLE ? (u64)VCPU_SEG_UNUSABLE << 32 : mask << 32 | LOW;
}

static u64 state_mask(const struct comparing *c, u32 word)
{
    const u64 a = c->recorded->word[word], b = c->got->word[word];
    if (word >= TRACE_WORD_es_base && word < TRACE_WORD_gdtr_base && (word - TRACE_WORD_es_base) % 3 == 1)
        return segment_mask(c, word);
    switch (word) {
    case TRACE_WORD_rdx:
        return compare_rdx(c->recorded) ? ~0ul : 0;
    case TRACE_WORD_rflags:
        return compare_rflags_mask(c->m, c->recorded);
    case TRACE_WORD_cr0:
        return compare_cr_mask(c->m, 0);
    case TRACE_WORD_cr4:
        return compare_cr_mask(c->m, 4);
    case TRACE_WORD_activity_and_interruptibility:
        return LOW | (u64)compare_shadow(c->m, (u32)(a >> 32), (u32)(b >> 32)) << 32;
    case TRACE_WORD_pending_debug:
        return c->m->same_vendor && c->m->vendor == SIM_VMX && *c->where == 'a' ? ~0ul : 0;   /* no event of a model leaves one */
    case TRACE_WORD_pdpte0 ... TRACE_WORD_pdpte3:
        return compare_pae(c->recorded) ? ~0ul : 0;
    default:
        return ~0ul;
    }
}

/* ---- Fields of the state ---- */

static bool word_differs(const struct comparing *c, u32 group, u32 word)
{
    const u64 mask = state_mask(c, word), a = c->recorded->word[word] & mask, b = c->got->word[word] & mask;
    const u32 offset = vcpu_group_range[group].offset + (word - trace_group_word(group)) * 8u;
    for (u32 i = 0; a != b && i < vcpu_field_count; i++) {
        const struct vcpu_field *f = &vcpu_field[i];
        if (f->offset < offset || f->offset >= offset + 8)
            continue;
        const u64 bits = ~0ul >> (64 - 8 * f->bytes), shift = (f->offset - offset) * 8u;
        if (differ(c->d, c->where, f->name, a >> shift & bits, b >> shift & bits))
            return true;
    }
    return false;
}

static bool groups_differ(const struct comparing *c, u32 groups)
{
    u32 word = TRACE_WORD_STATE;
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
        const u32 end = word + vcpu_group_range[i].bytes / 8u;
        for (; word < end; word++)
            if (groups >> i & 1 && c->recorded->word[word] != c->got->word[word] && word_differs(c, i, word))
                return true;
    }
    return false;
}

/* ---- What belongs to a reason ---- */

static bool io_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    struct difference *const d = c->d;
    const bool sized = a->u.io.address_size && b->u.io.address_size;
    return differ(d, c->where, "io.port", a->u.io.port, b->u.io.port) || differ(d, c->where, "io.size", a->u.io.size, b->u.io.size) ||
           differ(d, c->where, "io.in", a->u.io.in, b->u.io.in) || differ(d, c->where, "io.string", a->u.io.string, b->u.io.string) ||
           differ(d, c->where, "io.rep", a->u.io.rep, b->u.io.rep) ||
           (sized && differ(d, c->where, "io.address_size", a->u.io.address_size, b->u.io.address_size)) ||
           (a->u.io.address_size == b->u.io.address_size && differ(d, c->where, "io.count", a->u.io.count, b->u.io.count));
}

/* SVM names one right: that of a read that is also a write is W. Of the rights that were there it says whether there were any. */
static bool mmio_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    u32 wanted[2] = {a->u.mmio.access, b->u.mmio.access}, present[2] = {a->u.mmio.present, b->u.mmio.present};
    for (u32 i = 0; !c->m->same_vendor && i < 2; i++) {
        wanted[i] &= wanted[i] & RIGHT_W ? RIGHT_W : ~0u;
        present[i] = !!present[i];
    }
    return differ(c->d, c->where, "mmio.gpa", a->u.mmio.gpa, b->u.mmio.gpa) || differ(c->d, c->where, "mmio.access", wanted[0], wanted[1]) ||
           (c->m->memory && differ(c->d, c->where, "mmio.present", present[0], present[1])) ||
           (a->u.mmio.gva_valid && b->u.mmio.gva_valid && differ(c->d, c->where, "mmio.gva", a->u.mmio.gva, b->u.mmio.gva));
}

/* Kind 3: the machine does not tell. */
static bool cr_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    const bool told = a->u.cr.kind != 3 && b->u.cr.kind != 3;
    return differ(c->d, c->where, "cr.number", a->u.cr.number, b->u.cr.number) || differ(c->d, c->where, "cr.write", a->u.cr.write, b->u.cr.write) ||
           (told && (differ(c->d, c->where, "cr.kind", a->u.cr.kind, b->u.cr.kind) || differ(c->d, c->where, "cr.gpr", a->u.cr.gpr, b->u.cr.gpr)));
}

static bool exception_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    const u32 vector = a->u.exception.vector;
    return differ(c->d, c->where, "exception.vector", vector, b->u.exception.vector) ||
           differ(c->d, c->where, "exception.error_valid", a->u.exception.error_valid, b->u.exception.error_valid) ||
           (a->u.exception.error_valid && differ(c->d, c->where, "exception.error", a->u.exception.error, b->u.exception.error)) ||
           ((vector == VECTOR_PF || vector == VECTOR_DB) && differ(c->d, c->where, "exception.address", a->u.exception.address, b->u.exception.address));
}

/* The manuals' ids are a vendor's own, the kernel's begin with K. */
static bool entry_failed_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    const u32 x = a->u.entry_failed.check, y = b->u.entry_failed.check;
    const bool vendors = !c->m->same_vendor && x >> 8 != 'K' && y >> 8 != 'K';
    return x && y && !vendors && differ(c->d, c->where, "entry_failed.check", x, y);
}

static bool details_differ(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    switch (a->reason) {
    case VCPU_EXIT_IO:
        return io_differs(c, a, b);
    case VCPU_EXIT_MMIO:
        return mmio_differs(c, a, b);
    case VCPU_EXIT_CR:
        return cr_differs(c, a, b);
    case VCPU_EXIT_EXCEPTION:
        return exception_differs(c, a, b);
    case VCPU_EXIT_MSR_READ:
    case VCPU_EXIT_MSR_WRITE:
        return differ(c->d, c->where, "msr.index", a->u.msr.index, b->u.msr.index);
    case VCPU_EXIT_ENTRY_FAILED:
        return entry_failed_differs(c, a, b);
    default:
        return false;
    }
}

/* Bits of raw_info1 that both processors of one vendor define, and that an event of the models makes. */
static u64 raw_mask(const struct comparing *c, const struct vcpu_exit *x)
{
    const bool vmx = c->m->vendor == SIM_VMX;
    if (x->reason == VCPU_EXIT_IO)
        return vmx ? ~0x40ul /* the port is an immediate */ : x->raw_info1 & 0x1c00 ? ~0ul : ~0x1c00ul /* no segment is told */;
    if (x->reason == VCPU_EXIT_MMIO)
        return vmx ? EPTQ_GVA_VALID | (x->u.mmio.gva_valid ? EPTQ_FINAL : 0) : c->m->memory ? ~0ul : ~SVM_NPF_PRESENT;
    return vmx && x->reason == VCPU_EXIT_EXCEPTION && x->u.exception.vector == VECTOR_PF ? ~0ul : 0;
}

/* Some processors leave something in these where the manuals define nothing. */
static bool raw_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    const bool own = a->reason == VCPU_EXIT_STARTUP || a->reason == VCPU_EXIT_KICKED || a->reason == VCPU_EXIT_INTR_WINDOW ||
                     a->reason == VCPU_EXIT_NMI_WINDOW || a->reason == VCPU_EXIT_ENTRY_FAILED;
    if (!c->m->same_vendor || own)
        return false;
    if (differ(c->d, c->where, "raw_reason", a->raw_reason, b->raw_reason))
        return true;
    const u64 mask = raw_mask(c, a);
    const bool second = a->reason == VCPU_EXIT_MMIO || (a->reason == VCPU_EXIT_IO && c->m->vendor == SIM_SVM);
    return differ(c->d, c->where, "raw_info1", a->raw_info1 & mask, b->raw_info1 & mask) ||
           (second && differ(c->d, c->where, "raw_info2", a->raw_info2, b->raw_info2));
}

/* A machine need not tell them. */
static bool instruction_differs(const struct comparing *c)
{
    const u64 *const a = &c->recorded->word[TRACE_WORD_instruction0], *const b = &c->got->word[TRACE_WORD_instruction0];
    return c->m->same_vendor && a[1] >> 56 && b[1] >> 56 &&
           (differ(c->d, c->where, "instruction0", a[0], b[0]) || differ(c->d, c->where, "instruction1", a[1], b[1]));
}

static u64 event_of(u64 word)
{
    return !(word & VCPU_EVENT_VALID) ? 0 : word & VCPU_EVENT_ERROR ? word : word & LOW;
}

static bool reason_differs(const struct comparing *c, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    if (!differ(c->d, c->where, "reason", a->reason, b->reason))
        return false;
    c->d->check = b->reason == VCPU_EXIT_ENTRY_FAILED ? b->u.entry_failed.check : 0;
    return true;
}

/* What was told has to be told again, but by SVM, where not every processor does: only of a port access each. */
static bool length_told(const struct compare_machines *m, const struct vcpu_exit *a, const struct vcpu_exit *b)
{
    return a->insn_len && (b->insn_len || a->reason == VCPU_EXIT_IO || (m->same_vendor && m->vendor == SIM_VMX));
}

bool compare_exit(const struct compare_machines *m, const struct trace_words *recorded, const struct trace_words *got, struct difference *d)
{
    const struct comparing c = {m, recorded, got, "exit", d};
    const struct vcpu_exit *a = trace_words_exit(recorded), *b = trace_words_exit(got);
    const u32 groups = m->groups & TRACE_GROUPS;
    *d = (struct difference){0};
    return !(reason_differs(&c, a, b) || details_differ(&c, a, b) ||
             (length_told(m, a, b) && differ(d, c.where, "insn_len", a->insn_len, b->insn_len)) ||
             differ(d, c.where, "pending", event_of(recorded->word[TRACE_WORD_pending]), event_of(got->word[TRACE_WORD_pending])) ||
             differ(d, c.where, "valid", trace_valid(recorded) & groups, trace_valid(got) & groups) ||
             groups_differ(&c, (trace_valid(recorded) | trace_known(recorded)) & (trace_valid(got) | trace_known(got)) & groups) ||
             raw_differs(&c, a, b) || instruction_differs(&c));
}

bool compare_answer(const struct compare_machines *m, const struct trace_words *recorded, const struct trace_words *got, struct difference *d)
{
    const struct comparing c = {m, recorded, got, "answer", d};
    const u32 groups = m->groups & TRACE_GROUPS;
    *d = (struct difference){0};
    return !(differ(d, c.where, "dirty", trace_dirty(recorded) & groups, trace_dirty(got) & groups) ||
             groups_differ(&c, trace_dirty(recorded) & groups) ||
             differ(d, c.where, "want", trace_want(recorded) & groups, trace_want(got) & groups));
}
