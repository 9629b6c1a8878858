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

static inline void sanitizer_allow(const void *start, size_t bytes)
{
    if (__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(start, bytes);
}
