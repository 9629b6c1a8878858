/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory spaces: how ranges go. A revoke first splits what reaches over its edges, all of it, as that can fail; then it takes, which cannot.
 *
 * What was derived from a frame interval of a range is what stands between the range's brackets and overlaps the interval: a node split off
 * shares the brackets of the other half, and the frames tell the two families apart.
 * Invariant: when the lock is dropped, every translation that lost its range has been requested to be flushed.
 * Lock: kern.derive_lock, for at most STEP table runs at a time. */
#include "cpu.h"
#include "kern.h"
#include "mem_index.h"
#include "object.h"
#include "space_mem.h"

#define STEP 4u   /* ptab_unmap calls, each up to 512 entries */

/* What is taken while the lock is held once. */
struct taking {
    struct cpu *cpu;
    struct tlb_batch batch;
    struct ptab_change change;
    u32 left;          /* of STEP */
    bool all;          /* the whole space goes: its tables stay for ptab_destroy */
};

/* Pages [page, end) of a space that one range covers, and the frames behind them. */
struct part {
    struct mem_range *range;
    u64 page, end, frame, frame_end;
};

static u64 range_end(const struct mem_range *r)
{
    return r->page + r->count;
}

static struct mem_range *range_of(struct derive *d)
{
    return container_of(d, struct mem_range, derive);
}

/* The first part at or after page, below end. */
static bool part_at(const struct space_mem *s, u64 page, u64 end, struct part *out)
{
    struct mem_range *r = page < end ? mem_index_from(s->index, page) : NULL;
    if (!r || r->page >= end)
        return false;
    out->range = r;
    out->page = max(page, r->page);
    out->end = min(end, range_end(r));
    out->frame = r->frame + (out->page - r->page);
    out->frame_end = out->frame + (out->end - out->page);
    return true;
}

static bool overlaps(const struct part *p, const struct mem_range *r)
{
    return r->frame < p->frame_end && p->frame < r->frame + r->count;
}

/* The first descendant of the part's range behind *passed (NULL: the first of all) that overlaps the part; *passed is then the node before it.
 * Bound: descendants of the range. */
static struct mem_range *overlapping(const struct part *p, struct derive **passed)
{
    struct derive *const root = &p->range->derive;
    struct derive *d = *passed ? derive_next(*passed, root) : derive_first(root);
    while (d && !overlaps(p, range_of(d))) {
        *passed = d;
        d = derive_next(d, root);
    }
    return d ? range_of(d) : NULL;
}

/* ---- Splitting ---- */

/* The pages of r from `offset` on become a range of their own. No right changes. */
static enum status range_split(struct mem_range *r, u64 offset)
{
    struct space_mem *s = r->space;
    void *p;
    enum status st = ptab_split(&s->ptab, r->page + offset);
    if (st == OK)
        st = mem_alloc(kern()->mem, s->quota, sizeof(struct mem_range), &p);
    if (st != OK)
        return st;
    struct mem_range *upper = p;
    upper->space = s;
    upper->page = r->page + offset;
    upper->frame = r->frame + offset;
    upper->count = r->count - offset;
    upper->rights = r->rights;
    derive_init(&upper->derive, (u32)r->derive.kind);
    r->count = offset;
    derive_split(&r->derive, &upper->derive);
    mem_index_insert(&s->index, upper);
    return OK;
}

/* Cut r at the edges of the frame interval that lie inside it; what remains of r itself is its lowest piece. */
static enum status cut(struct mem_range *r, const struct part *p, u32 *cuts)
{
    enum status st = OK;
    if (r->frame < p->frame_end && p->frame_end < r->frame + r->count) {
        st = range_split(r, p->frame_end - r->frame);
        ++*cuts;
    }
    if (st == OK && r->frame < p->frame && p->frame < r->frame + r->count) {
        st = range_split(r, p->frame - r->frame);
        ++*cuts;
    }
    return st;
}

/* derive_lock held. */
static enum status prepare_part(const struct part *p, bool self, u32 *cuts)
{
    enum status st = OK;
    struct derive *passed = NULL;
    struct mem_range *r;
    while (st == OK && (r = overlapping(p, &passed))) {
        st = cut(r, p, cuts);
        passed = &r->derive;
    }
    if (st == OK && self)
        st = cut(p->range, p, cuts);
    return st;
}

/* Everything that can fail, for the whole revoke. A restart finds the cuts that were made. */
static enum status prepare(struct space_mem *s, u64 page, u64 end, bool self)
{
    enum status st = OK;
    bool more = true;
    while (more && st == OK) {
        struct part p;
        u32 cuts = 0;
        lock_take(&kern()->derive_lock);
        more = part_at(s, page, end, &p);
        if (more) {
            st = prepare_part(&p, self, &cuts);
            page = p.end;
        }
        lock_drop(&kern()->derive_lock);
        if (st == OK && cuts && mach_preempt_pending())
            st = STATUS_RESTART;
    }
    return st;
}

/* ---- Taking ---- */

static void range_free(struct mem_range *r)
{
    derive_remove(&r->derive);
    mem_free(kern()->mem, r->space->quota, r, sizeof(*r));
}

/* One run of the range's pages, from the lowest on. No large page reaches out of a range, so that unmapping cannot fail. */
static void take_run(struct taking *t, struct mem_range *r)
{
    struct space_mem *s = r->space;
    u64 done;
    t->change.flush = false;
    if (ptab_unmap(&s->ptab, r->page, r->count, &t->change, &done) != OK)
        mach_panic("space_mem: a large page reaches out of its range");
    if (!t->all)
        ptab_reclaim(&s->ptab, r->page, &t->change);
    if (t->change.flush)
        tlb_batch_add(&t->batch, s);
    t->left--;
    if (done == r->count) {
        mem_index_remove(&s->index, r);
        range_free(r);
        return;
    }
    /* Its place in the index stays the same: nothing lies between the old and the new first page. */
    r->page += done;
    r->frame += done;
    r->count -= done;
}

/* Everything derived from the part, then with self the part. STATUS_RESTART: look for the part again. derive_lock held. */
static enum status take_part(struct taking *t, const struct part *p, bool self)
{
    struct derive *passed = NULL;
    for (;;) {   /* bound: t->left */
        struct mem_range *r = overlapping(p, &passed);
        if (!r && !self)
            return OK;
        if (!r)
            r = p->range;
        u32 cuts = 0;
        const enum status st = cut(r, p, &cuts);   /* only if another CPU delegated across an edge since prepare */
        if (st != OK)
            return st;
        if (cuts || !t->left)
            return STATUS_RESTART;
        const bool last = r == p->range;
        take_run(t, r);
        if (last)
            return STATUS_RESTART;
    }
}

/* Before the lock is dropped. */
static void taking_end(struct taking *t, struct space_mem *s)
{
    const u64 generation = tlb_batch_request(t->cpu, &t->batch);
    ptab_release(t->cpu, &s->ptab, &t->change, generation);
}

/* Up to STEP runs from *page on. OK: nothing is left below end; STATUS_RESTART: there may be more. */
static enum status take_step(struct taking *t, struct space_mem *s, u64 *page, u64 end, bool self)
{
    struct part p;
    while (part_at(s, *page, end, &p)) {
        const enum status st = take_part(t, &p, self);
        if (st == OK)
            *page = p.end;
        else if (st != STATUS_RESTART || !t->left)
            return st;
    }
    return OK;
}

enum status space_mem_revoke(struct cpu *cpu, struct space_mem *s, u64 page, u64 count, bool self, u64 *generation)
{
    *generation = 0;
    if (page >= s->page_end || count > s->page_end - page)
        return STATUS_ARG;
    const u64 end = page + count;
    enum status st = prepare(s, page, end, self);
    if (st != OK)
        return st;
    do {
        struct taking t = { .cpu = cpu, .left = STEP };
        lock_take(&kern()->derive_lock);
        st = take_step(&t, s, &page, end, self);
        taking_end(&t, s);
        *generation = tlb_owed();
        lock_drop(&kern()->derive_lock);
        if (st == STATUS_RESTART && t.left < STEP && mach_preempt_pending())
            return st;
    } while (st == STATUS_RESTART);
    return st;
}

enum status space_mem_clear(struct cpu *cpu, struct space_mem *s, u64 *generation)
{
    bool more = true;
    while (more) {
        struct taking t = { .cpu = cpu, .left = STEP, .all = true };
        lock_take(&kern()->derive_lock);
        while (t.left && s->index)
            take_run(&t, s->index);
        more = s->index != NULL;
        if (!more)
            tlb_batch_add(&t.batch, s);   /* its tables go next, those too that are empty: a CPU may walk through them */
        taking_end(&t, s);
        *generation = tlb_owed();
        lock_drop(&kern()->derive_lock);
        if (more && mach_preempt_pending())
            return STATUS_RESTART;
    }
    return OK;
}
