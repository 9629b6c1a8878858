/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a machine and what checkers know about it: a state per 64 bytes, and which pages walkers have read as tables. */
#pragma once
#include "machine_model.h"

#define SHADOW_BITS 6u   /* 64 bytes: the least an allocation of the kernel is aligned to */

must_check bool memory_create(struct sim *s);
void memory_destroy(struct sim *s);
void *memory_stack(struct sim *s, u32 cpu, size_t *bytes);   /* lowest usable byte of a CPU's kernel stack */
/* A finding if an address lies in RAM that is not live. Other memory (stacks, constants, a test's own) is not judged. */
static inline void memory_check(struct sim *s, const void *address, u64 bytes, const char *what);
void memory_judge(struct sim *s, const void *address, u64 bytes, const char *what);   /* the same, at length */
/* Kernel code writes there: a finding if it is the processor's (a VMCS, a VMCB in use). The caller has called memory_check. */
void memory_stored(struct sim *s, const void *address, u64 bytes);
/* A page was read as a table by a walker; it stays one until its state changes. */
void memory_table(struct sim *s, u64 phys);
bool memory_is_table(const struct sim *s, u64 phys);
enum mem_state memory_state(const struct sim *s, u64 phys);

static inline void memory_check(struct sim *s, const void *address, u64 bytes, const char *what)
{
    const u64 phys = (u64)address - (u64)s->ram;
    if (unlikely(phys + bytes > s->ram_bytes || s->shadow[phys >> SHADOW_BITS] | s->shadow[(phys + bytes - 1) >> SHADOW_BITS]))
        memory_judge(s, address, bytes, what);
}
