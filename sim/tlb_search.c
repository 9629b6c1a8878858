/* SPDX-License-Identifier: BSD-2-Clause */
/* Walks through histories: see tlb_search.h. Of all times at which a value can have been read the earliest is tried, as whatever follows from a
 * later one follows from it too; only when paging-structure entries were dropped in between is a later one tried as well. */
#include "arch/x86.h"
#include "tlb_search.h"

#define NEVER ~0ul
#define HOST_HALF 256u   /* top-level entries from here on are the machine's own: its direct map translates to every frame */

/* A walk may lead through memory that is free: that is what is looked for. */
__attribute__((no_sanitize_address)) static u64 word_now(const u64 *word)
{
    return *word;
}

static void reading_begin(struct search *q, u64 slot, u64 lo, u64 hi)
{
    struct reading *r = &q->reading[q->level];
    *r = (struct reading){ .slot = slot, .lo = lo, .hi = hi, .end = NEVER, .memory = true };
    const u64 *word = sim_phys(q->s, slot, 8);
    if (!word)
        return;
    r->value = word_now(word);
    r->version = history_newest(q->h, slot);
    r->next = max(lo, history_since(q->h, r->version));
    r->more = true;
}

/* The value before, or false. */
static bool reading_older(const struct search *q, struct reading *r)
{
    if (!r->version)
        return r->more = false;
    const struct version *v = &q->h->version[r->version];
    r->value = v->value;
    r->end = v->until;
    r->version = v->previous;
    r->next = max(r->lo, history_since(q->h, r->version));
    r->memory = false;
    return true;
}

/* The next value and time at this level; words that grant nothing are passed over. */
static bool reading_next(struct search *q, struct reading *r)
{
    while (r->more && q->steps < SEARCH_STEPS_MAX) {
        const u64 limit = min(r->end, r->hi);
        const bool top = q->level == WALK_LEVELS - 1;
        const bool usable = r->value & 7 && (r->memory || !q->accessed || walk_accessed(&q->root, r->value));
        q->steps++;
        if (usable && r->next < limit) {
            r->at = tlb_log_when(q->log, q->begin, &q->root, top ? &q->log->event[q->load].root.root : NULL, r->next);
            if (r->at < limit) {
                r->cut = r->next = tlb_log_cut(q->log, q->begin, &q->root, q->address, q->level, r->at);
                return true;
            }
        }
        if (r->end <= r->lo || !reading_older(q, r))
            r->more = false;
    }
    return false;
}

/* The table of `level` that `table` points to. */
static void enter(struct search *q, u32 level, u64 table, u64 lo, u64 hi)
{
    q->level = level;
    if (q->everywhere)
        q->address &= ~((PAGE_SIZE << 9 * (level + 1)) - 1);
    reading_begin(q, walk_slot(table, q->address, level), lo, hi);
}

/* The next word of the table in hand that holds or may have held something, when all addresses are searched. */
static bool beside(struct search *q)
{
    const u32 level = q->level, shift = PAGE_BITS + 9 * level;
    const struct reading r = q->reading[level];
    const u64 *word = sim_phys(q->s, r.slot, 8);
    const u32 index = (u32)(q->address >> shift & 511), end = level == WALK_LEVELS - 1 && q->root.kind == WALK_HOST ? HOST_HALF : 512;
    for (u32 n = 1; q->everywhere && word && index + n < end && q->steps < SEARCH_STEPS_MAX; n++, q->steps++) {
        const u64 slot = r.slot + n * 8;
        if (!(word_now(word + n) & 7) && !history_touched(q->h, slot))
            continue;
        q->address = ((q->address >> shift) + n) << shift;
        reading_begin(q, slot, r.lo, r.hi);
        return true;
    }
    return false;
}

/* The next load that has a root of its own under the tag, from event i on. */
static bool root_from(struct search *q, u32 i)
{
    const struct tlb_log *l = q->log;
    for (; i < l->count; i++) {
        const struct tlb_event *e = &l->event[i];
        if (e->what != TLB_LOAD || !tlb_same_tag(&e->root, &q->root))
            continue;
        bool seen = false;
        for (u32 j = q->first; j < i; j++)
            seen = seen || (l->event[j].what == TLB_LOAD && tlb_same_tag(&l->event[j].root, &q->root) && l->event[j].root.root == e->root.root);
        if (seen)
            continue;
        q->load = i;
        q->grant[WALK_LEVELS] = (struct translation){ 0 };
        walk_begin(&q->grant[WALK_LEVELS]);
        enter(q, WALK_LEVELS - 1, e->root.root, l->event[q->begin].time, NEVER);
        return true;
    }
    return false;
}

void search_begin(struct search *q)
{
    q->steps = 0;
    q->kind = WALK_ABSENT;
    q->first = tlb_log_load_at(q->log, q->begin);
    q->more = root_from(q, q->first);
}

/* A word was read: is it an answer? */
static bool answer(struct search *q)
{
    const struct reading *r = &q->reading[q->level];
    const u64 offset = q->everywhere ? (PAGE_SIZE << 9 * q->level) - 1 : 0;
    struct translation t = q->grant[q->level + 1];
    q->kind = walk_decode(&q->root, r->value, q->level, q->address & ~offset, &t);
    q->grant[q->level] = t;
    q->at = r->at;
    q->until = r->cut;
    q->table = r->value & PTE_PHYS_MASK;
    q->leaf = t;
    if (q->kind == WALK_TABLE)
        return true;
    if (q->kind != WALK_LEAF || !t.rights)
        return false;
    const u64 floor = tlb_log_floor(q->log, q->begin, &q->root, q->address, t.level, t.global);
    q->at = tlb_log_when(q->log, q->begin, &q->root, NULL, max(floor, r->at));
    return q->at < min(r->end, r->hi);
}

bool search_next(struct search *q)
{
    if (q->kind == WALK_TABLE && q->more)
        enter(q, q->level - 1, q->table, q->at, q->until);   /* below the last answer */
    while (q->more) {
        if (reading_next(q, &q->reading[q->level])) {
            if (answer(q))
                return true;
            continue;
        }
        q->kind = WALK_ABSENT;
        if (beside(q))
            continue;
        if (q->level < WALK_LEVELS - 1)
            q->level++;
        else
            q->more = root_from(q, q->load + 1);
    }
    return false;
}
