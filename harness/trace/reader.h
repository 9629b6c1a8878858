/* SPDX-License-Identifier: BSD-2-Clause */
/* A trace in memory: what a machine wrote (one stream) or a folder of CTF streams, checked, its events in order of `sequence`.
 *
 *   struct trace t;
 *   if (!trace_open(path, &t)) return 2;              nothing could be read: one line was printed
 *   for (u64 i = 0; i < t.count; i++) ...             t.event[i]
 *   int status = t.fault.why ? 2 : 0;                 truncated or corrupt: one line was printed, what stands before it in that file is here
 *   trace_close(&t);
 *
 * A folder holds `metadata` (not read here: the format is known by its UUID), and streams in all its other visible files. Every event handed out has
 * the size and the words of its row; unknown ids are left out and counted. */
#pragma once
#include <stdio.h>
#include "abi/trace_words.h"

#define TRACE_CPUS 64u   /* numbers of CPUs are below */

/* One event; `raw` points into the file, packed and unaligned: read its fields through the structure of its row. */
struct trace_item {
    u64 sequence, tsc;
    const struct trace_event *raw;
    u64 offset;              /* in its file */
    u16 cpu, file;
};

/* The first fault. */
struct trace_fault {
    const char *why;         /* NULL: none */
    const char *field;
    u64 offset;
    u16 file;
};

struct trace_source {
    char *name;
    u8 *bytes;
    u64 count;               /* of those read; less than the file has after a fault */
};

struct trace {
    struct trace_source *source;
    u32 source_count;
    struct trace_item *event;    /* by sequence */
    u64 count;
    struct trace_machine machine;   /* zeros without one */
    bool has_machine, ended;     /* an `end` event is there */
    u64 exits, lost, unknown;    /* exit events; events dropped while recording; events of unknown ids */
    u32 vcpus;                   /* greatest number seen + 1 */
    struct trace_fault fault;
};

/* False: nothing could be read (no such file, not a trace), t need not be closed. Prints at most one line:
 *   orrery: FILE: offset 0x...: FIELD: WHY */
bool trace_open(const char *path, struct trace *t);
bool trace_open_bytes(const char *name, const void *bytes, u64 count, struct trace *t);   /* one stream, copied */
void trace_close(struct trace *t);
int trace_status(const struct trace *t);   /* 0 or 2; with lost events or without `end` it is still 0: see trace_whole */
bool trace_whole(const struct trace *t);   /* has machine and end, nothing lost, no fault: can be replayed strictly */

/* ---- The words of vCPUs, event by event ---- */

struct trace_words {
    u64 word[TRACE_WORDS];
    bool known;              /* a `state` was seen: without it, exits and entries say nothing */
};
/* One for each vCPU of t. NULL: no memory. */
struct trace_words *trace_words_new(const struct trace *t);
/* state, exit and entry of this vCPU change it; others do not. False: no state was seen yet. */
bool trace_words_apply(struct trace_words *w, const struct trace_item *e);
u32 trace_vcpu(const struct trace_item *e);                        /* of state, exit, entry, value; else TRACE_NO_VCPU */
const struct vcpu_exit *trace_words_exit(const struct trace_words *w);
void trace_words_state(const struct trace_words *w, struct vcpu_state *s);   /* groups only */
static inline u32 trace_valid(const struct trace_words *w) { return (u32)w->word[TRACE_WORD_valid_and_known]; }
static inline u32 trace_known(const struct trace_words *w) { return (u32)(w->word[TRACE_WORD_valid_and_known] >> 32); }
static inline u32 trace_dirty(const struct trace_words *w) { return (u32)w->word[TRACE_WORD_dirty_and_want]; }
static inline u32 trace_want(const struct trace_words *w) { return (u32)(w->word[TRACE_WORD_dirty_and_want] >> 32); }
/* DELTA and BYTES tails of an event. */
struct trace_tail {
    u8 small, large;         /* DELTA */
    const struct trace_small *change_small;
    const struct trace_large *change_large;
    u8 bytes;                /* BYTES */
    const u8 *data;
};
struct trace_tail trace_tail(const struct trace_event *e);

/* ---- Names ---- */
const char *trace_event_name(u32 id);      /* "exit"; "?" if there is none */
const char *trace_word_name(u32 word);
const char *trace_reason_name(u32 reason); /* "IO" */
const char *trace_value_name(u32 kind);
