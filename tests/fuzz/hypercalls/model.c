/* SPDX-License-Identifier: BSD-2-Clause */
/* Capabilities, pages and their trees. A node that is taken out leaves its children to its parent; a revoke takes the whole subtree. */
#include "model.h"
#include <stdlib.h>

static void *new(u64 bytes)
{
    void *const p = calloc(1, bytes);
    if (!p)
        abort();
    return p;
}

/* ---- Trees ---- */

static void node_add(struct m_node *parent, struct m_node *n)
{
    n->parent = parent;
    n->prev = NULL;
    n->next = parent ? parent->child : NULL;
    if (n->next)
        n->next->prev = n;
    if (parent)
        parent->child = n;
}

static void node_remove(struct m_node *n)
{
    if (n->next)
        n->next->prev = n->prev;
    if (n->prev)
        n->prev->next = n->next;
    else if (n->parent)
        n->parent->child = n->next;
    for (struct m_node *c = n->child, *next; c; c = next) {
        next = c->next;
        node_add(n->parent, c);
    }
    *n = (struct m_node){ 0 };
}

/* ---- Objects ---- */

struct m_object *m_object_new(struct model *m, enum object_type type, struct m_object *pd, u64 bytes, u32 cpu)
{
    struct m_object *const o = new(sizeof(*o));
    o->type = type;
    o->pd = pd;
    o->bytes = bytes;
    o->cpu = cpu;
    o->next = m->objects;
    m->objects = o;
    if (pd)
        pd->users++;
    return o;
}

void m_pd_init(struct m_object *pd, u64 limit, u32 flags, u64 guest_end)
{
    pd->limit = limit;
    pd->flags = flags;
    pd->users = 1;
    pd->space[0].made = true;
    pd->space[0].end = USER_END >> PAGE_BITS;
    pd->space[1].end = guest_end;
}

struct m_object *m_object_at(const struct model *m, const void *kernel)
{
    struct m_object *o = m->objects;
    while (o && o->kernel != kernel)
        o = o->next;
    return o;
}

/* ---- Capabilities ---- */

struct m_slot *m_slot_at(const struct m_object *pd, u64 selector)
{
    struct m_slot *const leaf = selector < SEL_COUNT ? pd->leaf[selector / M_LEAF_SLOTS] : NULL;
    return leaf ? &leaf[selector % M_LEAF_SLOTS] : NULL;
}

struct m_slot *m_slot_make(struct m_object *pd, u64 selector)
{
    struct m_slot **const leaf = &pd->leaf[selector / M_LEAF_SLOTS];
    if (!*leaf)
        *leaf = new(M_LEAF_SLOTS * sizeof(struct m_slot));
    return &(*leaf)[selector % M_LEAF_SLOTS];
}

bool m_slot_held(const struct m_object *pd, u64 selector)
{
    const struct m_slot *const slot = m_slot_at(pd, selector);
    return slot && slot->object;
}

void m_slot_fill(struct m_slot *slot, struct m_object *o, u32 perms, struct m_slot *from)
{
    slot->object = o;
    slot->perms = perms;
    o->refs++;
    node_add(from ? &from->node : NULL, &slot->node);
}

void m_slot_drop(struct m_slot *slot)
{
    slot->object->refs--;
    slot->object = NULL;
    slot->perms = 0;
    node_remove(&slot->node);
}

void m_slot_revoke(struct m_slot *slot, bool self)
{
    while (slot->node.child)
        m_slot_revoke(container_of(slot->node.child, struct m_slot, node), true);
    if (self)
        m_slot_drop(slot);
}

/* ---- Pages ---- */

struct m_page *m_page_at(const struct m_space *s, u64 page)
{
    struct m_page *p = s->bucket[page % M_BUCKETS];
    while (p && p->page != page)
        p = p->next;
    return p;
}

void m_page_add(struct m_space *s, u64 page, u64 frame, u32 rights, struct m_page *from)
{
    struct m_page *const p = new(sizeof(*p));
    struct m_page **const bucket = &s->bucket[page % M_BUCKETS];
    *p = (struct m_page){ .space = s, .next = *bucket, .page = page, .frame = frame, .rights = rights };
    *bucket = p;
    s->count++;
    node_add(from ? &from->node : NULL, &p->node);
}

void m_page_drop(struct m_page *p)
{
    struct m_page **at = &p->space->bucket[p->page % M_BUCKETS];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->space->count--;
    node_remove(&p->node);
    free(p);
}

void m_page_revoke(struct m_page *p, bool self)
{
    while (p->node.child)
        m_page_revoke(container_of(p->node.child, struct m_page, node), true);
    if (self)
        m_page_drop(p);
}

bool m_pages_any(const struct m_space *s, u64 page, u64 count)
{
    if (count <= M_BUCKETS) {
        for (u64 i = 0; i < count; i++)
            if (m_page_at(s, page + i))
                return true;
        return false;
    }
    for (u32 b = 0; b < M_BUCKETS; b++)
        for (const struct m_page *p = s->bucket[b]; p; p = p->next)
            if (p->page >= page && p->page - page < count)
                return true;
    return false;
}

u64 m_pages_run(const struct m_space *s, u64 page, u64 count)
{
    u64 n = 0;
    while (n < count && m_page_at(s, page + n))
        n++;
    return n;
}
