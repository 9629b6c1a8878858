/* SPDX-License-Identifier: BSD-2-Clause */
/* Every walk that a CPU can have made under a tag: from each root that was loaded, through each value each word held, at times that never go back,
 * within the times at which the tag was loaded and since what is cached was last dropped. An explicit level in place of recursion.
 * Bound: SEARCH_STEPS_MAX words per search; what lies beyond is not seen. */
#pragma once
#include "history.h"
#include "tlb_log.h"

#define SEARCH_STEPS_MAX (1u << 18)

/* What a word held, from a time on at which the walk can have read it. */
struct reading {
    u64 slot, lo, hi;       /* read at lo or later, before hi */
    u64 next;               /* the earliest time of the next reading of the same value */
    u64 value, end;         /* it stood until then */
    u32 version;            /* that follows in the log, older; 0: none */
    bool memory;            /* it stands in memory now */
    bool more;
    u64 at, cut;            /* of this reading; paging-structure entries made of it were dropped at `cut` */
};

struct search {
    struct sim *s;
    const struct history *h;
    const struct tlb_log *log;
    struct walk_root root;
    u32 begin;              /* event of the log that the search begins at */
    bool everywhere;        /* all addresses, else `address` */
    bool accessed;          /* only words with A set */
    u64 address;            /* everywhere: of the word in hand, lowest one */
    u32 first, load;        /* the first load, and the one whose root is being walked */
    u32 level, steps;
    bool more;
    struct reading reading[WALK_LEVELS];
    struct translation grant[WALK_LEVELS + 1];   /* of the words above a level */
    /* The answer: */
    enum walk_word kind;    /* table or leaf */
    u64 table;              /* physical address of a table's page */
    struct translation leaf;
    u64 at, until;          /* table: the pointer was read then, cached until; leaf: may be cached since */
};

void search_begin(struct search *q);   /* after all fields down to `address` */
bool search_next(struct search *q);    /* false: that was all */
