/* SPDX-License-Identifier: BSD-2-Clause */
/* A recorded trace in memory: per vCPU its exits, each with the entry before it. Exit 0 is STARTUP and has no entry. */
#pragma once
#include "input.h"
#include "trace_feed.h"

#define RECORDING_VCPUS 64u

struct recording_step {
    const struct trace_entry *entry;   /* NULL: exit 0 */
    const struct trace_exit *exit;     /* NULL: the trace ends inside the guest */
};

struct recording {
    struct input file;
    struct trace_file head;
    struct { struct recording_step *step; u32 count, room; } vcpu[RECORDING_VCPUS];
    u64 exits;
    /* While it is read. */
    const char *why;
    u64 why_offset;
};

bool recording_open(const char *name, struct recording *r);   /* false: one line with the offset on stderr */
void recording_close(struct recording *r);
