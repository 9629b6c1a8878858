/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of the race detector, as race.c (accesses) and race_order.c (clocks) share it. All tables are bounded; the first that is full ends
 * judging until the next reset. */
#pragma once
#include "memory.h"
#include "race.h"
#include "stack_depot.h"

#define RACE_VECTORS (1u << 18)

struct race_cell;
struct race {
    struct keymap granules;    /* address / 8 to the first cell */
    struct keymap syncs;       /* to a vector */
    struct race_cell *cells;   /* 0 is none */
    u32 cell_count, cell_free;
    u32 *vectors;              /* cpu_count clocks each; 0 is none */
    u32 vector_count;
    u32 era;                   /* resets: vectors of an earlier one say nothing new */
    u32 cpu_count;
    u32 now[SIM_CPUS_MAX][SIM_CPUS_MAX];   /* now[i]: what CPU i knows of every CPU's clock, its own included */
    struct stack_depot stacks;
    struct race_report last;
    bool found, full, paused;
};
