/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUID (Intel SDM 2A; AMD APM 3 appendix E): a plain long-mode CPU; the VMX or SVM model adds its bits. */
#include <string.h>
#include "arch/x86.h"
#include "virt_model.h"

static struct mach_cpuid cpuid_vendor(const struct sim *s, u32 max)
{
    const char *name = s->config.vendor == SIM_SVM ? "AuthenticAMD" : "GenuineIntel";
    struct mach_cpuid r = { .eax = max };
    memcpy(&r.ebx, name, 4);
    memcpy(&r.edx, name + 4, 4);
    memcpy(&r.ecx, name + 8, 4);
    return r;
}

static struct mach_cpuid cpuid_features(const struct sim_cpu *cpu)
{
    const struct sim_profile *p = &cpu->sim->profile;
    struct mach_cpuid r = { .eax = cpu->sim->config.vendor == SIM_SVM ? 0x00800f12 : 0x000306c3 };
    r.ebx = cpu->apic_id << 24 | 1u << 16 | 8u << 8;
    r.ecx = (u32)((p->x2apic ? CPUID_1_ECX_X2APIC : 0) | (p->tsc_deadline ? CPUID_1_ECX_TSC_DEADLINE : 0) |
                  (p->xsave ? CPUID_1_ECX_XSAVE : 0) | (cpu->cr4 & CR4_OSXSAVE ? CPUID_1_ECX_OSXSAVE : 0));
    r.edx = (u32)(CPUID_1_EDX_FPU | CPUID_1_EDX_PSE | CPUID_1_EDX_MSR | CPUID_1_EDX_PAE | CPUID_1_EDX_APIC | CPUID_1_EDX_PGE | CPUID_1_EDX_PAT |
                  CPUID_1_EDX_FXSR | CPUID_1_EDX_SSE2 | 1u << 4 /* TSC */ | 1u << 8 /* CX8 */ | 1u << 12 /* MTRR */ | 1u << 25 /* SSE */ |
                  1u << 11 /* SEP */ | 1u << 15 /* CMOV */ | 1u << 19 /* CLFSH */);
    return r;
}

static struct mach_cpuid cpuid_protection(const struct sim *s)
{
    const struct sim_profile *p = &s->profile;
    return (struct mach_cpuid){
        .ebx = (u32)((p->smep ? CPUID_7_EBX_SMEP : 0) | (p->smap ? CPUID_7_EBX_SMAP : 0) | (p->rtm ? CPUID_7_EBX_RTM : 0)),
        .ecx = p->umip ? (u32)CPUID_7_ECX_UMIP : 0,
        .edx = (u32)((p->ibpb && s->config.vendor != SIM_SVM ? CPUID_7_EDX_IBPB : 0) | (p->md_clear ? CPUID_7_EDX_MD_CLEAR : 0) |
                     (p->l1d_flush ? CPUID_7_EDX_L1D_FLUSH : 0) | (p->arch_cap ? CPUID_7_EDX_ARCH_CAP : 0)),
    };
}

/* Leaf 0xd: x87 and SSE only: 512 bytes and the header. */
static struct mach_cpuid cpuid_xsave(const struct sim_cpu *cpu, u32 subleaf)
{
    if (!cpu->sim->profile.xsave || subleaf)
        return (struct mach_cpuid){ 0 };
    return (struct mach_cpuid){ .eax = (u32)(XCR0_X87 | XCR0_SSE), .ebx = 576, .ecx = 576 };
}

/* Leaf 0xb: one thread per core, all cores in one package. */
static struct mach_cpuid cpuid_topology(const struct sim_cpu *cpu, u32 subleaf)
{
    struct mach_cpuid r = { .ecx = subleaf, .edx = cpu->apic_id };
    if (subleaf == 0)
        r.eax = 1, r.ebx = 1, r.ecx |= 1u << 8;
    else if (subleaf == 1)
        r.eax = 7, r.ebx = cpu->sim->cpu_count, r.ecx |= 2u << 8;
    return r;
}

static struct mach_cpuid cpuid_extended(const struct sim *s, u32 leaf)
{
    struct mach_cpuid r = { 0 };
    switch (leaf) {
    case 0x80000000:
        return cpuid_vendor(s, s->config.vendor == SIM_SVM ? 0x8000000a : 0x80000008);
    case 0x80000001:
        r.ecx = 1;   /* LAHF in 64-bit mode */
        r.edx = (u32)(CPUID_81_EDX_SYSCALL | (s->profile.nx ? CPUID_81_EDX_NX : 0) | (s->profile.page_1g ? CPUID_81_EDX_1G : 0) |
                      CPUID_81_EDX_RDTSCP | CPUID_81_EDX_LM);
        break;
    case 0x80000007:
        r.edx = (u32)CPUID_87_EDX_INVARIANT;
        break;
    case 0x80000008:
        r.eax = SIM_PHYS_BITS | 48u << 8;
        r.ebx = s->config.vendor == SIM_SVM && s->profile.ibpb ? (u32)CPUID_88_EBX_IBPB : 0;
        break;
    }
    return r;
}

static struct mach_cpuid cpuid_plain(const struct sim_cpu *cpu, u32 leaf, u32 subleaf)
{
    const struct sim *s = cpu->sim;
    if (leaf >= 0x80000000)
        return cpuid_extended(s, leaf);
    switch (leaf) {
    case 0:
        return cpuid_vendor(s, 0xd);
    case 1:
        return cpuid_features(cpu);
    case 7:
        return subleaf ? (struct mach_cpuid){ 0 } : cpuid_protection(s);
    case 0xb:
        return cpuid_topology(cpu, subleaf);
    case 0xd:
        return cpuid_xsave(cpu, subleaf);
    }
    return (struct mach_cpuid){ 0 };
}

struct mach_cpuid sim_cpuid(struct sim_cpu *cpu, u32 leaf, u32 subleaf)
{
    struct mach_cpuid r = cpuid_plain(cpu, leaf, subleaf);
    if (cpu->sim->virt && cpu->sim->virt->cpuid)
        cpu->sim->virt->cpuid(cpu, leaf, subleaf, &r);
    return r;
}
