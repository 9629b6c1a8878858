/* SPDX-License-Identifier: BSD-2-Clause */
/* Scheduling context: a priority or group, and a budget, on one CPU, bound to one EC. Its time follows calls (donation).
 * Invariant: an SC is current, or in a ready queue, or waits at a blocked EC, or (its EC is dead) nowhere. Home CPU only. */
#pragma once
#include "object.h"

struct ec;

struct sc {
    struct object object;
    struct ec *ec;                 /* bound for life; one reference */
    u32 priority;                  /* its queue: 0 lowest .. PRIORITY_COUNT - 1, with fair groups SC_GROUP_* */
    bool started;                  /* sc_start has arrived on the home CPU */
    bool queued;                   /* in a ready queue */
    struct ec *waits;              /* in this EC's helpers or NULL */
    u64 budget, left;              /* TSC ticks per round; left of this round */
    u64 used;                      /* TSC ticks consumed in all */
    struct sc *next, *prev;        /* ready queue or a blocked EC's helpers */
};

/* Binds ec: STATUS_BUSY if it has one already. Does not start it. */
must_check enum status sc_create(struct cpu *cpu, struct pd *pd, struct ec *ec, u32 priority, u64 budget, struct sc **out);
void sc_start(struct cpu *cpu, struct sc *sc);   /* any CPU */
void sc_destroy(struct cpu *cpu, struct sc *sc);
