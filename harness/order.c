/* SPDX-License-Identifier: BSD-2-Clause */
/* See order.h. Objects are words of 8 bytes; entries stay for the life of the order, so who shares what is learned over runs. */
#include "order.h"
#include "machine.h"
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX_BITS 22u

struct order_object {
    u64 key, write, reads, adds;    /* of this run: hash of the last write, sums of what came after it */
    u64 readers, writers;           /* agents, over all runs */
    u32 run;
    bool shared;
};

static u32 run_number;   /* of the process: an object's hashes are of the run that number says */

bool order_init(struct order *o)
{
    memset(o, 0, sizeof(*o));
    o->room = 1024;
    o->object = malloc(o->room * sizeof(*o->object));
    o->index = hashes_new(OBJECTS_MAX_BITS);
    return o->object && o->index;
}

void order_free(struct order *o)
{
    free(o->object);
    hashes_free(o->index);
}

void order_clear(struct order *o)
{
    o->sum = 0;
    o->events = 0;
    memset(o->last, 0, sizeof(o->last));
    run_number++;
}

static struct order_object *object_of(struct order *o, u64 object)
{
    u64 *place = hashes_find(o->index, object & ~7ul, true);
    if (!place)
        return NULL;
    if (!*place) {
        if (o->objects == o->room) {
            struct order_object *more = realloc(o->object, 2ul * o->room * sizeof(*more));
            if (!more)
                return NULL;
            o->object = more;
            o->room *= 2;
        }
        o->object[o->objects] = (struct order_object){ .key = object & ~7ul };
        *place = ++o->objects;
    }
    struct order_object *e = &o->object[*place - 1];
    if (e->run != run_number) {
        e->run = run_number;
        e->write = e->reads = e->adds = 0;
    }
    return e;
}

/* A flusher acts for its CPU: the two never conflict. */
static void share(struct order_object *e, u32 agent, bool writes)
{
    const u64 me = bit(agent % SIM_FLUSHER);
    *(writes ? &e->writers : &e->readers) |= me;
    const u64 all = e->readers | e->writers;
    e->shared = e->shared || (e->writers && all & (all - 1));
}

/* What is freed conflicts with every access to any word of it: the object that stands for a line of such memory is shared from then on. */
#define FREED_LINE(object) (15ul << 60 | (OBJECT_ADDRESS(object) & ~63ul))

static void share_freed(struct order *o, const struct sim_event *v)
{
    for (u64 at = 0; at < v->bytes; at += 64) {
        struct order_object *e = object_of(o, FREED_LINE(v->object + at));
        if (e)
            e->shared = true;
    }
}

static void follow_one(struct order *o, const struct sim_event *v)
{
    u64 h = hash_mix(o->last[v->agent], hash_mix(v->object, (u64)v->agent << 16 | v->op << 8 | v->effect));
    struct order_object *e = v->effect == EFFECT_NONE ? NULL : object_of(o, v->object);
    if (e) {
        const u64 past = v->effect == EFFECT_READ ? e->adds : v->effect == EFFECT_ADD ? e->reads : hash_mix(e->reads, e->adds);
        h = hash_mix(h, hash_mix(e->write, past));
        if (v->effect == EFFECT_READ) {
            e->reads += h;
        } else if (v->effect == EFFECT_ADD) {
            e->adds += h;
        } else {
            e->write = h;
            e->reads = e->adds = 0;
        }
        share(e, v->agent, v->effect != EFFECT_READ);
    }
    if (v->op == OP_STATE && v->after == MEM_FREE)
        share_freed(o, v);
    o->last[v->agent] = h;
    o->sum += h;
}

void order_follow(struct order *o, const struct sim *s)
{
    u32 count;
    const struct sim_event *v = sim_events(s, &count);
    while (o->events < count)
        follow_one(o, &v[o->events++]);
}

void order_answer(struct order *o, u32 agent, u32 kind, u32 answer)
{
    const u64 h = hash_mix(o->last[agent], hash_mix(1ul << 32 | kind, answer));
    o->last[agent] = h;
    o->sum += h;
}

static bool is_shared(const struct order *o, u64 object)
{
    const u64 *place = hashes_find(o->index, object & ~7ul, false);
    return place && o->object[*place - 1].shared;
}

bool order_shared(const struct order *o, u64 object)
{
    return is_shared(o, object) || (OBJECT_CLASS(object) == OBJECT_CLASS(OBJECT_RAM(0)) && is_shared(o, FREED_LINE(object)));
}

u32 order_shared_count(const struct order *o)
{
    u32 n = 0;
    for (u32 i = 0; i < o->objects; i++)
        n += o->object[i].shared;
    return n;
}
