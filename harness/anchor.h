/* SPDX-License-Identifier: BSD-2-Clause */
/* Anchors of a run that is being made: at each question, where its agent is, in words that survive changes of the code. An agent is at an operation
 * (function, kind, object) for the k-th time: one more than the events of that kind it has made. Names are compared as hashes.
 * Follows one run from its first question on; anchors_clear before each. */
#pragma once
#include "explore.h"
#include "hashes.h"
#include "schedule.h"
#include "symbols.h"

/* An anchor without its words. */
struct anchor_key {
    u64 place;        /* agent, kind of question, operation, object */
    u64 tuple;        /* ... and function */
    u32 occurrence, visit;
};

struct anchors {
    const struct world *world;
    const struct sim *sim;
    const struct symbols *symbols;
    struct hashes *counts;          /* of this run: events by tuple, visits by anchor */
    struct hashes *sites, *objects; /* hashes of their names, for good */
    u32 followed;
};

must_check bool anchors_open(struct anchors *a, struct world *w, const struct symbols *s);   /* close in any case */
void anchors_close(struct anchors *a);
void anchors_clear(struct anchors *a);
/* Inside choose(): who is asked, or would go on. */
u32 anchors_agent(const struct anchors *a, enum choice_kind kind);
struct anchor_key anchors_here(struct anchors *a, enum choice_kind kind);   /* once per question: it counts the visit */
struct anchor anchors_words(const struct anchors *a, const struct anchor_key *key, enum choice_kind kind);
struct anchor_key anchor_key(const struct decision *d);   /* what anchors_here would say there */
/* One number for a whole key. */
u64 anchor_hash(const struct anchor_key *k);
