/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this program share. A row is an operation; one call of its function takes one sample of it: it prepares, takes the time, and
 * undoes. Two PDs on one CPU: this one, and a child that runs this program's own text, without data or stack. */
#pragma once
#include "client.h"
#include "hv.h"

#define PROGRAM_CPU  0u
#define STACK_BYTES  4096u
#define CHILD_EVENT  32u     /* event base of what must not fault */
#define UTCB_OF(number) ((struct utcb *)(PROGRAM_UTCB + (number)*PROGRAM_UTCB_STEP))

/* Selectors that several files use. */
enum { SEL_SM = PROGRAM_SEL_FREE, SEL_NEVER, SEL_HANDLER, SEL_CHILD, SEL_CHILD_EC, SEL_CALLS, SEL_SPACES = SEL_CALLS + 16, SEL_OBJECTS };
/* What chooses UTCBs and stacks. */
enum { NUMBER_FIRST, NUMBER_HANDLER, NUMBER_WAITER, NUMBER_FAULT, NUMBER_NEW, NUMBER_COUNT };

#define PAGE_SHARED (PROGRAM_MEMORY >> PAGE_BITS)   /* delegated to the child and taken back */
#define PAGE_KEPT   (PAGE_SHARED + 1)               /* the child's for good: so the tables for its neighbour exist */
#define PAGE_GUEST  (PAGE_SHARED + 2)

/* Low halves of the TSC. */
struct sample {
    u32 start, end;
};
struct row {
    const char *name;
    struct sample (*sample)(void);
};
extern const struct row rows_calls[], rows_spaces[], rows_objects[];   /* each ends with a row without a name */

void check(enum status s, const char *what);
void require(bool fact, const char *what);
void *stack_top(u32 number);
void handler_make(u32 number, u64 selector);
void portal_make(u64 selector, u64 ec, void (*entry)(u64 id, u64 mtr));
void calls_set_up(void);
void spaces_set_up(void);
void objects_set_up(void);
void exits_do(u64 count);   /* CPUID exits, one after the other */

/* The status is looked at when the time is taken. */
#define SAMPLE_OF(call, wanted)                            \
    ({                                                     \
        const u32 sample_start = thread_tsc_low();         \
        const enum status sample_status = (call);          \
        const u32 sample_end = thread_tsc_low();           \
        require(sample_status == (wanted), #call);         \
        (struct sample){ sample_start, sample_end };       \
    })
#define SAMPLE(call) SAMPLE_OF(call, OK)

/* To the child, at the same address. */
HV_INLINE enum status page_give(u64 page)
{
    return hv_delegate(PROGRAM_SEL_PD, SEL_CHILD, page, page, DELEGATE(1, RIGHT_R | RIGHT_W, SPACE_MEMORY, SPACE_MEMORY));
}
