/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces for tests, made by the writer from a seed: several vCPUs on several CPUs, all kinds of events. */
#pragma once
#include "trace/writer.h"

u64 made_random(u64 *state);
/* A word as traces have them: often 0 or small. */
u64 made_word(u64 *state);
/* events: exits, entries, values, others; the machine before, an end after them. NULL: no memory. */
struct trace_writer *made_trace(u64 seed, u32 cpus, u32 vcpus, u32 events);
u8 *made_bytes(u64 seed, u32 cpus, u32 vcpus, u32 events, u64 *count);

/* Everything that a trace says, as a hash: which events in which order, with all fields; of words, what they are after each event. */
u64 made_hash(const struct trace *t);
/* The same events through the writer. */
struct trace_writer *made_again(const struct trace *t);
