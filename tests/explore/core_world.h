/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds of single kernel files: kernel memory and CPUs as in the unit tests (core_fixture.h), no objects, no scheduler. A program is a CPU inside
 * a trap; core_world_leave is the end of one and the beginning of the next. Pages that user mode can have are the pool's, so that the machine
 * judges their free. Statics of a world are shared by its CPUs and put back before each run.
 * world_alloc must not be used: the pool lies there. */
#pragma once
#include "kernel/core_fixture.h"
#include "world.h"

#define CORE_PAGE(n)    (0x12345ul + (n))                /* page number in user mode */
#define CORE_ADDRESS(n) (CORE_PAGE(n) << PAGE_BITS)

struct core *core_world_open(u32 cpus);                   /* first in setup */
struct core *core_world(void);
struct cpu *core_world_cpu(void);                         /* whom this program runs on */
void core_world_leave(void);                              /* a trap ends: flushes that were asked for, epochs */
void core_world_interrupt(u32 vector);                    /* an empty trap, for .interrupt */
void core_world_space(struct space_mem *s, u32 pages);    /* a host space; pages CORE_PAGE(0) .. have frames of their own, read and written before */
bool core_world_load(u32 page);                           /* user mode of the space that is loaded reads it: false: #PF */
bool core_world_store(u32 page);
u64 core_world_frame(const struct space_mem *s, u32 page);   /* physical address of what is mapped there */
void core_world_unreachable(u64 phys, const char *what);  /* no CPU may translate to this page any more; else a finding */
void core_world_await(u64 generation);                    /* takes interrupts until it is complete */
void core_world_rest(void);                               /* for .end: nothing waits for an epoch or a flush, no lock is held */

#define CORE_WORLD(id, ...) WORLD_TEST(id, .interrupt = core_world_interrupt, .end = core_world_rest, __VA_ARGS__)
