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
    u32 tag;             /* NPT: ASID. EPT: 0, entries belong to the EPTP */
    u64 root;            /* CR3, EPTP or nCR3 the walk began at */
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
