/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this program share. A row drives one way through the kernel as far as it goes without a look at pending interrupts. Two CPUs:
 * rows run on CPU_MAIN, one thread on CPU_OTHER and a pool of threads on CPU_MAIN help, a child PD runs this program's own text. */
#pragma once
#include "abi/utcb.h"
#include "client.h"
#include "hv.h"

#define CPU_MAIN    0u
#define CPU_OTHER   1u
#define STACK_BYTES 4096u
#define CHILD_EVENT 32u      /* event base of what has no handler */
#define POOL        64u      /* threads; what a row grows with stands for that many */
#define UTCB_OF(number) ((struct utcb *)(PROGRAM_UTCB + (number)*PROGRAM_UTCB_STEP))

enum {
    SEL_NEVER = PROGRAM_SEL_FREE, SEL_GO, SEL_DONE, SEL_OTHER_GO, SEL_OTHER_DONE, SEL_CHILD, SEL_CHILD_EC, SEL_GIFT, SEL_POOL,
    SEL_CALLS = SEL_POOL + 2 * POOL + 4, SEL_THREADS = SEL_CALLS + 256, SEL_SPACES = SEL_THREADS + 16, SEL_OBJECTS = SEL_SPACES + 16,
    SEL_RANGE = 8192, SEL_EMPTY = 16384,   /* from here on, and from there on: nothing but what rows put there */
};
/* What chooses UTCBs and stacks. */
enum { NUMBER_FIRST, NUMBER_OTHER, NUMBER_FAULT, NUMBER_HELD, NUMBER_NEW, NUMBER_CHAIN, NUMBER_POOL = NUMBER_CHAIN + 48, NUMBER_COUNT = NUMBER_POOL + POOL + 1 };

/* Pages of PROGRAM_MEMORY. PAGE_FREE: where nothing is; never as aligned as PAGE_MEMORY, so that no large page fits. */
#define PAGE_MEMORY (PROGRAM_MEMORY >> PAGE_BITS)
#define PAGE_STATE  PAGE_MEMORY
#define PAGE_GUEST  (PAGE_MEMORY + 2)
#define PAGE_STACK  (PAGE_MEMORY + 3)   /* the child's */
#define PAGE_RUN    (PAGE_MEMORY + 512)
#define RUN_PAGES   4096u
#define PAGE_FREE   ((PROGRAM_FREE >> PAGE_BITS) + 1)

/* One row, one pair of marks: prepare, mark, act, mark, undo. Any of the three may be NULL. */
struct row {
    const char *name;
    void (*prepare)(void), (*act)(void), (*undo)(void);
};
extern const struct row rows_calls[], rows_threads[], rows_spaces[], rows_objects[];   /* each ends with a row without a name */

void check(enum status s, const char *what);
void require(bool fact, const char *what);
void *stack_top(u32 number);
void pause_ms(void);
void memory_back(void);                                  /* wait until what was destroyed has given its memory back */
void memory_note(void);                                  /* ... to what is used now */
void pool_run(u32 count, void (*job)(u32 index));        /* each of so many threads, of higher priority, until it ends or blocks */
void pool_wait(u32 count);                               /* all have ended their jobs */
void other_run(void (*job)(void));                       /* on CPU_OTHER */
void other_wait(void);
void calls_set_up(void);
void objects_set_up(void);

HV_INLINE void memory_copy(u64 pd, u64 page, u64 target, u64 pages)
{
    check(hv_delegate(PROGRAM_SEL_PD, pd, page, target, DELEGATE(pages, RIGHT_R | RIGHT_W, SPACE_MEMORY, SPACE_MEMORY)), "delegate");
}

HV_INLINE void objects_copy(u64 pd, u64 from, u64 to, u64 count)
{
    check(hv_delegate(PROGRAM_SEL_PD, pd, from, to, DELEGATE(count, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT)), "delegate");
}

HV_INLINE void take(u64 base, u64 count, u32 type, u64 flags)
{
    check(hv_revoke(PROGRAM_SEL_PD, base, REVOKE(count, type), flags), "revoke");
}
