/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded hash map from 64-bit keys to small numbers, emptied at once: a slot counts only if it bears the map's version. Keys that differ in
 * their low six bits alone are neighbours, so that a walk over adjacent keys stays in few cache lines. */
#pragma once
#include "base.h"

struct keymap_slot {
    u64 key;
    u32 version, value;
};

struct keymap {
    struct keymap_slot *slots;
    u32 *used;                 /* slots of this version, in the order in which they were taken */
    u32 bits, count, version;
};

must_check bool keymap_create(struct keymap *m, u32 bits);   /* 2^bits slots, three quarters of which are used; bits: 7 .. 30 */
void keymap_destroy(struct keymap *m);
void keymap_empty(struct keymap *m);
u32 *keymap_find(const struct keymap *m, u64 key);           /* NULL: not there */
u32 *keymap_take(struct keymap *m, u64 key);                 /* put there with value 0 if it was not; NULL: full */
/* Value 0 for the keys from first up to end; gone, if there is one, is told of each value that was not 0. */
void keymap_clear(struct keymap *m, u64 first, u64 end, void (*gone)(void *arg, u32 value), void *arg);
