/* SPDX-License-Identifier: BSD-2-Clause */
/* FPU switching by owner. cpu.fpu_owner: the image whose state the registers hold, saved only when another image is to be loaded. Whoever has no
 * image runs with TS set, so registers of another never show. DUE_FPU: CR0.TS is clear; DUE_XCR0: XCR0 is a guest's.
 * Not handled: components beyond AVX-512 (AMX needs more than a page; PKRU and supervisor states are not the FPU's). */
#include "fpu.h"
#include "arch/x86.h"

#define FXSAVE_BYTES   512u
#define XSAVE_HEADER   512u                  /* Intel SDM 1 13.4.2 */
#define MXCSR_RESET    0x1f80u
#define MXCSR_RESERVED 0xffff0000u           /* every CPU with long mode has DAZ: bits 15:0 exist (SDM 1 11.6.6) */
#define FCW_RESET      0x037fu
#define XCR0_WANTED    (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)

struct fxsave_head {
    u16 fcw, fsw;
    u8 ftw, reserved;
    u16 fop;
    u64 fip, fdp;
    u32 mxcsr, mxcsr_mask;
};

struct xsave_header {
    u64 xstate_bv, xcomp_bv, reserved[6];
};

static bool has_xsave(void)
{
    return mach_cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE;
}

static u64 xcr0_wanted(void)
{
    const u64 have = mach_cpuid(0xd, 0).eax & XCR0_WANTED;
    return (have & XCR0_AVX512) == XCR0_AVX512 && have & XCR0_AVX ? have : have & ~XCR0_AVX512;
}

void fpu_cpu_init(struct cpu *cpu)
{
    mach_cr0_write((mach_cr0_read() & ~CR0_EM) | CR0_MP | CR0_NE | CR0_TS);
    mach_cr4_write(mach_cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT | (has_xsave() ? CR4_OSXSAVE : 0));
    cpu->xcr0 = has_xsave() ? xcr0_wanted() : 0;
    if (cpu->xcr0 && !mach_xsetbv_try(cpu->xcr0))
        mach_panic("fpu: the processor refuses the XCR0 it offers");
    cpu->xcr0_now = max(cpu->xcr0, XCR0_X87);
    cpu->fpu_owner = NULL;
    cpu->due &= ~(DUE_FPU | DUE_XCR0);
}

u32 fpu_image_bytes(void)
{
    return has_xsave() ? mach_cpuid(0xd, 0).ebx : FXSAVE_BYTES;   /* EBX: for the XCR0 that is set */
}

void fpu_image_init(void *image)
{
    struct fxsave_head *const head = image;
    mach_zero(image, fpu_image_bytes());   /* XSTATE_BV 0: all components in their initial state */
    head->fcw = FCW_RESET;
    head->mxcsr = MXCSR_RESET;
}

static bool is_on(const struct cpu *cpu)
{
    return cpu->due & DUE_FPU;
}

static void ts(struct cpu *cpu, bool on)
{
    if (is_on(cpu) == on)
        return;
    const u64 cr0 = mach_cr0_read();
    mach_cr0_write(on ? cr0 & ~CR0_TS : cr0 | CR0_TS);
    cpu->due ^= DUE_FPU;
}

/* A guest's value was checked by fpu_xcr0_legal when it was loaded. */
static void xcr0_load(struct cpu *cpu, u64 value)
{
    if (cpu->xcr0_now == value)
        return;
    if (!mach_xsetbv_try(value))
        mach_panic("fpu: an XCR0 that was checked is refused");
    cpu->xcr0_now = value;
    cpu->due = value == cpu->xcr0 ? cpu->due & ~DUE_XCR0 : cpu->due | DUE_XCR0;
}

static void xcr0_back(struct cpu *cpu)
{
    if (cpu->due & DUE_XCR0)
        xcr0_load(cpu, cpu->xcr0);
}

static u64 mask(const struct cpu *cpu)
{
    return cpu->xcr0 ? cpu->xcr0 : ~0ul;
}

seldom void fpu_switch(struct cpu *cpu, void *image)
{
    xcr0_back(cpu);
    ts(cpu, image != NULL);
    if (!image || cpu->fpu_owner == image)
        return;
    if (cpu->fpu_owner)
        mach_fpu_save(cpu->fpu_owner, mask(cpu));
    cpu->fpu_owner = image;
    if (mach_fpu_load_try(image, mask(cpu)))
        return;
    /* A bit this processor reserves although none of its kind should: the owner loses its state, nobody else anything. */
    fpu_image_init(image);
    if (!mach_fpu_load_try(image, mask(cpu)))
        mach_panic("fpu: the processor refuses the reset state");
}

seldom void fpu_lend(struct cpu *cpu, void *image, u64 xcr0)
{
    if (cpu->fpu_owner != image)
        fpu_switch(cpu, image);
    ts(cpu, false);
    xcr0_load(cpu, xcr0);
}

seldom void fpu_flush(struct cpu *cpu, void *image)
{
    if (!image || cpu->fpu_owner != image)
        return;
    const bool on = is_on(cpu);
    xcr0_back(cpu);   /* XSAVE leaves out what XCR0 lacks */
    ts(cpu, true);
    mach_fpu_save(image, mask(cpu));
    ts(cpu, on);
}

void fpu_forget(struct cpu *cpu, void *image)
{
    if (cpu->fpu_owner == image)
        cpu->fpu_owner = NULL;
}

u64 fpu_xcr0(const struct cpu *cpu)
{
    return cpu->xcr0;
}

bool fpu_xcr0_legal(const struct cpu *cpu, u64 xcr0)
{
    if (!(xcr0 & XCR0_X87) || (xcr0 & ~max(cpu->xcr0, XCR0_X87)))
        return false;
    if (xcr0 & XCR0_AVX && !(xcr0 & XCR0_SSE))
        return false;
    const u64 avx512 = xcr0 & XCR0_AVX512;
    return !avx512 || (avx512 == XCR0_AVX512 && xcr0 & XCR0_AVX);
}

bool fpu_image_legal(const void *image, u64 xcr0)
{
    const struct fxsave_head *const head = image;
    if (head->mxcsr & MXCSR_RESERVED)
        return false;
    if (!xcr0)
        return true;
    const struct xsave_header *const x = (const void *)((const u8 *)image + XSAVE_HEADER);
    u64 reserved = x->xcomp_bv;
    for (u32 i = 0; i < array_size(x->reserved); i++)
        reserved |= x->reserved[i];
    return !reserved && !(x->xstate_bv & ~xcr0);
}
