/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest does without its VMM: interrupts, faults and paging in every mode, user mode with system calls, ports by TSS bitmap, a double
 * fault. Nothing here exits but the printing, so that it tests the CPU the guest runs on, and that exits in between disturb nothing.
 * Each step prints a line; what fails prints its number and halts. */
#include "guest.h"

#define STACK      0x0ff0
#define PD32       0x20000
#define PT32       0x21000
#define PDPT_PAE   0x22000
#define PD_PAE     0x23000
#define PT_PAE     0x24000
#define PML4       0x25000
#define PDPT64     0x26000
#define PD64       0x27000
#define PT64       0x28000
#define IDT        0x29000
#define TSS        0x2a000      /* I/O map at offset 0x68: 0x800 ports */
#define USER_STACK 0x2c000      /* grows down from here */
#define KERNEL_STACK 0x2d000
#define FAULT_STACK  0x2e000
#define HOLE       0x1ff000     /* not present at first */
#define CODE32     0x08
#define DATA       0x10
#define CODE64     0x18
#define USER_DATA  0x2b         /* SYSRET: STAR 63:48 + 8 */
#define USER_CODE  0x33         /* + 16 */
#define TASK       0x38

/* Fail with a number unless the flags say so. */
.macro need condition, number
    j\condition 92f
    movb $\number, %al
    jmp failed
92:
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
    /* INT n and INT3 through the vectors at 0. */
    movw $real_handler, 0x30 * 4
    movw %ax, 0x30 * 4 + 2
    movw $real_handler, 3 * 4
    movw %ax, 3 * 4 + 2
    movw %ax, 0 * 4 + 2
    movw $real_divide, 0 * 4
    xorl %ebp, %ebp
    stc
    int $0x30
    jnc real_failed             /* IRET brings the flags back */
    int3
    cmpl $2, %ebp
    jne real_failed
    xorw %dx, %dx
    movw $7, %ax
    xorb %cl, %cl
    divb %cl                    /* a fault: the handler corrects CL */
    cmpb $7, %al
    jne real_failed
    movw $text_real, %si
    call print16
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $protected
real_handler:
    incl %ebp
    clc
    iret
real_divide:
    movb $1, %cl
    iret
real_failed:
    hlt
    jmp real_failed
print16:
    lodsb
    testb %al, %al
    jz 2f
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
    /* An IDT: INT 0x30, #UD, #GP with its error code, #PF. */
    movl $0x30, %ebx
    movl $handler32_int, %eax
    call gate32
    movl $6, %ebx
    movl $handler32_ud, %eax
    call gate32
    movl $13, %ebx
    movl $handler32_gp, %eax
    call gate32
    movl $14, %ebx
    movl $handler32_pf, %eax
    call gate32
    lidtl idt_pointer
    xorl %ebp, %ebp
    int $0x30
    cmpl $1, %ebp
    need e, '1'
    ud2
    cmpl $0x11, %ebp
    need e, '2'
    movw $0x1238, %ax
    movw %ax, %fs               /* outside the GDT: #GP with the selector */
    cmpl $0x1238, %edi
    need e, '3'
    movl $text_protected, %esi
    call print32

    /* 32-bit paging: 4 KiB pages for 4 MiB, a large page behind that shows the same memory, a hole. */
    movl $PT32, %edi
    movl $3, %eax
1:  movl %eax, (%edi)
    addl $4, %edi
    addl $0x1000, %eax
    cmpl $0x400003, %eax
    jne 1b
    movl $0, PT32 + (HOLE >> 12) * 4
    movl $(PT32 + 3), PD32
    movl $0x83, PD32 + 4
    movl $(PT32 + (HOLE >> 12) * 4), hole_entry
    movl %cr4, %eax
    orl $0x10, %eax             /* PSE */
    movl %eax, %cr4
    movl $PD32, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80010000, %eax       /* PG, WP */
    movl %eax, %cr0
    call check_hole32
    movl $0x5a5a1234, 0x1f0000
    cmpl $0x5a5a1234, 0x5f0000
    need e, '4'
    movl PD32, %eax
    andl $0x20, %eax            /* accessed */
    need nz, '5'
    movl $text_paging32, %esi
    call print32
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0

    /* PAE. */
    movl $PT_PAE, %edi
    movl $3, %eax
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $8, %edi
    addl $0x1000, %eax
    cmpl $0x200003, %eax
    jne 1b
    movl $0, PT_PAE + (HOLE >> 12) * 8
    movl $(PT_PAE + 3), PD_PAE
    movl $(PD_PAE + 1), PDPT_PAE
    movl $(PT_PAE + (HOLE >> 12) * 8), hole_entry
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $PDPT_PAE, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    call check_hole32
    movl $text_pae, %esi
    call print32
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0

    /* Long mode: user pages throughout, a hole. */
    movl $PT64, %edi
    movl $7, %eax
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $8, %edi
    addl $0x1000, %eax
    cmpl $0x200007, %eax
    jne 1b
    movl $0, PT64 + (HOLE >> 12) * 8
    movl $0x10003, PT64 + 0x10 * 8   /* 0x10000 is the supervisor's */
    movl $(PT64 + 7), PD64
    movl $(PD64 + 7), PDPT64
    movl $(PDPT64 + 7), PML4
    movl $PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x101, %eax            /* LME, SCE */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $CODE64, $long_mode

/* Read and write in the hole: two faults, with their error codes, the second after the page came read-only. */
check_hole32:
    xorl %ebp, %ebp
    movl $1, hole_bits
    movl HOLE + 8, %eax
    cmpl $(HOLE + 8), fault_address
    need e, '6'
    cmpl $0, %ebp
    need e, '7'
    movl $3, hole_bits
    movl $0x77, HOLE + 12
    cmpl $3, %ebp               /* present, write */
    need e, '8'
    cmpl $(HOLE + 12), fault_address
    need e, '9'
    cmpl $0x77, HOLE + 12
    need e, 'a'
    movl hole_entry, %eax
    movl (%eax), %eax
    andl $0x60, %eax
    cmpl $0x60, %eax            /* accessed and dirty */
    need e, 'b'
    ret

handler32_int:
    incl %ebp
    iretl
handler32_ud:
    addl $0x10, %ebp
    addl $2, (%esp)
    iretl
handler32_gp:
    popl %edi
    addl $2, (%esp)
    iretl
handler32_pf:
    popl %ebp
    pushl %eax
    pushl %ebx
    movl %cr2, %eax
    movl %eax, fault_address
    movl hole_entry, %ebx
    movl $HOLE, %eax
    orl hole_bits, %eax
    movl %eax, (%ebx)
    popl %ebx
    popl %eax
    iretl

gate32:                         /* ebx vector, eax handler */
    movw %ax, IDT(, %ebx, 8)
    movw $CODE32, IDT + 2(, %ebx, 8)
    movw $0x8e00, IDT + 4(, %ebx, 8)
    shrl $16, %eax
    movw %ax, IDT + 6(, %ebx, 8)
    ret

failed:                         /* al: which; the same bytes in 32 and 64 bits */
    movw $GUEST_UART, %dx
    movb %al, %bl
    movb $'!', %al
    outb %al, %dx
    movb %bl, %al
    outb %al, %dx
    movb $'\n', %al
    outb %al, %dx
1:  cli
    hlt
    jmp 1b
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
    movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $STACK, %esp
    movl $IDT, %edi
    xorl %eax, %eax
    movl $0x1000, %ecx
    rep stosb
    movl $TSS, %edi
    movl $0x1a0, %ecx
    rep stosb
    movl $KERNEL_STACK, TSS + 4
    movl $FAULT_STACK, TSS + 36     /* IST 1 */
    movw $0x68, TSS + 102
    movb $0xff, TSS + 0x68 + (0x80 >> 3)
    movb $0xff, TSS + 0x68 + 0x100
    lidt idt_pointer
    movl $TASK, %eax
    ltr %ax
    movl $0x80, %ebx
    movl $handler64_int, %eax
    movl $0xee00, %ecx              /* for user mode */
    call gate64
    movl $14, %ebx
    movl $handler64_pf, %eax
    movl $0x8e00, %ecx
    call gate64
    movl $13, %ebx
    movl $handler64_gp, %eax
    call gate64
    movl $8, %ebx
    movl $handler64_df, %eax
    movl $0x8e01, %ecx
    call gate64
    movl $0xc0000081, %ecx
    xorl %eax, %eax
    movl $(0x23 << 16 | CODE64), %edx   /* STAR: SYSCALL 0x18 and 0x20, SYSRET 0x2b and 0x33 */
    wrmsr
    incl %ecx
    movl $handler64_syscall, %eax
    xorl %edx, %edx
    wrmsr
    addl $2, %ecx
    movl $0x401, %eax               /* FMASK: CF and DF */
    wrmsr
    movl $text_long, %esi
    call print64

    /* To user mode. */
    pushq $USER_DATA
    pushq $USER_STACK
    pushq $0x2
    pushq $USER_CODE
    pushq $user
    iretq

user:
    movl %cs, %eax
    cmpl $USER_CODE, %eax
    need e, 'c'
    xorl %ebp, %ebp
    stc
    syscall
    need c, 'd'                     /* R11 brings the flags back */
    cmpl $1, %ebp
    need e, 'e'
    int $0x80
    cmpl $0x11, %ebp
    need e, 'f'
    movl $0, fault_error
    movl 0x10000, %eax              /* the supervisor's page: the handler steps over it */
    cmpl $5, fault_error            /* present, user */
    need e, 'g'
    cmpl $0x10000, fault_address
    need e, 'h'
    xorl %edi, %edi
    movl %eax, HOLE + 0x10
    cmpl $6, fault_error            /* not present, write, user */
    need e, 'i'
    movb $0x55, %al
    outb %al, $0x80                 /* forbidden by the map */
    cmpl $1, gp_count
    need e, 'j'
    cli
    cmpl $2, gp_count
    need e, 'k'
    movl $text_user, %esi
    call print64                    /* the port of the UART is allowed by the map */
    int $0x81                       /* no gate: #GP with the vector */
    cmpl $(0x81 * 16 + 2), fault_error   /* what QEMU 7.2 gives */
    je 1f
    cmpl $(0x81 * 8 + 2), fault_error
    need e, 'l'
1:
    movl $13 * 16, %eax
    movw $0, IDT + 5(%rax)          /* now the gate of #GP is not present: #NP on top, a double fault */
    movl $after_double, resume_at
    hlt
after_double:
    cmpl $1, df_count
    need e, 'm'
    movl $text_double, %esi
    call print64
    xorl %edi, %edi
    movl $2, %ebp
    syscall                         /* the end */

handler64_syscall:
    jc 3f
    cmpl $2, %ebp
    je finish
    incl %ebp
    sysretq
3:  movb $'n', %al
    jmp failed
handler64_int:
    addl $0x10, %ebp
    cmpq $USER_CODE, 8(%rsp)
    need e, 'o'
    iretq
handler64_pf:
    popq %r8
    movl %r8d, fault_error
    movq %cr2, %r9
    movl %r9d, fault_address
    addq $7, (%rsp)                 /* both instructions that fault are 7 bytes long */
    iretq
handler64_gp:
    popq %r8
    movl %r8d, fault_error
    incl gp_count
    movq (%rsp), %r9
    movzbl (%r9), %r9d
    cmpb $0xfa, %r9b                /* CLI is one byte, OUT and INT are two */
    je 1f
    incq (%rsp)
1:  incq (%rsp)
    iretq
handler64_df:
    popq %r8
    incl df_count
    movl resume_at, %r9d
    movq %r9, (%rsp)
    iretq
finish:
    movl $text_done, %esi
    call print64
1:  cli
    hlt
    jmp 1b

gate64:                             /* rbx vector, rax handler, ecx attributes and IST */
    shll $4, %ebx
    movw %ax, IDT(%rbx)
    movw $CODE64, IDT + 2(%rbx)
    movb %cl, IDT + 4(%rbx)
    movb %ch, IDT + 5(%rbx)
    shrl $16, %eax
    movl %eax, IDT + 6(%rbx)
    ret
print64:
    lodsb
    testb %al, %al
    jz 2f
    movw $GUEST_UART, %dx
    outb %al, %dx
    jmp print64
2:  ret

    .section .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        /* CODE32 */
    .quad 0x00cf93000000ffff        /* DATA */
    .quad 0x00af9b000000ffff        /* CODE64 */
    .quad 0x00cf93000000ffff        /* SYSCALL's SS */
    .quad 0x00cff3000000ffff        /* USER_DATA */
    .quad 0x00affb000000ffff        /* USER_CODE */
    .quad 0x0000890000000000 | (TSS & 0xffff) << 16 | (TSS >> 16) << 32 | 0x19f
    .quad 0
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .balign 8
idt_pointer:
    .word 0xfff
    .quad IDT
hole_entry:    .long 0
hole_bits:     .long 0
fault_address: .long 0
fault_error:   .long 0
gp_count:      .long 0
df_count:      .long 0
resume_at:     .long 0
text_real:      .asciz "guest-modes: real mode interrupts\n"
text_protected: .asciz "guest-modes: protected mode faults\n"
text_paging32:  .asciz "guest-modes: 32-bit paging\n"
text_pae:       .asciz "guest-modes: PAE paging\n"
text_long:      .asciz "guest-modes: long mode\n"
text_user:      .asciz "guest-modes: user mode\n"
text_double:    .asciz "guest-modes: double fault\n"
text_done:      .asciz "guest-modes: done\n"
