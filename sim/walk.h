/* SPDX-License-Identifier: BSD-2-Clause */
/* Page walks: what a walk begins from, what a word of each format means, the walk of memory as it is now, and setting A and D bits afterwards.
 * Shared by host (mmu.c) and nested (nested.c) translations and by searches of histories (tlb_search.c). */
#pragma once
#include "machine_model.h"

#define WALK_LEVELS  4u
#define WALK_RETRIES 16u
#define EPTP_USE_AD  0x040ul

enum walk_kind { WALK_NONE, WALK_HOST, WALK_EPT, WALK_NPT };

/* The kind and the tag name a set of cached translations, the rest is how words are read. */
struct walk_root {
    enum walk_kind kind;
    u64 tag;                    /* host: PCID, always 0; EPT: bits 51:12 of the EPTP; NPT: ASID */
    u64 root;                   /* CR3, EPTP or nCR3 as loaded: low bits included */
    bool nxe, pge, page_1g;
    bool aliases;               /* a nested fault drops nothing: another linear address may still lead there (combined entries) */
};

/* What a walk grants. */
struct translation {
    u64 frame;                  /* 4 KiB page number */
    u32 rights;                 /* RIGHT_* of the whole walk */
    u32 level;                  /* 0: 4 KiB, 1: 2 MiB, 2: 1 GiB leaf */
    bool user, global, dirty;
};

struct walk {
    u32 count;                  /* words read */
    u64 slot[WALK_LEVELS];      /* physical addresses, top first */
    u64 word[WALK_LEVELS];
};

enum walk_word { WALK_ABSENT, WALK_RESERVED, WALK_TABLE, WALK_LEAF };

struct walk_root walk_host(const struct sim_cpu *cpu);   /* by the CPU's CR3 */
void walk_begin(struct translation *t);                  /* before the first word */
/* What a word of a level means; what it grants is added to *t. */
enum walk_word walk_decode(const struct walk_root *root, u64 word, u32 level, u64 address, struct translation *t);
/* May what the word says be cached as it stands: has its A bit been set? */
bool walk_accessed(const struct walk_root *root, u64 word);
/* Physical address of the word of `level` that translates the address, in the table that `table` points to. */
u64 walk_slot(u64 table, u64 address, u32 level);
/* Walk memory as it is now. Result of the last word read; *t is what all words grant. */
enum walk_word walk_now(struct sim *s, const struct walk_root *root, u64 address, struct walk *w, struct translation *t);
/* Set A in every word, and D in the last, by locked operations with a re-check. False: a word changed, walk again. */
must_check bool walk_mark(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w, bool write);
