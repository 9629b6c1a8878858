/* SPDX-License-Identifier: BSD-2-Clause */
/* See hashes.h. Emptying is a new generation: no memory is touched. */
#include "hashes.h"
#include <stdlib.h>

#define BITS_FIRST 10u

struct slot {
    u64 key, value;
    u32 generation;
};

struct hashes {
    struct slot *slot;
    u64 count;
    u32 bits, bits_max, generation;
};

struct hashes *hashes_new(u32 bits_max)
{
    struct hashes *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->bits = min(BITS_FIRST, bits_max);
    h->bits_max = bits_max;
    h->generation = 1;
    h->slot = calloc(1ul << h->bits, sizeof(*h->slot));
    if (!h->slot) {
        free(h);
        return NULL;
    }
    return h;
}

void hashes_free(struct hashes *h)
{
    if (h)
        free(h->slot);
    free(h);
}

void hashes_clear(struct hashes *h)
{
    h->generation++;
    h->count = 0;
}

u64 hashes_count(const struct hashes *h)
{
    return h->count;
}

static struct slot *place(const struct hashes *h, u64 key)
{
    const u64 mask = (1ul << h->bits) - 1;
    for (u64 at = hash_mix(key, 0) & mask;; at = (at + 1) & mask) {
        struct slot *s = &h->slot[at];
        if (s->generation != h->generation || s->key == key)
            return s;
    }
}

static bool grow(struct hashes *h)
{
    struct hashes bigger = *h;
    bigger.bits = h->bits + 1;
    if (bigger.bits > h->bits_max)
        return false;
    bigger.slot = calloc(1ul << bigger.bits, sizeof(*bigger.slot));
    if (!bigger.slot)
        return false;
    for (u64 i = 0; i < 1ul << h->bits; i++)
        if (h->slot[i].generation == h->generation)
            *place(&bigger, h->slot[i].key) = h->slot[i];
    free(h->slot);
    *h = bigger;
    return true;
}

u64 *hashes_find(struct hashes *h, u64 key, bool add)
{
    struct slot *s = place(h, key);
    if (s->generation == h->generation)
        return &s->value;
    if (!add)
        return NULL;
    if (h->count >= 3ul << h->bits >> 2) {
        if (!grow(h))
            return NULL;
        s = place(h, key);
    }
    *s = (struct slot){ key, 0, h->generation };
    h->count++;
    return &s->value;
}
