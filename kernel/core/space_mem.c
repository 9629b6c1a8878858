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
    return page < s->page_end && count <= s->page_end - page;
}

static bool range_empty(const struct space_mem *s, u64 page, u64 count)
{
    const struct mem_range *r = mem_index_from(s->index, page);
    return !r || r->page >= page + count;
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
    s->page_end = min(page_end, bit(f->address_bits - PAGE_BITS));
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

/* The node becomes part of the space. */
static void range_enter(struct space_mem *s, struct mem_range *r, struct mem_range *parent, u64 page, u64 frame, u64 count, u32 rights)
{
    r->space = s;
    r->page = page;
    r->frame = frame;
    r->count = count;
    r->rights = rights;
    derive_init(&r->derive, space_kind(s));
    if (parent)
        derive_add(&parent->derive, &r->derive);
    mem_index_insert(&s->index, r);
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

/* Fill absent pages whose tables exist: cannot fail. *done counts on. */
static enum status fill(struct space_mem *s, u64 page, u64 frame, u64 count, u32 rights, u32 steps, u64 *done)
{
    struct ptab_change change = { 0 };
    enum status st = OK;
    while (steps-- && *done < count && st == OK) {
        u64 n = 0;
        st = ptab_map(&s->ptab, page + *done, frame + *done, count - *done, rights, &change, &n);
        *done += n;
    }
    return st;
}

static enum status insert(struct space_mem *s, u64 page, u64 frame, u64 count, u32 rights)
{
    struct mem_range *r;
    if (!range_empty(s, page, count))
        return STATUS_EXISTS;
    enum status st = OK;
    for (u64 done = 0, n = 0; done < count && st == OK; done += n)
        st = ptab_reserve(&s->ptab, page + done, frame + done, count - done, &n);
    if (st == OK)
        st = range_alloc(s, &r);
    if (st != OK)
        return st;
    range_enter(s, r, NULL, page, frame, count, rights);
    u64 done = 0;
    return fill(s, page, frame, count, rights, ~0u, &done);
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

struct delegation {
    struct space_mem *from, *to;
    u64 page, target, count;
    u32 rights;
    bool begun;                /* part of it was delegated before a restart */
    struct mem_range *stock;   /* nodes not used yet, linked by child[0] */
};

static enum status stock_add(struct delegation *d)
{
    struct mem_range *r;
    const enum status s = range_alloc(d->to, &r);
    if (s != OK)
        return s;
    r->child[0] = d->stock;
    d->stock = r;
    return OK;
}

static struct mem_range *stock_take(struct delegation *d)
{
    struct mem_range *r = d->stock;
    d->stock = r->child[0];
    return r;
}

static void stock_free(struct delegation *d)
{
    while (d->stock)
        mem_free(kern()->mem, d->to->quota, stock_take(d), sizeof(struct mem_range));
}

/* The source range of the piece that begins `done` pages on, and its length. */
static struct mem_range *piece(const struct delegation *d, u64 done, u64 *count)
{
    struct mem_range *r = mem_index_find(d->from->index, d->page + done);
    if (r)
        *count = min(d->count - done, range_end(r) - (d->page + done));
    return r;
}

/* Source covered, target empty; a node for each piece. Bound: ranges of the source. derive_lock held. */
static enum status check(struct delegation *d)
{
    enum status st = range_empty(d->to, d->target, d->count) ? OK : STATUS_EXISTS;
    for (u64 done = 0, n = 0; done < d->count && st == OK; done += n)
        if (!piece(d, done, &n))
            return STATUS_RANGE;
    for (u64 done = 0, n = 0; done < d->count && st == OK; done += n) {
        st = stock_add(d);
        (void)piece(d, done, &n);
    }
    return st;
}

/* Tables for all that is left. May be preempted: the tables stay, and the next time they are only passed. */
static enum status reserve(const struct delegation *d)
{
    enum status st = OK;
    for (u64 done = 0; done < d->count && st == OK;) {
        const u64 used = atomic_load(&d->to->quota->used);
        lock_take(&kern()->derive_lock);
        for (u32 i = 0; i < STEP && done < d->count && st == OK; i++) {
            u64 n = 0, left;
            const struct mem_range *r = piece(d, done, &left);
            if (!r)
                st = STATUS_RANGE;
            else
                st = ptab_reserve(&d->to->ptab, d->target + done, r->frame + (d->page + done - r->page), left, &n);
            done += n;
        }
        lock_drop(&kern()->derive_lock);
        const bool made_any = atomic_load(&d->to->quota->used) != used;
        if (st == OK && made_any && mach_preempt_pending())
            st = STATUS_RESTART;
    }
    return st;
}

/* Enter n pages that were just filled: the newest child of the same parent grows if they continue it, else a node from the stock. Ranges of
 * two delegations stay apart, so that either can be revoked without a split. */
static void enter(struct delegation *d, struct mem_range *parent, u64 target, u64 frame, u64 n, u32 rights)
{
    struct mem_range *last = target && d->begun ? mem_index_find(d->to->index, target - 1) : NULL;
    if (last && derive_is_newest(&parent->derive, &last->derive) && last->rights == rights && last->frame + last->count == frame)
        last->count += n;
    else
        range_enter(d->to, stock_take(d), parent, target, frame, n, rights);
}

/* Part of a piece. derive_lock held. */
static enum status step(struct delegation *d, u64 *done)
{
    u64 left, n = 0;
    struct mem_range *parent = piece(d, *done, &left);
    const u64 target = d->target + *done;
    if (!parent)
        return STATUS_RANGE;
    if (!range_empty(d->to, target, left))
        return STATUS_EXISTS;
    /* The stock is one node per piece there was; if others cut the source since, more are needed. */
    if (!d->stock) {
        const enum status st = stock_add(d);
        if (st != OK)
            return st;
    }
    const u64 frame = parent->frame + (d->page + *done - parent->page);
    const u32 rights = d->rights & parent->rights;
    const enum status st = fill(d->to, target, frame, left, rights, STEP, &n);
    if (n)
        enter(d, parent, target, frame, n, rights);
    d->begun |= n > 0;
    *done += n;
    return st;
}

static enum status delegate(struct delegation *d, u64 *done)
{
    *done = 0;
    if (!range_ok(d->from, d->page, d->count) || !range_ok(d->to, d->target, d->count) || !(d->rights & RIGHT_R) || d->rights & ~RIGHT_MEMORY)
        return STATUS_ARG;
    lock_take(&kern()->derive_lock);
    enum status st = check(d);
    lock_drop(&kern()->derive_lock);
    if (st == OK)
        st = reserve(d);
    while (st == OK && *done < d->count) {
        lock_take(&kern()->derive_lock);
        st = step(d, done);
        lock_drop(&kern()->derive_lock);
        if (st == OK && *done < d->count && mach_preempt_pending())
            st = STATUS_RESTART;
    }
    stock_free(d);
    return st;
}

enum status space_mem_delegate(struct space_mem *from, u64 page, struct space_mem *to, u64 target, u64 count, u32 rights, u64 *done)
{
    struct delegation d = { .from = from, .to = to, .page = page, .target = target, .count = count, .rights = rights };
    return delegate(&d, done);
}

enum status space_mem_delegate_rest(struct space_mem *from, u64 page, struct space_mem *to, u64 target, u64 count, u32 rights, u64 *done)
{
    struct delegation d = { .from = from, .to = to, .page = page, .target = target, .count = count, .rights = rights, .begun = true };
    return delegate(&d, done);
}
