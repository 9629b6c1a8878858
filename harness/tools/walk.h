/* SPDX-License-Identifier: BSD-2-Clause */
/* Along a trace, event by event: exits are numbered per vCPU from 0, words stand as they were before and after each event.
 *
 *   struct walk k;
 *   if (!walk_begin(&k, &trace)) return 2;     one line was printed
 *   while (walk_next(&k)) ...                  k.item and what it says
 *   walk_end(&k); */
#pragma once
#include "trace/reader.h"

struct walk {
    const struct trace *trace;
    const struct trace_item *item;
    u32 vcpu;                      /* TRACE_NO_VCPU: of none */
    s64 exit;                      /* the exit this is, or that this answers, or of a `state` the one that follows; -1: none */
    bool known;                    /* of state, exit, entry: the words are those of the recording */
    const struct trace_words *words;   /* of the vCPU, after the event; NULL without one */
    u64 before[TRACE_WORDS];       /* of state, exit, entry: as they were */
    /* The walk's own. */
    u64 next;
    struct trace_words *all;
    s64 *exits;
};

bool walk_begin(struct walk *k, const struct trace *t);
bool walk_next(struct walk *k);
void walk_end(struct walk *k);
