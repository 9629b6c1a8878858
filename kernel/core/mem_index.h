/* SPDX-License-Identifier: BSD-2-Clause */
/* The ranges of one memory space by page: an AVL tree over mem_range.child, parent and height.
 * Invariant: ranges do not overlap; heights of siblings differ by at most one. Lock: kern.derive_lock. */
#pragma once
#include "base.h"

struct mem_range;

/* Where a range would stand in the index; until that changes. */
struct mem_place {
    struct mem_range *parent, **link;
};

void mem_index_insert(struct mem_range **root, struct mem_range *r);
void mem_index_insert_at(struct mem_range **root, const struct mem_place *at, struct mem_range *r);
void mem_index_remove(struct mem_range **root, struct mem_range *r);
struct mem_range *mem_index_find(struct mem_range *root, u64 page);   /* the range that covers page or NULL */
struct mem_range *mem_index_from(struct mem_range *root, u64 page);   /* the lowest range that ends beyond page or NULL */
/* mem_index_from, and if that does not cover page: the place of a range that begins there. */
struct mem_range *mem_index_place(struct mem_range **root, u64 page, struct mem_place *at);
