/* SPDX-License-Identifier: BSD-2-Clause */
/* The partial order of a run, as a hash: equal for runs that differ only in the order of independent steps, and so lead to the same state.
 * Each event's hash holds its agent's last event and, of its object, what it depends on; the order's hash is the sum of them all. */
#pragma once
#include "event.h"
#include "hashes.h"

struct order {
    u64 sum;
    u64 last[SIM_AGENTS];     /* hash of each agent's last event */
    u32 events;               /* of the machine's events so many are in */
    struct order_object *object;
    u32 objects, room;
    struct hashes *index;     /* object -> place in `object`, from 1 */
};

must_check bool order_init(struct order *o);
void order_free(struct order *o);
void order_clear(struct order *o);
void order_follow(struct order *o, const struct sim *s);                   /* take in the new events */
void order_answer(struct order *o, u32 agent, u32 kind, u32 answer);   /* an answer that no event shows */
/* Has this object been touched by two agents, one writing, in any run since order_init? */
bool order_shared(const struct order *o, u64 object);
u32 order_shared_count(const struct order *o);
