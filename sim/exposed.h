/* SPDX-License-Identifier: BSD-2-Clause */
/* What user level sees of the kernel: registers, and pages that the kernel allocated and user level translates to (UTCBs, state pages). Judged on
 * machines that boot, not in worlds and unit tests: rules LEAK (leak.c) and FETCH (fetch.c).
 * New memory and the unused part of a kernel stack are filled with a pattern: where it shows up nobody wrote anything.
 * Not seen: leaks narrower than four bytes, in FPU registers, and of what is no address; addresses of the kernel's code. */
#pragma once
#include "memory.h"

#define EXPOSED_PATTERN 0xc5a7e61bu   /* each aligned four bytes */
#define EXPOSED_PAGES   1024u
#define EXPOSED_VALUES  64u
#define EXPOSED_READS   256u

enum exposed_flag { EXPOSED_KERNEL = 1, EXPOSED_SEEN = 2, EXPOSED_WRITTEN = 4 };

struct exposed_cpu {
    u32 reads;                            /* of this trap; EXPOSED_READS: no more are noted */
    struct { u64 phys, end; } read[EXPOSED_READS];
};

struct exposed {
    u8 *flags;                            /* EXPOSED_* of each page of RAM */
    u32 high, same;                       /* upper halves of addresses of the machine's mapping: in the bits of `same` they are `high` */
    u32 pages, values;
    struct { u64 phys, root; } page[EXPOSED_PAGES];   /* EXPOSED_SEEN, and the address space that saw it first; phys 0: free again */
    u64 value[EXPOSED_VALUES];            /* kernel addresses that user level had in a register of its own; all places taken: nothing is judged */
    struct exposed_cpu cpu[];
};

must_check bool exposed_create(struct sim *s);
void exposed_destroy(struct sim *s);
void exposed_state(struct sim *s, u64 phys, u64 bytes, enum mem_state state);
void exposed_user(struct sim_cpu *cpu, u64 phys, bool write);   /* user level translates to it, and may write from now on */

static inline struct exposed *exposed_judged(const struct sim *s)
{
    return s->in_run && !s->world ? s->exposed : NULL;
}

/* A word of RAM that is live, and to which user level has not written: there is nothing to judge about an access. Aligned to its size: else false. */
static inline bool exposed_plain(const struct sim *s, const void *address, u64 bytes)
{
    const u64 phys = (u64)address - (u64)s->ram;
    return phys < s->ram_bytes && !(phys & (bytes - 1)) &&
           !(s->shadow[phys >> SHADOW_BITS] | (s->exposed->flags[phys / PAGE_SIZE] & EXPOSED_WRITTEN));
}

/* leak.c */
void leak_trap(struct sim_cpu *cpu, const struct resume *r);     /* before kern_trap: what user level knows; the stack's pattern. r NULL: nobody's */
void leak_resume(struct sim_cpu *cpu, const struct resume *r);
/* fetch.c */
static inline void fetch_begin(struct sim_cpu *cpu)
{
    struct exposed *const e = exposed_judged(cpu->sim);
    if (e)
        e->cpu[cpu->id].reads = 0;
}
void fetch_read(struct sim_cpu *cpu, const void *address, u64 bytes);
