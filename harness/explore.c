/* SPDX-License-Identifier: BSD-2-Clause */
/* One run of a world, recorded: see explore.h. Between the strategy and the machine stands a recorder that keeps every answer and holds to the memory
 * model; a run is repeated exactly by its list of answers. */
#include "explore.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hashes.h"

#define ANSWERS_FIRST 1024u
#define ANSWERS_MAX   (1u << 24)
#define SEEN_BITS     22u

struct explore_bound explore_cost(const struct sim *s, u32 answer, enum choice_kind kind)
{
    const struct sim_agents *a = sim_agents(s);
    if (!answer || kind == CHOICE_INPUT)
        return (struct explore_bound){ 0 };
    if (kind == CHOICE_FAULT)
        return (struct explore_bound){ .faults = 1 };
    if (kind != CHOICE_STEP)
        return (struct explore_bound){ .delays = 1 };
    if (a->list[answer] >= SIM_FLUSHER)
        return (struct explore_bound){ .delays = 1 };
    return (struct explore_bound){ .preemptions = a->free ? 0 : 1 };
}

static u32 record(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct explore *x = container_of(self, struct explore, recorder);
    const struct sim *s = world_machine(x->world);
    if (kind == CHOICE_DRAIN && x->options.sc)
        return 0;
    const u32 answer = x->strategist->choose(x->strategist, bound, kind);
    if (answer == CHOICE_CUT)
        return answer;
    if (x->outcome.answers == x->room) {
        struct explore_answer *more = x->room < ANSWERS_MAX ? realloc(x->answer, 2ul * x->room * sizeof(*more)) : NULL;
        if (!more)
            return CHOICE_CUT;
        x->answer = more;
        x->room *= 2;
    }
    const struct sim_agents *a = sim_agents(s);
    x->answer[x->outcome.answers++] = (struct explore_answer){
        .kind = (u8)kind, .agent = kind == CHOICE_STEP && answer < bound ? a->list[answer] : (u8)world_current(x->world), .bound = (u16)bound,
        .answer = answer, .step = world_steps(x->world),
    };
    return answer;
}

static u64 events_hash(const struct sim *s)
{
    u32 count;
    const struct sim_event *e = sim_events(s, &count);
    u64 h = 0;
    for (u32 i = 0; i < count; i++)
        h = hash_mix(h, hash_mix(e[i].object ^ (u64)e[i].agent << 48 ^ (u64)e[i].op << 40, e[i].after));
    return h;
}

static void count_run(struct explore *x)
{
    struct explore_stats *t = &x->stats;
    t->runs++;
    t->steps += x->outcome.steps;
    if (x->outcome.end == SIM_STOPPED) {
        t->blocked++;
    } else {
        t->complete += x->outcome.awaits == 0;
        t->points_min = t->points_max ? min(t->points_min, x->outcome.steps) : x->outcome.steps;
        t->points_max = max(t->points_max, x->outcome.steps);
    }
    if (x->options.progress)
        x->options.progress(t);
}

static bool run(struct explore *x, struct chooser *c, bool await_last)
{
    struct explore_outcome *o = &x->outcome;
    const struct sim *s = world_machine(x->world);
    x->strategist = c;
    o->answers = 0;
    o->await_last = await_last;
    o->rule = NULL;
    o->end = world_run_once(x->world, &x->recorder, await_last);
    o->steps = world_steps(x->world);
    o->awaits = world_awaits(x->world);
    o->answer = x->answer;
    o->message[0] = 0;
    if (o->end != SIM_SHUTDOWN && o->end != SIM_STOPPED) {
        snprintf(o->message, sizeof(o->message), "%s", sim_result(s)->message);
        o->rule = sim_result(s)->rule;
        o->hash = events_hash(s);
    }
    count_run(x);
    return o->end == SIM_SHUTDOWN || o->end == SIM_STOPPED;
}

bool explore_run(struct explore *x, struct chooser *c)
{
    return run(x, c, false);
}

bool explore_run_await_last(struct explore *x, struct chooser *c)
{
    return run(x, c, true);
}

u64 explore_hash(const struct explore *x)
{
    return events_hash(world_machine(x->world));
}

enum explore_status explore_verdict(struct explore *x, bool all)
{
    const enum sim_end end = x->outcome.end;
    x->stats.distinct = hashes_count(x->seen);
    if (x->stats.runs && end != SIM_SHUTDOWN && end != SIM_STOPPED)
        return EXPLORE_BUG;
    return all ? EXPLORE_CLEAN : EXPLORE_BUDGET;
}

bool explore_open(struct explore *x, const struct world_test *t, const struct explore_options *o)
{
    *x = (struct explore){ .test = t, .options = *o, .recorder = { record }, .room = ANSWERS_FIRST };
    x->stats.coverage = -1;
    x->world = world_open(t, false);
    x->answer = malloc(x->room * sizeof(*x->answer));
    x->seen = hashes_new(SEEN_BITS);
    if (x->world && x->answer && x->seen)
        return true;
    if (x->world)
        fprintf(stderr, "explore: no memory\n");
    explore_close(x);
    return false;
}

void explore_close(struct explore *x)
{
    if (x->world)
        world_close(x->world);
    hashes_free(x->seen);
    free(x->answer);
}
