/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory spaces: how ranges come to be. How they go: space_mem_revoke.c.
 * Invariant: see space_mem.h; a range is in its space's index and in the derivation tree from the moment it covers a page.
 * Order of a delegation: check all, allocate all, then fill in steps; only the steps change a right, and they do not fail.
 * Lock: kern.derive_lock, for at most STEP table runs at a time (space_mem_insert: for all). */
#include "space_mem.h"
#include "cpu.h"
#include "kern.h"
#include "mem_index.h"
#include "object.h"

#define STEP 4u   /* ptab_* calls, each up to 512 entries */

static u32 space_kind(const struct space_mem *s)
{
    return s->ptab.format == &ptab_host ? SPACE_MEMORY : SPACE_GUEST;
}

static bool range_ok(const struct space_mem *s, u64 page, u64 count)
{
    return page < s->ptab.page_end && count <= s->ptab.page_end - page;
}

static u64 range_end(const struct mem_range *r)
{
    return r->page + r->count;
}

enum status space_mem_init(struct space_mem *s, const struct ptab_format *f, struct quota *q, u32 leaf_level_max, u64 page_end)
{
    struct ptab ptab;
    const enum status st = ptab_init(&ptab, f, q, leaf_level_max);
    if (st != OK)
        return st;
    s->ptab = ptab;
    s->index = NULL;
    s->quota = q;
    s->ptab.page_end = min(page_end, s->ptab.page_end);
    atomic_store(&s->cpus, 0);
    return OK;
}

static enum status range_alloc(struct space_mem *s, struct mem_range **out)
{
    void *p;
    const enum status st = mem_alloc(kern()->mem, s->quota, sizeof(struct mem_range), &p);
    if (st == OK)
        *out = p;
    return st;
}

/* Is [page, page + count) empty? Then *at is its place in the index. */
static bool range_empty(struct space_mem *s, u64 page, u64 count, struct mem_place *at)
{
    const struct mem_range *next = mem_index_place(&s->index, page, at);
    return !next || (next->page > page && next->page - page >= count);
}

/* The node becomes part of the space. */
static void range_enter(struct space_mem *s, const struct mem_place *at, struct mem_range *r, u64 page, u64 frame, u64 count, u32 rights)
{
    r->space = s;
    r->page = page;
    r->frame = frame;
    r->count = count;
    r->rights = rights;
    mem_index_insert_at(&s->index, at, r);
}

bool space_mem_lookup(struct space_mem *s, u64 page, u64 *frame, u32 *rights)
{
    lock_take(&kern()->derive_lock);
    const struct mem_range *r = mem_index_find(s->index, page);
    if (r) {
        *frame = r->frame + (page - r->page);
        *rights = r->rights;
    }
    lock_drop(&kern()->derive_lock);
    return r != NULL;
}

/* ---- Original ranges ---- */

/* ptab_map for all of it; no rights: only make the tables. What was reserved cannot fail. */
static enum status map_all(struct space_mem *s, u64 page, u64 frame, u64 count, u32 rights)
{
    enum status st = OK;
    for (u64 done = 0, n = 0; done < count && st == OK; done += n)
        st = ptab_map(&s->ptab, page + done, frame + done, count - done, rights, NULL, &n);
    return st;
}

static enum status insert(struct space_mem *s, u64 page, u64 frame, u64 count, u32 rights)
{
    struct mem_range *r;
    struct mem_place at;
    if (!range_empty(s, page, count, &at))
        return STATUS_EXISTS;
    enum status st = map_all(s, page, frame, count, 0);
    if (st == OK)
        st = range_alloc(s, &r);
    if (st != OK)
        return st;
    derive_init(&r->derive, space_kind(s));
    range_enter(s, &at, r, page, frame, count, rights);
    return map_all(s, page, frame, count, rights);
}

enum status space_mem_insert(struct space_mem *s, u64 page, u64 frame, u64 count, u32 rights)
{
    if (!count || !range_ok(s, page, count) || !(rights & RIGHT_R))
        return STATUS_ARG;
    lock_take(&kern()->derive_lock);
    const enum status st = insert(s, page, frame, count, rights);
    lock_drop(&kern()->derive_lock);
    return st;
}

/* ---- Delegation ---- */

static enum status stock_add(struct mem_delegation *d)
{
    struct mem_range *r;
    const enum status s = range_alloc(d->to, &r);
    if (s != OK)
        return s;
    r->child[0] = d->stock;
    d->stock = r;
    return OK;
}

static struct mem_range *stock_take(struct mem_delegation *d)
{
    struct mem_range *r = d->stock;
    d->stock = r->child[0];
    return r;
}

static void stock_free(struct mem_delegation *d)
{
    while (d->stock)
        mem_free(kern()->mem, d->to->quota, stock_take(d), sizeof(struct mem_range));
}

/* Let others have the lock for a moment. */
static enum status breathe(struct mem_delegation *d, bool progress)
{
    lock_drop(&kern()->derive_lock);
    d->source = NULL;
    const bool restart = progress && mach_preempt_pending();
    lock_take(&kern()->derive_lock);
    return restart ? STATUS_RESTART : OK;
}

/* The range that ends where what is left begins, if that goes on with it: the newest child of the same parent, as it was entered before a
 * breath. Ranges of two delegations stay apart, so that either can be revoked without a split. */
static out_of_line struct mem_range *continued(const struct mem_delegation *d)
{
    struct mem_range *const last = d->target ? mem_index_find(d->to->index, d->target - 1) : NULL;
    const u64 frame = d->source->frame + (d->page - d->source->page);
    const bool goes_on = last && derive_is_newest(&d->source->derive, &last->derive) && last->rights == (d->rights & d->source->rights);
    return goes_on && last->frame + last->count == frame ? last : NULL;
}

/* Target empty, source covered; a node for each piece, the part of a range of the source. Bound: ranges of the source. */
static enum status check(struct mem_delegation *d)
{
    const u64 end = d->page + d->count;
    u32 pieces = 1;
    if (!range_empty(d->to, d->target, d->count, &d->place))
        return STATUS_EXISTS;
    const struct mem_range *r = d->source = mem_index_find(d->from->index, d->page);
    for (; r && range_end(r) < end; pieces++)
        r = mem_index_find(d->from->index, range_end(r));
    if (!r)
        return STATUS_RANGE;
    d->last = unlikely(d->begun) ? continued(d) : NULL;
    enum status st = OK;
    while (st == OK && pieces--)
        st = stock_add(d);
    return st;
}

/* The first run makes it, if it can be made: then nothing that comes after can fail. */
static bool one_table(const struct mem_delegation *d)
{
    return (d->target ^ (d->target + d->count - 1)) < PTAB_ENTRIES;
}

/* Tables for all that is left. May be preempted: the tables stay, and the next time they are only passed. */
static seldom enum status reserve(struct mem_delegation *d)
{
    enum status st = OK;
    u64 used = atomic_load(&d->to->quota->used);
    u32 runs = 0;
    for (u64 done = 0, n = 0; done < d->count && st == OK; done += n) {
        const u64 page = d->page + done;
        const struct mem_range *r = mem_index_find(d->from->index, page);
        if (!r)
            return STATUS_RANGE;
        const u64 offset = page - r->page;
        st = ptab_reserve(&d->to->ptab, d->target + done, r->frame + offset, min(d->count - done, r->count - offset), &n);
        if (st == OK && ++runs % STEP == 0) {
            st = breathe(d, atomic_load(&d->to->quota->used) != used);
            used = atomic_load(&d->to->quota->used);
        }
    }
    return st == OK ? breathe(d, atomic_load(&d->to->quota->used) != used) : st;
}

/* Source and target, and a node: the stock is one per piece there was; if others cut the source since, more are needed. */
static seldom enum status look_again(struct mem_delegation *d)
{
    d->source = mem_index_find(d->from->index, d->page);
    if (!d->source)
        return STATUS_RANGE;
    if (!range_empty(d->to, d->target, d->count, &d->place))
        return STATUS_EXISTS;
    d->last = d->begun ? continued(d) : NULL;
    return d->last || d->stock ? OK : stock_add(d);
}

/* Enter n pages that were just filled. */
static void enter(struct mem_delegation *d, u64 frame, u64 n, u32 rights)
{
    if (unlikely(d->last != NULL)) {
        d->last->count += n;
        return;
    }
    struct mem_range *const r = stock_take(d);
    derive_add(&d->source->derive, &r->derive, space_kind(d->to));
    range_enter(d->to, &d->place, r, d->target, frame, n, rights);
}

/* One run. */
static enum status step(struct mem_delegation *d)
{
    u64 n;
    enum status st = likely(d->source != NULL) ? OK : look_again(d);
    if (st != OK)
        return st;
    const u64 offset = d->page - d->source->page, frame = d->source->frame + offset;
    const u32 rights = d->rights & d->source->rights;
    st = ptab_map(&d->to->ptab, d->target, frame, min(d->count, d->source->count - offset), rights, NULL, &n);
    if (st != OK)
        return st;
    enter(d, frame, n, rights);
    d->source = NULL;
    d->begun = true;
    d->page += n;
    d->target += n;
    d->count -= n;
    return OK;
}

enum status space_mem_delegate_part(struct mem_delegation *d, u64 *done)
{
    const u64 count = d->count;
    *done = 0;
    if (!range_ok(d->from, d->page, count) || !range_ok(d->to, d->target, count) || !(d->rights & RIGHT_R) || d->rights & ~RIGHT_MEMORY)
        return STATUS_ARG;
    d->stock = NULL;
    lock_take(&kern()->derive_lock);
    enum status st = check(d);
    if (st == OK && unlikely(!one_table(d)))
        st = reserve(d);
    for (u32 runs = 1; st == OK; runs++) {
        st = step(d);
        if (st != OK || likely(!d->count))
            break;
        if (runs % STEP == 0)
            st = breathe(d, true);
    }
    lock_drop(&kern()->derive_lock);
    *done = count - d->count;
    stock_free(d);
    return st;
}
