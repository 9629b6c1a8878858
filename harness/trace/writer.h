/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing a trace: packets in memory, one stream per CPU, then a folder of them, or one stream. For import, cut, shrink, mutation and tests; what the
 * kernel writes needs none of it. */
#pragma once
#include "trace/reader.h"

struct trace_writer;

struct trace_writer *trace_writer_new(void);                       /* NULL: no memory */
void trace_writer_free(struct trace_writer *w);
/* Events in the order they are to have; each gets the next sequence number. tsc must not go back on a CPU: it is raised if it does. cpu: below 64.
 * False: no memory, from then on always; trace_writer_save then says so. */
bool trace_write_machine(struct trace_writer *w, const struct trace_machine *machine);   /* its fields; the header is made here. First of all */
bool trace_write_words(struct trace_writer *w, u32 cpu, u64 tsc, enum trace_id id, u32 vcpu, const u64 word[TRACE_WORDS]);   /* state, exit or entry as
                                                                      a delta to what was written of this vCPU; a `state` goes before the first, and every
                                                                      TRACE_STATE_EVERY exits */
bool trace_write_value(struct trace_writer *w, u32 cpu, u64 tsc, u32 vcpu, enum trace_value_kind kind, u64 address, const void *data, u32 bytes);
bool trace_write_raw(struct trace_writer *w, u32 cpu, u64 tsc, const struct trace_event *e);   /* any other event, copied with a new header */
bool trace_write_end(struct trace_writer *w, u32 code);

/* What `env` in the metadata says: key, value pairs in order; a NULL key ends. Keys: letters, digits, '_'. A value that is a decimal number is written as one. */
struct trace_env { const char *key, *value; };
/* Makes folder and writes metadata and streams; what it held of a trace before is replaced. False: one line was printed. */
bool trace_writer_save(struct trace_writer *w, const char *folder, const struct trace_env *env);
/* One stream, as a machine writes it. NULL: no memory. The caller frees it. */
u8 *trace_writer_bytes(struct trace_writer *w, u64 *count);

/* The streams of t as they are, packet by packet, and metadata: from one stream to a folder. */
bool trace_split(const struct trace *t, const char *folder, const struct trace_env *env);

/* metadata.c: the CTF description of abi/trace.h, generated from its tables (CTF 1.8, 7 and appendix C). tsc_khz 0: 1 GHz. */
void trace_metadata(FILE *out, u64 tsc_khz, const struct trace_env *env);
