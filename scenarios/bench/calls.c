/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: hypercalls, semaphores, IPC, exceptions. Handlers reply at once; what a message holds was written before. */
#include "bench.h"
#include "abi/utcb.h"

enum { SEL_EMPTY = SEL_CALLS, SEL_SHORT, SEL_CROSS, SEL_CROSS_8, SEL_CROSS_64, SEL_WAITER, SEL_WAITER_SC, SEL_WAKE, SEL_FAULT_EC };
#define SEL_FAULT (PROGRAM_SEL_EVENT(PROGRAM_CPU) + 6u)   /* root's until set_up */

static u32 woken;

static struct sample row_hypercall(void)
{
    return SAMPLE(hv_null());
}

static struct sample row_null_capability(void)
{
    u64 mtr;
    return SAMPLE_OF(hv_call(SEL_EMPTY, MTR(0, 0), &mtr), STATUS_CAP);
}

static struct sample row_up(void)
{
    const struct sample s = SAMPLE(hv_sm_up(SEL_SM));
    check(hv_sm_down(SEL_SM, 0, 0), "down");
    return s;
}

static struct sample row_down(void)
{
    check(hv_sm_up(SEL_SM), "up");
    return SAMPLE(hv_sm_down(SEL_SM, 0, 0));
}

/* The time is taken when it runs. */
static void waiter_entry(void *arg)
{
    for (;;) {
        const enum status s = hv_sm_down(SEL_WAKE, 0, 0);
        woken = thread_tsc_low();
        check(s, "waiter");
    }
}

static struct sample row_wake(void)
{
    const u32 start = thread_tsc_low();
    check(hv_sm_up(SEL_WAKE), "up");
    return (struct sample){ start, woken };
}

static void short_entry(u64 id, u64 mtr)
{
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

static void words_8_entry(u64 id, u64 mtr)
{
    (void)!hv_reply(MTR(8, 0));
    __builtin_trap();
}

static void words_64_entry(u64 id, u64 mtr)
{
    (void)!hv_reply(MTR(64, 0));
    __builtin_trap();
}

static struct sample row_ipc(void)
{
    u64 mtr;
    return SAMPLE(hv_call(SEL_SHORT, MTR(0, 0), &mtr));
}

static struct sample row_ipc_cross(void)
{
    u64 mtr;
    return SAMPLE(hv_call(SEL_CROSS, MTR(0, 0), &mtr));
}

static struct sample row_ipc_8(void)
{
    u64 mtr;
    return SAMPLE(hv_call(SEL_CROSS_8, MTR(8, 0), &mtr));
}

static struct sample row_ipc_64(void)
{
    u64 mtr;
    return SAMPLE(hv_call(SEL_CROSS_64, MTR(64, 0), &mtr));
}

static void fault_entry(u64 id, u64 mtr)
{
    ((struct utcb_exception *)UTCB_OF(NUMBER_FAULT)->word)->ip += THREAD_UNDEFINED_BYTES;
    (void)!hv_reply(MTR(EXCEPTION_WORDS, 0));
    __builtin_trap();
}

static struct sample row_exception(void)
{
    return SAMPLE((thread_undefined(), OK));
}

void calls_set_up(void)
{
    struct thread waiter;
    const struct thread_config c = {
        .number = NUMBER_WAITER, .cpu = PROGRAM_CPU, .priority = program_page()->priority + 1, .ec = SEL_WAITER, .sc = SEL_WAITER_SC,
        .stack_top = stack_top(NUMBER_WAITER), .entry = waiter_entry,
    };
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_WAKE, 0), "semaphore");
    check(thread_create(&c, &waiter), "waiter");
    portal_make(SEL_SHORT, SEL_HANDLER, short_entry);
    portal_make(SEL_CROSS, SEL_CHILD_EC, short_entry);
    portal_make(SEL_CROSS_8, SEL_CHILD_EC, words_8_entry);
    portal_make(SEL_CROSS_64, SEL_CHILD_EC, words_64_entry);
    handler_make(NUMBER_FAULT, SEL_FAULT_EC);
    check(hv_revoke(PROGRAM_SEL_PD, SEL_FAULT, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), "root's portal");
    portal_make(SEL_FAULT, SEL_FAULT_EC, fault_entry);
}

const struct row rows_calls[] = {
    { "hypercall", row_hypercall },
    { "null-capability", row_null_capability },
    { "up", row_up },
    { "down", row_down },
    { "wake", row_wake },
    { "ipc", row_ipc },
    { "ipc-cross", row_ipc_cross },
    { "ipc-8", row_ipc_8 },
    { "ipc-64", row_ipc_64 },
    { "exception", row_exception },
    { NULL, NULL },
};
