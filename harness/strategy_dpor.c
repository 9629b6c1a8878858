/* SPDX-License-Identifier: BSD-2-Clause */
/* Dynamic partial-order reduction with source sets and sleep sets, without a bound of preemptions: one run, or a few cut ones more, for each
 * partial order of dependent steps. Every store waits in its buffer (TSO) until its flusher is chosen. Waits are awaits: a run in which a waiting loop fails
 * is complete only by accident and is not counted; the run in which it looks later is explored anyway.
 *
 * The search is a stack of frames, one per question: the agents that could step, those to be tried, those done with what they touched, those
 * asleep (tried before, and nothing since depends on their step). Other answers than 0 to questions that are no steps cost delays and faults.
 * Not handled: reduction over the clock (a read of it is taken for private). */
#include <stdlib.h>
#include <string.h>
#include "dpor.h"
#include "explore.h"
#include "order.h"

#define FRAMES_MAX (1u << 16)

struct frame {
    u32 answer, bound, step;             /* step: the number of the step that this decides */
    u8 kind, chosen;                     /* packed agents */
    u8 place[DPOR_AGENTS];               /* of each agent: its answer */
    agent_set enabled, wanted, done, asleep;
    struct explore_bound spent;
    struct footprint print[DPOR_AGENTS]; /* of agents done or asleep: what their step touches */
};

struct tree {
    struct chooser chooser;
    struct explore *x;
    const struct sim *sim;
    struct dpor *dpor;
    struct frame *at;
    u32 depth, keep;
    struct explore_bound spent;
    u32 events;                          /* followed so far */
    agent_set asleep;                    /* now */
    struct footprint print[DPOR_AGENTS]; /* of those */
    struct order order;                  /* of complete runs: each must be met once */
    u32 *frame_of;                       /* step -> frame + 1; 0: nobody was asked */
    bool full;
};

/* What has happened since the last question wakes those who depend on it, and belongs to the frame's chosen agent. */
static void follow(struct tree *t)
{
    u32 count;
    const struct sim_event *e = sim_events(t->sim, &count);
    while (t->events < count) {
        const struct sim_event *v = &e[t->events++];
        struct footprint one = { 0 };
        footprint_add(&one, v);
        for (u32 a = 0; a < DPOR_AGENTS; a++)
            if (t->asleep >> a & 1 && (a == dpor_agent(v->agent) || footprints_conflict(&one, &t->print[a])))
                t->asleep &= (agent_set)~(1u << a);
        const u32 frame = t->frame_of[v->step];
        if (frame && t->at[frame - 1].chosen == dpor_agent(v->agent))
            footprint_add(&t->at[frame - 1].print[dpor_agent(v->agent)], v);
    }
}

static void frame_agents(struct tree *t, struct frame *f)
{
    const struct sim_agents *a = sim_agents(t->sim);
    for (u32 i = 0; i < a->count; i++) {
        const u32 agent = dpor_agent(a->list[i]);
        f->enabled |= (agent_set)(1u << agent);
        f->place[agent] = (u8)i;
    }
}

static void frame_choose(struct frame *f, u32 agent)
{
    f->chosen = (u8)agent;
    f->answer = f->place[agent];
    f->wanted |= (agent_set)(1u << agent);
    memset(&f->print[agent], 0, sizeof(f->print[agent]));
}

/* The default agent unless it sleeps. */
static bool frame_open(struct tree *t, struct frame *f, u32 bound, enum choice_kind kind)
{
    *f = (struct frame){ .bound = bound, .kind = (u8)kind, .spent = t->spent, .step = world_steps(t->x->world) + 1 };
    if (kind != CHOICE_STEP) {
        f->answer = kind == CHOICE_DRAIN ? bound - 1 : 0;
        return true;
    }
    frame_agents(t, f);
    f->asleep = t->asleep;
    memcpy(f->print, t->print, sizeof(f->print));
    const agent_set awake = f->enabled & ~f->asleep;
    if (!awake)
        return false;
    const u32 first = dpor_agent(sim_agents(t->sim)->list[0]);
    frame_choose(f, awake >> first & 1 ? first : (u32)__builtin_ctz(awake));
    return true;
}

static struct explore_bound other_cost(const struct frame *f)
{
    if (f->kind == CHOICE_STEP || f->kind == CHOICE_INPUT || f->kind == CHOICE_DRAIN || !f->answer)
        return (struct explore_bound){ 0 };
    return f->kind == CHOICE_FAULT ? (struct explore_bound){ .faults = 1 } : (struct explore_bound){ .delays = 1 };
}

static u32 tree_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct tree *t = container_of(self, struct tree, chooser);
    follow(t);
    if (t->depth == FRAMES_MAX) {
        t->full = true;
        return CHOICE_CUT;
    }
    struct frame *f = &t->at[t->depth];
    if (t->depth >= t->keep && !frame_open(t, f, bound, kind))
        return CHOICE_CUT;
    if (f->bound != bound || f->kind != kind) {
        t->x->trouble = "the same answers led to another question";
        return CHOICE_CUT;
    }
    t->depth++;
    const struct explore_bound cost = other_cost(f);
    t->spent.delays += cost.delays;
    t->spent.faults += cost.faults;
    if (kind == CHOICE_STEP) {
        t->frame_of[f->step] = t->depth;
        t->asleep = (f->asleep | f->done) & ~(agent_set)(1u << f->chosen);
        memcpy(t->print, f->print, sizeof(t->print));
    }
    return f->answer;
}

static void race_found(void *arg, u32 step, agent_set initials, u32 preferred)
{
    struct tree *t = arg;
    if (!t->frame_of[step])
        return;   /* nobody else could step there */
    struct frame *f = &t->at[t->frame_of[step] - 1];
    if (!(initials & f->enabled))
        f->wanted |= f->enabled;
    else if (!(initials & f->wanted))
        f->wanted |= (agent_set)(1u << (f->enabled >> preferred & 1 ? preferred : (u32)__builtin_ctz(initials & f->enabled)));
}

static bool within(const struct tree *t, const struct frame *f)
{
    const struct explore_bound c = other_cost(f), *b = &t->x->options.bound;
    return f->spent.delays + c.delays <= b->delays && f->spent.faults + c.faults <= b->faults;
}

static bool frame_next(struct tree *t, struct frame *f)
{
    if (f->kind == CHOICE_STEP) {
        f->done |= (agent_set)(1u << f->chosen);
        const agent_set left = f->wanted & f->enabled & ~f->done & ~f->asleep;
        if (left)
            frame_choose(f, (u32)__builtin_ctz(left));
        return left;
    }
    if (f->kind == CHOICE_DRAIN || f->kind == CHOICE_SKEW || f->kind == CHOICE_SLICE || f->answer + 1 >= f->bound)
        return false;
    f->answer++;
    return within(t, f);
}

static bool tree_next(struct tree *t)
{
    while (t->depth) {
        if (frame_next(t, &t->at[t->depth - 1])) {
            t->keep = t->depth;
            return true;
        }
        t->depth--;
    }
    return false;
}

/* One run; its races are those whose later step the last kept frame decided, or after it. */
static bool tree_run(struct tree *t)
{
    struct explore *x = t->x;
    const u32 from = t->keep ? t->at[t->keep - 1].step : 0;
    t->depth = 0;
    t->events = 0;
    t->asleep = 0;
    t->spent = (struct explore_bound){ 0 };
    const bool good = explore_run_await_last(x, &t->chooser);
    follow(t);
    if (x->outcome.end == SIM_SHUTDOWN && !x->outcome.awaits) {
        order_clear(&t->order);
        order_follow(&t->order, t->sim);
        u64 *met = hashes_find(x->seen, t->order.sum, true);
        if (met)
            ++*met;
    }
    const bool memory = dpor_races(t->dpor, t->sim, world_steps(x->world), from, race_found, t);
    memset(t->frame_of, 0, (world_steps(x->world) + 1) * sizeof(*t->frame_of));
    return good && memory && !x->trouble && !t->full;
}

static enum explore_status explore_dpor(struct explore *x)
{
    struct tree t = { .chooser = { tree_answer }, .x = x, .sim = world_machine(x->world) };
    t.dpor = dpor_new();
    t.at = malloc(FRAMES_MAX * sizeof(*t.at));
    t.frame_of = calloc(EVENTS_MAX + 1, sizeof(*t.frame_of));
    enum explore_status status = EXPLORE_STALE;
    if (t.dpor && t.at && t.frame_of && order_init(&t.order)) {
        bool all = false;
        while (tree_run(&t) && !(x->options.runs && x->stats.runs >= x->options.runs) && !(all = !tree_next(&t)))
            ;
        status = x->trouble ? EXPLORE_STALE : explore_verdict(x, all);
    }
    order_free(&t.order);
    dpor_free(t.dpor);
    free(t.at);
    free(t.frame_of);
    return status;
}

const struct strategy strategy_dpor = {
    .name = "dpor", .about = "one run per partial order of dependent steps, unbounded", .explore = explore_dpor,
};
