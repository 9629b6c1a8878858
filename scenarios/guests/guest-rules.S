/* SPDX-License-Identifier: BSD-2-Clause */
/* Snippets for vcpu-rules.c, each at a fixed address, all in real mode with CS base 0. They end in an OUT, so that each is an exit. */
#include "guest-rules.h"

    .text
    .code16
    .org 1 * 4
    .word RULES_DB_HANDLER, 0
    .org 6 * 4
    .word RULES_UD_HANDLER, 0
    .org RULES_VECTOR * 4
    .word RULES_HANDLER, 0

    .org RULES_OUT
    movw $0x1234, %ax
    outb %al, $RULES_PORT
    movw $0x5678, %bx
    hlt

    .org RULES_SPIN
1:  jmp 1b

    .org RULES_WINDOW
    nop
    sti
    nop
    nop
    outb %al, $RULES_PORT

    .org RULES_READ
    movb 0x2000, %al
    movb 0x3000, %bl
    movb 0x4000, %cl
    outb %al, $RULES_PORT

    .org RULES_WRITE
    movb %al, 0x3000
    outb %al, $RULES_PORT

    .org RULES_TSC
    rdtsc
    outb %al, $RULES_PORT

    .org RULES_UD
    ud2

    .org RULES_STEP
    nop
    nop
    hlt

    .org RULES_HANDLER
    outb %al, $RULES_VECTOR
    iretw

    .org RULES_UD_HANDLER
    outb %al, $6
    iretw

    .org RULES_DB_HANDLER
    movl %dr6, %eax
    movw %sp, %bx
    movw (%bx), %bx                 /* where it came from */
    outb %al, $1
    iretw

    .org RULES_LAST
    jmpw *0x3000
    .org 0x2000
