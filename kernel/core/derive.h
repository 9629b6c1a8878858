/* SPDX-License-Identifier: BSD-2-Clause */
/* The derivation tree: who got a right from whom. One node in every capability slot and every mapping, from the first delegation on.
 *
 * Drawing: each node is a pair of brackets in one doubly linked list; what stands between them was derived from it:
 *     root's page range ( child's ( grandchild's ( ) ) other child's ( ) )
 * To take a node out is to take out its two brackets: its children are then its parent's, without anybody having to visit them.
 * Invariant: brackets nest; a child has no right its parent lacks. Exception: a node split off from another (derive_split) encloses the
 * same nodes as that one and is enclosed by it; whose child a node is then, its frames tell.
 * Lock: kern.derive_lock for every access. */
#pragma once
#include "base.h"

struct derive_bracket {
    struct derive_bracket *next, *prev;
};

struct derive {
    struct derive_bracket open, close;
    u64 kind;      /* enum space_type of what it is embedded in */
};

void derive_init(struct derive *d, u32 kind);               /* a tree of its own */
void derive_add(struct derive *parent, struct derive *child, u32 kind);   /* the same, below parent: its newest child */
void derive_split(struct derive *d, struct derive *part);   /* part of d's right is now part's */
void derive_remove(struct derive *d);                       /* its children stay, as descendants of its parent */
struct derive *derive_first(struct derive *d);              /* first descendant or NULL */
struct derive *derive_next(struct derive *d, struct derive *root);   /* next node below root or NULL */
bool derive_is_newest(const struct derive *parent, const struct derive *child);   /* was child the last one added to parent? */
bool derive_is_original(const struct derive *d);         /* is it derived from nothing? */
