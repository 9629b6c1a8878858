/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers: stacks that a thread switches between by hand. No scheduler: whoever switches names the next one. */
#pragma once
#include "base.h"

struct fiber {
    void *sp;              /* saved stack pointer while it does not run */
    void *stack;           /* lowest usable byte; NULL: the thread's own stack */
    size_t bytes;
    void *sanitizer;       /* the address sanitizer's handle while it does not run */
    u32 node;              /* its call stack, in instrumented code and while races are judged: race.h */
};

/* Prepare to run entry(arg) on the stack at its first switch; entry must not return. */
void fiber_init(struct fiber *f, void *stack, size_t bytes, void (*entry)(void *), void *arg);
/* Leave `from`, go on in `to`; returns when somebody switches back. */
void fiber_switch(struct fiber *from, struct fiber *to);
/* The same, for a fiber that will never run again. */
void fiber_leave(struct fiber *from, struct fiber *to) __attribute__((noreturn));
