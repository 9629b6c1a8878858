/* SPDX-License-Identifier: BSD-2-Clause */
/* The event hash: FNV-1a, 64 bits, over little-endian words, one multiplication per byte. docs/machine.md says which events in which order.
 * No word in it comes from a host address. */
#include "machine_model.h"

#define FNV_PRIME 0x100000001b3ul

void sim_hash(struct sim *s, u64 word)
{
    u64 h = s->result.event_hash;
    for (u32 i = 0; i < 8; i++)
        h = (h ^ (word >> 8 * i & 0xff)) * FNV_PRIME;
    s->result.event_hash = h;
}

void sim_hash_event(struct sim *s, enum hash_event event, u64 a, u64 b, u64 c, u64 d)
{
    sim_hash(s, event);
    sim_hash(s, a);
    sim_hash(s, b);
    sim_hash(s, c);
    sim_hash(s, d);
}
