/* SPDX-License-Identifier: BSD-2-Clause */
/* What a CPU loaded and what it invalidated, and when: an append-only log per CPU, of which a mark and all before it can be restored at any time.
 * Invariant: the log begins with a load; times never fall. A CPU walks under one root at a time: in a guest its nested tables, else CR3. */
#pragma once
#include "walk.h"

#define TLB_EVENTS_MAX 512u

enum tlb_what {
    TLB_LOAD,             /* walks begin at root from now on */
    TLB_DROP_ALL,         /* everything under the tag */
    TLB_DROP_NONGLOBAL,   /* all but global pages; all paging-structure entries */
    TLB_DROP_PAGE,        /* the page, global or not; all paging-structure entries */
    TLB_DROP_FAULT,       /* the page, global or not, and the paging-structure entries on the way there */
    TLB_DROP_VPID,        /* linear and combined entries of the VPID in `tag`: none that a search asks for */
    TLB_FORGET,           /* what came before is not remembered: as if all was dropped */
};

struct tlb_event {
    enum tlb_what what;
    u32 vpid;             /* loads for a guest */
    bool any;             /* whatever the tag */
    u64 time;
    u64 owner;            /* loads for a guest: VMCS or VMCB; else 0 */
    u64 address;          /* page, fault */
    struct walk_root root;   /* drops: kind and tag only */
};

struct tlb_log {
    struct tlb_event *event;   /* TLB_EVENTS_MAX of them */
    u32 count, mark;
    struct { u32 count, begin; struct walk_root root; bool globals, single; } memo;   /* of the last tlb_log_begin */
};

struct tlb_event *tlb_log_add(struct tlb_log *l, u64 time, enum tlb_what what, const struct walk_root *root);
void tlb_log_mark(struct tlb_log *l);
void tlb_log_rollback(struct tlb_log *l);
u32 tlb_log_load_at(const struct tlb_log *l, u32 event);   /* the load in force when that event happened */
bool tlb_same_tag(const struct walk_root *a, const struct walk_root *b);
bool tlb_drops(const struct tlb_event *e, const struct walk_root *root);   /* it drops something under the tag */
/* The first event that matters: the newest that dropped everything under the tag (globals: global pages too), or 0. *single: since then the tag
 * was loaded with one root only. */
u32 tlb_log_begin(struct tlb_log *l, const struct walk_root *root, bool globals, bool *single);
/* Since when cached entries for the page at `address` under the tag may have stood. */
u64 tlb_log_floor(const struct tlb_log *l, u32 begin, const struct walk_root *root, u64 address, u32 level, bool global);
/* The first time after `time` at which paging-structure entries of a level for the address were dropped; ~0: not yet. */
u64 tlb_log_cut(const struct tlb_log *l, u32 begin, const struct walk_root *root, u64 address, u32 level, u64 time);
/* The first time from `time` on at which the tag was loaded, with `only` if not NULL as root; ~0: never. */
u64 tlb_log_when(const struct tlb_log *l, u32 begin, const struct walk_root *root, const u64 *only, u64 time);
