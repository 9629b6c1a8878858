/* SPDX-License-Identifier: BSD-2-Clause */
/* The values that words of RAM held, and until when: an append-only log, of which a mark and all before it can be restored at any time.
 * The value a word holds now is in memory, so a word that was never written has no entry. */
#pragma once
#include "base.h"

#define VERSIONS_MAX (1u << 14)

struct version {
    u64 slot;       /* physical address of the word */
    u64 value;
    u64 until;      /* time of the write that replaced it; it held from its predecessor's on */
    u32 previous;   /* of the same word; 0: none is remembered */
};

struct history {
    struct version *version;             /* from 1 on */
    struct history_word *word;           /* hash table: the newest version of each word */
    u8 *lines;                           /* a bit per 64 bytes of RAM: some word there was ever written; never cleared */
    u32 count;                           /* next free version */
    u32 mark;                            /* versions below stay */
    u64 forgotten, mark_forgotten;       /* nothing is known of the time before */
};

bool history_create(struct history *h, u64 ram_bytes);
void history_destroy(struct history *h);
void history_add(struct history *h, u64 slot, u64 value, u64 until);
u32 history_newest(const struct history *h, u64 slot);   /* 0: none */
void history_mark(struct history *h);
void history_rollback(struct history *h);
/* Quick: false if the word, and those in its 64 bytes, were never written. */
static inline bool history_touched(const struct history *h, u64 slot)
{
    return h->lines[slot / 512] >> slot / 64 % 8 & 1;
}
/* Since when the successor of version v, or with v = 0 the oldest value remembered, has stood. */
static inline u64 history_since(const struct history *h, u32 v)
{
    return v ? h->version[v].until : h->forgotten;
}
