/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: messages, exceptions, help. The child's handler takes and gives as many items as there are, each of as many units as fit a step. */
#include "bounds.h"

#define ITEM_UNITS   64u
#define UNITS        (UTCB_ITEMS * ITEM_UNITS)
#define CHILD_WINDOW 128u     /* the child's selectors from here on */
#define CHAIN        40u      /* more than are followed between two looks */

enum { SEL_WORDS = SEL_CALLS, SEL_ITEMS_IN, SEL_ITEMS_OUT, SEL_FAULT_EC, SEL_HOLD, SEL_HELD_EC, SEL_HELD, SEL_CHAIN_EC, SEL_CHAIN = SEL_CHAIN_EC + 64 };
enum { ID_WORDS, ID_IN, ID_OUT };
#define SEL_FAULT  (PROGRAM_SEL_EVENT(CPU_MAIN) + 6u)   /* root's until set_up */
#define SEL_SOURCE SEL_RANGE

static bool held;

/* ---- Messages ---- */

static void child_entry(u64 id, u64 mtr)
{
    struct utcb *const u = (struct utcb *)PROGRAM_UTCB;
    u->window[SPACE_OBJECT].base = CHILD_WINDOW;
    u->window[SPACE_OBJECT].count = UNITS;
    for (u32 i = 0; i < UTCB_ITEMS; i++) {
        u->item[i].base = CHILD_WINDOW + i * ITEM_UNITS;
        u->item[i].count = ITEM_UNITS;
        u->item[i].rights = PERM_SM_UP;
        u->item[i].type = SPACE_OBJECT;
    }
    (void)!hv_reply(id == ID_OUT ? MTR(UTCB_WORDS, UTCB_ITEMS) : MTR(id == ID_WORDS ? UTCB_WORDS : 0, 0));
    __builtin_trap();
}

static void call(u64 portal, u64 mtr)
{
    u64 got;
    check(hv_call(portal, mtr, &got), "call");
}

static void words_act(void)
{
    call(SEL_WORDS, MTR(UTCB_WORDS, 0));
}

static void items_write(void)
{
    for (u32 i = 0; i < UTCB_ITEMS; i++)
        UTCB_OF(NUMBER_FIRST)->item[i] = (struct utcb_item){ .base = SEL_SOURCE, .count = ITEM_UNITS, .rights = PERM_SM_UP, .type = SPACE_OBJECT };
}

static void items_call(void)
{
    call(SEL_ITEMS_IN, MTR(UTCB_WORDS, UTCB_ITEMS));
    for (u32 i = 0; i < UTCB_ITEMS; i++)
        require(UTCB_OF(NUMBER_FIRST)->item[i].status == OK, "item");
}

/* Once before, so that the leaves they go to are there. */
static void items_prepare(void)
{
    for (u32 i = 0; i < ITEM_UNITS; i++)
        objects_copy(PROGRAM_SEL_PD, SEL_GIFT, SEL_SOURCE + i, 1);
    items_write();
    items_call();
    take(SEL_SOURCE, ITEM_UNITS, SPACE_OBJECT, 0);
    items_write();
}

static void reply_prepare(void)
{
    UTCB_OF(NUMBER_FIRST)->window[SPACE_OBJECT] = (struct utcb_window){ SEL_EMPTY, UNITS };
    call(SEL_ITEMS_OUT, MTR(0, 0));
    take(SEL_EMPTY, UNITS, SPACE_OBJECT, REVOKE_SELF);
}

static void reply_act(void)
{
    call(SEL_ITEMS_OUT, MTR(0, 0));
}

static void reply_undo(void)
{
    UTCB_OF(NUMBER_FIRST)->window[SPACE_OBJECT] = (struct utcb_window){ 0, 0 };
    take(SEL_SOURCE, ITEM_UNITS, SPACE_OBJECT, REVOKE_SELF);
}

/* ---- Exceptions ---- */

static void fault_entry(u64 id, u64 mtr)
{
    ((struct utcb_exception *)UTCB_OF(NUMBER_FAULT)->word)->ip += THREAD_UNDEFINED_BYTES;
    (void)!hv_reply(MTR(EXCEPTION_WORDS, 0));
    __builtin_trap();
}

/* ---- Help: a chain of calls whose end waits ---- */

static void chain_entry(u64 id, u64 mtr)
{
    u64 got;
    check(id == CHAIN - 1 ? hv_sm_down(SEL_HOLD, 0, 0) : hv_call(SEL_CHAIN + id + 1, MTR(0, 0), &got), "chain");
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

static void chain_call(u32 index)
{
    u64 got;
    check(hv_call(SEL_CHAIN, MTR(0, 0), &got), "chain");
}

static void chain_prepare(void)
{
    pool_run(1, chain_call);
}

/* Another one wants the head of the chain: its time goes along. */
static void chain_act(void)
{
    pool_run(1, chain_call);
}

static void chain_undo(void)
{
    check(hv_sm_up(SEL_HOLD), "chain");
    check(hv_sm_up(SEL_HOLD), "chain");
    pool_wait(2);
}

/* ---- Helpers that wait at one blocked handler ---- */

static void held_entry(u64 id, u64 mtr)
{
    if (!held) {
        held = true;
        check(hv_sm_down(SEL_HOLD, 0, 0), "held");
    }
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

static void held_call(u32 index)
{
    u64 got;
    check(hv_call(SEL_HELD, MTR(0, 0), &got), "held");
}

static void held_prepare(void)
{
    held = false;
    pool_run(POOL, held_call);
}

static void held_act(void)
{
    check(hv_sm_up(SEL_HOLD), "up");
}

static void held_undo(void)
{
    pool_wait(POOL);
}

/* ---- The shortest ---- */

static void null_act(void)
{
    check(hv_null(), "null");
}

static void unknown_act(void)
{
    struct hv_registers r;
    require(hv_syscall(HYPERCALL_COUNT, 0, &r) == STATUS_HYPERCALL, "unknown");
}

static void ctrl_act(void)
{
    check(hv_portal_ctrl(SEL_WORDS, ID_WORDS), "portal_ctrl");
}

static void handler_make(u32 number, u64 ec, u64 portal, void (*entry)(u64 id, u64 mtr), u64 id)
{
    struct thread handler;
    const struct thread_config c = { .number = number, .cpu = CPU_MAIN, .ec = ec, .stack_top = stack_top(number) };
    check(thread_create_local(&c, &handler), "handler");
    check(hv_portal_create(PROGRAM_SEL_PD, portal, ec, (u64)entry, id), "portal");
}

void calls_set_up(void)
{
    for (u32 id = ID_WORDS; id <= ID_OUT; id++)
        check(hv_portal_create(PROGRAM_SEL_PD, SEL_WORDS + id, SEL_CHILD_EC, (u64)child_entry, id), "portal");
    call(SEL_WORDS, MTR(0, 0));   /* its window is open from then on */
    take(SEL_FAULT, 1, SPACE_OBJECT, REVOKE_SELF);
    handler_make(NUMBER_FAULT, SEL_FAULT_EC, SEL_FAULT, fault_entry, 0);
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_HOLD, 0), "semaphore");
    handler_make(NUMBER_HELD, SEL_HELD_EC, SEL_HELD, held_entry, 0);
    for (u32 i = 0; i < CHAIN; i++)
        handler_make(NUMBER_CHAIN + i, SEL_CHAIN_EC + i, SEL_CHAIN + i, chain_entry, i);
}

const struct row rows_calls[] = {
    { "null", 0, null_act, 0 },
    { "unknown", 0, unknown_act, 0 },
    { "portal-ctrl", 0, ctrl_act, 0 },
    { "call-words", 0, words_act, 0 },
    { "call-items", items_prepare, items_call, 0 },
    { "reply-items", reply_prepare, reply_act, reply_undo },
    { "exception", 0, thread_undefined, 0 },
    { "call-help", chain_prepare, chain_act, chain_undo },
    { "sm-up-helped", held_prepare, held_act, held_undo },
    { 0, 0, 0, 0 },
};
