/* SPDX-License-Identifier: BSD-2-Clause */
/* The mutator of traces (traces/mutate.c) as a library of AFL++'s (AFL_CUSTOM_MUTATOR_LIBRARY). AFL++ changes bytes besides, as it always does. */
#include <stdlib.h>
#include <string.h>
#include "base.h"

size_t LLVMFuzzerMutate(u8 *data, size_t bytes, size_t room);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t bytes, size_t room, unsigned seed);
void *afl_custom_init(void *afl, unsigned seed);
size_t afl_custom_fuzz(void *self, u8 *data, size_t bytes, u8 **out, u8 *other, size_t other_bytes, size_t room);
void afl_custom_deinit(void *self);

struct mutator {
    unsigned seed;
    u8 *buffer;
    size_t room;
};

/* What libFuzzer has of its own: here one byte is another. */
size_t LLVMFuzzerMutate(u8 *data, size_t bytes, size_t room)
{
    static u32 state = 1;
    state = state * 1664525 + 1013904223;
    if (bytes)
        data[(state >> 8) % bytes] ^= (u8)(state >> 24 | 1);
    return bytes;
}

void *afl_custom_init(void *afl, unsigned seed)
{
    struct mutator *const m = calloc(1, sizeof(*m));
    if (m)
        m->seed = seed;
    return m;
}

size_t afl_custom_fuzz(void *self, u8 *data, size_t bytes, u8 **out, u8 *other, size_t other_bytes, size_t room)
{
    struct mutator *const m = self;
    if (m->room < room) {
        free(m->buffer);
        m->buffer = malloc(room);
        m->room = m->buffer ? room : 0;
    }
    *out = m->buffer;
    if (!m->buffer || bytes > room)
        return 0;
    memcpy(m->buffer, data, bytes);
    return LLVMFuzzerCustomMutator(m->buffer, bytes, room, m->seed++);
}

void afl_custom_deinit(void *self)
{
    struct mutator *const m = self;
    free(m->buffer);
    free(m);
}
