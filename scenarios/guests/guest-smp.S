/* SPDX-License-Identifier: BSD-2-Clause */
/* Two vCPUs in real mode: the first starts the second, they take turns through a word of shared memory, then the second halts and the
 * first wakes it by an interrupt. Turns make the order of the lines the same on every machine. */
#include "guest.h"

#define ROUNDS  3
#define SECOND  0x2000        /* where the second vCPU begins */
#define STACK0  0x0ff0
#define STACK1  0x0ef0
#define VECTOR  0x20

    .text
    .org VECTOR * 4
    .word interrupt, 0        /* real-mode vector: offset, segment */

    .org GUEST_ENTRY
    .code16
first:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $STACK0, %sp
    movw $text_first, %si
    call print
    movw $(1 << 8 | SECOND >> 12), %ax
    movw $GUEST_START, %dx
    outw %ax, %dx
    movw $ROUNDS, %cx
1:  movw $text_ping, %si
    call print
    movw $1, turn
2:  pause
    cmpw $0, turn
    jne 2b
    loop 1b
    /* The second now goes to halt, or has: the interrupt reaches it either way. */
    movw $(1 << 8 | VECTOR), %ax
    movw $GUEST_IPI, %dx
    outw %ax, %dx
3:  pause
    cmpw $0, awake
    je 3b
    movw $text_done, %si
    call print
4:  hlt
    jmp 4b

interrupt:
    movw $1, %cs:seen
    iretw

print:
    lodsb
    testb %al, %al
    jz 1f
    movw $GUEST_UART, %dx
    outb %al, %dx
    jmp print
1:  ret

    .org SECOND
second:
    ljmpw $0, $1f             /* CS 0, as the first: labels are offsets from 0 */
1:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $STACK1, %sp
    cld
    movw $ROUNDS, %cx
2:  pause
    cmpw $1, turn
    jne 2b
    movw $text_pong, %si
    call print
    movw $0, turn
    loop 2b
    sti
    hlt
    cli
    cmpw $1, seen
    jne 3f
    movw $text_woken, %si
    call print
3:  movw $1, awake
4:  hlt
    jmp 4b

turn:       .word 0
awake:      .word 0
seen:       .word 0
text_first: .asciz "guest-smp: first vCPU\n"
text_ping:  .asciz "guest-smp: ping\n"
text_pong:  .asciz "guest-smp: pong\n"
text_woken: .asciz "guest-smp: second woken\n"
text_done:  .asciz "guest-smp: done\n"
