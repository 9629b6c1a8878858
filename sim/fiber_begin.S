/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a new fiber begins, with what sim_fiber_main is to be told at the top of its stack (fiber_init). The outermost frame: RBP is 0. */
        .text
        .globl  sim_fiber_begin
        .type   sim_fiber_begin, @function
sim_fiber_begin:
        movq    %rsp, %rdi
        xorl    %ebp, %ebp
        call    sim_fiber_main
        ud2
        .size   sim_fiber_begin, . - sim_fiber_begin

        .section .note.GNU-stack, "", @progbits
