/* SPDX-License-Identifier: BSD-2-Clause */
/* Open addressing with linear probing: see keymap.h. Nothing is removed but by emptying, so a probe ends at the first slot of another version. */
#include <string.h>
#include <sys/mman.h>
#include "keymap.h"

#define NEAR_BITS 6u

static u64 keymap_slots(const struct keymap *m)
{
    return 1ul << m->bits;
}

static u64 keymap_limit(const struct keymap *m)
{
    return keymap_slots(m) / 4 * 3;
}

static void *keymap_pages(u64 bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool keymap_create(struct keymap *m, u32 bits)
{
    *m = (struct keymap){ .bits = bits, .version = 1 };
    m->slots = keymap_pages(keymap_slots(m) * sizeof(*m->slots));
    m->used = keymap_pages(keymap_limit(m) * sizeof(*m->used));
    if (m->slots && m->used)
        return true;
    keymap_destroy(m);
    return false;
}

void keymap_destroy(struct keymap *m)
{
    if (m->slots)
        munmap(m->slots, keymap_slots(m) * sizeof(*m->slots));
    if (m->used)
        munmap(m->used, keymap_limit(m) * sizeof(*m->used));
    *m = (struct keymap){ 0 };
}

void keymap_empty(struct keymap *m)
{
    m->count = 0;
    if (++m->version)
        return;
    memset(m->slots, 0, keymap_slots(m) * sizeof(*m->slots));   /* after 2^32 times: no slot of long ago may count again */
    m->version = 1;
}

/* The key's slot, or the one that it would take. There always is one: a quarter stays unused. */
static struct keymap_slot *keymap_probe(const struct keymap *m, u64 key)
{
    const u64 far = (key >> NEAR_BITS) * 0x9e3779b97f4a7c15ul >> (64 - m->bits + NEAR_BITS);   /* 2^64 / golden ratio: Knuth, volume 3, 6.4 */
    u64 i = far << NEAR_BITS | (key & (bit(NEAR_BITS) - 1));
    while (m->slots[i].version == m->version && m->slots[i].key != key)
        i = (i + 1) & (keymap_slots(m) - 1);
    return &m->slots[i];
}

u32 *keymap_find(const struct keymap *m, u64 key)
{
    struct keymap_slot *slot = keymap_probe(m, key);
    return slot->version == m->version ? &slot->value : NULL;
}

u32 *keymap_take(struct keymap *m, u64 key)
{
    struct keymap_slot *slot = keymap_probe(m, key);
    if (likely(slot->version == m->version))
        return &slot->value;
    if (m->count == keymap_limit(m))
        return NULL;
    m->used[m->count++] = (u32)(slot - m->slots);
    *slot = (struct keymap_slot){ key, m->version, 0 };
    return &slot->value;
}

void keymap_clear(struct keymap *m, u64 first, u64 end, void (*gone)(void *arg, u32 value), void *arg)
{
    const bool sparse = m->count <= end - first;   /* fewer keys than the range has */
    for (u64 i = 0; i < (sparse ? m->count : end - first); i++) {
        struct keymap_slot *slot = sparse ? &m->slots[m->used[i]] : keymap_probe(m, first + i);
        if (slot->version != m->version || slot->key - first >= end - first || !slot->value)
            continue;
        if (gone)
            gone(arg, slot->value);
        slot->value = 0;
    }
}
