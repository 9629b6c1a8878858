/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace records: packed little-endian, 8-byte aligned, in per-CPU rings, one byte stream when written out.
 *
 * stream:  struct trace_file, then records in the order of each CPU; records of different CPUs are merged by `sequence`.
 * EXIT:    struct trace_exit, then the payload of each group in `groups`, in bit order (TRACE_GROUP_BYTES of it). Written when
 *          vcpu_run completes: the state the VMM is given, and TRACE_EXIT_GROUPS in any case, so that it can be replayed.
 * ENTRY:   struct trace_entry, then the payload of each group in `groups`. Written when vcpu_run was accepted: what the VMM changed.
 * A payload is the bytes of the group's members as they stand in struct vcpu_state, in the order of the structure; the FPU group
 * is not traced (its mask bit never appears). LOST says how many records a full ring dropped: never silent. */
#pragma once
#include "base.h"
#include "abi/vcpu.h"

#define TRACE_MAGIC   0x315459524552524ful   /* "ORRERYT1" */
#define TRACE_VERSION 1u

enum trace_type { TRACE_LOST = 1, TRACE_EXIT = 2, TRACE_ENTRY = 3, TRACE_END = 4 };

struct trace_file {
    u64 magic;
    u32 version;
    u32 vendor;          /* 1 VMX, 2 SVM */
    u32 cpu_count;
    u32 capabilities;    /* groups of the recording machine */
    u64 tsc_khz;
};

struct trace_header {
    u16 type;            /* enum trace_type */
    u16 bytes;           /* of the whole record, a multiple of 8 */
    u16 cpu;
    u16 vcpu;            /* id in order of creation */
    u64 sequence;        /* global over all CPUs, ascending */
    u64 tsc;
};

struct trace_exit {
    struct trace_header header;
    u32 groups;          /* groups in the payload: the valid groups less FPU */
    u32 reserved;
    struct vcpu_exit exit;
    u64 pending;
};

struct trace_entry {
    struct trace_header header;
    u32 groups;          /* dirty groups less FPU */
    u32 want;
};

struct trace_lost {
    struct trace_header header;
    u64 records;
};
/* Without these a replay would not know the guest's mode and paging. */
#define TRACE_EXIT_GROUPS ((u32)(VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_SEG | VCPU_GROUP_TABLE | VCPU_GROUP_CR | VCPU_GROUP_EFER | \
                                 VCPU_GROUP_PDPTE | VCPU_GROUP_ACTIVITY))
#define TRACE_RECORD_MAX 1024u
static_assert(sizeof(struct trace_header) == 24 && sizeof(struct trace_exit) == 120 && sizeof(struct trace_entry) == 32, "file format");
