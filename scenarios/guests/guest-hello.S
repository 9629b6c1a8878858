/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that goes through the modes of a CPU and through each kind of exit, and says so. Real mode, protected mode, long mode with page
 * tables of its own. What it prints is the same on every machine: no clock, no host CPU's name.
 * Flat image from guest-physical 0, entered at GUEST_ENTRY in real mode. Registers below: rsi text, dx port. */
#include "guest.h"

#define TABLES    0x4000      /* PML4, page-directory pointers, directory of 0..1 GiB, directory of 3..4 GiB */
#define STACK     0x0ff0
#define CODE32    0x08
#define DATA      0x10
#define CODE64    0x18
#define VECTOR_GP     13
#define VECTOR_TIMER  0x20
#define VECTOR_WINDOW 0x21
#define LAZY      0x180000    /* RAM that nothing touched before */

/* Check: jump to the label if the flags say so, with the text of what failed in rsi. */
.macro fail_if condition, text
    lea 90f(%rip), %rsi
    \condition failed
    .section .data
90: .asciz "guest-hello: FAILED \text\n"
    .text
.endm

.macro say text
    lea 91f(%rip), %rsi
    call print64
    .section .data
91: .asciz "guest-hello: \text\n"
    .text
.endm

    .text
    .org GUEST_ENTRY
    .code16
real:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $STACK, %sp
    /* 115200 8N1: what a driver does first. */
    movw $(GUEST_UART + 3), %dx
    movb $0x80, %al
    outb %al, %dx
    movw $GUEST_UART, %dx
    movb $1, %al
    outb %al, %dx
    incw %dx
    movb $0, %al
    outb %al, %dx
    movw $(GUEST_UART + 3), %dx
    movb $3, %al
    outb %al, %dx
    movw $text_real, %si
    call print16
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $protected

print16:
    lodsb
    testb %al, %al
    jz 2f
    movb %al, %bl
    movw $(GUEST_UART + 5), %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    movb %bl, %al
    movw $GUEST_UART, %dx
    outb %al, %dx
    jmp print16
2:  ret

    .code32
protected:
    movw $DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $STACK, %esp
    movl $text_protected, %esi
    call print32
    /* Identity: 0..2 MiB and the 2 MiB around the test device, large pages. */
    movl $TABLES, %edi
    xorl %eax, %eax
    movl $0x1000, %ecx
    rep stosl
    movl $(TABLES + 0x1003), TABLES
    movl $(TABLES + 0x2003), TABLES + 0x1000
    movl $(TABLES + 0x3003), TABLES + 0x1018
    movl $0x83, TABLES + 0x2000
    movl $((GUEST_DEVICE & 0xffe00000) | 0x83), TABLES + 0x3000 + ((GUEST_DEVICE >> 21) & 511) * 8
    movl %cr4, %eax
    orl $0x20, %eax             /* PAE */
    movl %eax, %cr4
    movl $TABLES, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax            /* EFER.LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $CODE64, $long_mode

print32:
    lodsb
    testb %al, %al
    jz 2f
    movw $GUEST_UART, %dx
    outb %al, %dx
    jmp print32
2:  ret

    .code64
long_mode:
    movl $STACK, %esp
    say "long mode"

    /* CPUID: the vendor the VMM gives. */
    xorl %eax, %eax
    cpuid
    movl %ebx, vendor
    movl %edx, vendor + 4
    movl %ecx, vendor + 8
    lea text_vendor(%rip), %rsi
    call print64

    /* MSR: write, read back. */
    movl $GUEST_MSR, %ecx
    movl $0x89abcdef, %eax
    movl $0x01234567, %edx
    wrmsr
    xorl %eax, %eax
    xorl %edx, %edx
    rdmsr
    cmpl $0x89abcdef, %eax
    fail_if jne, "rdmsr low"
    cmpl $0x01234567, %edx
    fail_if jne, "rdmsr high"
    say "msr ok"

    /* An MSR that is not there: #GP through our IDT, its handler skips the instruction. */
    lea idt(%rip), %rdi
    lea gp_handler(%rip), %rax
    movl $VECTOR_GP, %ecx
    call gate
    lea timer_handler(%rip), %rax
    movl $VECTOR_TIMER, %ecx
    call gate
    lea window_handler(%rip), %rax
    movl $VECTOR_WINDOW, %ecx
    call gate
    lidt idt_pointer(%rip)
    movl $0x12345678, %ecx
    rdmsr
    cmpb $1, seen_gp
    fail_if jne, "no #GP"
    say "general protection ok"

    /* Ports: out, in, string out (this text), string in. */
    movw $GUEST_SCRATCH, %dx
    movl $0xcafe1234, %eax
    outl %eax, %dx
    xorl %eax, %eax
    inl %dx, %eax
    cmpl $0xcafe1234, %eax
    fail_if jne, "in"
    lea text_string(%rip), %rsi
    movl $(text_string_end - text_string), %ecx
    movw $GUEST_UART, %dx
    rep outsb
    testl %ecx, %ecx
    fail_if jne, "outs count"
    movw $GUEST_SCRATCH, %dx
    lea buffer(%rip), %rdi
    movl $2, %ecx
    rep insl
    movl $0xcafe1234, %eax
    cmpl %eax, buffer
    fail_if jne, "ins first"
    cmpl %eax, buffer + 4
    fail_if jne, "ins second"
    say "ports ok"

    /* Device memory: the MOVs that compilers use. */
    movl $GUEST_DEVICE, %ebx
    movl GUEST_DEVICE_ID(%rbx), %eax
    cmpl $GUEST_DEVICE_MAGIC, %eax
    fail_if jne, "device id"
    movabsq $0x1122334455667788, %rax
    movq %rax, GUEST_DEVICE_SCRATCH(%rbx)
    movzbl GUEST_DEVICE_SCRATCH(%rbx), %eax
    cmpl $0x88, %eax
    fail_if jne, "device movzx"
    movsbq GUEST_DEVICE_SCRATCH(%rbx), %rax
    cmpq $-0x78, %rax
    fail_if jne, "device movsx"
    movb $0x7f, GUEST_DEVICE_SCRATCH(%rbx)
    movw $0x1234, %ax
    movb %ah, GUEST_DEVICE_SCRATCH(%rbx)
    .byte 0x4c, 0x8b, 0x4c, 0x23, GUEST_DEVICE_SCRATCH   /* movq SCRATCH(%rbx), %r9 with a SIB byte without index */
    movabsq $0x1122334455667712, %rax
    cmpq %rax, %r9
    fail_if jne, "device bytes"
    movl GUEST_DEVICE_WRITES(%rbx), %r10d
    cmpl $3, %r10d
    fail_if jne, "device writes"
    say "device memory ok"

    /* RAM that is mapped when it is touched. */
    movl $LAZY, %edi
    cmpq $0, (%rdi)
    fail_if jne, "memory is zero"
    movq %rdi, (%rdi)
    cmpq %rdi, (%rdi)
    fail_if jne, "memory"
    say "memory ok"

    /* A timer that fires when we halt. */
    movb $VECTOR_TIMER, %al
    movw $GUEST_TIMER, %dx
    outb %al, %dx
    cmpb $0, seen_timer
    fail_if jne, "timer before hlt"
    sti
    hlt
    cli
    cmpb $1, seen_timer
    fail_if jne, "timer"
    say "timer ok"

    /* An interrupt that is asked for while IF = 0 comes when IF = 1, after one more instruction. */
    movb $VECTOR_WINDOW, %al
    movw $GUEST_INTERRUPT, %dx
    outb %al, %dx
    nop
    cmpb $0, seen_window
    fail_if jne, "interrupt although IF = 0"
    sti
    nop
    nop
    cli
    cmpb $1, seen_window
    fail_if jne, "window"
    say "window ok"
    say "done"
    cli
1:  hlt
    jmp 1b

failed:
    call print64
    cli
1:  hlt
    jmp 1b

print64:
    lodsb
    testb %al, %al
    jz 2f
    movw $GUEST_UART, %dx
    outb %al, %dx
    jmp print64
2:  ret

/* Interrupt gate: vector ecx, handler rax, table rdi (Intel SDM 3A 6.14.1). */
gate:
    shll $4, %ecx
    addq %rdi, %rcx
    movw %ax, (%rcx)
    movw $CODE64, 2(%rcx)
    movw $0x8e00, 4(%rcx)
    shrq $16, %rax
    movw %ax, 6(%rcx)
    ret

gp_handler:
    movb $1, seen_gp
    addq $8, %rsp               /* error code */
    addq $2, (%rsp)             /* RDMSR */
    iretq

timer_handler:
    incb seen_timer
    iretq

window_handler:
    incb seen_window
    iretq

    .section .data
text_real:      .asciz "guest-hello: real mode\n"
text_protected: .asciz "guest-hello: protected mode\n"
text_vendor:    .ascii "guest-hello: cpuid says "
vendor:         .ascii "            \n"
                .byte 0
text_string:    .ascii "guest-hello: string output\n"
text_string_end:
seen_gp:        .byte 0
seen_timer:     .byte 0
seen_window:    .byte 0
    .balign 8
buffer:         .quad 0
gdt:            .quad 0
                .quad 0x00cf9b000000ffff    /* CODE32 */
                .quad 0x00cf93000000ffff    /* DATA */
                .quad 0x00af9b000000ffff    /* CODE64 */
gdt_pointer:    .word 31
                .long gdt
idt_pointer:    .word 0x40 * 16 - 1
                .quad idt
    .balign 16
idt:            .fill 0x40 * 2, 8, 0
