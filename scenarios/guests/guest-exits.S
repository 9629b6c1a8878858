/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest in real mode that exits without end, nearly: rounds of CPUID, a port written and read back, an MSR read. For measuring how fast exits are
 * handled and replayed. */
#include "guest.h"

#define STACK  0x0ff0
#define ROUNDS 25000

    .text
    .org GUEST_ENTRY
    .code16
first:
    cli
    cld
    xorl %eax, %eax
    movw %ax, %ds
    movw %ax, %ss
    movw $STACK, %sp
    movl $ROUNDS, %esi
1:  xorl %eax, %eax
    cpuid
    movw $GUEST_SCRATCH, %dx
    movl %esi, %eax
    outl %eax, %dx
    inl %dx, %eax
    cmpl %esi, %eax
    jne 2f
    movl $GUEST_MSR, %ecx
    rdmsr
    decl %esi
    jnz 1b
    movw $text, %si
    movw $GUEST_UART, %dx
3:  lodsb
    testb %al, %al
    jz 2f
    outb %al, %dx
    jmp 3b
2:  hlt
    jmp 2b

text: .asciz "guest-exits: done\n"
