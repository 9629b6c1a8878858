/* SPDX-License-Identifier: BSD-2-Clause */
/* From what a boot loader or a start-up IPI leaves, to kern_boot in long mode in the upper half. Owns the machine's page tables: constant,
 * shared by all CPUs through PML4 entries 256..511. Boot protocols: multiboot2 (GRUB) and PVH (QEMU -kernel), both 32-bit entries. */
#include "layout.h"

#define PHYS(symbol) ((symbol) - KERNEL_OFFSET)
#define TABLE        0x3                    /* P W */
#define CODE_2M      0x181                  /* P PS G */
#define DATA_2M      0x8000000000000183     /* P W PS G NX */
#define RODATA_2M    0x8000000000000181     /* P PS G NX */
#define DEVICE_2M    0x800000000000019b     /* P W PWT PCD PS G NX: uncached */
#define IDENTITY_2M  0x81                   /* P PS: boot code only */
#define PAGE_2M      0x200000

    .section .multiboot2, "a"
    .balign 8
header:
    .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + header_end - header)
    .short 6, 0                             /* modules page-aligned */
    .long 8
    .short 0, 0                             /* end */
    .long 8
header_end:

    .section .note.pvh, "a", @note
    .long 4, 8, 18                          /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad pvh_start

/* Paging and long mode at once, from real or protected mode; EDI and ESI are kept. */
.macro ENTER_LONG
    mov $0x20, %eax                         /* PAE */
    mov %eax, %cr4
    mov $PHYS(boot_pml4), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx                   /* EFER */
    xor %edx, %edx
    mov $BARE_EFER, %eax
    wrmsr
    mov $BARE_CR0, %eax
    mov %eax, %cr0
    ljmpl $8, $start64
.endm

    .section .boot, "ax"
    .code32
pvh_start:
    mov $0x336ec578, %eax                   /* BOOT_MAGIC_PVH */
    .globl bare_start
bare_start:
    cli
    cld
    mov %eax, %edi
    mov %ebx, %esi
    lgdt boot_gdtr
    ENTER_LONG

/* An application processor, copied to TRAMPOLINE: real mode, CS = TRAMPOLINE >> 4. */
    .code16
    .globl bare_trampoline, bare_trampoline_end
bare_trampoline:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    lgdtl boot_gdtr - bare_trampoline
    mov $0xa9a9, %edi                       /* BOOT_MAGIC_AP */
    xor %esi, %esi
    ENTER_LONG
boot_gdtr:
    .short boot_gdt_end - boot_gdt - 1
    .long boot_gdt
bare_trampoline_end:
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff     /* as in the GDT of each CPU */
boot_gdt_end:

    .code64
start64:
    mov $upper_half, %rax
    jmp *%rax

    .text
upper_half:
    mov $0x10, %eax
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov $PHYS(bare_root), %eax              /* without the identity map, where boot_gdt is */
    mov %rax, %cr3
    mov $1, %eax
    lock xadd %eax, started(%rip)           /* this CPU's place among the static arrays */
    cmp $BARE_CPUS, %eax
    jae 1f
    imul $BARE_CPU_BYTES, %rax, %rbx
    add $bare_cpu, %rbx
    lea BARE_CPU_BYTES(%rbx), %rsp          /* the stack is last */
    mov %edi, %r12d
    mov %esi, %r13d
    mov %rbx, %rdi
    call bare_cpu_init
    mov %r12d, %edi
    mov %r13d, %esi
    call kern_boot
    jmp bare_resume
1:  cli
    hlt
    jmp 1b

    .data
    .balign 4096
boot_pml4:                                  /* until upper_half only */
    .quad PHYS(boot_pdpt) + TABLE
    .fill 255, 8, 0
    .quad PHYS(direct_pdpt) + TABLE
    .fill 254, 8, 0
    .quad PHYS(kernel_pdpt) + TABLE
    .globl bare_root
bare_root:
    .fill 256, 8, 0
    .quad PHYS(direct_pdpt) + TABLE
    .fill 254, 8, 0
    .quad PHYS(kernel_pdpt) + TABLE
boot_pdpt:
    .quad PHYS(boot_pd) + TABLE
    .fill 511, 8, 0
boot_pd:
    .quad IDENTITY_2M, IDENTITY_2M + PAGE_2M
    .fill 510, 8, 0
kernel_pdpt:
    .fill 510, 8, 0
    .quad PHYS(kernel_pd) + TABLE
    .quad 0
kernel_pd:
    .quad 0, CODE_2M + KERNEL_CODE, DATA_2M + KERNEL_DATA, DATA_2M + KERNEL_DATA + PAGE_2M
    .fill 508, 8, 0
direct_pdpt:
    .quad PHYS(direct_pd) + TABLE, PHYS(direct_pd) + TABLE + 0x1000
    .quad PHYS(direct_pd) + TABLE + 0x2000, PHYS(direct_pd) + TABLE + 0x3000
    .fill 508, 8, 0
direct_pd:
    .set page, 0
    .rept 2048
    .if (page == 0xfec00000) || (page == 0xfee00000)
    .quad DEVICE_2M + page
    .elseif page == KERNEL_CODE
    .quad RODATA_2M + page
    .else
    .quad DATA_2M + page
    .endif
    .set page, page + PAGE_2M
    .endr
started:
    .long 0
