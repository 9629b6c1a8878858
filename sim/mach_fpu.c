/* SPDX-License-Identifier: BSD-2-Clause */
/* mach_*: FPU images: x87 and SSE in XSAVE's standard format, or FXSAVE's without CR4.OSXSAVE (Intel SDM 1 10.5, 13.4 to 13.8).
 *
 *   0..23 and 32..159  x87 (FCW FSW FTW FOP FIP FDP, ST0..7)   24..31 MXCSR and its mask   160..415  XMM0..15
 *   512..575           XSAVE header: XSTATE_BV, XCOMP_BV, zeros */
#include <string.h>
#include "arch/x86.h"
#include "mach.h"
#include "memory.h"
#include "snapshot.h"

#define MXCSR_MASK 0xffffu
#define FX_BYTES   512u
#define XS_BYTES   576u

static bool fpu_xsave(const struct sim_cpu *cpu)
{
    return cpu->cr4 & CR4_OSXSAVE;
}

static void fpu_check(struct sim_cpu *cpu, const void *image)
{
    if (cpu->cr0 & (CR0_TS | CR0_EM))
        sim_broken(RULE_FPU_NM, "FPU state moved with CR0.TS or CR0.EM set: #NM");
    if ((u64)image & 63)
        sim_broken(RULE_FPU_ALIGN, "FPU image not 64-byte aligned: #GP");
    memory_check(cpu->sim, image, fpu_xsave(cpu) ? XS_BYTES : FX_BYTES, "FPU image");
}

static void fpu_move(u8 *to, const u8 *from, u64 components)
{
    if (components & XCR0_X87) {
        memcpy(to, from, 24);
        memcpy(to + 32, from + 32, 128);
    }
    if (components & XCR0_SSE) {
        memcpy(to + 24, from + 24, 8);
        memcpy(to + 160, from + 160, 256);
    }
}

void mach_fpu_save(void *image, u64 mask)
{
    sim_count(SIM_COUNT_XSAVE);
    struct sim_cpu *cpu = mach_point();
    fpu_check(cpu, image);
    memory_stored(cpu->sim, image, fpu_xsave(cpu) ? XS_BYTES : FX_BYTES);
    undo_write(cpu->sim, image, fpu_xsave(cpu) ? XS_BYTES : FX_BYTES);
    u8 *to = image;
    const u64 components = fpu_xsave(cpu) ? mask & cpu->xcr0 : XCR0_X87 | XCR0_SSE;
    fpu_move(to, cpu->fpu, components);
    memcpy(to + 28, &(u32){ MXCSR_MASK }, 4);
    if (fpu_xsave(cpu)) {
        u64 present;
        memcpy(&present, to + 512, 8);
        present = (present & ~(mask & cpu->xcr0)) | components;
        memcpy(to + 512, &present, 8);
    }
    sim_wrote(cpu->sim, OBJECT_NONE);
}

static void fpu_init(u8 *fpu, u64 components)
{
    static const u8 reset[FX_BYTES] = { 0x7f, 0x03, [24] = 0x80, [25] = 0x1f };
    fpu_move(fpu, reset, components & XCR0_X87);
    if (components & XCR0_SSE)
        memset(fpu + 160, 0, 256);   /* MXCSR is not part of the SSE component's reset (SDM 1 13.8.1) */
}

static bool fpu_header_legal(const struct sim_cpu *cpu, const u8 *image, u64 present)
{
    if (present & ~cpu->xcr0)
        return false;
    for (u32 i = 520; i < XS_BYTES; i++)   /* XCOMP_BV too: there is no XSAVEC */
        if (image[i])
            return false;
    return true;
}

bool mach_fpu_load_try(const void *image, u64 mask)
{
    sim_count(SIM_COUNT_XRSTOR);
    struct sim_cpu *cpu = mach_point();
    fpu_check(cpu, image);
    const u8 *from = image;
    u64 present = XCR0_X87 | XCR0_SSE, components = present;
    if (fpu_xsave(cpu)) {
        memcpy(&present, from + 512, 8);
        components = mask & cpu->xcr0;
        if (!fpu_header_legal(cpu, from, present))
            return false;
    }
    u32 mxcsr;
    memcpy(&mxcsr, from + 24, 4);
    if (components & XCR0_SSE && mxcsr & ~MXCSR_MASK)
        return false;
    fpu_init(cpu->fpu, components & ~present);
    fpu_move(cpu->fpu, from, components & present);
    if (components & XCR0_SSE)
        memcpy(cpu->fpu + 24, from + 24, 4);   /* MXCSR is loaded whether SSE is present or not */
    return true;
}
