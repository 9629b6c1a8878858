/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs made again from decisions at anchors: each question whose anchor has a decision gets its answer, every other the default. */
#pragma once
#include "anchor.h"

/* A question as it came up in the last run. */
struct replay_question {
    struct anchor_key key;
    u64 cpus, flushers;     /* STEP: who could go on */
    u32 bound, step;
    u8 kind, agent;
    struct anchor at;
};

#define NOBODY 255u

struct replay {
    struct chooser chooser;
    struct explore *x;
    struct symbols *symbols;
    struct anchors anchors;
    struct hashes *index;                /* anchor -> place in want, from 1 */
    struct replay_want {
        struct anchor_key key;
        u32 value, step;
        u8 kind;
        bool critical;
        bool met, dropped;               /* it came up and could be had; it is not asked for any more */
    } *want;
    u32 wants;
    const struct explore_answer *list;   /* given instead of wants: the answers themselves */
    u32 list_count, list_at;
    const u8 *who;                       /* with a list: who makes each step, in place of its STEP answers; NOBODY: unknown */
    u32 steps;
    bool strict;                         /* cut at the first decision that is not as written */
    u32 stop_at;
    struct replay_question *seen;        /* questions of the last run, each once */
    u32 seen_count, seen_room;
    struct schedule made;                /* decisions of the last run that differ from the default */
    u32 made_room;
    bool full;                           /* no memory for one of these: a result of the run would not be whole */
    bool critical;                       /* the answer being given is the marked one's */
    bool astray;                         /* the list or a strict decision did not fit */
    u32 astray_step;
};

must_check bool replay_open(struct replay *r, struct explore *x);   /* close in any case */
void replay_close(struct replay *r);
/* What is asked for from now on. */
must_check bool replay_want(struct replay *r, const struct decision *d, u32 count);
/* One run. True: it failed (x->outcome; r->made holds its decisions). r->astray: it went otherwise. */
bool replay_answers(struct replay *r, const struct explore_answer *answer, u32 count, bool await_last);
bool replay_steps(struct replay *r, const u8 *who, u32 steps, const struct explore_answer *answer, u32 count);   /* without await_last */
bool replay_strict(struct replay *r);
bool replay_exact(struct replay *r);       /* decisions that do not come up are left out */
bool replay_tolerant(struct replay *r);    /* more runs: they are moved to the nearest place that does come up */
/* Runs that differ by one decision from the last one, which ended well, chosen by chance: BUG, else BUDGET. */
enum explore_status replay_neighbours(struct replay *r, u64 runs, u64 seed);

/* Where a debugger has its breakpoint: called once, before the question at stop_at is answered. */
extern u32 world_stops;
void world_stop_here(void);
