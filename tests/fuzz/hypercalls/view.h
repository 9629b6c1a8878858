/* SPDX-License-Identifier: BSD-2-Clause */
/* What is looked at in the kernel, to compare it with the model: by the kernel's own lookups where it has one. Nothing here changes anything. */
#pragma once
#include "ec.h"
#include "pd.h"

/* What an object costs its PD, without page tables and ranges. */
u64 view_bytes(enum object_type type, bool fpu);
u64 view_range_bytes(void);
/* What a selector names, or NULL. */
void *view_slot(const struct pd *pd, u64 selector, u32 *perms);
bool view_leaf(const struct pd *pd, u32 index);
bool view_page(struct space_mem *s, u64 page, u64 *frame, u32 *rights);   /* what is held */

/* A run of pages: what a range holds, or what an entry of the page table maps. */
struct view_run {
    u64 page, frame, count;
    u32 rights;
    bool entered;   /* in the page table */
};
struct view_space {
    u64 ranges, tables;
    void (*run)(void *arg, const struct view_run *run);   /* called for each; NULL: none */
    void *arg;
};
void view_space(const struct space_mem *s, struct view_space *v);
