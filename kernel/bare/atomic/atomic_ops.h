/* SPDX-License-Identifier: BSD-2-Clause */
/* Atomics on hardware: the compiler's builtins. On x86 TSO loads and stores are plain MOVs, read-modify-writes are locked. */
#pragma once

MACH_INLINE u64 atomic_load(const atomic_u64 *a)
{
    return __atomic_load_n(&a->v, __ATOMIC_ACQUIRE);
}

MACH_INLINE u64 atomic_load_relaxed(const atomic_u64 *a)
{
    return __atomic_load_n(&a->v, __ATOMIC_RELAXED);
}

MACH_INLINE void atomic_store(atomic_u64 *a, u64 v)
{
    __atomic_store_n(&a->v, v, __ATOMIC_RELEASE);
}

MACH_INLINE void atomic_store_relaxed(atomic_u64 *a, u64 v)
{
    __atomic_store_n(&a->v, v, __ATOMIC_RELAXED);
}

MACH_INLINE u64 atomic_xchg(atomic_u64 *a, u64 v)
{
    return __atomic_exchange_n(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE bool atomic_cas(atomic_u64 *a, u64 *expected, u64 desired)
{
    return __atomic_compare_exchange_n(&a->v, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

MACH_INLINE u64 atomic_fetch_add(atomic_u64 *a, u64 v)
{
    return __atomic_fetch_add(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE u64 atomic_fetch_or(atomic_u64 *a, u64 v)
{
    return __atomic_fetch_or(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE u64 atomic_fetch_and(atomic_u64 *a, u64 v)
{
    return __atomic_fetch_and(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE void atomic_add(atomic_u64 *a, u64 v)
{
    __atomic_fetch_add(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE void atomic_or(atomic_u64 *a, u64 v)
{
    __atomic_fetch_or(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE void atomic_and(atomic_u64 *a, u64 v)
{
    __atomic_fetch_and(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE u32 atomic_load32(const atomic_u32 *a)
{
    return __atomic_load_n(&a->v, __ATOMIC_ACQUIRE);
}

MACH_INLINE void atomic_store32(atomic_u32 *a, u32 v)
{
    __atomic_store_n(&a->v, v, __ATOMIC_RELEASE);
}

MACH_INLINE u32 atomic_xchg32(atomic_u32 *a, u32 v)
{
    return __atomic_exchange_n(&a->v, v, __ATOMIC_SEQ_CST);
}

MACH_INLINE void atomic_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
