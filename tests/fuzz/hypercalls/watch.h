/* SPDX-License-Identifier: BSD-2-Clause */
/* Another CPU that writes between any two accesses: pages that user level shares with the kernel are protected, each access faults, what is to happen
 * before it happens, the access is done as a single step, and the pages are protected again. */
#pragma once
#include "base.h"

#define WATCH_RANGES 2u

struct watch_range {
    void *start;   /* page-aligned */
    u64 bytes;     /* 0: none */
};

/* Before each access to a range before(arg) is called, which may access them itself, until it returns false. One watch at a time. */
void watch_begin(const struct watch_range range[WATCH_RANGES], bool (*before)(void *arg), void *arg);
void watch_end(void);
