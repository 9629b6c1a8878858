/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines on the console. A line is put together first and written while the console semaphore is held, so that lines of
 * different CPUs do not mix although one console hypercall carries 32 bytes only.
 * Not handled: an EC that is destroyed inside print() keeps the semaphore, and all others wait. */
#pragma once
#include "base.h"

#define PRINT_LINE 200u   /* longer lines are cut */

/* Conversions: %s %c %d %u %x and %ld %lu %lx, %% ; a width with or without a leading 0. No newline at the end: print adds it. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Write bytes as they are, at most PRINT_LINE. */
void print_raw(const char *text, u64 bytes);
/* The same conversions into a buffer: characters put there, always NUL-terminated. */
u64 print_format(char *to, u64 bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Root's selector for the console semaphore differs from that of programs. */
void print_lock(u64 selector);
