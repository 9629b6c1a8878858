/* SPDX-License-Identifier: BSD-2-Clause */
/* mach_*: registers of the CPU. What would be #GP in the kernel is a finding, but for the _try forms. */
#include "arch/apic.h"
#include "arch/x86.h"
#include "mach.h"
#include "memory.h"
#include "translations.h"
#include "virt_model.h"

u64 sim_tsc(struct sim_cpu *cpu)
{
    if (cpu->sim->world)
        cpu->ticks++;   /* time there passes by looking at it, on this CPU alone: see world.c */
    return cpu->sim->clock + cpu->tsc_skew + cpu->ticks;
}

struct mach_cpuid mach_cpuid(u32 leaf, u32 subleaf)
{
    return sim_cpuid(mach_point_serial(), leaf, subleaf);
}

u64 mach_cr0_read(void)
{
    return mach_point()->cr0;
}

u64 mach_cr2_read(void)
{
    return mach_point()->cr2;
}

u64 mach_cr3_read(void)
{
    return mach_point()->cr3;
}

u64 mach_cr4_read(void)
{
    return mach_point()->cr4;
}

u64 mach_cr8_read(void)
{
    return mach_point()->apic.tpr >> 4;
}

static void cr_virt(struct sim_cpu *cpu, u32 number, u64 value)
{
    const struct virt_model *v = cpu->sim->virt;
    const char *why = v && v->cr_write ? v->cr_write(cpu, number, value) : NULL;
    if (why)
        sim_broken(RULE_CR_VMX, "CR%u = 0x%lx: %s", number, value, why);
}

void mach_cr0_write(u64 value)
{
    sim_count(SIM_COUNT_CR0);
    struct sim_cpu *cpu = mach_point_serial();
    const u64 legal = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
    if (value & ~legal || !(value & CR0_PE) || !(value & CR0_PG) || (value & CR0_NW && !(value & CR0_CD)))
        sim_broken(RULE_CR_CR0, "CR0 = 0x%lx: #GP, or long mode is left (SDM 3A 2.5)", value);
    cr_virt(cpu, 0, value);
    if ((value ^ cpu->cr0) & CR0_WP)
        translations_drop_host(cpu, true);   /* rights depend on it; processors may keep entries: modelled as dropped */
    cpu->cr0 = value | CR0_ET;
}

void mach_cr2_write(u64 value)
{
    mach_point()->cr2 = value;
}

void mach_cr3_write(u64 value)
{
    sim_count(SIM_COUNT_CR3);
    struct sim_cpu *cpu = mach_point_serial();
    if (value & ~(PTE_PHYS_MASK | 0x18) || value >> SIM_PHYS_BITS)
        sim_broken(RULE_CR_CR3, "CR3 = 0x%lx: reserved bits (SDM 3A 4.5)", value);
    if (!sim_phys(cpu->sim, value & PTE_PHYS_MASK, PAGE_SIZE))
        sim_broken(RULE_CR_CR3, "CR3 = 0x%lx: not in RAM", value);
    const enum mem_state state = memory_state(cpu->sim, value & PTE_PHYS_MASK);
    if (state == MEM_FREE || state == MEM_REDZONE)
        sim_broken(RULE_CR_ROOT, "CR3 = 0x%lx: the top-level table is freed memory", value);
    cpu->cr3 = value;
    translations_drop_host(cpu, false);
}

void mach_cr4_write(u64 value)
{
    sim_count(SIM_COUNT_CR0);
    struct sim_cpu *cpu = mach_point_serial();
    const struct sim *s = cpu->sim;
    const u64 legal = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT |
                      (s->config.vendor == SIM_VMX ? CR4_VMXE : 0) | (s->profile.xsave ? CR4_OSXSAVE : 0) | (s->profile.smep ? CR4_SMEP : 0);
    if (value & ~legal || !(value & CR4_PAE))
        sim_broken(RULE_CR_CR4, "CR4 = 0x%lx: #GP (SDM 3A 2.5)", value);
    cr_virt(cpu, 4, value);
    const bool flush = (value ^ cpu->cr4) & (CR4_PGE | CR4_PSE | CR4_SMEP);
    cpu->cr4 = value;
    if (flush)
        translations_drop_host(cpu, true);
}

u64 mach_dr_read(u32 number)
{
    struct sim_cpu *cpu = mach_point();
    if (number > 7 || number == 4 || number == 5)
        sim_broken(RULE_CR_DR, "DR%u read", number);
    return cpu->dr[number];
}

void mach_dr_write(u32 number, u64 value)
{
    struct sim_cpu *cpu = mach_point_serial();
    if (number > 7 || number == 4 || number == 5 || (number >= 6 && value >> 32))
        sim_broken(RULE_CR_DR, "DR%u = 0x%lx: #GP (SDM 3B 17.2)", number, value);
    cpu->dr[number] = number == 6 ? (value & 0xe00f) | DR6_INIT : number == 7 ? value | DR7_INIT : value;
}

u64 mach_msr_read(u32 msr)
{
    u64 value = 0;
    if (!sim_msr_read(mach_point_outside(), msr, &value))
        sim_broken(RULE_MSR_READ, "RDMSR 0x%x: #GP", msr);
    return value;
}

/* WRMSR serializes, but not to the x2APIC's registers and the TSC deadline (SDM 3A 10.12.3). */
static struct sim_cpu *wrmsr_point(u32 msr, const void *site)
{
    sim_count(SIM_COUNT_WRMSR);
    struct sim_cpu *cpu = sim_this();
    sim_point(cpu, msr == MSR_X2APIC(APIC_ICR) ? OP_IPI : OP_MACHINE, OBJECT_NONE, 0, site);   /* whose APIC: the value says, when it is sent */
    cpu->turn_outside = true;
    if ((msr < 0x800 || msr > 0x8ff) && msr != MSR_TSC_DEADLINE)
        store_drain(cpu);
    return cpu;
}

void mach_msr_write(u32 msr, u64 value)
{
    if (!sim_msr_write(wrmsr_point(msr, __builtin_return_address(0)), msr, value))
        sim_broken(RULE_MSR_WRITE, "WRMSR 0x%x = 0x%lx: #GP", msr, value);
}

bool mach_msr_read_try(u32 msr, u64 *value)
{
    return sim_msr_read(mach_point_outside(), msr, value);
}

bool mach_msr_write_try(u32 msr, u64 value)
{
    return sim_msr_write(wrmsr_point(msr, __builtin_return_address(0)), msr, value);
}

bool mach_xsetbv_try(u64 xcr0)
{
    struct sim_cpu *cpu = mach_point_serial();
    if (!(cpu->cr4 & CR4_OSXSAVE))
        sim_broken(RULE_CR_XCR, "XSETBV with CR4.OSXSAVE clear: #UD");
    if (xcr0 & ~(XCR0_X87 | XCR0_SSE) || !(xcr0 & XCR0_X87))
        return false;
    cpu->xcr0 = xcr0;
    return true;
}

u64 mach_xgetbv(void)
{
    struct sim_cpu *cpu = mach_point();
    if (!(cpu->cr4 & CR4_OSXSAVE))
        sim_broken(RULE_CR_XCR, "XGETBV with CR4.OSXSAVE clear: #UD");
    return cpu->xcr0;
}

u64 mach_tsc_read(void)
{
    return sim_tsc(mach_point_outside());
}

struct mach_clock mach_clock(void)
{
    return (struct mach_clock){ .tsc_khz = SIM_TSC_KHZ, .apic_timer_khz = SIM_TSC_KHZ / SIM_APIC_DIVIDER };
}

bool mach_preempt_pending(void)
{
    struct sim_cpu *cpu = sim_this();
    sim_look(cpu, __builtin_return_address(0));
    cpu->turn_outside = true;
    return sim_irq_pending(cpu);
}

u64 mach_boot_root(void)
{
    return sim_here->boot_root;
}

void mach_invlpg(u64 address)
{
    sim_count(SIM_COUNT_INVALIDATE);
    struct sim_cpu *cpu = mach_point_serial();
    translations_drop_page(cpu, address);
}
