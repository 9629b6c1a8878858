/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of kernel/bare share. */
#pragma once
#include "machine.h"

/* Task state segment (Intel SDM 3A 7.7): only where stacks are. */
struct bare_tss {
    u32 reserved0;
    u64 rsp[3], reserved1, ist[7], reserved2;
    u16 reserved3, io_map;
} __attribute__((packed));

enum { IST_NONE, IST_NMI, IST_DB, IST_DF, IST_MC, IST_COUNT };

/* A CPU: at GS base while it is in the kernel. The first fields are entry.S's (layout.h). */
struct bare_cpu {
    struct resume *resume;
    u64 stack_top;
    void *cpu;
    u64 user_rsp, host_vmcb, host_saved;
    struct {
        u16 unused[3], limit;
        u64 base;
    } __attribute__((packed)) gdtr;
    u64 gdt[7];
    struct bare_tss tss;
    /* The last word of an IST stack is the address of this structure: its handlers do not trust GS. */
    struct bare_ist {
        u8 space[BARE_IST_STACK - 16];
        struct bare_cpu *cpu;
        u64 unused;
    } ist[IST_COUNT - 1] aligned_to(PAGE_SIZE);
    u8 vmcb[PAGE_SIZE] aligned_to(PAGE_SIZE);   /* what VMLOAD brings back after a guest */
    u8 stack[BARE_STACK];
} aligned_to(PAGE_SIZE);

/* What `paranoid` in entry.S pushes. On an IST stack struct bare_cpu * follows. */
struct bare_frame {
    u64 rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    u64 trap, error, rip, cs, rflags, rsp, ss;
};

extern struct bare_cpu bare_cpu[BARE_CPUS];
extern u64 bare_root[];                                  /* page table */
extern const u8 bare_trampoline[], bare_trampoline_end[];   /* linked at their physical address */
extern const u8 bare_stubs[];
extern u8 bare_code_end[], bare_data_end[];              /* linker script */
struct bare_fixup {
    u64 from, to;
};
extern const struct bare_fixup bare_fixup[], bare_fixup_end[];

void bare_syscall(void);
void bare_vmx_exit(void);
void bare_cpu_init(struct bare_cpu *c);
void bare_exception(struct bare_frame *f);
void bare_pic_off(void);
void bare_serial_init(void);
void bare_print(const char *text);
void bare_print_hex(u64 value);
