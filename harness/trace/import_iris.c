/* SPDX-License-Identifier: BSD-2-Clause */
/* Seeds of IRIS, which records a Xen guest: three lines of hexadecimal digits an entry, field, value, type. Type 2 is a general register, 1 a VMREAD,
 * 0 a VMWRITE; field and value ffffffff of type 0 begin an exit. In an exit come the registers, then what Xen read and wrote, in order: what it
 * read before it wrote it is the exit, what it wrote last is the entry. One vCPU, no memory, no clock: each event is a nanosecond after the other. */
#include <string.h>
#include "abi/vcpu.h"
#include "arch/vmx.h"
#include "arch/x86.h"
#include "trace/import.h"

#define BEGIN 0xfffffffful
enum { TYPE_WRITE, TYPE_READ, TYPE_REGISTER };
enum { REGISTERS = 15 };

/* Word of a register's number, which stands in the field's bits 31:28. */
static const u8 register_word[REGISTERS] = {
    TRACE_WORD_rdi, TRACE_WORD_rax, TRACE_WORD_rbx, TRACE_WORD_rcx, TRACE_WORD_rdx, TRACE_WORD_r8,  TRACE_WORD_r9,  TRACE_WORD_r10,
    TRACE_WORD_r11, TRACE_WORD_r12, TRACE_WORD_r13, TRACE_WORD_r14, TRACE_WORD_r15, TRACE_WORD_rbp, TRACE_WORD_rsi,
};

/* Fields that stand in a word as they are; and others, which say what the exit is or go through a mask. */
enum part { WHOLE, LOW, HIGH, OTHER };
#define SEGMENT(X, name, n)                                                                                                       \
    X(VMCS_GUEST_##name##_SEL, es_selector + 3 * n, WHOLE, SEG) X(VMCS_GUEST_##name##_BASE, es_base + 3 * n, WHOLE, SEG)           \
    X(VMCS_GUEST_##name##_LIMIT, es_limit_and_attributes + 3 * n, LOW, SEG) X(VMCS_GUEST_##name##_AR, es_limit_and_attributes + 3 * n, HIGH, SEG)
#define FIELDS(X)                                                                                                                 \
    X(VMCS_GUEST_RSP, rsp, WHOLE, GPR) X(VMCS_GUEST_RIP, rip, WHOLE, RIP) X(VMCS_GUEST_RFLAGS, rflags, WHOLE, RIP)                 \
    SEGMENT(X, ES, 0) SEGMENT(X, CS, 1) SEGMENT(X, SS, 2) SEGMENT(X, DS, 3) SEGMENT(X, FS, 4) SEGMENT(X, GS, 5)                    \
    SEGMENT(X, LDTR, 6) SEGMENT(X, TR, 7)                                                                                         \
    X(VMCS_GUEST_GDTR_BASE, gdtr_base, WHOLE, TABLE) X(VMCS_GUEST_GDTR_LIMIT, gdtr_limit, LOW, TABLE)                              \
    X(VMCS_GUEST_IDTR_BASE, idtr_base, WHOLE, TABLE) X(VMCS_GUEST_IDTR_LIMIT, idtr_limit, LOW, TABLE)                              \
    X(VMCS_GUEST_CR3, cr3, WHOLE, CR) X(VMCS_GUEST_DR7, dr7, WHOLE, DR) X(VMCS_GUEST_EFER, efer, WHOLE, EFER)                      \
    X(VMCS_GUEST_PAT, pat, WHOLE, EFER) X(VMCS_GUEST_SYSENTER_CS, sysenter_cs, LOW, SYSENTER)                                      \
    X(VMCS_GUEST_SYSENTER_ESP, sysenter_esp, WHOLE, SYSENTER) X(VMCS_GUEST_SYSENTER_EIP, sysenter_eip, WHOLE, SYSENTER)            \
    X(VMCS_GUEST_PDPTE0, pdpte0, WHOLE, PDPTE) X(VMCS_GUEST_PDPTE1, pdpte1, WHOLE, PDPTE)                                          \
    X(VMCS_GUEST_PDPTE2, pdpte2, WHOLE, PDPTE) X(VMCS_GUEST_PDPTE3, pdpte3, WHOLE, PDPTE)                                          \
    X(VMCS_GUEST_INTERRUPTIBILITY, activity_and_interruptibility, HIGH, ACTIVITY)                                                 \
    X(VMCS_GUEST_PENDING_DEBUG, pending_debug, WHOLE, ACTIVITY)
#define OTHERS(X)                                                                                                                 \
    X(EXIT_REASON) X(EXIT_QUALIFICATION) X(GUEST_PHYS_ADDR) X(GUEST_LINEAR_ADDR) X(EXIT_INTR_INFO) X(EXIT_ERROR_CODE)              \
    X(VECTORING_INFO) X(VECTORING_ERROR) X(EXIT_INSN_LEN) X(EXIT_INSN_INFO) X(ENTRY_INTR_INFO) X(ENTRY_ERROR_CODE)                 \
    X(ENTRY_INSN_LEN) X(PROC_CTRL) X(GUEST_CR0) X(CR0_MASK) X(CR0_SHADOW) X(GUEST_CR4) X(CR4_MASK) X(CR4_SHADOW)

static const struct {
    u16 encoding;
    u8 word, part;
    u32 group;
} field_row[] = {
#define OTHER_ROW(name) { VMCS_##name, 0, OTHER, 0 },
    OTHERS(OTHER_ROW)
#define FIELD_ROW(field, name, part, group) { field, TRACE_WORD_##name, part, VCPU_GROUP_##group },
    FIELDS(FIELD_ROW)
};
enum other {
#define OTHER_ENUM(name) ROW_##name,
    OTHERS(OTHER_ENUM)
};
#define ROWS array_size(field_row)

/* An exit as it is read. CRs go through their masks, which are seldom written: they stay. */
struct seed {
    u64 general[REGISTERS];
    u64 read[ROWS], written[ROWS];
    bool was_read[ROWS], was_written[ROWS];
    u32 registers;             /* bits: which are there */
    bool open;
    u64 cr[2], mask[2], shadow[2];   /* CR0, CR4 */
    bool has_cr[2], has_shadow[2];
    u64 tsc;
};

static u32 row_of(u64 encoding)
{
    u32 i = 0;
    while (i < ROWS && field_row[i].encoding != encoding)
        i++;
    return i;
}

static void put(struct import_vcpu *v, u32 row, u64 value)
{
    u64 *const word = &v->word[field_row[row].word];
    if (field_row[row].part == WHOLE)
        *word = value;
    else if (field_row[row].part == LOW)
        *word = (*word & ~0xfffffffful) | (value & 0xffffffff);
    else   /* access rights and interruptibility: what the neutral format has of them */
        *word = (*word & 0xffffffff) | (value & (field_row[row].group == VCPU_GROUP_SEG ? 0x1f0ff : VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS | VCPU_BLOCKED_NMI)) << 32;
}

/* What stands in a word; the groups. */
static u32 put_all(struct import_vcpu *v, const u64 *value, const bool *there)
{
    u32 groups = 0;
    for (u32 i = 0; i < ROWS; i++)
        if (there[i] && field_row[i].part != OTHER) {
            put(v, i, value[i]);
            groups |= field_row[i].group;
        }
    return groups;
}

/* As the guest sees them: bits that the mask has are the shadow's (25.6.6). What Xen needs and a guest does not ask for is left out where no shadow says. */
static u32 put_cr(struct seed *s, struct import_vcpu *v, const u64 *value, const bool *there)
{
    static const u32 row[2][3] = { { ROW_GUEST_CR0, ROW_CR0_MASK, ROW_CR0_SHADOW }, { ROW_GUEST_CR4, ROW_CR4_MASK, ROW_CR4_SHADOW } };
    static const u32 word[2] = { TRACE_WORD_cr0, TRACE_WORD_cr4 };
    static const u64 own[2] = { CR0_NE, CR4_VMXE | CR4_MCE };
    u32 groups = 0;
    for (u32 i = 0; i < 2; i++) {
        if (there[row[i][0]])
            s->cr[i] = value[row[i][0]], s->has_cr[i] = true;
        if (there[row[i][1]])
            s->mask[i] = value[row[i][1]];
        if (there[row[i][2]])
            s->shadow[i] = value[row[i][2]], s->has_shadow[i] = true;
        if (!there[row[i][0]] && !there[row[i][2]])
            continue;
        groups |= VCPU_GROUP_CR;
        const u64 hidden = s->has_shadow[i] ? s->mask[i] : own[i];
        v->word[word[i]] = (s->cr[i] & ~hidden) | (s->shadow[i] & hidden);
    }
    return groups;
}

static bool exit_made(struct import *in, struct seed *s)
{
    struct import_vcpu *const v = &in->vcpu[0];
    for (u32 i = 0; i < REGISTERS; i++)
        v->word[register_word[i]] = s->general[i];
    u32 known = VCPU_GROUP_GPR | put_all(v, s->read, s->was_read);
    known |= put_cr(s, v, s->read, s->was_read);
    const struct import_vmx x = {
        .reason = s->read[ROW_EXIT_REASON], .qualification = s->read[ROW_EXIT_QUALIFICATION], .gpa = s->read[ROW_GUEST_PHYS_ADDR],
        .gva = s->read[ROW_GUEST_LINEAR_ADDR], .intr_info = s->read[ROW_EXIT_INTR_INFO], .error = s->read[ROW_EXIT_ERROR_CODE],
        .insn_len = s->read[ROW_EXIT_INSN_LEN], .insn_info = s->read[ROW_EXIT_INSN_INFO], .has_insn_info = s->was_read[ROW_EXIT_INSN_INFO],
    };
    import_vmx_exit(&x, v);
    v->word[TRACE_WORD_pending] = import_pending(s->read[ROW_VECTORING_INFO], s->read[ROW_VECTORING_ERROR]);
    import_hold(in, 0, s->tsc++, known);
    return import_tell(in, 0);
}

static bool entry_made(struct import *in, struct seed *s)
{
    struct import_vcpu *const v = &in->vcpu[0];
    u32 dirty = put_all(v, s->written, s->was_written);
    dirty |= put_cr(s, v, s->written, s->was_written);
    const u64 event = s->was_written[ROW_ENTRY_INTR_INFO] ? import_injected(s->written[ROW_ENTRY_INTR_INFO], s->written[ROW_ENTRY_ERROR_CODE]) : 0;
    const u32 window = s->written[ROW_PROC_CTRL] & VMX_PROC_INTR_WINDOW ? VCPU_WINDOW_INTR : 0;
    const u32 windows = window | (s->written[ROW_PROC_CTRL] & VMX_PROC_NMI_WINDOW ? VCPU_WINDOW_NMI : 0);
    import_inject(v, event, (u32)s->written[ROW_ENTRY_INSN_LEN] & 0xf, windows);
    if (event || windows)
        dirty |= VCPU_GROUP_INJECT;
    return import_enter(in, 0, s->tsc++, dirty);
}

/* The end of an exit. Xen writes RIP before it enters: of the last exit that says whether it is whole. */
static bool finish(struct import *in, struct seed *s, bool last)
{
    if (!s->open)
        return true;
    if (s->registers != bit(REGISTERS) - 1)
        return import_fail(in, "registers", "not all 15 of the exit before are there");
    if (!s->was_read[ROW_EXIT_REASON])
        return import_fail(in, "exit reason", "that of the exit before is not there");
    if (last && !s->was_written[row_of(VMCS_GUEST_RIP)])
        return import_fail(in, "entry", "the last exit ends before RIP is written");
    return import_alternate(in, 0, s->tsc) && exit_made(in, s) && entry_made(in, s);
}

static void begin(struct seed *s)
{
    const u64 control = s->written[ROW_PROC_CTRL];   /* it stays as it was written */
    memset(s->read, 0, sizeof(s->read));
    memset(s->written, 0, sizeof(s->written));
    memset(s->was_read, 0, sizeof(s->was_read));
    memset(s->was_written, 0, sizeof(s->was_written));
    s->written[ROW_PROC_CTRL] = control;
    s->registers = 0;
    s->open = true;
}

static bool entry(struct import *in, struct seed *s, u64 field, u64 value, u64 type)
{
    if (type == TYPE_WRITE && field == BEGIN && value == BEGIN) {
        if (!finish(in, s, false))
            return false;
        begin(s);
        return true;
    }
    if (!s->open)
        return import_fail(in, "type", "no exit has begun: ffffffff, ffffffff, 0 does that");
    if (type == TYPE_REGISTER) {
        if ((field & 0xfffffff) != 0xfffffff || field >> 28 >= REGISTERS)
            return import_fail(in, "field", "no general register has this number");
        s->general[field >> 28] = value;
        s->registers |= 1u << (field >> 28);
        return true;
    }
    const u32 row = row_of(field);
    if (row == ROWS) {
        in->skipped++;
    } else if (type == TYPE_WRITE) {
        s->written[row] = value;
        s->was_written[row] = true;
    } else if (!s->was_written[row] && !s->was_read[row]) {
        s->read[row] = value;
        s->was_read[row] = true;
    }
    return true;
}

static bool number(struct import *in, const char *name, u64 *value)
{
    const char *p = in->line.text;
    return (import_hex(&p, value) && !*p && !in->line.cut) || import_fail(in, name, "is not a hexadecimal number of 64 bits");
}

static bool read_seed(struct import *in)
{
    struct seed s = { .mask = { ~0ul, ~0ul } };
    in->vendor = 1;
    while (import_next(in)) {
        u64 field, value, type;
        if (!number(in, "field", &field))
            return false;
        if (!import_next(in))
            return import_fail(in, "value", "the file ends before it");
        if (!number(in, "value", &value))
            return false;
        if (!import_next(in))
            return import_fail(in, "type", "the file ends before it");
        if (!number(in, "type", &type))
            return false;
        if (type > TYPE_REGISTER)
            return import_fail(in, "type", "is none of 0 (write), 1 (read), 2 (register)");
        if (!entry(in, &s, field, value, type))
            return false;
    }
    return !in->why && finish(in, &s, true);
}

const struct import_format import_iris = { "iris", "memory clock", read_seed };
