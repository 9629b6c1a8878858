/* SPDX-License-Identifier: BSD-2-Clause */
/* memcpy, memmove, memset and memcmp for the calls the compiler makes by itself (structure copies and the like); kernel code names
 * mach_copy and mach_zero. Plain C. The accesses are volatile so that no compiler recognizes a loop as the very function it
 * implements and calls it. */
#include "memops.h"

/* A word at any address, of any effective type. */
typedef u64 word __attribute__((may_alias, aligned(1)));

void *memcpy(void *to, const void *from, size_t bytes)
{
    volatile u8 *t = to;
    const volatile u8 *f = from;
    for (; bytes >= sizeof(word); bytes -= sizeof(word), t += sizeof(word), f += sizeof(word))
        *(volatile word *)t = *(const volatile word *)f;
    for (; bytes; bytes--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    volatile u8 *t = to;
    const volatile u8 *f = from;
    /* One unsigned comparison: true if `to` does not lie in (from, from + bytes). */
    if ((u64)to - (u64)from >= bytes)
        return memcpy(to, from, bytes);
    while (bytes--)
        t[bytes] = f[bytes];
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    volatile u8 *t = to;
    const u64 pattern = (u64)(u8)value * 0x0101010101010101ul;
    for (; bytes >= sizeof(word); bytes -= sizeof(word), t += sizeof(word))
        *(volatile word *)t = pattern;
    for (; bytes; bytes--)
        *t++ = (u8)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const volatile u8 *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++) {
        const int difference = x[i] - y[i];
        if (difference)
            return difference;
    }
    return 0;
}
