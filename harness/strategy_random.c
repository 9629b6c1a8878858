/* SPDX-License-Identifier: BSD-2-Clause */
/* Strategies that make a number of independent runs: straight (one), random walk, PCT. Run i of a seed is the same whoever makes it.
 *
 * PCT (Burckhardt et al., ASPLOS 2010): each agent gets a random priority, the highest that can step does; at depth - 1 random places the one
 * that steps falls below all others. A bug of depth d among n agents and k steps is met with probability 1 / (n k^(d-1)) at least. Answers that are no
 * steps (a stale translation, a store that waits) are as rare or frequent as each run's own random rate says. */
#include "choose.h"
#include "explore.h"
#include "order.h"

#define RUNS_DEFAULT  20000u
#define CHANGES_MAX   8u
#define STEPS_FIRST   16u

/* One run's own generator: neighbouring indexes share nothing. */
static u64 run_state(const struct explore *x, u64 index)
{
    u64 state = x->options.seed * 0x2545f4914f6cdd1dul + index;
    return choose_next(&state) ^ index;
}

struct walk {
    struct chooser chooser;
    u64 state;
    u32 rate;                          /* of answers other than 0 that are no steps, in 1/256 */
    u32 fault_rate;
    const struct sim *sim;
    const struct world *world;
};

static u32 other(struct walk *w, u32 bound, enum choice_kind kind)
{
    const u64 r = choose_next(&w->state);
    if (kind == CHOICE_INPUT)
        return (u32)(r >> 32) % bound;
    const u32 rate = kind == CHOICE_FAULT ? w->fault_rate : w->rate;
    return (u32)(r & 255) < rate ? 1 + (u32)(r >> 32) % (bound - 1) : 0;
}

static const u32 rates[] = { 0, 16, 64, 128 };

static void walk_init(struct walk *w, struct explore *x, u64 index)
{
    w->state = run_state(x, index);
    w->world = x->world;
    w->sim = world_machine(x->world);
    w->rate = rates[choose_next(&w->state) % array_size(rates)];
    w->fault_rate = x->options.bound.faults ? 32 : 0;
}

static u32 walk_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct walk *w = container_of(self, struct walk, chooser);
    return kind == CHOICE_STEP ? (u32)(choose_next(&w->state) >> 32) % bound : other(w, bound, kind);
}

struct pct {
    struct walk walk;
    u32 priority[SIM_AGENTS];          /* 0: not drawn yet */
    u32 change[CHANGES_MAX], changes;  /* steps at which the current one falls */
    bool some_wait;                    /* of this run's stores some wait and some do not; else all or none of a CPU's */
    u32 step;
};

static u32 pct_priority(struct pct *p, u32 agent)
{
    if (!p->priority[agent])
        p->priority[agent] = CHANGES_MAX + 1 + (u32)(choose_next(&p->walk.state) >> 40);
    return p->priority[agent];
}

static u32 pct_top(struct pct *p, const struct sim_agents *a)
{
    u32 top = 0;
    for (u32 i = 1; i < a->count; i++)
        if (pct_priority(p, a->list[i]) > pct_priority(p, a->list[top]))
            top = i;
    return top;
}

static u32 pct_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct pct *p = container_of(self, struct pct, walk.chooser);
    const struct sim_agents *a = sim_agents(p->walk.sim);
    const u32 cpu = world_current(p->walk.world);   /* who asks: a->current is who was asked last */
    if (kind == CHOICE_DRAIN && !p->some_wait)   /* waits if its flusher ranks below its CPU */
        return pct_priority(p, SIM_FLUSHER + cpu) < pct_priority(p, cpu);
    if (kind != CHOICE_STEP)
        return other(&p->walk, bound, kind);
    p->step++;
    u32 top = pct_top(p, a);
    for (u32 i = 0; i < p->changes; i++) {
        if (p->change[i] != p->step)
            continue;
        p->priority[a->list[top]] = CHANGES_MAX - i;
        top = pct_top(p, a);
    }
    return top;
}

/* Runs whose partial order was met before add nothing: the share of new ones estimates what is left. */
static void estimate(struct explore *x, u64 fresh)
{
    x->stats.coverage = 1.0 - (double)fresh / (double)x->stats.runs;   /* Good and Turing: of the orders met once */
}

static enum explore_status many(struct explore *x, void (*make)(struct explore *x, u64 index, void *room), struct chooser *c, void *room)
{
    const u64 runs = x->options.runs ? x->options.runs : RUNS_DEFAULT;
    struct order order;
    u64 once = 0;
    if (!order_init(&order))
        return EXPLORE_STALE;
    bool good = true;
    for (u64 i = 0; i < runs && good; i++) {
        make(x, x->options.first + i, room);
        good = explore_run(x, c);
        order_clear(&order);
        order_follow(&order, world_machine(x->world));
        u64 *met = hashes_find(x->seen, order.sum, true);
        if (met)
            once += ++*met == 1 ? 1 : *met == 2 ? -1ul : 0;
    }
    order_free(&order);
    estimate(x, once);
    return explore_verdict(x, false);
}

static void make_walk(struct explore *x, u64 index, void *room)
{
    struct walk *w = room;
    walk_init(w, x, index);
    w->chooser.choose = walk_answer;
}

static void make_pct(struct explore *x, u64 index, void *room)
{
    struct pct *p = room;
    const u32 depth = x->options.depth ? x->options.depth : 3;
    const u32 steps = max(x->straight_steps, STEPS_FIRST);
    *p = (struct pct){ .changes = min(depth - 1, CHANGES_MAX) };
    walk_init(&p->walk, x, index);
    p->walk.chooser.choose = pct_answer;
    p->some_wait = choose_next(&p->walk.state) & 1;
    for (u32 i = 0; i < p->changes; i++)
        p->change[i] = 1 + (u32)(choose_next(&p->walk.state) >> 32) % steps;
}

static enum explore_status explore_walk(struct explore *x)
{
    struct walk w;
    return many(x, make_walk, &w.chooser, &w);
}

/* The steps of the straight run tell where a change can fall: the same for every job. */
static enum explore_status explore_pct(struct explore *x)
{
    struct pct p;
    if (strategy_straight.explore(x) == EXPLORE_BUG)
        return EXPLORE_BUG;
    x->straight_steps = x->outcome.steps;
    return many(x, make_pct, &p.walk.chooser, &p);
}

static u32 straight_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return 0;
}

static enum explore_status explore_straight(struct explore *x)
{
    struct chooser c = { straight_answer };
    explore_run(x, &c);
    return explore_verdict(x, true);
}

const struct strategy strategy_straight = { .name = "straight", .about = "the undisturbed run", .explore = explore_straight };
const struct strategy strategy_random = { .name = "random", .about = "a random agent at each step", .explore = explore_walk };
const struct strategy strategy_pct = { .name = "pct", .about = "random priorities with depth - 1 changes", .explore = explore_pct };
