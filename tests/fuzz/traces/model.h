/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace as mutations see it: a list of events with all words of their vCPU spelled out, so that one can be changed, taken away or put elsewhere without
 * regard to deltas. From bytes and back; what is no trace has no model. */
#pragma once
#include "trace/writer.h"

#define MODEL_EVENTS 512u            /* more are cut off */

struct model_event {
    u16 id, vcpu, cpu;
    u64 tsc;
    union {
        u64 word[TRACE_WORDS];       /* exit, entry: as they were after it */
        struct { u8 kind, bytes; u64 address; u8 data[TRACE_VALUE_BYTES]; } value;
        u8 raw[256];                 /* any other, whole */
    };
};

struct model {
    struct trace_machine machine;
    struct model_event event[MODEL_EVENTS];
    u32 count;
};

bool model_read(struct model *m, const u8 *data, u64 bytes);      /* false: no trace, or nothing in it */
u64 model_write(const struct model *m, u8 *data, u64 room);       /* bytes written; events that do not fit are left out from the end; 0: no memory */

/* One turn: an exit with its values and its entry. first: an exit. */
u32 model_turn(const struct model *m, u32 first, u32 *index, u32 room);   /* which events are of it: how many, the exit first */
bool model_insert(struct model *m, u32 at, const struct model_event *e);  /* false: full */
void model_remove(struct model *m, u32 at);
