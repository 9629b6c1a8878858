/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings that others made, as text, into a trace: a line after the other, forgetting it. A file is read twice: first to know vendor, vCPUs and groups,
 * which a trace begins with; then to write. What a recording does not say keeps the value it had, at first that of a reset; `known` of each exit says
 * which groups it did say at least in part, or which follow from it (a RIP above 4 GB: 64-bit mode), and `missing` in env what no word of it holds.
 *
 *   static struct import in;
 *   bool good = import_read(&in, &import_iris, file, writer);       false: in.why at in.line; what came before stands in the writer */
#pragma once
#include "trace/writer.h"

#define IMPORT_LINE    512u    /* what is kept of a line */
#define IMPORT_VCPUS   64u
#define IMPORT_THREADS 256u
#define IMPORT_TSC_KHZ 1000000u   /* time in ns */

/* A line of text, without its end. */
struct import_line {
    char text[IMPORT_LINE];
    bool cut;                  /* it was longer */
    u64 number, offset;        /* from 1; of its first byte */
};

/* A vCPU. An exit is held until what belongs to it is known: the lines after it may complete it. */
struct import_vcpu {
    u64 word[TRACE_WORDS];
    u64 tsc;                   /* of the held exit */
    enum { IMPORT_RUNS, IMPORT_HELD, IMPORT_TOLD } at;   /* in the guest; exit read; exit written */
    bool begun;
};

/* A host's thread, or CPU where threads are not named, as far as it has run a vCPU: some lines do not say of which vCPU they are. Two virtual machines
 * may have vCPUs of one number: here each has its own. */
struct import_thread {
    u64 key;
    u32 recorded, vcpu;        /* the number there, and here */
    u64 used;                  /* line */
};

struct import;
struct import_format {
    const char *name;
    const char *missing;       /* what it never says */
    bool (*read)(struct import *in);   /* the whole file, once */
};
extern const struct import_format import_iris, import_kvm;

struct import {
    const struct import_format *format;
    FILE *file;
    struct import_line line;
    struct trace_writer *writer;   /* NULL: the first time */
    const char *field, *why;       /* the first fault, at `line` */
    /* Found the first time. */
    u32 vendor, vcpus, groups;     /* vendor: as in struct trace_machine */
    u32 exceptions, control_flags; /* what was intercepted, as it came; see struct vcpu_state */
    /* Counted each time. */
    u64 exits, skipped, lost, mended;   /* lines that say nothing to us; events that were not recorded; entries that had to be made or left out */
    struct import_vcpu vcpu[IMPORT_VCPUS];
    struct import_thread thread[IMPORT_THREADS];
    u32 threads;
};

bool import_read(struct import *in, const struct import_format *format, FILE *file, struct trace_writer *writer);   /* a file, not a pipe */

/* ---- For formats ---- */

bool import_next(struct import *in);   /* the next line; false: there is none, or a fault: a last line without its end may be half a line */
bool import_fail(struct import *in, const char *field, const char *why);   /* false */
bool import_hex(const char **text, u64 *value);   /* 1 to 16 digits, with 0x or without; *text goes behind them */

struct vcpu_exit *import_exit_of(struct import_vcpu *v);
void import_hold(struct import *in, u32 vcpu, u64 tsc, u32 known);   /* its words are those of an exit */
bool import_tell(struct import *in, u32 vcpu);                       /* write the exit that is held, if one is */
bool import_value(struct import *in, u32 vcpu, u64 tsc, enum trace_value_kind kind, u64 address, u64 value, u32 bytes);
bool import_enter(struct import *in, u32 vcpu, u64 tsc, u32 dirty);  /* its words are those of the entry */
bool import_alternate(struct import *in, u32 vcpu, u64 tsc);         /* an exit comes: was there an entry? */
/* The event whose delivery an exit broke, in the format both vendors share, as the kernel would report it. */
u64 import_pending(u64 info, u64 error);
u64 import_injected(u64 info, u64 error);
void import_inject(struct import_vcpu *v, u64 event, u32 insn_len, u32 windows);   /* insn_len 0: not recorded */

/* ---- Neutral exits ---- */

struct import_vmx {
    u64 reason, qualification, gpa, gva, intr_info, error, insn_len, insn_info;
    bool has_insn_info;
};
void import_vmx_exit(const struct import_vmx *x, struct import_vcpu *v);
void import_svm_exit(u64 code, u64 info1, u64 info2, struct import_vcpu *v);
