/* SPDX-License-Identifier: BSD-2-Clause */
/* Exploration of one world: what strategies, replay, minimiser and command line share. A strategy decides which runs are made; explore_run makes
 * one, from the pristine snapshot, under an answerer. Everything a run needs is in its list of answers. */
#pragma once
#include "choice.h"
#include "event.h"
#include "world_run.h"

struct explore_bound {
    u32 preemptions, delays, faults;   /* at most so many: switches away from a CPU that could go on; late or stale events (every
                                          answer other than 0 to INTERRUPT, TIMER, TRANSLATION, DIRTY, DRAIN, SPURIOUS, and each flush
                                          taken out of order); faults. INPUT answers are free */
};

struct explore_stats {
    u64 runs, complete, blocked;    /* blocked: cut because an equivalent run was or will be made */
    u64 steps, distinct;            /* distinct trace hashes */
    u32 points_min, points_max;
    double coverage;                /* 0 .. 1, an estimate; negative: unknown */
};

struct explore_options {
    const char *strategy;       /* see strategies[] */
    struct explore_bound bound;
    u64 runs;                   /* budget in runs; 0: the strategy's default */
    u64 first;                  /* random, pct: index of the first run (a job is an interval) */
    u64 seed;
    u32 depth;                  /* pct */
    bool unreduced;             /* bounded: every run of the bound, equal ones too: what its reductions are held against */
    bool sc;                    /* no store buffers: every DRAIN is 0 */
    const u8 *input;            /* bytes: the answers */
    u64 input_bytes;
    const u32 *prefix;          /* bounded, dpor: explore only runs that begin with these answers */
    u32 prefix_count;
    void (*progress)(const struct explore_stats *stats);   /* after each run; NULL: none */
};

struct explore_answer {
    u8 kind;                    /* enum choice_kind */
    u8 agent;                   /* STEP: whom the answer names; else the CPU that asked */
    u16 bound;
    u32 answer;
    u32 step;                   /* step before which it was asked */
};

struct explore_outcome {
    enum sim_end end;           /* SIM_SHUTDOWN: the run ended well; SIM_FINDING, SIM_PANIC, SIM_DEADLOCK, SIM_BUDGET */
    char message[512];
    const char *rule;           /* name of the broken rule; NULL: none */
    u64 hash;                   /* of a failed run's events, in order */
    u32 steps;
    u32 awaits;                 /* turns of waiting loops that failed: 0 in a complete execution */
    bool await_last;            /* made by explore_run_await_last */
    const struct explore_answer *answer;   /* valid until the next run */
    u32 answers;
};

enum explore_status { EXPLORE_CLEAN = 0, EXPLORE_BUG = 1, EXPLORE_STALE = 2, EXPLORE_BUDGET = 3 };   /* exit status of the command, too */

struct explore {
    const struct world_test *test;
    struct explore_options options;
    struct explore_stats stats;
    struct explore_outcome outcome;   /* of the last run */
    struct world *world;
    struct explore_answer *answer;
    u32 room;
    struct chooser *strategist;       /* who answers; explore_run stands between it and the machine */
    struct chooser recorder;
    u32 straight_steps;               /* of the straight run, for PCT */
    bool nondeterministic;            /* the same answers led to another question */
    const char *trouble;              /* EXPLORE_STALE: why; NULL: no memory */
    struct explore_bound reached;     /* bounded: the level of the last run */
    struct hashes *seen;              /* partial orders (order.h) met */
};

must_check bool explore_open(struct explore *x, const struct world_test *t, const struct explore_options *o);   /* false: a message was printed */
void explore_close(struct explore *x);
/* One run from the snapshot. True: it ended well, or was cut. await_last: see world_run.h. */
bool explore_run(struct explore *x, struct chooser *c);
bool explore_run_await_last(struct explore *x, struct chooser *c);
u64 explore_hash(const struct explore *x);                        /* of the last run's events */
enum explore_status explore_verdict(struct explore *x, bool all);   /* after the last run: BUG, or CLEAN if all runs were made, else BUDGET */
/* What an answer costs. */
struct explore_bound explore_cost(const struct sim *s, u32 answer, enum choice_kind kind);

/* A strategy makes runs until one fails (EXPLORE_BUG; outcome is of that run), all are done (CLEAN) or the budget is spent. */
struct strategy {
    const char *name, *about;
    enum explore_status (*explore)(struct explore *x);
    bool searches;              /* keeps to the bound, sets `reached`, knows `prefix` */
    /* Prefixes of at most so many answers that together cover the search, each run once; CLEAN if all were given. NULL: cannot be split. */
    enum explore_status (*split)(struct explore *x, u32 answers, void (*take)(const u32 *answer, u32 count));
};
extern const struct strategy strategy_straight, strategy_random, strategy_pct, strategy_bounded, strategy_dpor, strategy_bytes;
bool explore_bytes(struct explore *x, const u8 *data, u64 count);   /* a run of strategy_bytes; as explore_run */
