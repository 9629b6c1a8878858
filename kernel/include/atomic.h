/* SPDX-License-Identifier: BSD-2-Clause */
/* Atomics: the only way to touch memory that more than one CPU, a page walker or VMX/SVM silicon may touch at once.
 *
 * Model: x86 TSO. load = acquire, store = release, read-modify-write = full barrier; _relaxed only with a comment why the compiler may
 * move it. atomic_add and atomic_or without a result commute, and explorers know it. In the process each is a schedule point.
 * 32- and 64-bit kinds by _Generic would hide the width: we spell it. */
#pragma once
#include "base.h"
#include "mach_linkage.h"

typedef struct { u64 v; } atomic_u64;
typedef struct { u32 v; } atomic_u32;

MACH_API u64 atomic_load(const atomic_u64 *a);
MACH_API u64 atomic_load_relaxed(const atomic_u64 *a);
MACH_API void atomic_store(atomic_u64 *a, u64 v);
MACH_API void atomic_store_relaxed(atomic_u64 *a, u64 v);
MACH_API u64 atomic_xchg(atomic_u64 *a, u64 v);
MACH_API must_check bool atomic_cas(atomic_u64 *a, u64 *expected, u64 desired);   /* strong; *expected becomes what was there */
MACH_API u64 atomic_fetch_add(atomic_u64 *a, u64 v);
MACH_API u64 atomic_fetch_or(atomic_u64 *a, u64 v);
MACH_API u64 atomic_fetch_and(atomic_u64 *a, u64 v);
MACH_API void atomic_add(atomic_u64 *a, u64 v);   /* subtract: add the two's complement */
MACH_API void atomic_or(atomic_u64 *a, u64 v);
MACH_API void atomic_and(atomic_u64 *a, u64 v);
MACH_API u32 atomic_load32(const atomic_u32 *a);
MACH_API void atomic_store32(atomic_u32 *a, u32 v);
MACH_API u32 atomic_xchg32(atomic_u32 *a, u32 v);
MACH_API void atomic_fence(void);                 /* StoreLoad */

#include "atomic_ops.h"   /* inline definitions on bare; empty in the process */
