/* SPDX-License-Identifier: BSD-2-Clause */
/* See dpor.h. Source sets after Abdulla, Aronis, Jonsson, Sagonas (POPL 2014): of a race e, f the steps between them that do not come after e,
 * then f, are what shall come first; one of the agents that can begin that must be tried before e. */
#include "dpor.h"
#include <stdlib.h>
#include <string.h>
#include "hashes.h"

#define INDEX_BITS 20u

/* Who touched an object last: the last write, and since then the last read and the last add of each agent. */
struct touched {
    u32 write, read[DPOR_AGENTS], add[DPOR_AGENTS];   /* steps + 1; 0: none */
};

struct dpor {
    struct dpor_step *step;
    u32 room, *scratch;              /* room: steps that fit into both */
    struct touched *object;
    u32 objects, objects_room;
    struct hashes *index;
    u32 agent_steps[DPOR_AGENTS], last[DPOR_AGENTS];  /* last: step + 1 */
    u32 stores[WORLD_CPUS][64], stored[WORLD_CPUS], flushed[WORLD_CPUS];   /* steps of the stores that wait, a ring */
};

/* Loads from the own buffer conflict with the flush that would make them loads from memory. */
static enum sim_effect effect_of(const struct sim_event *e)
{
    return e->op == OP_LOAD ? EFFECT_READ : (enum sim_effect)e->effect;
}

static bool effects_conflict(u32 a, u32 b)
{
    return a != EFFECT_NONE && b != EFFECT_NONE && (a != b || a == EFFECT_WRITE);
}

void footprint_add(struct footprint *f, const struct sim_event *e)
{
    const enum sim_effect effect = effect_of(e);
    if (effect == EFFECT_NONE || f->count > PRINT_MAX)
        return;
    if (e->op == OP_STATE && e->bytes > 8) {
        f->count = PRINT_MAX + 1;
        return;
    }
    for (u32 i = 0; i < f->count; i++)
        if (f->object[i] == (e->object & ~7ul) && f->effect[i] == effect)
            return;
    if (f->count < PRINT_MAX) {
        f->object[f->count] = e->object & ~7ul;
        f->effect[f->count] = (u8)effect;
    }
    f->count++;
}

bool footprints_conflict(const struct footprint *a, const struct footprint *b)
{
    if (a->count > PRINT_MAX || b->count > PRINT_MAX)
        return true;
    for (u32 i = 0; i < a->count; i++)
        for (u32 j = 0; j < b->count; j++)
            if (a->object[i] == b->object[j] && effects_conflict(a->effect[i], b->effect[j]))
                return true;
    return false;
}

static bool room_for(struct dpor *d, u32 steps)
{
    if (steps > d->room) {
        struct dpor_step *more = realloc(d->step, 2ul * steps * sizeof(*more));
        if (!more)
            return false;
        d->step = more;
        u32 *scratch = realloc(d->scratch, 2ul * steps * sizeof(*scratch));
        if (!scratch)
            return false;
        d->scratch = scratch;
        d->room = 2 * steps;
    }
    if (d->objects == d->objects_room) {
        struct touched *more = realloc(d->object, 2ul * d->objects_room * sizeof(*more));
        if (!more)
            return false;
        d->object = more;
        d->objects_room *= 2;
    }
    return true;
}

struct dpor *dpor_new(void)
{
    struct dpor *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->objects_room = 256;
    d->object = malloc(d->objects_room * sizeof(*d->object));
    d->index = hashes_new(INDEX_BITS);
    if (d->object && d->index && room_for(d, 128))
        return d;
    dpor_free(d);
    return NULL;
}

void dpor_free(struct dpor *d)
{
    if (!d)
        return;
    hashes_free(d->index);
    free(d->object);
    free(d->scratch);
    free(d->step);
    free(d);
}

const struct dpor_step *dpor_step_at(const struct dpor *d, u32 step)
{
    return &d->step[step];
}

static struct touched *touched_of(struct dpor *d, u64 object)
{
    u64 *place = hashes_find(d->index, object & ~7ul, true);
    if (!place || (!*place && !room_for(d, 0)))
        return NULL;
    if (!*place) {
        memset(&d->object[d->objects], 0, sizeof(*d->object));
        *place = ++d->objects;
    }
    return &d->object[*place - 1];
}

static void join(struct dpor_step *f, const struct dpor_step *e)
{
    for (u32 i = 0; i < DPOR_AGENTS; i++)
        f->clock[i] = max(f->clock[i], e->clock[i]);
}

static bool before(const struct dpor_step *e, const struct dpor_step *f)
{
    return f->clock[e->agent] >= e->index;
}

/* Of the steps after e that do not come after it, with f at their end: who can begin them? f's clock is without e here. */
static agent_set initials(const struct dpor *d, u32 e, u32 f)
{
    agent_set first = 0, seen = 0;
    u32 *const inside = d->scratch, count = 0;
    for (u32 k = e + 1; k <= f; k++) {
        const struct dpor_step *s = &d->step[k];
        if (k != f && before(&d->step[e], s))
            continue;
        bool free = !(seen >> s->agent & 1);
        for (u32 i = 0; i < count && free; i++)
            free = !before(&d->step[inside[i]], s);
        seen |= (agent_set)(1u << s->agent);
        if (free)
            first |= (agent_set)(1u << s->agent);
        inside[count++] = k;
    }
    return first;
}

struct race_use {
    u32 from;
    void (*found)(void *arg, u32 step, agent_set initials, u32 preferred);
    void *arg;
};

/* The steps that conflict with f's access, latest first; each that nothing else orders before f is a race. */
static void conflict(struct dpor *d, u32 f, const u32 *with, u32 count, const struct race_use *u)
{
    u32 order[2 * DPOR_AGENTS + 1], n = 0;
    for (u32 i = 0; i < count; i++) {
        if (!with[i] || d->step[with[i] - 1].agent == d->step[f].agent)
            continue;
        u32 at = n++;
        for (; at && order[at - 1] < with[i]; at--)
            order[at] = order[at - 1];
        order[at] = with[i];
    }
    for (u32 i = 0; i < n; i++) {
        const u32 e = order[i] - 1;
        if (before(&d->step[e], &d->step[f]))
            continue;
        if (f >= u->from) {
            const agent_set set = initials(d, e, f);
            u->found(u->arg, e, set, set >> d->step[f].agent & 1 ? d->step[f].agent : (u32)__builtin_ctz(set));
        }
        join(&d->step[f], &d->step[e]);
    }
}

static bool access_word(struct dpor *d, u32 f, u64 object, enum sim_effect effect, const struct race_use *u)
{
    struct touched *t = touched_of(d, object);
    if (!t)
        return false;
    u32 with[2 * DPOR_AGENTS + 1], count = 0;
    with[count++] = t->write;
    for (u32 a = 0; a < DPOR_AGENTS; a++) {
        if (effect != EFFECT_READ)
            with[count++] = t->read[a];
        if (effect != EFFECT_ADD)
            with[count++] = t->add[a];
    }
    conflict(d, f, with, count, u);
    const u32 agent = d->step[f].agent;
    if (effect == EFFECT_WRITE) {
        memset(t, 0, sizeof(*t));
        t->write = f + 1;
    } else {
        (effect == EFFECT_READ ? t->read : t->add)[agent] = f + 1;
    }
    return true;
}

/* Memory that changes hands conflicts with every access to any of it. */
static bool access_one(struct dpor *d, u32 f, const struct sim_event *e, const struct race_use *u)
{
    const enum sim_effect effect = effect_of(e);
    const u32 bytes = e->op == OP_STATE ? max(e->bytes, 1u) : 1;
    for (u64 at = e->object & ~7ul; effect != EFFECT_NONE && at < e->object + bytes; at += 8)
        if (!access_word(d, f, at, effect, u))
            return false;
    return true;
}

/* Store before flush, flush before what waits for an empty buffer. */
static void buffer_order(struct dpor *d, u32 f, const struct sim_event *e)
{
    struct dpor_step *s = &d->step[f];
    if (e->op == OP_STORE && e->effect == EFFECT_NONE) {
        const u32 cpu = s->agent;
        d->stores[cpu][d->stored[cpu]++ % 64] = f;
    } else if (e->op == OP_FLUSH) {
        const u32 cpu = e->agent - SIM_FLUSHER;
        if (d->flushed[cpu] < d->stored[cpu])
            join(s, &d->step[d->stores[cpu][d->flushed[cpu]++ % 64]]);
    } else if (e->op != OP_LOAD && e->op != OP_STORE && s->agent < WORLD_CPUS) {
        const u32 last = d->last[WORLD_CPUS + s->agent];
        if (last && last - 1 != f)
            join(s, &d->step[last - 1]);
    }
}

static void step_begin(struct dpor *d, u32 f, u32 agent)
{
    struct dpor_step *s = &d->step[f];
    memset(s, 0, sizeof(*s));
    if (d->last[agent])
        memcpy(s->clock, d->step[d->last[agent] - 1].clock, sizeof(s->clock));
    s->agent = (u8)agent;
    s->index = ++d->agent_steps[agent];
    s->clock[agent] = s->index;
    d->last[agent] = f + 1;
}

bool dpor_races(struct dpor *d, const struct sim *sim, u32 steps, u32 from,
                void (*found)(void *arg, u32 step, agent_set initials, u32 preferred), void *arg)
{
    const struct race_use use = { from, found, arg };
    u32 count, at = 0;
    const struct sim_event *e = sim_events(sim, &count);
    hashes_clear(d->index);
    d->objects = 0;
    memset(d->agent_steps, 0, sizeof(d->agent_steps));
    memset(d->last, 0, sizeof(d->last));
    memset(d->stored, 0, sizeof(d->stored));
    memset(d->flushed, 0, sizeof(d->flushed));
    if (!room_for(d, steps + 1))
        return false;
    for (u32 f = 0; f <= steps; f++) {
        step_begin(d, f, dpor_agent(sim_step_agent(sim, f)));
        for (; at < count && e[at].step == f; at++) {
            footprint_add(&d->step[f].print, &e[at]);
            buffer_order(d, f, &e[at]);
            if (!access_one(d, f, &e[at], &use))
                return false;
        }
    }
    return true;
}
