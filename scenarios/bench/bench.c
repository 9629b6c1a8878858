/* SPDX-License-Identifier: BSD-2-Clause */
/* How long is the way through each operation of the kernel? TSC ticks around it in user mode, stubs included, less those of an empty pair of
 * reads; on QEMU with -icount and on Bochs a tick is an instruction. `./orrery bench` reads the lines, docs/performance.md says what the rows are.
 *
 *     figure: ROW LEAST MOST START END      ticks of the shortest and longest sample; low half of the TSC around the last
 *
 * With the argument "exits N" it does nothing but N CPUID exits. Not measured: caches, TLBs, contention; first uses (ROUNDS_WARM). */
#include "bench.h"
#include "mem.h"
#include "print.h"

#define ROUNDS_WARM 8u
#define ROUNDS      16u
#define CHILD_QUOTA 0x40000ul

static struct thread self;
static u8 stacks[NUMBER_COUNT][STACK_BYTES] aligned_to(16);

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

void handler_make(u32 number, u64 selector)
{
    struct thread handler;
    const struct thread_config c = { .number = number, .cpu = PROGRAM_CPU, .ec = selector, .stack_top = stack_top(number) };
    check(thread_create_local(&c, &handler), "handler");
}

void portal_make(u64 selector, u64 ec, void (*entry)(u64 id, u64 mtr))
{
    check(hv_portal_create(PROGRAM_SEL_PD, selector, ec, (u64)entry, 0), "portal");
}

static void child_make(void)
{
    const u64 first = IMAGE_START >> PAGE_BITS, pages = (align_up((u64)image_text_end, PAGE_SIZE) - IMAGE_START) >> PAGE_BITS;
    check(hv_pd_create(PROGRAM_SEL_PD, SEL_CHILD, CHILD_QUOTA, 0), "child");
    check(hv_delegate(PROGRAM_SEL_PD, SEL_CHILD, first, first, DELEGATE(pages, RIGHT_R | RIGHT_X, SPACE_MEMORY, SPACE_MEMORY)), "text");
    check(page_give(PAGE_KEPT), "page");
    check(hv_ec_create(SEL_CHILD, SEL_CHILD_EC, PROGRAM_UTCB, 0, 0, EC_CONFIG(PROGRAM_CPU, EC_LOCAL, CHILD_EVENT)), "child's handler");
}

static struct sample row_empty(void)
{
    return SAMPLE(OK);
}
static const struct row empty_row = { "empty", row_empty };

static u32 row_do(const struct row *row, u32 empty)
{
    u32 least = ~0u, most = 0;
    struct sample s;
    for (u32 i = 0; i < ROUNDS_WARM; i++)
        s = row->sample();
    for (u32 i = 0; i < ROUNDS; i++) {
        s = row->sample();
        least = min(least, s.end - s.start - empty);
        most = max(most, s.end - s.start - empty);
    }
    print("figure: %s %u %u %u %u", row->name, least, most, s.start, s.end);
    return least;
}

static void rows_do(const struct row *row, u32 empty)
{
    for (; row->name; row++)
        row_do(row, empty);
}

static void all_rows(void)
{
    const u32 empty = row_do(&empty_row, 0);
    rows_do(rows_calls, empty);
    rows_do(rows_spaces, empty);
    rows_do(rows_objects, empty);
}

void program_main(u64 first, u64 utcb)
{
    const char *args = program_page()->args;
    u64 exits;
    self = thread_first();
    require(program_page()->cpu_count == 1, "one CPU and no more");   /* what is destroyed waits for all CPUs */
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_SM, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_NEVER, 0), "semaphore");
    handler_make(NUMBER_HANDLER, SEL_HANDLER);
    child_make();
    calls_set_up();
    spaces_set_up();
    objects_set_up();
    if (str_word(&args, "exits") && str_number(&args, &exits))
        exits_do(exits);
    else
        all_rows();
    client_done(&self, 0);
}
