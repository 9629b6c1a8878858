/* SPDX-License-Identifier: BSD-2-Clause */
/* What the address sanitizer offers, if this binary has it: weak, so that one source serves both builds. */
#pragma once
#include "base.h"

#define WEAK __attribute__((weak))
WEAK void __asan_poison_memory_region(const volatile void *start, size_t bytes);
WEAK void __asan_unpoison_memory_region(const volatile void *start, size_t bytes);
WEAK void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t bytes);
WEAK void __sanitizer_finish_switch_fiber(void *saved, const void **bottom_old, size_t *bytes_old);

static inline void sanitizer_forbid(const void *start, size_t bytes)
{
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(start, bytes);
}

/* Copies and compares of memory that may be forbidden: snapshots look at all of it. Not intercepted, not instrumented. */
__attribute__((no_sanitize("address"))) static inline void sanitizer_copy(void *to, const void *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
__attribute__((no_sanitize("address"))) static inline int sanitizer_compare(const void *a, const void *b, size_t bytes)
{
    bool same = true;
    __asm__ volatile("cmp %%rcx, %%rcx\n\trepe cmpsb" : "+D"(a), "+S"(b), "+c"(bytes), "=@cce"(same) : : "memory");
    return !same;
}

static inline void sanitizer_allow(const void *start, size_t bytes)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(start, bytes);
}
