/* SPDX-License-Identifier: BSD-2-Clause */
/* See import.h: lines, and a vCPU's turns in the order a trace wants them. */
#include "trace/import.h"
#include <string.h>
#include "arch/svm.h"
#include "arch/vmx.h"
#include "arch/x86.h"

#define WORD(name) v->word[TRACE_WORD_##name]

/* ---- Lines ---- */

bool import_fail(struct import *in, const char *field, const char *why)
{
    if (!in->why)
        in->field = field, in->why = why;
    return false;
}

bool import_next(struct import *in)
{
    struct import_line *const line = &in->line;
    u32 kept = 0;
    u64 bytes = 0;
    int c;
    line->offset = (u64)ftell(in->file);
    while ((c = getc_unlocked(in->file)) != EOF && c != '\n') {
        bytes++;
        if (kept < IMPORT_LINE - 1)
            line->text[kept++] = c ? (char)c : ' ';
    }
    line->cut = bytes > kept;
    if (kept && line->text[kept - 1] == '\r')
        kept--;
    line->text[kept] = 0;
    if (c == '\n' || bytes)
        line->number++;
    if (c == EOF && ferror(in->file))
        return import_fail(in, "line", "cannot be read");
    return c == '\n' || (bytes && import_fail(in, "line", "the file ends inside it"));
}

static u32 digit(char c)
{
    return c >= '0' && c <= '9' ? (u32)(c - '0') : c >= 'a' && c <= 'f' ? (u32)(c - 'a') + 10 : c >= 'A' && c <= 'F' ? (u32)(c - 'A') + 10 : 16;
}

bool import_hex(const char **text, u64 *value)
{
    const char *p = *text;
    u32 digits = 0;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        p += 2;
    for (*value = 0; digit(*p) < 16 && digits <= 16; digits++, p++)
        *value = *value << 4 | digit(*p);
    *text = p;
    return digits >= 1 && digits <= 16;
}

/* ---- Turns ---- */

struct vcpu_exit *import_exit_of(struct import_vcpu *v)
{
    return (struct vcpu_exit *)&v->word[TRACE_WORD_reason_and_length];
}

/* What a processor has after a reset (Intel SDM 3A 10.1.1). */
static void reset(struct import_vcpu *v)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++)
        v->word[TRACE_WORD_es_limit_and_attributes + 3 * i] = 0x93ul << 32 | 0xffff;
    WORD(cs_base) = 0xffff0000;
    WORD(cs_limit_and_attributes) = 0x9bul << 32 | 0xffff;
    WORD(cs_selector) = 0xf000;
    WORD(ldtr_limit_and_attributes) = 0x82ul << 32 | 0xffff;
    WORD(tr_limit_and_attributes) = 0x8bul << 32 | 0xffff;
    WORD(gdtr_limit) = WORD(idtr_limit) = 0xffff;
    WORD(rip) = 0xfff0;
    WORD(rflags) = RFLAGS_ONE;
    WORD(cr0) = CR0_CD | CR0_NW | CR0_ET;
    WORD(dr6) = DR6_INIT;
    WORD(dr7) = DR7_INIT;
    WORD(pat) = PAT_RESET;
}

/* An interrupt that was injected was not refused (Intel SDM 3C 27.3.1.4). */
static u32 flags_from_event(struct import_vcpu *v)
{
    if (!(WORD(inject) & VCPU_EVENT_VALID) || WORD(inject) >> 8 & 7 || WORD(rflags) & RFLAGS_IF)
        return 0;
    WORD(rflags) |= RFLAGS_IF;
    return VCPU_GROUP_RIP;
}

/* RIP is above 4 GB in one mode only. */
static u32 mode_from_rip(struct import_vcpu *v)
{
    if (WORD(rip) >> 32 == 0)
        return 0;
    WORD(cr0) |= CR0_PE | CR0_ET | CR0_PG;
    WORD(cr0) &= ~(CR0_CD | CR0_NW);
    WORD(cr4) |= CR4_PAE;
    WORD(efer) |= EFER_LME | EFER_LMA;
    if (!(WORD(cs_limit_and_attributes) & 0x2000ul << 32))   /* L */
        WORD(cs_limit_and_attributes) = 0xa09bul << 32 | 0xffffffff;
    return VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_SEG;
}

static struct import_vcpu *begin(struct import *in, u32 vcpu)
{
    struct import_vcpu *const v = &in->vcpu[vcpu];
    if (!v->begun) {
        reset(v);
        WORD(exceptions_and_flags) = (u64)in->control_flags << 32 | in->exceptions;
    }
    v->begun = true;
    in->vcpus = max(in->vcpus, vcpu + 1);
    return v;
}

static bool write_words(struct import *in, u32 vcpu, u64 tsc, enum trace_id id)
{
    return !in->writer || trace_write_words(in->writer, vcpu, tsc, id, vcpu, in->vcpu[vcpu].word) || import_fail(in, "trace", "no memory");
}

/* What came was intercepted: without that no machine makes this exit. */
static void intercepted(struct import *in, const struct vcpu_exit *e)
{
    const bool svm = in->vendor == 2;
    if (e->reason == VCPU_EXIT_EXCEPTION && e->u.exception.vector < 32)
        in->exceptions |= 1u << e->u.exception.vector;
    if (e->reason == VCPU_EXIT_OTHER && (e->raw_reason == (svm ? SVM_EXIT_RDTSC : VMX_REASON_RDTSC) || e->raw_reason == (svm ? SVM_EXIT_RDTSCP : VMX_REASON_RDTSCP)))
        in->control_flags |= VCPU_CONTROL_RDTSC;
    if (in->exceptions | in->control_flags)
        in->groups |= VCPU_GROUP_CONTROL;
}

void import_hold(struct import *in, u32 vcpu, u64 tsc, u32 known)
{
    struct import_vcpu *const v = &in->vcpu[vcpu];
    known |= mode_from_rip(v);
    in->groups |= known;
    in->exits++;
    intercepted(in, import_exit_of(v));
    WORD(valid_and_known) = (u64)known << 32;
    WORD(inject) = WORD(inject_length_and_windows) = 0;   /* the entry before has used them */
    v->tsc = tsc;
    v->at = IMPORT_HELD;
}

bool import_tell(struct import *in, u32 vcpu)
{
    struct import_vcpu *const v = &in->vcpu[vcpu];
    if (v->at != IMPORT_HELD)
        return true;
    v->at = IMPORT_TOLD;
    WORD(valid_and_known) |= vcpu_exit_groups[import_exit_of(v)->reason] & in->groups;   /* what this kernel would have given, as far as it was recorded at all */
    return write_words(in, vcpu, v->tsc, TRACE_exit);
}

bool import_value(struct import *in, u32 vcpu, u64 tsc, enum trace_value_kind kind, u64 address, u64 value, u32 bytes)
{
    if (in->vcpu[vcpu].at == IMPORT_RUNS) {
        in->skipped++;   /* its exit was lost */
        return true;
    }
    if (!import_tell(in, vcpu))
        return false;
    return !in->writer || trace_write_value(in->writer, vcpu, tsc, vcpu, kind, address, &value, bytes) || import_fail(in, "trace", "no memory");
}

bool import_enter(struct import *in, u32 vcpu, u64 tsc, u32 dirty)
{
    struct import_vcpu *const v = begin(in, vcpu);
    if (v->at == IMPORT_RUNS)
        return true;
    if (!import_tell(in, vcpu))
        return false;
    dirty |= flags_from_event(v);
    if (dirty)
        dirty |= mode_from_rip(v);
    in->groups |= dirty;
    WORD(dirty_and_want) = dirty;
    v->at = IMPORT_RUNS;
    return write_words(in, vcpu, tsc, TRACE_entry);
}

bool import_alternate(struct import *in, u32 vcpu, u64 tsc)
{
    struct import_vcpu *const v = begin(in, vcpu);
    if (v->at == IMPORT_RUNS)
        return true;
    in->mended++;
    return import_enter(in, vcpu, tsc, 0);
}

/* ---- Events ---- */

u64 import_injected(u64 info, u64 error)
{
    const u64 event = info & (VCPU_EVENT_VALID | VCPU_EVENT_ERROR | 0x7ff);
    return !(info & VCPU_EVENT_VALID) ? 0 : info & VCPU_EVENT_ERROR ? event | error << 32 : event;
}

u64 import_pending(u64 info, u64 error)
{
    const u32 type = info >> 8 & 7, vector = info & 0xff;
    if (type >= 4 || (type == 3 && (vector == VECTOR_BP || vector == VECTOR_OF)))
        return 0;   /* RIP stands at the instruction, which raises it again */
    return import_injected(info, error);
}

void import_inject(struct import_vcpu *v, u64 event, u32 insn_len, u32 windows)
{
    const u32 type = event >> 8 & 7;
    if (!event || type < 4)
        insn_len = 0;
    else if (!insn_len)
        insn_len = type == 4 ? 2 : 1;   /* INT n; INT1, INT3, INTO */
    WORD(inject) = event;
    WORD(inject_length_and_windows) = (u64)windows << 32 | insn_len;
}

/* ---- A file ---- */

static bool pass(struct import *in)
{
    in->line.number = 0;
    in->exits = in->skipped = in->lost = in->mended = 0;
    memset(in->vcpu, 0, sizeof(in->vcpu));
    rewind(in->file);
    bool good = in->format->read(in) && !in->why;
    const char *const field = in->field, *const why = in->why;   /* a last exit whose entry is not there */
    for (u32 i = 0; i < in->vcpus; i++)
        good = import_tell(in, i) && good;
    if (why)
        in->field = field, in->why = why;
    return good;
}

bool import_read(struct import *in, const struct import_format *format, FILE *file, struct trace_writer *writer)
{
    memset(in, 0, sizeof(*in));
    in->format = format;
    in->file = file;
    pass(in);
    const struct trace_machine machine = { .version = TRACE_VERSION, .vendor = in->vendor, .groups = in->groups, .cpu_count = max(in->vcpus, 1u), .tsc_khz = IMPORT_TSC_KHZ };
    in->field = in->why = NULL;
    in->writer = writer;
    if (!trace_write_machine(writer, &machine))
        return import_fail(in, "trace", "no memory");
    if (!pass(in))
        return false;
    if (!in->exits)
        return import_fail(in, "exit", "there is none");
    return trace_write_end(writer, 0) || import_fail(in, "trace", "no memory");
}
