/* SPDX-License-Identifier: BSD-2-Clause */
/* Happens-before of one run, and its races: what dynamic partial-order reduction decides by. Steps as event.h has them; agents are packed into
 * 16: CPU i is i, its flusher is WORLD_CPUS + i.
 *
 * Two steps depend on each other if they have accesses that conflict. A flush comes after the store it flushes, and what needs an empty
 * buffer after the last flush: such steps are ordered but no race, as they cannot be turned round. */
#pragma once
#include "event.h"
#include "world.h"

#define DPOR_AGENTS (2 * WORLD_CPUS)
#define PRINT_MAX   6u

typedef u16 agent_set;
static inline u32 dpor_agent(u32 agent)
{
    return agent < SIM_FLUSHER ? agent : WORLD_CPUS + agent - SIM_FLUSHER;
}

/* What a step touched. */
struct footprint {
    u8 count;                        /* PRINT_MAX + 1: more than fit, conflicts with everything */
    u8 effect[PRINT_MAX];
    u64 object[PRINT_MAX];
};
void footprint_add(struct footprint *f, const struct sim_event *e);
bool footprints_conflict(const struct footprint *a, const struct footprint *b);

struct dpor_step {
    u8 agent;                        /* packed */
    u32 index;                       /* among the steps of its agent, from 1 */
    u32 clock[DPOR_AGENTS];          /* steps of each agent that happen before it or are it */
    struct footprint print;
};

struct dpor;
struct dpor *dpor_new(void);
void dpor_free(struct dpor *d);
/* Take a run. For each race whose later step is `from` or after: found(arg, earlier step, agents of which one must go first there instead;
 * preferred is one of them). False: no memory. */
must_check bool dpor_races(struct dpor *d, const struct sim *s, u32 steps, u32 from,
                           void (*found)(void *arg, u32 step, agent_set initials, u32 preferred), void *arg);
const struct dpor_step *dpor_step_at(const struct dpor *d, u32 step);
