/* SPDX-License-Identifier: BSD-2-Clause */
/* AVL tree of memory ranges. Owns child and height of each range in it. No recursion: the way down is kept as the addresses of the
 * links that were followed; a rotation changes what a link points to, never the links above it.
 * Lock: kern.derive_lock. */
#include "mem_index.h"
#include "space_mem.h"

#define DEPTH_MAX 64u   /* an AVL tree of that height has more than 2^44 nodes */

struct path {
    struct mem_range **link[DEPTH_MAX];
    u32 depth;
};

static u64 height(const struct mem_range *r)
{
    return r ? r->height : 0;
}

static void measure(struct mem_range *r)
{
    r->height = 1 + max(height(r->child[0]), height(r->child[1]));
}

/* The child on `side` comes up, the top goes down on the other side. */
static void rotate(struct mem_range **link, u32 side)
{
    struct mem_range *top = *link, *up = top->child[side];
    top->child[side] = up->child[!side];
    up->child[!side] = top;
    *link = up;
    measure(top);
    measure(up);
}

static void rebalance(struct mem_range **link)
{
    struct mem_range *r = *link;
    const u64 left = height(r->child[0]), right = height(r->child[1]);
    if (left <= right + 1 && right <= left + 1) {
        measure(r);
        return;
    }
    const u32 high = right > left;
    struct mem_range *child = r->child[high];
    if (height(child->child[!high]) > height(child->child[high]))
        rotate(&r->child[high], !high);
    rotate(link, high);
}

static void rebalance_up(struct path *p)
{
    while (p->depth)
        rebalance(p->link[--p->depth]);
}

void mem_index_insert(struct mem_range **root, struct mem_range *r)
{
    struct path p = { .depth = 0 };
    struct mem_range **link = root;
    while (*link) {
        p.link[p.depth++] = link;
        link = &(*link)->child[r->page > (*link)->page];
    }
    r->child[0] = r->child[1] = NULL;
    r->height = 1;
    *link = r;
    rebalance_up(&p);
}

void mem_index_remove(struct mem_range **root, struct mem_range *r)
{
    struct path p = { .depth = 0 };
    struct mem_range **link = root;
    while (*link != r) {
        p.link[p.depth++] = link;
        link = &(*link)->child[r->page > (*link)->page];
    }
    if (!r->child[0] || !r->child[1]) {
        *link = r->child[0] ? r->child[0] : r->child[1];
        rebalance_up(&p);
        return;
    }
    /* Its successor, which has no left child, takes its place. */
    p.link[p.depth++] = link;
    const u32 below = p.depth;
    struct mem_range **last = &r->child[1];
    while ((*last)->child[0]) {
        p.link[p.depth++] = last;
        last = &(*last)->child[0];
    }
    struct mem_range *next = *last;
    *last = next->child[1];
    next->child[0] = r->child[0];
    next->child[1] = r->child[1];
    *link = next;
    if (p.depth > below)
        p.link[below] = &next->child[1];   /* was r's */
    rebalance_up(&p);
}

struct mem_range *mem_index_from(struct mem_range *root, u64 page)
{
    struct mem_range *found = NULL;
    while (root) {
        const bool ends_beyond = root->page + root->count > page;
        if (ends_beyond)
            found = root;
        root = root->child[!ends_beyond];
    }
    return found;
}

struct mem_range *mem_index_find(struct mem_range *root, u64 page)
{
    struct mem_range *r = mem_index_from(root, page);
    return r && r->page <= page ? r : NULL;
}
