/* SPDX-License-Identifier: BSD-2-Clause */
/* What does a call to a handler on another CPU cost, and what does priority do there? By lib/xcall.h: a port's thread on that CPU calls for the caller.
 * First, a thread on the handler's CPU never waits: who has a higher priority is served all the same, and helps whoever is in its way; who has a lower one
 * is not served until it ends. Then rows of CALLS calls each, between two marks in which `./orrery bench --cross` counts.
 *
 *     cross: ROW CALLS START END      one for each pair of marks, in that order; low half of the TSC around the calls */
#include "xcall.h"
#include "hv.h"
#include "marks.h"
#include "print.h"

#define CALLS       16u
#define STACK_BYTES 4096u
#define PATIENCE_MS 2u
#define LOW         5u
#define SPIN        15u
#define HIGH        20u

enum { HERE, THERE };           /* CPUs */
enum { NUMBER_LOW = 1, NUMBER_HIGH, NUMBER_SPIN, NUMBER_THERE, NUMBER_HERE, NUMBER_TURN, NUMBER_COUNT };
enum { SEL_REQUEST = PROGRAM_SEL_FREE, SEL_ANSWER = SEL_REQUEST + 8, SEL_GO = SEL_ANSWER + 8, SEL_THREAD, SEL_EC = SEL_THREAD + 2 * NUMBER_COUNT,
       SEL_WORK = SEL_EC + 2, SEL_ECHO, SEL_ECHO_HERE };

static struct thread self, threads[NUMBER_COUNT];
static u8 stacks[NUMBER_COUNT][STACK_BYTES] aligned_to(16);
static struct xcall_port ports[NUMBER_COUNT];
static atomic_u64 stop, spinning, finish, working, worked;

static void check(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

static void require(bool fact, const char *what)
{
    check(fact ? OK : STATUS_ABORT, what);
}

static u64 later(u64 ms)
{
    return thread_tsc() + ms * max(program_page()->tsc_khz, 1ul);
}

static void *stack_top(u32 number)
{
    return stacks[number] + STACK_BYTES;
}

/* ---- On the other CPU ---- */

static void echo_entry(u64 id, u64 mtr)
{
    (void)!hv_reply(mtr);
    __builtin_trap();
}

/* Not done before it may: one more than each word. */
static void work_entry(u64 id, u64 mtr)
{
    atomic_store(&working, 1);
    while (!atomic_load(&finish))
        hv_relax();
    atomic_fetch_add(&worked, 1);
    for (u64 i = 0; i < MTR_WORDS(mtr); i++)
        threads[NUMBER_THERE].utcb->word[i]++;
    (void)!hv_reply(mtr);
    __builtin_trap();
}

static void spin_entry(void *arg)
{
    while (hv_sm_down(SEL_GO, 0, 0) == OK) {
        atomic_store(&spinning, 1);
        while (!atomic_load(&stop))
            hv_relax();
        atomic_store(&spinning, 0);
    }
    thread_park();
}

static void serve_entry(void *arg)
{
    const u32 number = (u32)(u64)arg;
    (void)xcall_serve(&ports[number], &threads[number]);
    thread_park();
}

/* Two semaphores and nothing else: what no way of this kind is shorter than. */
static void turn_entry(void *arg)
{
    while (hv_sm_down(ports[NUMBER_TURN].request, 0, 0) == OK)
        check(hv_sm_up(ports[NUMBER_TURN].answer), "turn");
    thread_park();
}

static void handler_make(u32 number, u32 cpu, u64 selector)
{
    const struct thread_config c = { .number = number, .cpu = cpu, .ec = selector, .stack_top = stack_top(number) };
    check(thread_create_local(&c, &threads[number]), "handler");
}

static void thread_make(u32 number, u32 priority, void (*entry)(void *arg))
{
    const u64 ec = SEL_THREAD + 2 * number;
    const struct thread_config c = { .number = number, .cpu = THERE, .priority = priority, .ec = ec, .sc = ec + 1, .stack_top = stack_top(number),
                                     .entry = entry, .arg = (void *)(u64)number };
    check(thread_create(&c, &threads[number]), "thread");
}

static void port_make(u32 number, u32 priority, u64 portal, void (*entry)(void *arg))
{
    ports[number] = (struct xcall_port){ (struct xcall_page *)(PROGRAM_MEMORY + number * PAGE_SIZE), SEL_REQUEST + number, SEL_ANSWER + number, portal };
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_REQUEST + number, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_ANSWER + number, 0), "semaphore");
    thread_make(number, priority, entry);
}

/* ---- Priority ---- */

static void spin_begin(void)
{
    atomic_store(&stop, 0);
    check(hv_sm_up(SEL_GO), "spin");
    while (!atomic_load(&spinning))
        hv_relax();
}

static void priority_kept(void)
{
    u64 words = 0;
    ports[NUMBER_LOW].portal = ports[NUMBER_HIGH].portal = SEL_WORK;
    atomic_store(&finish, 1);
    spin_begin();
    check(xcall(&ports[NUMBER_HIGH], &words, 0), "high");
    require(atomic_load(&spinning) && atomic_load(&worked) == 1, "a higher priority does not wait");
    require(xcall(&ports[NUMBER_LOW], &words, later(PATIENCE_MS)) == STATUS_TIMEOUT && atomic_load(&worked) == 1, "a lower one does");
    atomic_store(&stop, 1);
    check(xcall_late(&ports[NUMBER_LOW], &words, 0), "low, late");
    require(atomic_load(&worked) == 2, "and is served then");
    print("xcall: priority is kept");
}

/* The low one is being served when the spinner comes; the high one wants the same handler. */
static void helped(void)
{
    u64 words = 0;
    atomic_store(&finish, 0);
    atomic_store(&working, 0);
    check(hv_sm_up(ports[NUMBER_LOW].request), "low");
    while (!atomic_load(&working))
        hv_relax();
    spin_begin();
    const u64 before = atomic_load(&worked);
    atomic_store(&finish, 1);   /* it has no time to see that */
    check(xcall(&ports[NUMBER_HIGH], &words, 0), "high");
    require(atomic_load(&spinning), "who is in the way is helped");
    require(before == 2 && atomic_load(&worked) == 4, "and was in the way");
    atomic_store(&stop, 1);
    check(xcall_late(&ports[NUMBER_LOW], &words, 0), "low, helped");
    print("xcall: who is in the way is helped");
}

/* Every word there and back, and no more than fit. */
static void words_kept(void)
{
    struct xcall_page *const page = ports[NUMBER_HIGH].page;
    u64 words = XCALL_WORDS + 1;
    require(xcall(&ports[NUMBER_HIGH], &words, 0) == STATUS_ARG, "too many words");
    words = XCALL_WORDS;
    for (u64 i = 0; i < words; i++)
        page->word[i] = 7 * i;
    check(xcall(&ports[NUMBER_HIGH], &words, 0), "words");
    require(words == XCALL_WORDS, "as many words");
    for (u64 i = 0; i < words; i++)
        require(page->word[i] == 7 * i + 1, "the words of the answer");
    print("xcall: the words are kept");
}

/* ---- Rows ---- */

/* port: by a port; else a call of the portal. */
static void row(const char *name, const struct xcall_port *port, u64 portal, u64 size)
{
    u32 start = 0;
    for (u32 round = 0; round < 2; round++) {   /* the first to warm up */
        if (round)
            mark_begin();
        start = thread_tsc_low();
        for (u32 i = 0; i < CALLS; i++) {
            u64 words = size, mtr;
            check(port ? xcall(port, &words, 0) : hv_call(portal, MTR(size, 0), &mtr), name);
        }
    }
    const u32 end = thread_tsc_low();
    mark_end();
    print("cross: %s %u %u %u", name, CALLS, start, end);
}

void program_main(u64 first, u64 utcb)
{
    u64 mtr;
    self = thread_first();
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_GO, 0), "semaphore");
    handler_make(NUMBER_THERE, THERE, SEL_EC);
    handler_make(NUMBER_HERE, HERE, SEL_EC + 1);
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_WORK, SEL_EC, (u64)work_entry, 0), "portal");
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_ECHO, SEL_EC, (u64)echo_entry, 0), "portal");
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_ECHO_HERE, SEL_EC + 1, (u64)echo_entry, 0), "portal");
    thread_make(NUMBER_SPIN, SPIN, spin_entry);
    port_make(NUMBER_LOW, LOW, SEL_WORK, serve_entry);
    port_make(NUMBER_HIGH, HIGH, SEL_WORK, serve_entry);
    port_make(NUMBER_TURN, HIGH, 0, turn_entry);
    priority_kept();
    helped();
    words_kept();
    ports[NUMBER_HIGH].portal = SEL_ECHO;
    row("call", NULL, SEL_ECHO_HERE, 0);
    row("call-64", NULL, SEL_ECHO_HERE, 64);
    row("turn", &ports[NUMBER_TURN], 0, 0);
    row("xcall", &ports[NUMBER_HIGH], 0, 0);
    row("xcall-64", &ports[NUMBER_HIGH], 0, 64);
    require(hv_call(SEL_ECHO, MTR(0, 0), &mtr) == STATUS_CPU, "a call to another CPU");
    client_done(&self, 0);
}
