/* SPDX-License-Identifier: BSD-2-Clause */
/* AVL tree of memory ranges. Owns child, parent and height of each range in it. No recursion: each knows its parent, and a change goes up only
 * as far as heights change.
 * Lock: kern.derive_lock. */
#include "mem_index.h"
#include "space_mem.h"

static u32 height(const struct mem_range *r)
{
    return r ? r->height : 0;
}

static void measure(struct mem_range *r)
{
    r->height = 1 + max(height(r->child[0]), height(r->child[1]));
}

/* `with` (or nothing: NULL) stands where r stood. */
static void replace(struct mem_range **root, const struct mem_range *r, struct mem_range *with)
{
    struct mem_range *const parent = r->parent;
    *(parent ? &parent->child[parent->child[1] == r] : root) = with;
    if (with)
        with->parent = parent;
}

/* The child on `side` comes up, the top goes down on the other side. */
static struct mem_range *rotate(struct mem_range **root, struct mem_range *top, u32 side)
{
    struct mem_range *const up = top->child[side], *const moved = up->child[!side];
    replace(root, top, up);
    top->child[side] = moved;
    if (moved)
        moved->parent = top;
    up->child[!side] = top;
    top->parent = up;
    measure(top);
    measure(up);
    return up;
}

/* One side of r is too high. Returns who is above, if the height has changed, else NULL. */
static seldom struct mem_range *balance(struct mem_range **root, struct mem_range *r)
{
    const u32 before = r->height, high = height(r->child[1]) > height(r->child[0]);
    struct mem_range *const child = r->child[high];
    if (height(child->child[!high]) > height(child->child[high]))
        rotate(root, child, !high);
    r = rotate(root, r, high);
    return r->height != before ? r->parent : NULL;
}

/* A child of r has changed. Bound: the height of the tree. */
static void rebalance(struct mem_range **root, struct mem_range *r)
{
    while (r) {
        const u32 left = height(r->child[0]), right = height(r->child[1]), now = 1 + max(left, right);
        if (unlikely(left - right + 1 > 2)) {
            r = balance(root, r);
            continue;
        }
        if (r->height == now)
            return;
        r->height = now;
        r = r->parent;
    }
}

void mem_index_insert_at(struct mem_range **root, const struct mem_place *at, struct mem_range *r)
{
    r->child[0] = r->child[1] = NULL;
    r->parent = at->parent;
    r->height = 1;
    *at->link = r;
    rebalance(root, r->parent);
}

void mem_index_insert(struct mem_range **root, struct mem_range *r)
{
    struct mem_place at;
    (void)mem_index_place(root, r->page, &at);
    mem_index_insert_at(root, &at, r);
}

void mem_index_remove(struct mem_range **root, struct mem_range *r)
{
    struct mem_range *changed = r->parent;
    if (!r->child[0] || !r->child[1]) {
        replace(root, r, r->child[r->child[1] != NULL]);
        rebalance(root, changed);
        return;
    }
    /* Its successor, which has no left child, takes its place. */
    struct mem_range *next = r->child[1];
    while (next->child[0])
        next = next->child[0];
    changed = next->parent == r ? next : next->parent;
    replace(root, next, next->child[1]);
    replace(root, r, next);
    next->height = r->height;
    for (u32 side = 0; side < 2; side++) {
        next->child[side] = r->child[side];
        if (next->child[side])
            next->child[side]->parent = next;
    }
    rebalance(root, changed);
}

struct mem_range *mem_index_place(struct mem_range **root, u64 page, struct mem_place *at)
{
    struct mem_range *next = NULL, *parent = NULL, **link = root, *r;
    while ((r = *link)) {
        parent = r;
        if (page < r->page) {
            next = r;
            link = &r->child[0];
        } else if (page - r->page < r->count) {
            next = r;
            break;
        } else {
            link = &r->child[1];
        }
    }
    at->parent = parent;
    at->link = link;
    return next;
}

struct mem_range *mem_index_from(struct mem_range *root, u64 page)
{
    struct mem_range *found = NULL;
    while (root) {
        if (page < root->page) {
            found = root;
            root = root->child[0];
        } else if (page - root->page < root->count) {
            return root;
        } else {
            root = root->child[1];
        }
    }
    return found;
}

struct mem_range *mem_index_find(struct mem_range *root, u64 page)
{
    struct mem_range *r = mem_index_from(root, page);
    return r && r->page <= page ? r : NULL;
}
