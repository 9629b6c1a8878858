/* SPDX-License-Identifier: BSD-2-Clause */
/* A page walk: the words it read, top first, and setting their A and D bits afterwards. Shared by host (mmu.c) and nested (nested.c) walks. */
#pragma once
#include "machine_model.h"

#define WALK_LEVELS  4u
#define WALK_RETRIES 16u

struct walk {
    u32 count;                  /* words read */
    u32 level;                  /* of the last one: 0 4 KiB, 1 2 MiB, 2 1 GiB, 3 top */
    u64 slot[WALK_LEVELS];      /* physical addresses */
    u64 word[WALK_LEVELS];
};

/* Read the word of `level` that translates `address` from the table at `table`. */
u64 walk_read(struct sim *s, struct walk *w, u64 table, u64 address, u32 level);
/* Set `bits` in every word and `leaf_bits` in the last, by locked operations with a re-check. False: a word changed, walk again. */
must_check bool walk_mark(struct sim_cpu *cpu, const struct walk *w, u64 bits, u64 leaf_bits);
/* Physical address of the leaf for `address`. */
u64 walk_phys(const struct walk *w, u64 address);
