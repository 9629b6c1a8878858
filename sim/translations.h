/* SPDX-License-Identifier: BSD-2-Clause */
/* What a CPU's caches of translations may hold: bounded, entries stay until an invalidation covers them or a newer one takes the place.
 * A fresh walk is always allowed too (the hardware may have dropped anything), so using a cached one is a choice. */
#pragma once
#include "base.h"

#define TLB_SETS 32u
#define TLB_WAYS 4u

enum tlb_kind { TLB_EMPTY, TLB_HOST, TLB_EPT, TLB_NPT };

struct tlb_entry {
    enum tlb_kind kind;
    u32 tag;             /* NPT: ASID. EPT and host: 0 */
    u64 root;            /* physical address of the top table the walk began at */
    u64 page, frame;     /* 4 KiB page numbers */
    u32 rights;          /* RIGHT_* of the whole walk */
    u32 level;           /* 0: 4 KiB, 1: 2 MiB, 2: 1 GiB leaf */
    bool user, global, dirty;
    u64 table[4];        /* physical page of each table read, top first; 0: none */
};

struct tlb {
    struct tlb_entry way[TLB_SETS][TLB_WAYS];
    u32 next[TLB_SETS];  /* which way is replaced next */
};

struct sim;
struct sim_cpu;

/* Remember what a walk found; replaces an entry for the same page and tag. */
void translations_add(struct sim_cpu *cpu, const struct tlb_entry *e);
/* A cached entry that the chooser wants instead of the walk's result `fresh` (kind EMPTY: the walk faults), or NULL. Asks only if one differs. */
const struct tlb_entry *translations_choose(struct sim_cpu *cpu, const struct tlb_entry *key, const struct tlb_entry *fresh);
/* Drop what is cached of the key's page under its tag, and all that came from the same large leaf; host: global entries too. */
void translations_drop_page(struct sim_cpu *cpu, const struct tlb_entry *key);
void translations_drop_host(struct sim_cpu *cpu, bool globals);
/* Memory was freed: a finding if a CPU may still translate to it, or walk through it, under the host tables that are loaded. */
void translations_freed(struct sim *s, u64 phys, u64 bytes);
