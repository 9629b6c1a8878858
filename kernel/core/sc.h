/* SPDX-License-Identifier: BSD-2-Clause */
/* Scheduling context: a priority and a budget on one CPU, bound to one EC. Its time follows calls (donation). */
#pragma once
#include "object.h"

struct ec;

struct sc {
    struct object object;
    struct ec *ec;                 /* bound for life; one reference */
    u32 priority;                  /* 0 lowest .. PRIORITY_COUNT - 1 */
    bool queued;
    u64 budget, left;              /* TSC ticks per round; left of this round */
    u64 used;                      /* TSC ticks consumed in all */
    struct sc *next, *prev;        /* ready queue or a blocked EC's helpers */
};

must_check enum status sc_create(struct cpu *cpu, struct pd *pd, struct ec *ec, u32 priority, u64 budget, struct sc **out);
void sc_destroy(struct cpu *cpu, struct sc *sc);
