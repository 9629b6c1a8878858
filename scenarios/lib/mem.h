/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory and string functions: those the compiler calls, and the few that programs use. */
#pragma once
#include "base.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *s);
bool str_equal(const char *a, const char *b);
/* Copy into a field of `bytes` bytes, cut if need be, the rest zero: always NUL-terminated. */
void str_copy(char *to, const char *from, size_t bytes);
/* If *s begins with the word (ended by a space or the end): skip it and the spaces after it. */
bool str_word(const char **s, const char *word);
/* Decimal number at *s, skipped with the spaces after it; false: no digit there. */
bool str_number(const char **s, u64 *value);
