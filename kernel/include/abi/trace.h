/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace format, version 2: CTF 1.8 packets that the kernel writes itself. Packed, little-endian; everything is byte-aligned.
 *
 *   packet:  struct trace_packet, then events to content_bits. Each packet holds events of one CPU, at most TRACE_PACKET_BYTES; packets of
 *            several CPUs follow each other in the stream a machine writes. A folder has one file per CPU and `metadata`.
 *   event:   struct trace_event, the fields of its row, and by the row's tail
 *            NONE   nothing more
 *            DELTA  u8 small, large; struct trace_small[small]; struct trace_large[large]: the words of a vCPU that have changed
 *            BYTES  u8 count; u8 data[count]
 *
 * A vCPU's state is an array of words (abi/trace_words.h). Reader and writer keep one per vCPU; `state` sets all of it, `exit` and `entry` change some.
 * Words are those of the machine's own state page: nothing in them depends on the vendor but raw_reason, raw_info1, raw_info2.
 *
 * `sequence` numbers the events of all CPUs in their order: the packet has all 64 bits of its first event's, an event the low 32, and no two
 * neighbours in a packet are 2^31 apart; the same holds for `tsc`. What a full ring dropped is counted in `discarded`. */
#pragma once
#include "base.h"

#define TRACE_MAGIC        0xc1fc1fc1u   /* CTF 1.8, 5.1 */
#define TRACE_VERSION      2u
#define TRACE_UUID         { 0x6f, 0x72, 0x72, 0x65, 0x72, 0x79, 0x40, 0x02, 0x80, 0x00, 0x74, 0x72, 0x61, 0x63, 0x65, 0x32 }   /* of this version */
#define TRACE_PACKET_BYTES 65536u
#define TRACE_STATE_EVERY  256u          /* exits of a vCPU between two `state` events */

struct trace_packet {
    u32 magic;
    u8 uuid[16];
    u32 stream;          /* 0: there is one class of streams */
    u64 begin, end;      /* TSC of the first and the last event */
    u64 content_bits, packet_bits;   /* of the whole packet, this header included; equal */
    u64 discarded;       /* events this CPU has dropped since the start */
    u64 sequence;        /* of the first event */
    u32 cpu;
} __attribute__((packed));

struct trace_event {
    u16 id;              /* enum trace_id; a reader skips ids it does not know */
    u32 tsc;             /* to CTF, id and tsc are the header; what follows is the event's context */
    u16 bytes;           /* of the whole event */
    u32 sequence;
} __attribute__((packed));

struct trace_small {
    u8 word;             /* enum trace_word */
    u32 value;           /* zero-extended */
} __attribute__((packed));

struct trace_large {
    u8 word;
    u64 value;
} __attribute__((packed));

/* Rows: id, name, tail, what it says. From 7 on only with trace=all on the kernel's command line: no replay needs them. Fields: type, name; x32 and x64 are shown in hexadecimal. ec, from, to: physical address of an EC, 0: none. */
#define TRACE_EVENT_LIST(X)                                                                                                \
    X(1, machine, NONE, "first event of CPU 0: who writes this")                                                           \
    X(2, end, NONE, "last event of all: the machine stops. A trace without it is not whole")                               \
    X(3, state, DELTA, "all words of a vCPU, against zeros: before its first exit, after every TRACE_STATE_EVERY exits, after a loss") \
    X(4, exit, DELTA, "vcpu_run completes: what the VMM is told, and the groups that a replay needs")                      \
    X(5, entry, DELTA, "vcpu_run begins: what the VMM changed")                                                            \
    X(6, value, BYTES, "what the VMM took from outside since the last exit: guest memory, the clock, a device")            \
    X(7, hypercall, NONE, "a hypercall is over, or its caller waits; none that another event tells of, unless refused")        \
    X(8, interrupt, NONE, "an interrupt was taken")                                                                        \
    X(9, exception, NONE, "an exception in user mode")                                                                     \
    X(10, ipc, NONE, "a message went from one EC to another")                                                              \
    X(11, schedule, NONE, "another EC goes on, or the CPU is idle")                                                        \
    X(12, shootdown, NONE, "other CPUs are asked to drop translations")                                                    \
    X(13, flushed, NONE, "this CPU has dropped what was asked for")
#define TRACE_FIELDS_machine(F)   F(u32, version) F(u32, vendor) F(u32, cpu_count) F(x32, groups) F(u64, tsc_khz)   /* vendor: 0 none, 1 VMX, 2 SVM */
#define TRACE_FIELDS_end(F)       F(u32, code)
#define TRACE_FIELDS_state(F)     F(u16, vcpu)   /* in order of creation */
#define TRACE_FIELDS_exit(F)      F(u16, vcpu)
#define TRACE_FIELDS_entry(F)     F(u16, vcpu)
#define TRACE_FIELDS_value(F)     F(u16, vcpu) F(u8, kind) F(x64, address)   /* kind: TRACE_VALUE_*; vcpu 0xffff: none */
#define TRACE_FIELDS_hypercall(F) F(u8, number) F(u8, status) F(x64, ec) F(x64, argument0) F(x64, argument1)
#define TRACE_FIELDS_interrupt(F) F(u8, vector)
#define TRACE_FIELDS_exception(F) F(u8, vector) F(x64, ec) F(x64, error) F(x64, ip)
#define TRACE_FIELDS_ipc(F)       F(u8, kind) F(x64, from) F(x64, to)   /* kind: TRACE_IPC_* */
#define TRACE_FIELDS_schedule(F)  F(x64, ec)
#define TRACE_FIELDS_shootdown(F) F(u64, generation) F(x64, cpus)
#define TRACE_FIELDS_flushed(F)   F(u64, generation)

enum trace_id {
#define TRACE_ID(number, name, tail, text) TRACE_##name = number,
    TRACE_EVENT_LIST(TRACE_ID)
#undef TRACE_ID
            TRACE_ID_COUNT,
};

typedef u32 x32;
typedef u64 x64;
#define TRACE_STRUCT_FIELD(type, name)           type name;
#define TRACE_STRUCT(number, name, tail, text)   \
    struct trace_##name {                        \
        struct trace_event event;                \
        TRACE_FIELDS_##name(TRACE_STRUCT_FIELD)  \
    } __attribute__((packed));
TRACE_EVENT_LIST(TRACE_STRUCT)
#undef TRACE_STRUCT
#undef TRACE_STRUCT_FIELD

#define TRACE_NO_VCPU 0xffffu
/* Row: number, name, what `address` is. */
#define TRACE_VALUE_LIST(X)                          \
    X(1, memory, "guest-physical address")           \
    X(2, clock, "0")                                 \
    X(3, port_in, "port")                            \
    X(4, port_out, "port")                           \
    X(5, mmio_read, "guest-physical address")        \
    X(6, mmio_write, "guest-physical address")       \
    X(7, msr_read, "MSR")                            \
    X(8, msr_write, "MSR")
enum trace_value_kind {
#define TRACE_VALUE_ENUM(number, name, text) TRACE_VALUE_##name = number,
    TRACE_VALUE_LIST(TRACE_VALUE_ENUM)
#undef TRACE_VALUE_ENUM
            TRACE_VALUE_COUNT,
};
#define TRACE_VALUE_BYTES 24u   /* at most, in one event */
enum trace_ipc_kind { TRACE_IPC_call = 1, TRACE_IPC_reply, TRACE_IPC_exception };
#define TRACE_STATUS_WAITS 0xffu   /* of a hypercall: it has no status yet, or never will */
#define TRACE_STATUS_AGAIN 0xfeu   /* it is executed again from its SYSCALL instruction */

/* A trace kept in memory, trace=memory on the kernel's command line: for a machine without a serial port to spare. At a physical address that nothing
 * else uses; a warm start leaves it there. The next kernel with trace=memory writes it to the trace port, if there is one, before it begins its own;
 * a tool finds it in an image of the memory by magic and sum. */
#define TRACE_MEMORY_ADDRESS 0x4000000ul
#define TRACE_MEMORY_BYTES   0x400000ul
#define TRACE_MEMORY_MAGIC   0x324d54595252524ful   /* "ORRRYTM2" */
#define TRACE_MEMORY_SUM     0xcbf29ce484222325ul   /* FNV-1a of data[0 .. bytes - 1], 64 bits: begins with this, */
#define TRACE_MEMORY_PRIME   0x100000001b3ul        /* multiplies by this */
struct trace_memory {
    u64 magic, bytes, sum;
    u64 read;            /* not 0: it was written to a trace port */
    u64 reserved[4];
    u8 data[TRACE_MEMORY_BYTES - 64];   /* packets, of several CPUs: as a machine writes them */
};

static_assert(sizeof(struct trace_memory) == TRACE_MEMORY_BYTES, "file format");
static_assert(sizeof(struct trace_packet) == 76 && sizeof(struct trace_event) == 12, "file format");
