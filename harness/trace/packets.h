/* SPDX-License-Identifier: BSD-2-Clause */
/* The packets of one file of a trace, checked: what is found goes to the trace's events, in the order of the file. */
#pragma once
#include "trace/reader.h"

/* What the packets of a CPU before this one said. */
struct packets_cpu {
    u64 events, sequence, tsc, discarded;
    u16 file;
    bool seen;
};

struct packets {
    struct trace *trace;
    u64 room;                /* of trace->event */
    u64 packets;             /* good headers */
    struct packets_cpu cpu[TRACE_CPUS];
};

/* Appends until the end or the first fault; source->count is cut to what stands before that. False: no memory. */
bool packets_read(struct packets *p, u16 file);
/* Notes a fault of the trace, if there was none; always false. */
bool packets_refuse(struct trace *t, u16 file, u64 offset, const char *field, const char *why);
