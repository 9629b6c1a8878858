/* SPDX-License-Identifier: BSD-2-Clause */
/* Histories of words: see history.h. The hash table is probed linearly; a word leaves it with its first version, always the youngest word
 * there, so that no other word's probe can run into the hole. A full log forgets the older half of what is behind the mark. */
#include <stdlib.h>
#include <string.h>
#include "history.h"

#define WORDS (2 * VERSIONS_MAX)

struct history_word {
    u64 key;        /* slot | 1; 0: empty */
    u32 newest;
};

bool history_create(struct history *h, u64 ram_bytes)
{
    *h = (struct history){ .count = 1, .mark = 1 };
    h->version = malloc(VERSIONS_MAX * sizeof(*h->version));   /* untouched pages cost nothing */
    h->word = calloc(WORDS, sizeof(*h->word));
    h->lines = calloc(ram_bytes / 512 + 1, 1);
    return h->version && h->word && h->lines;
}

void history_destroy(struct history *h)
{
    free(h->version);
    free(h->word);
    free(h->lines);
}

static struct history_word *word_of(const struct history *h, u64 slot)
{
    u32 i = (u32)(slot * 0x9e3779b97f4a7c15ul >> 40) % WORDS;
    while (h->word[i].key && h->word[i].key != (slot | 1))
        i = (i + 1) % WORDS;
    return &h->word[i];
}

u32 history_newest(const struct history *h, u64 slot)
{
    return history_touched(h, slot) ? word_of(h, slot)->newest : 0;
}

static void append(struct history *h, const struct version *v)
{
    struct history_word *w = word_of(h, v->slot);
    h->lines[v->slot / 512] |= (u8)(1u << v->slot / 64 % 8);
    h->version[h->count] = *v;
    h->version[h->count].previous = w->newest;
    *w = (struct history_word){ v->slot | 1, h->count++ };
}

static void shed(struct history *h)
{
    const u32 end = h->count, keep = h->mark + (end - h->mark) / 2;
    h->forgotten = h->version[keep - 1].until;
    memset(h->word, 0, WORDS * sizeof(*h->word));
    h->count = 1;
    for (u32 i = 1; i < end; i++)
        if (i < h->mark || i >= keep)
            append(h, &(struct version){ h->version[i].slot, h->version[i].value, h->version[i].until, 0 });
}

void history_add(struct history *h, u64 slot, u64 value, u64 until)
{
    if (h->count == VERSIONS_MAX)
        shed(h);
    append(h, &(struct version){ slot, value, until, 0 });
}

void history_mark(struct history *h)
{
    h->mark = 1;
    if (h->count > VERSIONS_MAX / 2)
        shed(h);
    h->mark = h->count;
    h->mark_forgotten = h->forgotten;
}

void history_rollback(struct history *h)
{
    while (h->count > h->mark) {
        const struct version *v = &h->version[--h->count];
        struct history_word *w = word_of(h, v->slot);
        *w = v->previous ? (struct history_word){ v->slot | 1, v->previous } : (struct history_word){ 0 };
    }
    h->forgotten = h->mark_forgotten;
}
