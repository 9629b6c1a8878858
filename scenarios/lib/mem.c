/* SPDX-License-Identifier: BSD-2-Clause */
/* See mem.h. String instructions, not loops: the compiler would turn a loop into a call of the function it is in. */
#include "mem.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    if ((u64)to - (u64)from >= bytes)
        return memcpy(to, from, bytes);
    u8 *at = (u8 *)to + bytes - 1;
    const u8 *source = (const u8 *)from + bytes - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(at), "+S"(source), "+c"(bytes) : : "memory", "cc");
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const u8 *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

bool str_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

void str_copy(char *to, const char *from, size_t bytes)
{
    size_t n = 0;
    for (; n + 1 < bytes && from[n]; n++)
        to[n] = from[n];
    for (; n < bytes; n++)
        to[n] = 0;
}

bool str_word(const char **s, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i < n; i++)
        if ((*s)[i] != word[i])
            return false;
    if ((*s)[n] && (*s)[n] != ' ')
        return false;
    for (*s += n; **s == ' ';)
        ++*s;
    return true;
}

bool str_number(const char **s, u64 *value)
{
    if (**s < '0' || **s > '9')
        return false;
    for (*value = 0; **s >= '0' && **s <= '9'; ++*s)
        *value = *value * 10 + (u64)(**s - '0');
    while (**s == ' ')
        ++*s;
    return true;
}
