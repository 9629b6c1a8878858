/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest in real mode that works in rounds: ports, CPUID, a block written and read back, one read that was written rounds ago, a halt that a timer
 * ends. What it reads it puts into sums that it shows on a port. It prints nothing; if something is wrong it halts before the last round. */
#include "guest.h"

#define STACK    0x0ff0
#define VECTOR   0x20
#define BUFFER   0x4000
#define MIX      0x9e3779b1
#define DWORDS   (GUEST_DISK_WORDS * 2)

    .text
    .org VECTOR * 4
    .word interrupt, 0        /* real-mode vector: offset, segment */

    .org GUEST_ENTRY
    .code16
first:
    cli
    cld
    xorl %eax, %eax
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $STACK, %esp
    movw $GUEST_DISK_OWNER, %dx
    inl %dx, %eax
    shll $24, %eax
    movl %eax, owner

round:
    movw $GUEST_ROUNDS, %dx
    inl %dx, %eax
    testl %eax, %eax
    jz end
    movl %eax, %ebp           /* the round, counted down */
    xorl %eax, %eax
    cpuid

    /* Write a block made of the round's and the VM's number, forget it, read it. */
    movw $BUFFER, %di
    movw $DWORDS, %cx
    movl %ebp, %eax
    xorl owner, %eax
1:  imull $MIX, %eax
    incl %eax
    stosl
    loop 1b
    movl %ebp, %ebx
    movb $1, %al
    call disk
    movw $BUFFER, %di
    movw $DWORDS, %cx
    xorl %eax, %eax
    rep stosl
    xorb %al, %al
    call disk
    movw $BUFFER, %si
    movw $DWORDS, %cx
    movl %ebp, %ebx
    xorl owner, %ebx
2:  imull $MIX, %ebx
    incl %ebx
    lodsl
    cmpl %ebx, %eax
    jne failed
    loop 2b

    /* A block of an earlier round, or of none. */
    leal 3(%ebp), %ebx
    xorb %al, %al
    call disk
    movw $BUFFER, %si
    movw $DWORDS, %cx
    xorl %ebx, %ebx
3:  lodsl
    addl %eax, %ebx
    roll $5, %ebx
    loop 3b
    movl %ebx, %eax
    movw $GUEST_SCRATCH, %dx
    outl %eax, %dx
    inl %dx, %eax
    cmpl %ebx, %eax
    jne failed

    /* A timer that fires when we halt. */
    movw $0, ticks
    movb $VECTOR, %al
    movw $GUEST_TIMER, %dx
    outb %al, %dx
    sti
    hlt
    cli
    cmpw $1, ticks
    je round

failed:
end:
    cli
4:  hlt
    jmp 4b

/* Command al on block ebx (modulo their number); al and edx are lost. */
disk:
    pushl %eax
    movl %ebx, %eax
    andl $(GUEST_DISK_BLOCKS - 1), %eax
    movw $GUEST_DISK_BLOCK, %dx
    outl %eax, %dx
    movl $BUFFER, %eax
    movw $GUEST_DISK_BUFFER, %dx
    outl %eax, %dx
    popl %eax
    movw $GUEST_DISK_COMMAND, %dx
    outb %al, %dx
    inb %dx, %al
    testb %al, %al
    jnz failed
    ret

interrupt:
    incw ticks
    iretw

ticks: .word 0
    .balign 4
owner: .long 0
