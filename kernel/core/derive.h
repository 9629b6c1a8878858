/* SPDX-License-Identifier: BSD-2-Clause */
/* The derivation tree: who got a right from whom. One node in every capability slot and every mapping, from the first delegation on.
 *
 * Drawing: a doubly linked list in preorder with depths, as a tree printed line by line:
 *     0 root's page range      <- revoke here takes all deeper nodes that follow
 *       1 child's
 *         2 grandchild's
 *       1 other child's
 * Invariant: a node's descendants follow it directly, each deeper than it; a child has no right its parent lacks.
 * Lock: kern.derive_lock for every access. */
#pragma once
#include "base.h"

struct derive {
    struct derive *next, *prev;
    u32 depth;
    u32 kind;      /* enum space_type of what it is embedded in */
};

void derive_init(struct derive *d, u32 kind);               /* a tree of its own, depth 0 */
void derive_add(struct derive *parent, struct derive *child);
void derive_remove(struct derive *d);                       /* its children stay, as descendants of its parent */
struct derive *derive_first(struct derive *d);              /* first descendant or NULL */
struct derive *derive_next(struct derive *d, struct derive *root);   /* next node below root or NULL */
