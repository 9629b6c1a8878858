/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of translations share: see translations.h for what they do together. */
#pragma once
#include "linked.h"
#include "tlb_search.h"
#include "translations.h"

#define FREES_MAX 256u

struct translations {
    struct history history;
    u64 now, mark;               /* time; of the mark */
    struct linked linked;
    struct { u64 phys, end, time; } free[FREES_MAX];   /* of memory that was linked: those of before the mark, then the last ones since */
    u32 frees_kept, frees;       /* so many of before, so many since: the oldest of these are overwritten */
    struct tlb_log log[];        /* per CPU */
};

/* No word of the walk has changed since the tag's translations were last dropped, and it had one root: no answer but that of the walk. */
bool translations_settled(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w);
void translations_frees_mark(struct translations *t);
/* The tag that was just loaded was not loaded before: what was freed meanwhile must not be in it. */
void translations_judge_load(struct sim_cpu *cpu);
/* The tag is about to be loaded for `owner`: another owner's translations must not be in it. */
void translations_judge_owner(struct sim_cpu *cpu, const struct walk_root *root, u32 vpid, u64 owner);
