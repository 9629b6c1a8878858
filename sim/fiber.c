/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers: their beginning and their end, and what the address sanitizer is told. See fiber.h. */
#include "fiber.h"

void sim_fiber_begin(void);   /* fiber_begin.S: sim_fiber_main(stack pointer) */

struct fiber_start {
    void (*entry)(void *);
    void *arg;
};

void sim_fiber_main(const struct fiber_start *start);

static _Thread_local struct fiber *fiber_left;   /* who switched last, for whoever it switched to */

void fiber_announce(struct fiber *from, void **save, const struct fiber *to)
{
    fiber_left = from;
    __sanitizer_start_switch_fiber(save, to->stack, to->bytes);
}

void fiber_arrived(void *saved)
{
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(saved, &bottom, &bytes);
    if (fiber_left && !fiber_left->stack) {   /* a thread's own stack: learned at the first switch away from it */
        fiber_left->stack = (void *)bottom;
        fiber_left->bytes = bytes;
    }
}

void sim_fiber_main(const struct fiber_start *start)
{
    const struct fiber_start copy = *start;
    if (__sanitizer_finish_switch_fiber)
        fiber_arrived(NULL);
    copy.entry(copy.arg);
    __builtin_trap();
}

void fiber_init(struct fiber *f, void *stack, size_t bytes, void (*entry)(void *), void *arg)
{
    sanitizer_allow(stack, bytes);
    struct fiber_start *start = (struct fiber_start *)((u8 *)stack + bytes - 64);   /* 16-byte aligned: what `call` in sim_fiber_begin needs */
    *start = (struct fiber_start){ entry, arg };
    *f = (struct fiber){ .sp = start, .ip = (void *)sim_fiber_begin, .stack = stack, .bytes = bytes };
}

void fiber_leave(struct fiber *from, struct fiber *to)
{
    if (__sanitizer_start_switch_fiber)
        fiber_announce(from, NULL, to);
    fiber_swap(from, to);
    __builtin_trap();
}
