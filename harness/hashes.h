/* SPDX-License-Identifier: BSD-2-Clause */
/* A set of 64-bit hashes with a small value each: open addressing, grows to a bound, then keeps what it has. */
#pragma once
#include "base.h"

struct hashes;
struct hashes *hashes_new(u32 bits_max);                /* at most 1 << bits_max; NULL: no memory */
void hashes_free(struct hashes *h);
void hashes_clear(struct hashes *h);
u64 *hashes_find(struct hashes *h, u64 key, bool add);  /* its value, 0 when new; NULL: not there, or full */
u64 hashes_count(const struct hashes *h);

static inline u64 hash_mix(u64 a, u64 b)
{
    u64 z = (a ^ (b + 0x9e3779b97f4a7c15ul + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9ul;
    z = (z ^ z >> 29) * 0x94d049bb133111ebul;
    return z ^ z >> 32;
}
