/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers on our own assembly switch (fiber_switch.S), announced to the address sanitizer where it is linked in. */
#include "fiber.h"
#include "sanitizer.h"

void sim_fiber_swap(void **save, void *load);
void sim_fiber_begin(void);

struct fiber_start {
    void (*entry)(void *);
    void *arg;
    struct fiber *fiber;
};

static _Thread_local struct fiber *fiber_left;   /* who switched last, for whoever it switched to */

/* First thing after every arrival. `saved` is the handle from when this fiber was left. */
static void fiber_arrived(void *saved)
{
    const void *bottom;
    size_t bytes;
    if (!__sanitizer_finish_switch_fiber)
        return;
    __sanitizer_finish_switch_fiber(saved, &bottom, &bytes);
    if (fiber_left && !fiber_left->stack) {   /* a thread's own stack: learned at the first switch away from it */
        fiber_left->stack = (void *)bottom;
        fiber_left->bytes = bytes;
    }
}

static void fiber_main(struct fiber_start *start)
{
    const struct fiber_start copy = *start;
    fiber_arrived(NULL);
    copy.entry(copy.arg);
    __builtin_trap();
}

void fiber_init(struct fiber *f, void *stack, size_t bytes, void (*entry)(void *), void *arg)
{
    sanitizer_allow(stack, bytes);
    struct fiber_start *start = (struct fiber_start *)((u8 *)stack + bytes - 64);
    *start = (struct fiber_start){ entry, arg, f };
    u64 *sp = (u64 *)start;            /* 16-byte aligned: what `call` in sim_fiber_begin needs */
    *--sp = (u64)sim_fiber_begin;      /* popped into RCX */
    *--sp = 0;                         /* RBP */
    *--sp = 0;                         /* RBX */
    *--sp = (u64)start;                /* R12 */
    *--sp = (u64)fiber_main;           /* R13 */
    *--sp = 0;                         /* R14 */
    *--sp = 0;                         /* R15 */
    *f = (struct fiber){ .sp = sp, .stack = stack, .bytes = bytes };
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    fiber_left = from;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&from->sanitizer, to->stack, to->bytes);
    sim_fiber_swap(&from->sp, to->sp);
    fiber_arrived(from->sanitizer);
}

void fiber_leave(struct fiber *from, struct fiber *to)
{
    fiber_left = from;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(NULL, to->stack, to->bytes);
    sim_fiber_swap(&from->sp, to->sp);
    __builtin_trap();
}
