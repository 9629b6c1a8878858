/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts about one build of one library: Unicorn 2.0.1, the static libunicorn.a of Debian 12, x86-64. Nothing else in the project knows them.
 * core.c checks every offset with values written through the public API, selftest.c checks the behaviour; either refuses if a fact is wrong.
 * The library is GPL-2.0: these are names and numbers needed to link with it, no code of it. */
#pragma once
#include <stdint.h>
#include <unicorn/unicorn.h>
#include "base.h"

/* Segment register with its hidden part. flags: the upper word of a descriptor: attributes of abi/vcpu.h shifted by 8. */
struct lib_segment {
    u32 selector, pad;
    u64 base;
    u32 limit, flags;
};

/* The beginning of the library's CPU state. */
struct lib_env {
    u64 gpr[16], rip;
    u64 rflags;                /* complete while the core does not run */
    u64 lazy_flags[3];
    u32 lazy_op;
    s32 direction;
    u32 hflags, hflags2;
    struct lib_segment seg[6]; /* ES CS SS DS FS GS, as in abi/vcpu.h */
    struct lib_segment ldtr, tr, gdtr, idtr;
    u64 cr[5];
    s32 a20_mask, pad;
    u64 bound[11];
    u64 efer;
    u32 init_marker, fp_top;
    u16 fp_status, fp_control;
    u8 fp_empty[8];            /* by physical register: 1 empty */
    u32 pad2;
    struct { u64 significand; u16 exponent, pad[3]; } fp[8];   /* by physical register */
};
static_assert(offset_of(struct lib_env, seg) == 0xb8 && offset_of(struct lib_env, efer) == 0x230, "library layout");
static_assert(offset_of(struct lib_env, fp_control) == 0x242 && offset_of(struct lib_env, fp) == 0x250, "library layout");

/* System-call MSRs, found by a marker in star. */
struct lib_msrs {
    u32 sysenter_cs, pad;
    u64 sysenter_esp, sysenter_eip, star, hsave, lstar, cstar, fmask, kernel_gs, tsc[3], tsc_aux;
};

/* Exception state, found by a marker in dr[0]. */
struct lib_exception {
    s32 error_code, is_int;
    u64 next_eip;
    u64 dr[8];
};

/* What a translation block says of itself. */
struct lib_block {
    u64 pc, cs_base;
    u32 flags;
    u16 bytes, instructions;
};

/* hflags */
#define LIB_CPL          0x3u
#define LIB_SHADOW       0x8u         /* interrupts are blocked for one instruction */
#define LIB_CS32         0x10u
#define LIB_SS32         0x20u
#define LIB_ADDSEG       0x40u
#define LIB_PE           0x80u
#define LIB_CR0_SHIFT    8u           /* CR0.MP, EM, TS (bits 1..3) stand at 9..11 */
#define LIB_LMA          0x4000u
#define LIB_CS64         0x8000u
#define LIB_GUEST        0x200000u    /* instructions ask whether they are intercepted */
#define LIB_OSFXSR       0x400000u
#define LIB_SMAP         0x800000u
/* hflags2 */
#define LIB_NMI_BLOCKED  0x4u

/* Numbers of intercepts: AMD APM 2, appendix C. */
#define INTERCEPT_CR_READ   0x00u
#define INTERCEPT_CR_WRITE  0x10u
#define INTERCEPT_DR_READ   0x20u
#define INTERCEPT_DR_WRITE  0x30u
#define INTERCEPT_EXCEPTION 0x40u
#define INTERCEPT_IDTR_READ 0x66u
#define INTERCEPT_RDTSC     0x6eu
#define INTERCEPT_RDPMC     0x6fu
#define INTERCEPT_PUSHF     0x70u
#define INTERCEPT_CPUID     0x72u
#define INTERCEPT_IRET      0x74u
#define INTERCEPT_SWINT     0x75u
#define INTERCEPT_INVD      0x76u
#define INTERCEPT_PAUSE     0x77u
#define INTERCEPT_HLT       0x78u
#define INTERCEPT_INVLPG    0x79u
#define INTERCEPT_MSR       0x7cu
#define INTERCEPT_ICEBP     0x88u
#define INTERCEPT_WBINVD    0x89u

#define LIB_EXIT      0x10001         /* exception_index that leaves the run loop */
#define LIB_DELIVER   0x8000          /* ours: + vector, comes back through UC_HOOK_INTR */
#define LIB_XMM_STRIDE 64u
#define LIB_READ      1               /* protection bits */
#define LIB_WRITE     2
#define LIB_EXEC      4
enum { LIB_ACCESS_LOAD, LIB_ACCESS_STORE, LIB_ACCESS_FETCH };

/* Functions of the library that its header does not show. */
struct MemoryRegion;
void tlb_set_page_with_attrs_x86_64(void *cpu, u64 linear, u64 phys, u32 attributes, int protection, int mmu, u64 bytes);
void tlb_set_dirty_x86_64(void *cpu, u64 linear);   /* stores to the page need no look at what was translated from it */
void tlb_flush_x86_64(void *cpu);
void tlb_flush_page_x86_64(void *cpu, u64 linear);
void tb_invalidate_phys_range_x86_64(uc_engine *uc, u64 start, u64 end);
struct lib_block *tcg_tb_lookup_x86_64(void *tcg, uintptr_t host_pc);
void tcg_tb_insert_x86_64(void *tcg, struct lib_block *block);
bool cpu_restore_state_x86_64(void *cpu, uintptr_t host_pc, bool will_exit);
void cpu_loop_exit_restore_x86_64(void *cpu, uintptr_t host_pc) __attribute__((noreturn));
void x86_cpu_do_interrupt_x86_64(void *cpu);                                       /* exception or INT n, from *exception */
void do_interrupt_x86_hardirq_x86_64(struct lib_env *env, int vector, int hardware);
