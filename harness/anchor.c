/* SPDX-License-Identifier: BSD-2-Clause */
/* See anchor.h. */
#include "anchor.h"
#include <string.h>

#define COUNTS_BITS 22u
#define NAMES_BITS  20u

static u64 text_hash(const char *text)
{
    u64 h = 1;
    for (; *text; text++)
        h = hash_mix(h, (u8)*text);
    return h;
}

bool anchors_open(struct anchors *a, struct world *w, const struct symbols *s)
{
    *a = (struct anchors){ .world = w, .sim = world_machine(w), .symbols = s };
    a->counts = hashes_new(COUNTS_BITS);
    a->sites = hashes_new(NAMES_BITS);
    a->objects = hashes_new(NAMES_BITS);
    return a->counts && a->sites && a->objects;
}

void anchors_close(struct anchors *a)
{
    hashes_free(a->counts);
    hashes_free(a->sites);
    hashes_free(a->objects);
}

void anchors_clear(struct anchors *a)
{
    hashes_clear(a->counts);
    a->followed = 0;
}

static const char *object_name(const struct anchors *a, u64 object, char *room)
{
    char name[NAME_ROOM];
    name_clean(room, world_name(a->world, object, name, sizeof(name)), NAME_ROOM);
    return room;
}

static u64 site_hash(struct anchors *a, u64 site)
{
    char room[NAME_ROOM];
    u64 *known = hashes_find(a->sites, site, true);
    if (known && *known)
        return *known;
    name_clean(room, symbols_name(a->symbols, site), sizeof(room));
    const u64 h = text_hash(room);
    if (known)
        *known = h;
    return h;
}

static u64 object_hash(struct anchors *a, u64 object)
{
    char room[NAME_ROOM];
    u64 *known = hashes_find(a->objects, object, true);
    if (known && *known)
        return *known;
    const u64 h = text_hash(object_name(a, object, room));
    if (known)
        *known = h;
    return h;
}

/* Whether a locked operation changed anything is known only afterwards. */
static u32 op_before(u32 op)
{
    return op == OP_RMW_SAME ? OP_RMW : op;
}

static u64 count(struct anchors *a, u64 key, u64 more)
{
    u64 *n = hashes_find(a->counts, key, true);
    return n ? *n += more : 0;
}

/* Agent, operation, object: what events are counted by, with the function. */
static u64 operation_hash(u32 agent, u32 op, u64 object)
{
    return hash_mix((u64)agent << 8 | op_before(op), object);
}

static void follow(struct anchors *a)
{
    u32 events;
    const struct sim_event *v = sim_events(a->sim, &events);
    for (; a->followed < events; a->followed++) {
        const struct sim_event *e = &v[a->followed];
        (void)count(a, hash_mix(operation_hash(e->agent, e->op, object_hash(a, e->object)), site_hash(a, e->site)), 1);
    }
}

u32 anchors_agent(const struct anchors *a, enum choice_kind kind)
{
    return kind == CHOICE_STEP ? sim_agents(a->sim)->list[0] : world_current(a->world);
}

u64 anchor_hash(const struct anchor_key *k)
{
    return hash_mix(k->tuple, (u64)k->occurrence << 32 | k->visit);
}

static struct anchor_key key_of(u64 operation, u64 function, enum choice_kind kind)
{
    const u64 place = hash_mix(operation, kind);
    return (struct anchor_key){ .place = place, .tuple = hash_mix(place, function) };
}

struct anchor_key anchors_here(struct anchors *a, enum choice_kind kind)
{
    const u32 agent = anchors_agent(a, kind);
    const struct sim_pending *p = sim_pending(a->sim, agent);
    const u64 operation = operation_hash(agent, p->op, object_hash(a, p->object)), function = site_hash(a, p->site);
    struct anchor_key k = key_of(operation, function, kind);
    follow(a);
    k.occurrence = (u32)count(a, hash_mix(operation, function), 0) + 1;
    k.visit = (u32)count(a, anchor_hash(&k), 1);
    return k;
}

struct anchor anchors_words(const struct anchors *a, const struct anchor_key *key, enum choice_kind kind)
{
    const u32 agent = anchors_agent(a, kind);
    const struct sim_pending *p = sim_pending(a->sim, agent);
    struct anchor w = { .agent = (u8)agent, .op = (u8)op_before(p->op), .occurrence = key->occurrence, .visit = key->visit };
    name_clean(w.function, symbols_name(a->symbols, p->site), sizeof(w.function));
    (void)object_name(a, p->object, w.object);
    return w;
}

struct anchor_key anchor_key(const struct decision *d)
{
    struct anchor_key k = key_of(operation_hash(d->at.agent, d->at.op, text_hash(d->at.object)), text_hash(d->at.function), d->kind);
    k.occurrence = d->at.occurrence;
    k.visit = d->at.visit;
    return k;
}
