/* SPDX-License-Identifier: BSD-2-Clause */
/* The four functions a compiler may call on its own. Same contracts as in C. */
#pragma once
#include "base.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
