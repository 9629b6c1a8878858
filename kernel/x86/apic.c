/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC (Intel SDM 3A chapter 10) as xAPIC, a page of registers, or x2APIC, MSRs. x2APIC is used where CPUID offers it.
 * Invariant: after apic_cpu_init only the timer and IPIs interrupt; every other local source is masked. This CPU only, no lock.
 * Not handled: an APIC that firmware disabled for good; logical destinations; I/O APICs. */
#include "apic.h"
#include "arch/apic.h"
#include "arch/x86.h"
#include "cpu.h"

#define ICR_POLLS    (1u << 19)   /* each an uncached read and a PAUSE: tens of milliseconds */
#define SETTLE_POLLS 64u          /* between INIT and STARTUP: a few microseconds of PAUSE, enough since the P6 family */

static u32 reg_read(const struct cpu *cpu, u32 reg)
{
    return cpu->x2apic ? (u32)mach_msr_read(MSR_X2APIC(reg)) : mach_dev_read32(cpu->kern->boot.apic_base + reg);
}

static void reg_write(const struct cpu *cpu, u32 reg, u32 value)
{
    if (cpu->x2apic)
        mach_msr_write(MSR_X2APIC(reg), value);
    else
        mach_dev_write32(cpu->kern->boot.apic_base + reg, value);
}

u32 apic_id(struct cpu *cpu)
{
    const u64 base = mach_msr_read(MSR_APIC_BASE);
    if (base & APIC_BASE_X2APIC)
        return (u32)mach_msr_read(MSR_X2APIC(APIC_ID));
    return mach_dev_read32((base & APIC_BASE_PHYS) + APIC_ID) >> 24;
}

/* A missing entry of the local vector table must not be written in x2APIC mode: #GP (SDM 3A 10.12.1.2). */
static void lvt_mask(const struct cpu *cpu)
{
    static const u32 optional[] = {APIC_LVT_PERF, APIC_LVT_THERMAL, APIC_LVT_CMCI};   /* present from entry 4, 5, 6 on */
    const u32 last = reg_read(cpu, APIC_VERSION) >> 16 & 0xff;
    reg_write(cpu, APIC_LVT_LINT0, APIC_LVT_MASKED);
    reg_write(cpu, APIC_LVT_LINT1, APIC_LVT_MASKED);
    reg_write(cpu, APIC_LVT_ERROR, APIC_LVT_MASKED);
    for (u32 i = 0; i < array_size(optional) && last >= 4 + i; i++)
        reg_write(cpu, optional[i], APIC_LVT_MASKED);
}

void apic_cpu_init(struct cpu *cpu)
{
    const u64 base = mach_msr_read(MSR_APIC_BASE);
    const struct mach_cpuid features = mach_cpuid(1, 0);
    cpu->x2apic = features.ecx & CPUID_1_ECX_X2APIC;
    cpu->tsc_deadline = features.ecx & CPUID_1_ECX_TSC_DEADLINE;
    /* Off to x2APIC goes by way of xAPIC (SDM 3A figure 10-27). */
    if (!(base & APIC_BASE_ENABLE))
        mach_msr_write(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
    if (cpu->x2apic)
        mach_msr_write(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    /* Software-disabled, the APIC forces all masks: enable first. */
    reg_write(cpu, APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
    lvt_mask(cpu);
    reg_write(cpu, APIC_TPR, 0);
    reg_write(cpu, APIC_TIMER_INITIAL, 0);
    reg_write(cpu, APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_1);
    reg_write(cpu, APIC_LVT_TIMER, VECTOR_TIMER | (cpu->tsc_deadline ? APIC_LVT_TIMER_DEADLINE : APIC_LVT_TIMER_ONESHOT));
    /* The mode must be set before the first deadline (SDM 3A 10.5.4.1). */
    mach_fence();
    cpu->apic_id = apic_id(cpu);
}

void apic_eoi(struct cpu *cpu)
{
    reg_write(cpu, APIC_EOI, 0);
}

/* Ticks of the APIC timer until a TSC value: rounded up, so that the timer is never early but for the clamp to 32 bits. */
static u32 timer_count(const struct cpu *cpu, u64 deadline_tsc)
{
    const u64 now = mach_tsc_read();
    const struct mach_clock *const clock = &cpu->kern->clock;
    if (deadline_tsc <= now || clock->tsc_khz == 0)
        return 1;
    /* Rates are below 2^24 kHz, so the product fits; 2^39 ticks are minutes and get clamped anyway. */
    const u64 ticks = min(deadline_tsc - now, bit(39)) * min(clock->apic_timer_khz, bit(24)) / clock->tsc_khz + 1;
    return (u32)min(ticks, 0xfffffffful);
}

void apic_timer(struct cpu *cpu, u64 deadline_tsc)
{
    if (cpu->tsc_deadline)
        mach_msr_write(MSR_TSC_DEADLINE, deadline_tsc);
    else
        reg_write(cpu, APIC_TIMER_INITIAL, deadline_tsc ? timer_count(cpu, deadline_tsc) : 0);
}

/* xAPIC: a command written while one is pending may lose that one (SDM 3A 10.6.1). Delivery takes bus cycles: the target's APIC accepts in
 * whatever state its CPU is, only P6 and older may send a fixed interrupt back (SDM 3A 10.8.1, 10.8.2). What is still pending after ICR_POLLS is an
 * INIT to a CPU that is not there, which is sent again and again (SDM 3A 10.7): it may go, the boot goes on without that CPU. Or broken hardware,
 * and the machine stops: without that IPI a shootdown would never end. */
static void icr_wait(const struct cpu *cpu)
{
    u32 icr = reg_read(cpu, APIC_ICR);
    for (u32 i = 0; i < ICR_POLLS && icr & APIC_ICR_PENDING; i++) {
        mach_relax();
        icr = reg_read(cpu, APIC_ICR);
    }
    if (icr & APIC_ICR_PENDING && (icr & APIC_ICR_MODE) == APIC_ICR_FIXED)
        mach_panic("apic: an interprocessor interrupt is not delivered");
}

static void icr_send(const struct cpu *cpu, u32 target, u32 command)
{
    if (cpu->x2apic) {
        /* An x2APIC write is not ordered after earlier stores (SDM 3A 10.12.3): what the target is to see must be out. */
        mach_fence();
        mach_msr_write(MSR_X2APIC(APIC_ICR), (u64)target << 32 | command);
        return;
    }
    icr_wait(cpu);
    mach_dev_write32(cpu->kern->boot.apic_base + APIC_ICR_HIGH, target << 24);
    mach_dev_write32(cpu->kern->boot.apic_base + APIC_ICR, command);
}

void apic_ipi(struct cpu *cpu, struct cpu *target)
{
    icr_send(cpu, target->apic_id, APIC_ICR_FIXED | APIC_ICR_ASSERT | VECTOR_IPI);
}

static void settle(void)
{
    for (u32 i = 0; i < SETTLE_POLLS; i++)
        mach_relax();
}

void apic_start_cpu(struct cpu *cpu, u32 target_apic_id, u32 vector)
{
    icr_send(cpu, target_apic_id, APIC_ICR_INIT | APIC_ICR_ASSERT);
    settle();
    /* Twice, as SDM 3A 8.4.4.1 wants it: a CPU that runs already ignores the second. */
    icr_send(cpu, target_apic_id, APIC_ICR_STARTUP | APIC_ICR_ASSERT | vector);
    settle();
    icr_send(cpu, target_apic_id, APIC_ICR_STARTUP | APIC_ICR_ASSERT | vector);
}
