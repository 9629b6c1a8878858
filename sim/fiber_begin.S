/* SPDX-License-Identifier: BSD-2-Clause */
/* void sim_fiber_swap(void **save, void *load): the callee-saved registers of the System V ABI, then the stack. The return is a jump: a `ret`
 * would be mispredicted by the return-stack buffer at every switch. MXCSR and the x87 control word are the same in all fibers. */
        .text
        .globl  sim_fiber_swap
        .type   sim_fiber_swap, @function
sim_fiber_swap:
        pushq   %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        popq    %rcx
        jmp     *%rcx
        .size   sim_fiber_swap, . - sim_fiber_swap

/* Where a new fiber begins: r12 holds its first argument, r13 the function (see fiber_init). */
        .globl  sim_fiber_begin
        .type   sim_fiber_begin, @function
sim_fiber_begin:
        movq    %r12, %rdi
        xorl    %ebp, %ebp
        call    *%r13
        ud2
        .size   sim_fiber_begin, . - sim_fiber_begin

        .section .note.GNU-stack, "", @progbits
