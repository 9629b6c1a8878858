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
    struct mem_range *first; /* descendant that overlaps it; NULL: to be found */
    struct derive *passed;   /* the last one before that; NULL: there is none */
    u32 descendants;         /* that overlap it, at most */
};

/* What is left of a revoke. */
struct revoke {
    struct space_mem *space;
    u64 page, end;
    bool self;
    struct part part;   /* the first, as long as derive_lock is held; no range: look again */
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
static inline bool part_at(const struct space_mem *s, u64 page, u64 end, struct part *out)
{
    struct mem_range *const r = page < end ? mem_index_from(s->index, page) : NULL;
    out->range = r;
    if (!r || r->page >= end)
        return false;
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
static inline struct mem_range *overlapping(const struct part *p, struct derive **passed)
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
static seldom enum status range_split(struct mem_range *r, u64 offset)
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

static bool inside(const struct part *p, const struct mem_range *r)
{
    return r->frame >= p->frame && r->frame + r->count <= p->frame_end;
}

/* Cut r at the edges of the frame interval that lie inside it; what remains of r itself is its lowest piece. */
static seldom enum status cut(struct mem_range *r, const struct part *p)
{
    enum status st = OK;
    if (p->frame_end < r->frame + r->count)
        st = range_split(r, p->frame_end - r->frame);
    if (st == OK && r->frame < p->frame)
        st = range_split(r, p->frame - r->frame);
    return st;
}

/* *cuts: were any needed? derive_lock held. */
static enum status prepare_part(struct part *p, bool self, bool *cuts)
{
    enum status st = OK;
    struct derive *passed = NULL;
    struct mem_range *r;
    *cuts = self && !inside(p, p->range);
    p->first = NULL;
    p->descendants = 0;
    while (st == OK && (r = overlapping(p, &passed))) {
        if (!p->first) {
            p->first = r;
            p->passed = passed;
        }
        p->descendants++;
        passed = &r->derive;
        if (inside(p, r))
            continue;
        *cuts = true;
        st = cut(r, p);
    }
    if (st == OK && self && !inside(p, p->range))
        st = cut(p->range, p);
    return st;
}

/* Let others have the lock for a moment. */
static enum status breathe(struct revoke *r, bool progress)
{
    lock_drop(&kern()->derive_lock);
    r->part.range = NULL;
    const bool restart = progress && mach_preempt_pending();
    lock_take(&kern()->derive_lock);
    return restart ? STATUS_RESTART : OK;
}

/* Everything that can fail, for the whole revoke. A restart finds the cuts that were made. If one part is all and needs no cut, it is taken
 * without a breath. */
static enum status prepare(struct revoke *r)
{
    enum status st = OK;
    for (u64 page = r->page; st == OK && part_at(r->space, page, r->end, &r->part);) {
        bool cuts;
        st = prepare_part(&r->part, r->self, &cuts);
        if (st == OK && likely(!cuts && page == r->page && r->part.end == r->end))
            return OK;
        page = r->part.end;
        if (st == OK)
            st = breathe(r, cuts);
    }
    r->part.range = NULL;
    return st;
}

/* ---- Taking ---- */

static void taking_begin(struct taking *t, struct cpu *cpu, bool all)
{
    t->cpu = cpu;
    t->batch.host = t->batch.guest = 0;
    t->change.dead = NULL;
    t->left = STEP;
    t->all = all;
}

static void range_free(struct mem_range *r)
{
    derive_remove(&r->derive);
    mem_free(kern()->mem, r->space->quota, r, sizeof(*r));
}

/* One run of the range's pages, from the lowest on. True: that was all of it. No large page reaches out of a range, so that unmapping cannot fail. */
static bool take_run(struct taking *t, struct mem_range *r)
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
        return true;
    }
    /* Its place in the index stays the same: nothing lies between the old and the new first page. */
    r->page += done;
    r->frame += done;
    r->count -= done;
    return false;
}

/* The next one to be taken, and whole: another CPU may have delegated across an edge since prepare. STATUS_RESTART: look for the part again. */
static out_of_line enum status find_next(struct part *p, bool self, struct mem_range **out)
{
    struct mem_range *r = p->descendants ? overlapping(p, &p->passed) : NULL;
    *out = r;
    if (!r && self)
        *out = r = p->range;
    if (!r || inside(p, r))
        return OK;
    const enum status st = cut(r, p);
    return st == OK ? STATUS_RESTART : st;
}

/* Everything derived from the part, then with self the part. STATUS_RESTART: look for the part again. derive_lock held. */
static enum status take_part(struct taking *t, struct part *p, bool self)
{
    struct mem_range *r = p->first;
    for (;;) {   /* bound: t->left */
        if (!r) {
            const enum status st = find_next(p, self, &r);
            if (st != OK || !r)
                return st;
        }
        if (!t->left)
            return STATUS_RESTART;
        const bool last = r == p->range;
        p->descendants -= take_run(t, r);
        if (last)
            return STATUS_RESTART;
        if (!p->descendants && !self)
            return OK;
        r = NULL;
    }
}

/* Before the lock is dropped. */
static inline void taking_end(struct taking *t, struct space_mem *s)
{
    const u64 generation = t->batch.host | t->batch.guest ? tlb_batch_request(t->cpu, &t->batch) : 0;
    if (t->change.dead)
        ptab_release(t->cpu, &s->ptab, &t->change, generation);
}

static out_of_line bool look_again(struct revoke *r)
{
    r->part.first = NULL;
    r->part.passed = NULL;
    r->part.descendants = ~0u;
    return part_at(r->space, r->page, r->end, &r->part);
}

/* Up to STEP runs. OK: nothing is left; STATUS_RESTART: there may be more. */
static enum status take_step(struct taking *t, struct revoke *r)
{
    while (r->part.range || look_again(r)) {
        const enum status st = take_part(t, &r->part, r->self);
        if (st == OK && r->part.end == r->end)
            return OK;
        if (st == OK)
            r->page = r->part.end;
        else if (st != STATUS_RESTART || !t->left)
            return st;
        r->part.range = NULL;
    }
    return OK;
}

enum status space_mem_revoke(struct cpu *cpu, struct space_mem *s, u64 page, u64 count, bool self, u64 *generation)
{
    struct revoke r;
    *generation = 0;
    if (page >= s->ptab.page_end || count > s->ptab.page_end - page)
        return STATUS_ARG;
    r.space = s;
    r.page = page;
    r.end = page + count;
    r.self = self;
    lock_take(&kern()->derive_lock);
    enum status st = prepare(&r);
    while (st == OK) {
        struct taking t;
        taking_begin(&t, cpu, false);
        st = take_step(&t, &r);
        taking_end(&t, s);
        *generation = tlb_owed();
        if (st != STATUS_RESTART)
            break;
        st = breathe(&r, t.left < STEP);
    }
    lock_drop(&kern()->derive_lock);
    return st;
}

enum status space_mem_clear(struct cpu *cpu, struct space_mem *s, u64 *generation)
{
    bool more = true;
    while (more) {
        struct taking t;
        taking_begin(&t, cpu, true);
        lock_take(&kern()->derive_lock);
        while (t.left && s->index)
            (void)take_run(&t, s->index);
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
