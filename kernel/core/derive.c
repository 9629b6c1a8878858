/* SPDX-License-Identifier: BSD-2-Clause */
/* The derivation tree as a list of brackets. Owns the links, nothing else.
 * Invariant: each open bracket has its close bracket after it, properly nested; the ends of the list are NULL.
 * Telling an open bracket from a close one needs no flag: they lie at different places of struct derive and the low bits of the address
 * cannot say which, so a link to a close bracket carries bit 0.
 * Lock: kern.derive_lock. */
#include "derive.h"

/* Links point to brackets; bit 0 set: to a close bracket. Brackets are 8-byte aligned. */
static struct derive_bracket *at(struct derive_bracket *link)
{
    return (struct derive_bracket *)((u64)link & ~1ul);
}

static bool is_close(const struct derive_bracket *link)
{
    return (u64)link & 1;
}

static struct derive_bracket *open_of(struct derive *d)
{
    return &d->open;
}

static struct derive_bracket *close_of(struct derive *d)
{
    return (struct derive_bracket *)((u64)&d->close | 1);
}

static void insert_after(struct derive_bracket *where, struct derive_bracket *what)
{
    struct derive_bracket *next = at(where)->next;
    at(what)->prev = where;
    at(what)->next = next;
    at(where)->next = what;
    if (next)
        at(next)->prev = what;
}

/* The node whose open bracket is the first at or after `link`, NULL once end is reached: at most two brackets per node are passed. */
static struct derive *open_before(struct derive_bracket *link, const struct derive_bracket *end)
{
    while (link != end) {
        if (!is_close(link))
            return container_of(link, struct derive, open);
        link = at(link)->next;
    }
    return NULL;
}

void derive_init(struct derive *d, u32 kind)
{
    d->kind = kind;
    d->open.prev = NULL;
    d->open.next = close_of(d);
    d->close.prev = open_of(d);
    d->close.next = NULL;
}

void derive_add(struct derive *parent, struct derive *child, u32 kind)
{
    struct derive_bracket *const next = parent->open.next;   /* there is one: the parent's own close bracket comes behind */
    child->kind = kind;
    child->open.prev = open_of(parent);
    child->open.next = close_of(child);
    child->close.prev = open_of(child);
    child->close.next = next;
    parent->open.next = open_of(child);
    at(next)->prev = close_of(child);
}

void derive_split(struct derive *d, struct derive *part)
{
    struct derive_bracket *last = d->close.prev;
    insert_after(open_of(d), open_of(part));
    insert_after(last == open_of(d) ? open_of(part) : last, close_of(part));
}

void derive_remove(struct derive *d)
{
    struct derive_bracket *before = d->open.prev, *after = d->open.next;
    at(after)->prev = before;   /* its own close bracket, if nothing else is there */
    if (before)
        at(before)->next = after;
    d->open.prev = d->open.next = NULL;
    before = d->close.prev;
    after = d->close.next;
    if (before)
        at(before)->next = after;
    if (after)
        at(after)->prev = before;
}

struct derive *derive_first(struct derive *d)
{
    return open_before(d->open.next, close_of(d));
}

struct derive *derive_next(struct derive *d, struct derive *root)
{
    return open_before(d->open.next, close_of(root));
}

bool derive_is_newest(const struct derive *parent, const struct derive *child)
{
    return parent->open.next == &child->open;
}

bool derive_is_original(const struct derive *d)
{
    return !d->open.prev;
}
