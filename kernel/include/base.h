/* SPDX-License-Identifier: BSD-2-Clause */
/* Fixed-width types and the few macros every file uses. No libc, no state. */
#pragma once
#include <stdbool.h>   /* compilers' own headers: freestanding */
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed int s32;
typedef signed long s64;

#define PAGE_BITS 12
#define PAGE_SIZE 4096ul
#define PAGE_MASK (PAGE_SIZE - 1)

#undef static_assert
#define static_assert          _Static_assert
#define must_check             __attribute__((warn_unused_result))
#define aligned_to(n)          __attribute__((aligned(n)))
#define out_of_line            __attribute__((noinline))         /* keeps another way out of the prologue of a frequent one */
#define seldom                 __attribute__((noinline, cold))   /* the same; short rather than fast */
#define likely(x)              __builtin_expect(!!(x), 1)
#define unlikely(x)            __builtin_expect(!!(x), 0)
#define array_size(a)          (sizeof(a) / sizeof((a)[0]))
#define offset_of(t, m)        __builtin_offsetof(t, m)
#define container_of(p, t, m)  ((t *)((u8 *)(p)-offset_of(t, m)))
#define bit(n)                 (1ul << (n))
/* Each operand is evaluated once: it may be an atomic load, which gives another value the second time. */
#define min(a, b) ({ const __typeof__(a) min_a = (a); const __typeof__(b) min_b = (b); min_a < min_b ? min_a : min_b; })
#define max(a, b) ({ const __typeof__(a) max_a = (a); const __typeof__(b) max_b = (b); max_a > max_b ? max_a : max_b; })
#define align_up(v, a)         (((v) + ((a)-1)) & ~((a)-1))   /* a: a power of two */
#define align_down(v, a)       ((v) & ~((a)-1))

static_assert(sizeof(u64) == 8 && sizeof(u32) == 4 && sizeof(void *) == 8, "LP64 only");
