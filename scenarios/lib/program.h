/* SPDX-License-Identifier: BSD-2-Clause */
/* The start contract of a program: what root gives it before its first instruction.
 *
 * Address space, all of it in one 512 GiB slot so that it costs few page tables:
 *
 *     0x0040_0000    its image
 *     PROGRAM_PAGE   struct program, read-only
 *     PROGRAM_UTCB   UTCB of the first EC (two pages); further ECs of the program place theirs above, PROGRAM_UTCB + n * PROGRAM_UTCB_STEP
 *     PROGRAM_PARK   code that waits on PROGRAM_SEL_PARK for ever: where root puts an EC that died
 *     PROGRAM_MEMORY bundle_program.memory_bytes of zeroed memory; rights RWX, hence entered read-write, and the VMM can pass on X
 *     PROGRAM_GUEST  the guest image, read-only
 *     PROGRAM_FREE   nothing from here to USER_END: the program's own use
 *
 * The first EC starts at the ELF entry with RDI = 0 and RSI = PROGRAM_UTCB (root: RDI = INFO_PAGE, RSI = ROOT_UTCB); the stack is the
 * program's own. It has a service portal of root and exception portals to root on every CPU (service.h). */
#pragma once
#include "base.h"

#define PROGRAM_PAGE      0x10000000ul
#define PROGRAM_PARK      0x10001000ul
#define PROGRAM_UTCB      0x10010000ul
#define PROGRAM_UTCB_STEP 0x10000ul
#define PROGRAM_MEMORY    0x1000000000ul
#define PROGRAM_GUEST     0x2000000000ul
#define PROGRAM_FREE      0x3000000000ul

/* Selectors a program starts with. */
#define PROGRAM_SEL_PD          1u   /* its own PD: create objects, delegate */
#define PROGRAM_SEL_EC          2u
#define PROGRAM_SEL_SC          3u
#define PROGRAM_SEL_PARK        4u   /* a semaphore that nobody ups; permission: down */
#define PROGRAM_SEL_CONSOLE     5u   /* a semaphore with count 1 that guards a line on the console */
#define PROGRAM_SEL_SERVICE(cpu) (64u + (cpu))           /* root's service portal on a CPU */
#define PROGRAM_SEL_EVENT(cpu)  (128u + 32u * (cpu))     /* event base of its ECs on a CPU: exceptions go to root */
#define PROGRAM_SEL_FREE        4096u                    /* from here to SEL_COUNT all slots are empty; 6..63 too */

#define PROGRAM_MAGIC 0x315059524552524ful   /* "ORRERYP1" */

struct program {
    u64 magic;
    u32 index;               /* in the bundle */
    u32 cpu;                 /* where the first EC runs */
    u32 priority;
    u32 cpu_count;
    u32 virt;                /* INFO_VIRT_* */
    u32 vcpu_capabilities;   /* groups, as in struct vcpu_state */
    u64 tsc_khz;
    u64 memory_bytes;        /* at PROGRAM_MEMORY */
    u64 guest_bytes;         /* at PROGRAM_GUEST, 0: no guest image */
    char name[32];           /* NUL-terminated */
    char args[128];          /* NUL-terminated */
};
static_assert(sizeof(struct program) <= PAGE_SIZE, "one page");

#define PROGRAM_BUDGET_US 10000u   /* budget of every scheduling context that root makes */

/* Of its own image, for programs that map it elsewhere: text from IMAGE_START, then rodata on the next page; writable data, of which the part
 * from image_bss on is zero at first (user.ld). */
#define IMAGE_START 0x400000ul
extern const u8 image_text_end[], image_rodata_end[], image_data[], image_bss[], image_end[];

/* What every program defines; does not return. */
void program_main(u64 first, u64 utcb) __attribute__((noreturn));

static inline const struct program *program_page(void)
{
    return (const struct program *)PROGRAM_PAGE;
}
