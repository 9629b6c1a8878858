/* SPDX-License-Identifier: BSD-2-Clause */
/* Fibers: stacks that a thread switches between by hand. No scheduler: whoever switches names the next one. The switch is inline: a call and its
 * return would not match on the processor's stack of return addresses, nor would those of every caller above. Announced to the address
 * sanitizer where it is linked in. MXCSR and the x87 control word are the same in all fibers. */
#pragma once
#include "base.h"
#include "sanitizer.h"

struct fiber {
    void *sp, *ip, *bp, *bx;   /* while it does not run: where it goes on, registers that a compiler may have reserved */
    void *stack;               /* lowest usable byte; NULL: the thread's own stack */
    size_t bytes;
    void *sanitizer;           /* the address sanitizer's handle while it does not run */
    u32 node;                  /* its call stack, in instrumented code and while races are judged: race.h */
};

/* Prepare to run entry(arg) on the stack at its first switch; entry must not return. */
void fiber_init(struct fiber *f, void *stack, size_t bytes, void (*entry)(void *), void *arg);
/* Leave `from`, go on in `to`; returns when somebody switches back. */
static inline void fiber_switch(struct fiber *from, struct fiber *to);
/* The same, for a fiber that will never run again. */
void fiber_leave(struct fiber *from, struct fiber *to) __attribute__((noreturn));

/* First thing after every arrival, for the sanitizer. `saved` is the handle from when this fiber was left. */
void fiber_arrived(void *saved);
void fiber_announce(struct fiber *from, void **save, const struct fiber *to);

static inline void fiber_swap(struct fiber *from, struct fiber *to)
{
    __asm__ volatile("movq %%rsp, 0(%0)\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "movq %%rcx, 8(%0)\n\t"
                     "movq %%rbp, 16(%0)\n\t"
                     "movq %%rbx, 24(%0)\n\t"
                     "movq 0(%1), %%rsp\n\t"
                     "movq 16(%1), %%rbp\n\t"
                     "movq 24(%1), %%rbx\n\t"
                     "jmp *8(%1)\n"
                     "1:"
                     : "+a"(from), "+d"(to)
                     :
                     : "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
}

static inline void fiber_switch(struct fiber *from, struct fiber *to)
{
    if (__sanitizer_start_switch_fiber)
        fiber_announce(from, &from->sanitizer, to);
    fiber_swap(from, to);
    if (__sanitizer_finish_switch_fiber)
        fiber_arrived(from->sanitizer);
}
