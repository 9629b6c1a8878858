/* SPDX-License-Identifier: BSD-2-Clause */
/* The event hash: FNV-1a, 64 bits, a word at a time. Each step is a bijection, so one word that differs always shows. docs/machine.md says which
 * events in which order. No word in it comes from a host address. */
#include "machine_model.h"

#define FNV_PRIME 0x100000001b3ul

void sim_hash(struct sim *s, u64 word)
{
    s->result.event_hash = (s->result.event_hash ^ word) * FNV_PRIME;
}

void sim_hash_event(struct sim *s, enum hash_event event, u64 a, u64 b, u64 c, u64 d)
{
    sim_hash(s, event);
    sim_hash(s, a);
    sim_hash(s, b);
    sim_hash(s, c);
    sim_hash(s, d);
}
