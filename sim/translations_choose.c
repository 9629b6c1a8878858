/* SPDX-License-Identifier: BSD-2-Clause */
/* Which answer an access gets: a fresh walk, or one of the stale ones that the histories allow. A stale answer that differs from the fresh one
 * only in that D is clear is none: the walk that sets D would follow. */
#include "translations_model.h"

/* Where a search for the tag begins, and the log it reads. */
static u32 begin(struct sim_cpu *cpu, const struct walk_root *root, bool *single)
{
    struct translations *t = cpu->sim->translations;
    return tlb_log_begin(&t->log[cpu->id], root, t->linked.globals && root->kind == WALK_HOST && root->pge, single);
}

bool translations_settled(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w)
{
    const struct translations *t = cpu->sim->translations;
    bool single;
    const u64 since = t->log[cpu->id].event[begin(cpu, root, &single)].time;
    for (u32 i = 0; i < w->count; i++) {
        const u32 newest = history_newest(&t->history, w->slot[i]);
        if (newest && t->history.version[newest].until > since)
            return false;
    }
    return single;
}

static bool same(const struct translation *a, const struct translation *b)
{
    return a->frame == b->frame && a->rights == b->rights && a->user == b->user && a->dirty == b->dirty && a->level == b->level;
}

static bool known(const struct translation *list, u32 count, const struct translation *t)
{
    for (u32 i = 0; i < count; i++)
        if (same(&list[i], t))
            return true;
    return false;
}

static bool is_fresh(const struct translation *fresh, struct translation t)
{
    t.dirty = t.dirty || (fresh && fresh->dirty);
    return fresh && same(fresh, &t);
}

/* All answers but the fresh one, each once; at most STALE_MAX. */
static u32 stale(struct sim_cpu *cpu, const struct walk_root *root, u64 address, const struct translation *fresh, struct translation *list)
{
    struct translations *t = cpu->sim->translations;
    bool single;
    struct search q = { .s = cpu->sim, .h = &t->history, .log = &t->log[cpu->id], .root = *root, .begin = begin(cpu, root, &single),
                        .accessed = true, .address = address };
    u32 count = 0;
    search_begin(&q);
    while (count < STALE_MAX && search_next(&q))
        if (q.kind == WALK_LEAF && !is_fresh(fresh, q.leaf) && !known(list, count, &q.leaf))
            list[count++] = q.leaf;
    return count;
}

bool translations_choose(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w, u64 address,
                         const struct translation *fresh, struct translation *out)
{
    struct translation list[STALE_MAX];
    if (!cpu->sim->translations || !cpu->sim->config.chooser || translations_settled(cpu, root, w))
        return false;
    const u32 answer = choice(stale(cpu, root, address, fresh, list) + 1, CHOICE_TRANSLATION);
    if (answer)
        *out = list[answer - 1];
    return answer;
}
