/* SPDX-License-Identifier: BSD-2-Clause */
/* Every way into the kernel and out of it. In: registers go to the struct resume that was resumed from, then kern_trap or
 * kern_syscall on this CPU's stack. Out: bare_resume enters what it returned.
 * Invariant: GS base is the CPU's struct bare_cpu while in the kernel; between an entry from user mode and its SWAPGS, and behind the
 * SWAPGS of an exit, it is the user's. Whoever may interrupt there (NMI, #MC, #DB behind MOV SS, #DF) has an IST stack, and decides
 * by the saved CS alone; the stubs behind `paranoid` use no GS at all. Kernel code runs with IF = 0: an interrupt from kernel
 * mode comes out of idle or window, where nothing is to be saved. */
#include "layout.h"

/* Offsets of gpr[] in struct resume. */
    .set G_rax, 0
    .set G_rcx, 8
    .set G_rdx, 16
    .set G_rbx, 24
    .set G_rsp, 32
    .set G_rbp, 40
    .set G_rsi, 48
    .set G_rdi, 56
    .set G_r8, 64
    .set G_r9, 72
    .set G_r10, 80
    .set G_r11, 88
    .set G_r12, 96
    .set G_r13, 104
    .set G_r14, 112
    .set G_r15, 120

.macro SAVE base, regs:vararg
    .irp r, \regs
    mov %\r, G_\r(\base)
    .endr
.endm
.macro LOAD base, regs:vararg
    .irp r, \regs
    mov G_\r(\base), %\r
    .endr
.endm
#define ARGUMENTS rdx, rsi, rdi, r8, r9, r10      /* with RAX, RCX, R11 what C may change */
#define PRESERVED rbx, rbp, r12, r13, r14, r15    /* what C keeps: saved behind a SYSCALL only if something else is resumed */
#define ALL_BUT_RAX rcx, r11, ARGUMENTS, PRESERVED

/* Gates leave DF and AC as they were: with AC set SMAP would be off. CLAC does not exist everywhere. */
.macro CLEAR_FLAGS
    pushq $2
    popfq
.endm

    .text
    .balign 64
    .globl bare_syscall
bare_syscall:
    swapgs
    mov %rsp, %gs:BARE_USER_RSP
    mov %gs:BARE_RESUME, %rsp
    SAVE %rsp, rax, ARGUMENTS
    mov %rcx, RESUME_RIP(%rsp)
    mov %r11, RESUME_RFLAGS(%rsp)
    mov %gs:BARE_STACK_TOP, %rsp
    mov %gs:BARE_CPU, %rdi
    call kern_syscall
    cmp %gs:BARE_RESUME, %rax
    jne another
    /* The same EC: what C keeps is still its own, and its flags passed SYSCALL. */
    mov RESUME_RFLAGS(%rax), %r11
    mov %gs:BARE_USER_RSP, %rsp
    mov RESUME_RIP(%rax), %rcx
    LOAD %rax, ARGUMENTS, rax
    swapgs
    sysretq
another:
    mov %gs:BARE_RESUME, %rcx
    SAVE %rcx, PRESERVED
    mov %gs:BARE_USER_RSP, %rdx
    mov %rdx, G_rsp(%rcx)
    .globl bare_resume
bare_resume:
    mov %rax, %gs:BARE_RESUME
    mov RESUME_KIND(%rax), %rcx
    or RESUME_GUEST(%rax), %rcx
    jnz not_sysret
    mov RESUME_RFLAGS(%rax), %r11d
    and $BARE_USER_FLAGS, %r11d
    or $0x202, %r11d
    LOAD %rax, PRESERVED, rsp
    mov RESUME_RIP(%rax), %rcx
    LOAD %rax, ARGUMENTS, rax
    swapgs
    sysretq

/* ESI: trap, RDX: info; on an empty kernel stack. */
trap:
    mov %gs:BARE_CPU, %rdi
    call kern_trap
    jmp bare_resume

iret:
    movl $0, RESUME_GUEST(%rax)
    mov RESUME_RFLAGS(%rax), %ecx
    and $BARE_USER_FLAGS, %ecx
    or $0x202, %ecx
    pushq $BARE_USER_DATA
    pushq G_rsp(%rax)
    push %rcx
    pushq $BARE_USER_CODE
    pushq RESUME_RIP(%rax)
    LOAD %rax, ALL_BUT_RAX, rax
    swapgs
    iretq

not_sysret:
    mov RESUME_KIND(%rax), %ecx
    test %ecx, %ecx
    jz iret
    cmp $BARE_KIND_SVM, %ecx
    jb vmx
    je svm
    cmp $BARE_KIND_IDLE, %ecx
    jne window
idle:
    sti
    hlt
    jmp idle                        /* an NMI: its handler has noted it */

/* IRETQ and not STI: it also ends the blocking of NMIs that a VM exit by NMI leaves behind (Intel SDM 3C 28.5.5). */
window:
    mov %rsp, %rcx
    pushq $BARE_KERNEL_DATA
    push %rcx
    pushq $0x202
    pushq $BARE_KERNEL_CODE
    pushq $1f
    iretq
1:  nop
    cli
    xor %esi, %esi                  /* TRAP_NONE */
    xor %edx, %edx
    jmp trap

vmx:
    cmpq $0, RESUME_GUEST(%rax)
    LOAD %rax, ALL_BUT_RAX, rax
    jne 1f
    vmlaunch
    jmp 2f
1:  vmresume
2:  mov $1, %edx                    /* VMfailInvalid: CF; keeps the flags */
    jc 3f
    mov $2, %edx
3:  mov $BARE_TRAP_GUEST_FAIL, %esi
    jmp trap

    .globl bare_vmx_exit
bare_vmx_exit:                      /* on an empty kernel stack, GS base from the VMCS */
    push %rax
    mov %gs:BARE_RESUME, %rax
    SAVE %rax, ALL_BUT_RAX
    pop G_rax(%rax)
    lgdt %gs:BARE_GDTR              /* a VM exit sets the limit to 0xffff (Intel SDM 3C 28.5.2) */
    mov $BARE_TRAP_GUEST_EXIT, %esi
    jmp trap

/* Guest RAX, RSP, RIP and RFLAGS live in the VMCB. Host IF = 1 with GIF = 0: interrupts wait, then exit the guest (AMD APM 2 15.21.1). */
svm:
    cmpb $0, %gs:BARE_HOST_SAVED
    je svm_save_host
1:  clgi
    sti
    pushq %gs:BARE_HOST_VMCB        /* GS base is the guest's when it is wanted */
    LOAD %rax, ALL_BUT_RAX
    mov RESUME_GUEST(%rax), %rax
    vmload %rax
    vmrun %rax
    vmsave %rax
    pop %rax
    vmload %rax
    cli
    stgi
    mov %gs:BARE_RESUME, %rax
    SAVE %rax, ALL_BUT_RAX
    mov $BARE_TRAP_GUEST_EXIT, %esi
    jmp trap
svm_save_host:                      /* once: nothing that VMLOAD loads changes afterwards */
    mov %rax, %rcx
    mov %gs:BARE_HOST_VMCB, %rax
    vmsave %rax
    mov %rcx, %rax
    movb $1, %gs:BARE_HOST_SAVED
    jmp 1b

/* Stack: trap, error code, RIP, CS, RFLAGS, RSP, SS. */
common:
    testb $3, 24(%rsp)
    jz from_kernel
    swapgs
    push %rax
    mov %gs:BARE_RESUME, %rax
    SAVE %rax, ALL_BUT_RAX
    pop G_rax(%rax)
    pop %rsi
    pop %rdx
    pop RESUME_RIP(%rax)
    pop %rcx
    pop RESUME_RFLAGS(%rax)
    pop G_rsp(%rax)
    movl $1, RESUME_GUEST(%rax)     /* RCX and R11 are live: IRETQ */
empty_stack:
    mov %gs:BARE_STACK_TOP, %rsp
    CLEAR_FLAGS
    jmp trap
from_kernel:
    cmpb $BARE_TRAP_INTERRUPT, (%rsp)
    jne paranoid
    pop %rsi
    xor %edx, %edx
    jmp empty_stack

    .macro EACH op, regs:vararg
    .irp r, \regs
    \op %\r
    .endr
    .endm
paranoid:
    EACH push, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
    CLEAR_FLAGS
    mov %rsp, %rdi
    call bare_exception
    EACH pop, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
    add $16, %rsp
    iretq

/* One stub of 16 bytes per vector. NMI, #DF, #MC never reach kern_trap. */
    .balign 16
    .globl bare_stubs
bare_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !((vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
    pushq $0
    .endif
    .if vector < 32
    pushq $(vector << 8 | BARE_TRAP_EXCEPTION)
    .else
    pushq $(vector << 8 | BARE_TRAP_INTERRUPT)
    .endif
    .if (vector == 2) || (vector == 8) || (vector == 18)
    jmp paranoid
    .else
    jmp common
    .endif
    .set vector, vector + 1
    .endr
