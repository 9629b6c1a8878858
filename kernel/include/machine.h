/* SPDX-License-Identifier: BSD-2-Clause */
/* The seam: all the kernel needs from the world beside atomics. One instruction, or nearly, per function.
 *
 * kernel/bare implements it on hardware (inline, mach_ops.h), sim/ as calls into a model of the instruction. Which one is chosen by
 * include path. Unless said otherwise a function is called by the kernel on the current CPU, interrupts off, returns at once and
 * cannot fail. docs/machine.md has the contract of each.
 *
 * The other direction (kern_*): the machine calls the kernel; each runs to completion on this CPU's one kernel stack. */
#pragma once
#include "base.h"
#include "mach_linkage.h"   /* MACH_API: how a mach_* is declared; inline definitions on bare, calls in the process */

/* ---- What the kernel returns to the machine, and what comes back ---- */

enum resume_kind {
    RESUME_USER,        /* user mode with these registers */
    RESUME_GUEST_VMX,   /* the current VMCS: VMLAUNCH if guest == 0, else VMRESUME. RIP, RSP, RFLAGS stand in the VMCS */
    RESUME_GUEST_SVM,   /* VMLOAD, VMRUN, VMSAVE of the VMCB at guest, with GIF handled. RIP, RSP, RAX, RFLAGS stand in the VMCB */
    RESUME_IDLE,        /* enable interrupts and halt until one comes */
    RESUME_WINDOW,      /* enable interrupts for one instruction: takes a pending one (TRAP_INTERRUPT), or comes back with TRAP_NONE. Ends the
                           blocking of NMIs: what comes after a VMX exit that took one */
};

/* Registers of what is resumed. The machine saves them here on the next trap from user or guest mode: to the structure it resumed from,
 * before kern_trap. Out of idle or window nothing is saved. User mode is always 64-bit, flat, CPL 3, IF = 1, IOPL = 0; the machine
 * forces the system flags. */
struct resume {
    u64 gpr[16];    /* x86 encoding order: RAX RCX RDX RBX RSP RBP RSI RDI R8 .. R15 */
    u64 rip;        /* user: below or at USER_END, hence canonical: the kernel's duty */
    u64 rflags;
    u64 kind;       /* enum resume_kind */
    u64 guest;      /* VMX: launched; SVM: physical address of the VMCB; user: the machine's own, 0 at first */
};
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum trap_kind {
    TRAP_NONE,           /* a window in which nothing was pending */
    TRAP_SYSCALL,        /* from user; RIP is after SYSCALL (2 bytes); RCX and R11 are free. RBX, RSP, RBP and R12..R15 are
                            in the structure only after kern_trap has returned another one: until then the kernel neither reads nor writes
                            them there, and the structure stays. If the same one is returned, its RFLAGS are nothing user mode may not have */
    TRAP_EXCEPTION,      /* from user; vector; info: error code, 0 if none. Page fault address: mach_cr2_read */
    TRAP_INTERRUPT,      /* from user, idle or window; vector; the local APIC has not seen an end of interrupt yet */
    TRAP_GUEST_EXIT,     /* from guest: an exit is described in the VMCS or VMCB */
    TRAP_GUEST_FAILED,   /* VMX: VMfail, nothing entered; info: 1 VMfailInvalid, 2 VMfailValid (VMCS field says more) */
};
#define TRAP(kind, vector) ((u64)(kind) | (u64)(vector) << 8)
#define TRAP_KIND(trap)    ((trap)&0xff)
#define TRAP_VECTOR(trap)  ((u32)((trap) >> 8 & 0xff))

/* ---- Up-calls: the only symbols the kernel exports ---- */

#define KERN_API __attribute__((visibility("default")))

/* First call on each CPU, on its kernel stack, interrupts off, paging on with the machine's boot tables. magic says who booted us:
 * one of BOOT_MAGIC_*; info: physical address of what that boot protocol hands over (0 for BOOT_MAGIC_AP). Before it returns the kernel has
 * called mach_cpu_set. Returns what to resume. Boot input that makes no sense ends in mach_panic with a message. */
KERN_API struct resume *kern_boot(u32 magic, u64 info);
#define BOOT_MAGIC_MULTIBOOT2 0x36d76289u
#define BOOT_MAGIC_PVH        0x336ec578u
#define BOOT_MAGIC_AP         0x0000a9a9u   /* an application processor that the kernel started */

/* Every trap but NMI and machine check. cpu: what this CPU gave to mach_cpu_set. info: by kind. Returns what to resume next. */
KERN_API struct resume *kern_trap(void *cpu, u64 trap, u64 info);
/* The same for TRAP_SYSCALL: for a machine that enters the kernel elsewhere then. */
KERN_API struct resume *kern_syscall(void *cpu);

/* NMI (vector 2) or machine check (18), at any time, also inside kern_trap. Only sets atomic words of the CPU. */
KERN_API void kern_nmi(void *cpu, u32 vector);

/* ---- The machine's word store: where the kernel's state hangs, as it has no globals ---- */
MACH_API void mach_kern_set(void *kern);   /* once, by the boot CPU */
MACH_API void *mach_kern(void);
MACH_API void mach_cpu_set(void *cpu);     /* once per CPU, in kern_boot: the first argument of kern_trap and kern_nmi */

/* ---- Memory ---- */
MACH_API void *mach_phys_to_virt(u64 phys);        /* phys: RAM below mach_direct_end() */
MACH_API u64 mach_virt_to_phys(const void *virt);  /* inverse */
MACH_API u64 mach_direct_end(void);                /* bytes of physical memory the kernel can address */
MACH_API bool mach_reserved(u32 index, u64 *start, u64 *end);   /* the index-th physical range the machine keeps (image, trampoline); false: no more */
MACH_API void mach_copy(void *to, const void *from, size_t bytes);   /* no overlap */
MACH_API void mach_zero(void *to, size_t bytes);
enum mem_state { MEM_LIVE, MEM_FREE, MEM_REDZONE, MEM_EPOCH };
MACH_API void mach_mem_state(const void *start, size_t bytes, enum mem_state state);   /* tells checkers; nothing on bare */
enum mach_fault { MACH_FAULT_ALLOC };
MACH_API bool mach_fault(enum mach_fault kind);    /* shall this operation fail? Always false on bare; a choice in the process */

/* ---- CPU ---- */
struct mach_cpuid { u32 eax, ebx, ecx, edx; };
MACH_API struct mach_cpuid mach_cpuid(u32 leaf, u32 subleaf);
MACH_API u64 mach_cr0_read(void);
MACH_API void mach_cr0_write(u64 value);
MACH_API u64 mach_cr2_read(void);
MACH_API void mach_cr2_write(u64 value);
MACH_API u64 mach_cr3_read(void);
MACH_API void mach_cr3_write(u64 value);
MACH_API u64 mach_cr4_read(void);
MACH_API void mach_cr4_write(u64 value);
MACH_API u64 mach_cr8_read(void);
MACH_API u64 mach_dr_read(u32 number);             /* 0..3, 6, 7 */
MACH_API void mach_dr_write(u32 number, u64 value);
MACH_API u64 mach_msr_read(u32 msr);               /* an MSR known to exist */
MACH_API void mach_msr_write(u32 msr, u64 value);  /* an MSR known to exist, a value known to be legal */
MACH_API must_check bool mach_msr_read_try(u32 msr, u64 *value);    /* false: #GP */
MACH_API must_check bool mach_msr_write_try(u32 msr, u64 value);    /* false: #GP */
MACH_API must_check bool mach_xsetbv_try(u64 xcr0);                 /* false: #GP */
MACH_API u64 mach_xgetbv(void);
MACH_API void mach_fpu_save(void *image, u64 mask);                 /* XSAVE, or FXSAVE without CR4.OSXSAVE; image: 64-byte aligned; CR0.TS clear */
MACH_API must_check bool mach_fpu_load_try(const void *image, u64 mask);   /* XRSTOR or FXRSTOR; false: #GP */
MACH_API u64 mach_tsc_read(void);
struct mach_clock { u64 tsc_khz, apic_timer_khz; };
MACH_API struct mach_clock mach_clock(void);       /* measured once by the machine at boot, at most 10 ms; apic_timer_khz at divider 1 */
MACH_API void mach_relax(void);                    /* PAUSE: one turn of a spin */
MACH_API void mach_buffers_clear(void);            /* VERW: overwrites what the processor keeps of earlier accesses, where microcode makes it so */
MACH_API bool mach_preempt_pending(void);          /* is an interrupt waiting? The only window in long work */

/* ---- Translations ---- */
MACH_API u64 mach_boot_root(void);                 /* physical address of the machine's top-level table; entries 256..511 belong in every host table */
MACH_API void mach_invlpg(u64 address);
MACH_API must_check bool mach_invept(u64 type, u64 eptp);             /* 1 single context, 2 all; false: VMfail */
MACH_API must_check bool mach_invvpid(u64 type, u32 vpid, u64 address);
MACH_API void mach_invlpga(u64 address, u32 asid);

/* ---- Devices ---- */
MACH_API u32 mach_port_in(u16 port, u32 bytes);    /* 1, 2, 4 */
MACH_API void mach_port_out(u16 port, u32 bytes, u32 value);
MACH_API u32 mach_dev_read32(u64 phys);            /* uncached device register */
MACH_API void mach_dev_write32(u64 phys, u32 value);
MACH_API void mach_fence(void);                    /* MFENCE; LFENCE: orders stores before a following x2APIC MSR write */
MACH_API void mach_console_write(const char *text, u32 bytes);        /* bounded wait */
MACH_API void mach_trace_write(const void *bytes, u32 count);         /* the trace stream; dropped where the machine has no place for it */
enum mach_trace {
    MACH_TRACE_OFF,
    MACH_TRACE_ON,
    MACH_TRACE_LIVE,   /* somebody reads along: each exit and each entry is written out at once */
};
MACH_API enum mach_trace mach_trace_wanted(void);  /* is anybody recording? constant after boot */
MACH_API void mach_shutdown(u32 code);             /* stop the machine; does not return on bare; in the process the CPU stops at the next resume */
MACH_API u32 mach_ap_vector(void);                 /* SIPI vector of the machine's start-up code */
MACH_API void mach_panic(const char *message) __attribute__((noreturn));   /* a bug of ours or of hardware, senseless boot input; never user input */

/* ---- VMX (Intel SDM 3C). Booleans: true = VMsucceed ---- */
MACH_API must_check bool mach_vmxon(u64 phys);
MACH_API must_check bool mach_vmclear(u64 phys);
MACH_API must_check bool mach_vmptrld(u64 phys);
MACH_API u64 mach_vmread(u32 field);               /* a field that exists, a VMCS is current */
MACH_API void mach_vmwrite(u32 field, u64 value);
/* Host state only the machine knows (Intel SDM 3C 25.5). On exit the CPU lands in the machine's exit stub. */
struct mach_vmx_host {
    u64 rip, rsp, gdtr_base, idtr_base, tr_base, gs_base, fs_base;
    u16 cs, ss, ds, es, fs, gs, tr, reserved;
};
MACH_API struct mach_vmx_host mach_vmx_host(void);

/* ---- SVM: VMRUN and VMLOAD/VMSAVE around it are the machine's (RESUME_GUEST_SVM); the rest is MSRs ---- */

#include "mach_ops.h"   /* inline definitions on bare; empty in the process */
