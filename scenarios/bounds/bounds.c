/* SPDX-License-Identifier: BSD-2-Clause */
/* How long does the kernel not look whether an interrupt is pending? Each row drives the worst that is known of one hypercall or entry, between two
 * calls whose addresses a list of executed instructions shows: `./orrery bench --bounds` counts in it, docs/performance.md says what the rows are.
 *
 *     bound: ROW      one for each pair of marks, in that order
 *
 * Nothing is measured here: elsewhere this program only shows that all of it works. */
#include "bounds.h"
#include "marks.h"
#include "mem.h"
#include "print.h"

#define CHILD_QUOTA 0x400000ul
#define POLLS       1000u
#define SETTLE_MS   4u

static struct thread self;
static u8 stacks[NUMBER_COUNT][STACK_BYTES] aligned_to(16);
static void (*pool_job)(u32 index);
static void (*other_job)(void);
static u64 used_before;

void check(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

void require(bool fact, const char *what)
{
    check(fact ? OK : STATUS_ABORT, what);
}

void *stack_top(u32 number)
{
    return stacks[number] + STACK_BYTES;
}

void pause_ms(void)
{
    require(hv_sm_down(SEL_NEVER, 0, thread_tsc() + max(program_page()->tsc_khz, 1ul)) == STATUS_TIMEOUT, "sleep");
}

static u64 used(void)
{
    u64 used_bytes, limit_bytes;
    check(hv_pd_info(PROGRAM_SEL_PD, &used_bytes, &limit_bytes), "pd_info");
    return used_bytes;
}

void memory_note(void)
{
    used_before = used();
}

void memory_back(void)
{
    for (u32 i = 0; i < POLLS && used() != used_before; i++)
        pause_ms();
    require(used() == used_before, "memory is back");
}

/* ---- Threads that help ---- */

static void pool_entry(void *arg)
{
    while (hv_sm_down(SEL_GO, 0, 0) == OK) {
        pool_job((u32)(u64)arg);
        check(hv_sm_up(SEL_DONE), "pool");
    }
    thread_park();   /* the PD ends */
}

void pool_run(u32 count, void (*job)(u32 index))
{
    pool_job = job;
    for (u32 i = 0; i < count; i++)
        check(hv_sm_up(SEL_GO), "pool");
}

void pool_wait(u32 count)
{
    for (u32 i = 0; i < count; i++)
        check(hv_sm_down(SEL_DONE, 0, 0), "pool");
}

static void other_entry(void *arg)
{
    while (hv_sm_down(SEL_OTHER_GO, 0, 0) == OK) {
        other_job();
        check(hv_sm_up(SEL_OTHER_DONE), "other");
    }
    thread_park();
}

void other_run(void (*job)(void))
{
    other_job = job;
    check(hv_sm_up(SEL_OTHER_GO), "other");
}

void other_wait(void)
{
    check(hv_sm_down(SEL_OTHER_DONE, 0, 0), "other");
}

static void thread_make(u32 number, u32 cpu, u32 priority, u64 selector, void (*entry)(void *arg), u64 arg)
{
    struct thread thread;
    const struct thread_config c = { .number = number, .cpu = cpu, .priority = priority, .ec = selector, .sc = selector + 1,
                                     .stack_top = stack_top(number), .entry = entry, .arg = (void *)arg };
    check(thread_create(&c, &thread), "thread");
}

static void child_make(void)
{
    const u64 first = IMAGE_START >> PAGE_BITS, pages = (align_up((u64)image_text_end, PAGE_SIZE) - IMAGE_START) >> PAGE_BITS;
    check(hv_pd_create(PROGRAM_SEL_PD, SEL_CHILD, CHILD_QUOTA, 0), "child");
    check(hv_delegate(PROGRAM_SEL_PD, SEL_CHILD, first, first, DELEGATE(pages, RIGHT_R | RIGHT_X, SPACE_MEMORY, SPACE_MEMORY)), "text");
    memory_copy(SEL_CHILD, PAGE_STACK, PAGE_STACK, 1);
    check(hv_ec_create(SEL_CHILD, SEL_CHILD_EC, PROGRAM_UTCB, 0, (PAGE_STACK + 1) * PAGE_SIZE - 8, EC_CONFIG(CPU_MAIN, EC_LOCAL, CHILD_EVENT)), "handler");
}

/* ---- Rows ---- */

/* What was destroyed before is no part of the row. */
static void settle(void)
{
    for (u32 i = 0; i < SETTLE_MS; i++)
        pause_ms();
}

static void rows_do(const struct row *row)
{
    for (; row->name; row++) {
        if (row->prepare)
            row->prepare();
        settle();
        mark_begin();
        row->act();
        mark_end();
        if (row->undo)
            row->undo();
        print("bound: %s", row->name);
    }
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    for (u64 sel = SEL_NEVER; sel <= SEL_OTHER_DONE; sel++)
        check(hv_sm_create(PROGRAM_SEL_PD, sel, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_GIFT, 0), "semaphore");
    for (u32 i = 0; i <= POOL; i++)
        thread_make(NUMBER_POOL + i, CPU_MAIN, program_page()->priority + 1, SEL_POOL + 2 * i, pool_entry, i);
    thread_make(NUMBER_OTHER, CPU_OTHER, program_page()->priority, SEL_POOL + 2 * POOL + 2, other_entry, 0);
    child_make();
    calls_set_up();
    objects_set_up();
    rows_do(rows_calls);
    rows_do(rows_threads);
    rows_do(rows_spaces);
    rows_do(rows_objects);
    client_done(&self, 0);
}
