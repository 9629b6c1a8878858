/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace stream (abi/trace.h), fed in pieces of any size: from a file, or from the machine that is running. Checks the head and the shape of
 * each record, then hands it on whole. Nothing is handed on after the first fault. */
#pragma once
#include "abi/trace.h"

struct trace_feed {
    void (*record)(void *arg, const struct trace_header *h, u64 offset);
    void *arg;
    struct trace_file head;
    bool has_head, ended;
    u64 offset;              /* in the stream, of what stands first in buffer */
    u32 have;
    const char *field, *why; /* the first fault: at offset + at */
    u32 at;
    u8 buffer[TRACE_RECORD_MAX] aligned_to(8);
};

bool trace_feed(struct trace_feed *f, const void *bytes, u64 count);   /* false: field, offset, why say what is wrong */
bool trace_feed_end(struct trace_feed *f);                             /* nothing follows: is the stream whole? */
const char *trace_reason_name(u32 reason);                             /* as in VCPU_EXIT_LIST, "?" if there is none */
