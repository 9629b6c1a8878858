/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of the local APIC: the page at IA32_APIC_BASE in xAPIC mode, MSRs 0x800.. in x2APIC mode (Intel SDM 3A 10.4.1, 10.12.1). What
 * hardware answers with #GP is a false; in the page, a register that does not exist or a read-only one written is a finding. */
#include "arch/apic.h"
#include "arch/x86.h"
#include "irq.h"
#include "timer.h"

#define APIC_VERSION_VALUE 0x00060015u   /* seven LVT entries */
#define LVT_BITS           0x170ffu      /* writable: vector, delivery mode, trigger, mask; the timer has its mode too */
#define LVT_TIMER_BITS     0x700ffu

static u32 *apic_lvt(struct sim_cpu *cpu, u32 offset)
{
    static const u32 order[] = { APIC_LVT_THERMAL, APIC_LVT_PERF, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR, APIC_LVT_CMCI };
    for (u32 i = 0; i < array_size(order); i++)
        if (order[i] == offset)
            return &cpu->apic.lvt_other[i];
    return NULL;
}

static bool apic_exists(u32 offset)
{
    static const u32 single[] = { APIC_ID, APIC_VERSION, APIC_TPR, APIC_PPR, APIC_EOI, APIC_LDR, APIC_DFR, APIC_SVR, APIC_ESR, APIC_LVT_CMCI,
                                  APIC_ICR, APIC_ICR_HIGH, APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PERF, APIC_LVT_LINT0, APIC_LVT_LINT1,
                                  APIC_LVT_ERROR, APIC_TIMER_INITIAL, APIC_TIMER_CURRENT, APIC_TIMER_DIVIDE };
    if (offset >= APIC_ISR && offset < APIC_ESR)
        return !(offset & 0xf);
    for (u32 i = 0; i < array_size(single); i++)
        if (single[i] == offset)
            return true;
    return false;
}

static bool apic_read_only(u32 offset)
{
    return offset == APIC_ID || offset == APIC_VERSION || offset == APIC_PPR || (offset >= APIC_ISR && offset < APIC_ESR) ||
           offset == APIC_TIMER_CURRENT;
}

/* ISR, TMR, IRR: eight 32-bit registers each. No interrupt is level-triggered. */
static u32 apic_map(const struct sim_cpu *cpu, u32 offset)
{
    const u32 index = offset >> 4 & 7;
    const u64 *map = offset >= APIC_IRR ? cpu->apic.irr : cpu->apic.isr;
    return offset >= APIC_TMR && offset < APIC_IRR ? 0 : (u32)(map[index / 2] >> 32 * (index % 2));
}

u32 apic_read(struct sim_cpu *cpu, u32 offset)
{
    struct sim_apic *a = &cpu->apic;
    if (offset >= APIC_ISR && offset < APIC_ESR)
        return apic_map(cpu, offset);
    const u32 *lvt = apic_lvt(cpu, offset);
    if (lvt)
        return *lvt;
    switch (offset) {
    case APIC_ID:
        return irq_x2apic(cpu) ? cpu->apic_id : cpu->apic_id << 24;
    case APIC_VERSION:
        return APIC_VERSION_VALUE;
    case APIC_TPR:
        return a->tpr;
    case APIC_PPR:
        return irq_priority(cpu);
    case APIC_LDR:
        return irq_x2apic(cpu) ? (cpu->apic_id >> 4) << 16 | 1u << (cpu->apic_id & 0xf) : a->ldr;
    case APIC_DFR:
        return a->dfr;
    case APIC_SVR:
        return a->spurious;
    case APIC_ESR:
        return a->esr;
    case APIC_ICR:
        return (u32)a->icr | (a->icr_pending && a->icr_pending-- ? APIC_ICR_PENDING : 0);
    case APIC_ICR_HIGH:
        return (u32)(a->icr >> 32) << 24;
    case APIC_LVT_TIMER:
        return a->lvt_timer;
    case APIC_TIMER_INITIAL:
        return a->initial_count;
    case APIC_TIMER_CURRENT:
        return timer_count(cpu);
    case APIC_TIMER_DIVIDE:
        return a->divide;
    }
    return 0;   /* EOI reads as 0 */
}

static void apic_timer_write(struct sim_cpu *cpu, u32 offset, u32 value)
{
    struct sim_apic *a = &cpu->apic;
    if (offset == APIC_LVT_TIMER) {
        value &= LVT_TIMER_BITS;
        if (!(a->spurious & APIC_SVR_ENABLE))
            value |= APIC_LVT_MASKED;
        if ((value ^ a->lvt_timer) & 0x40000)   /* to or from deadline mode: disarmed (SDM 3A 10.5.4.1) */
            a->initial_count = 0, a->deadline = 0;
        a->lvt_timer = value;
    } else if (offset == APIC_TIMER_DIVIDE) {
        a->divide = value & 0xb;
    } else if (!(a->lvt_timer & APIC_LVT_TIMER_DEADLINE)) {   /* in deadline mode writes to the count are ignored */
        a->initial_count = value;
        a->timer_start = cpu->sim->clock;
        a->counted = false;
    }
    timer_update(cpu);
}

static void apic_svr_write(struct sim_cpu *cpu, u32 value)
{
    struct sim_apic *a = &cpu->apic;
    a->spurious = value & 0x3ff;
    if (value & APIC_SVR_ENABLE)
        return;
    a->lvt_timer |= APIC_LVT_MASKED;   /* software disable masks all LVT entries (SDM 3A 10.4.7.2) */
    for (u32 i = 0; i < array_size(a->lvt_other); i++)
        a->lvt_other[i] |= APIC_LVT_MASKED;
    timer_update(cpu);
}

void apic_write(struct sim_cpu *cpu, u32 offset, u32 value)
{
    struct sim_apic *a = &cpu->apic;
    u32 *lvt = apic_lvt(cpu, offset);
    if (lvt) {
        *lvt = (value & LVT_BITS) | (a->spurious & APIC_SVR_ENABLE ? 0 : APIC_LVT_MASKED);
        return;
    }
    switch (offset) {
    case APIC_TPR:
        a->tpr = value & 0xff;
        break;
    case APIC_EOI:
        irq_eoi(cpu);
        break;
    case APIC_LDR:
        a->ldr = value & 0xff000000;
        break;
    case APIC_DFR:
        a->dfr = value | 0x0fffffff;
        break;
    case APIC_SVR:
        apic_svr_write(cpu, value);
        break;
    case APIC_ESR:
        a->esr = 0;
        break;
    case APIC_ICR_HIGH:
        a->icr = (a->icr & 0xffffffff) | (u64)(value >> 24) << 32;
        break;
    case APIC_ICR:
        if (a->icr_pending && (a->icr & APIC_ICR_MODE) == APIC_ICR_FIXED)
            sim_broken(RULE_IPI_PENDING, "ICR written while a fixed IPI is pending: it may be lost (SDM 3A 10.6.1)");
        a->icr_pending = 0;
        a->icr = (a->icr & ~0xfffffffful) | (value & ~APIC_ICR_PENDING);
        ipi_send(cpu, a->icr);
        break;
    case APIC_LVT_TIMER:
    case APIC_TIMER_INITIAL:
    case APIC_TIMER_DIVIDE:
        apic_timer_write(cpu, offset, value);
        break;
    }
}

bool apic_msr_read(struct sim_cpu *cpu, u32 msr, u64 *value)
{
    const u32 offset = (msr - 0x800) << 4;
    if (!irq_x2apic(cpu) || !apic_exists(offset) || offset == APIC_DFR || offset == APIC_ICR_HIGH || offset == APIC_EOI)
        return false;
    *value = offset == APIC_ICR ? cpu->apic.icr : apic_read(cpu, offset);
    return true;
}

bool apic_msr_write(struct sim_cpu *cpu, u32 msr, u64 value)
{
    const u32 offset = (msr - 0x800) << 4;
    if (!irq_x2apic(cpu))
        return false;
    if (offset == APIC_SELF_IPI && value < 0x100) {
        sim_count(SIM_COUNT_IPI);
        irq_raise(cpu, (u32)value);
        return true;
    }
    if (!apic_exists(offset) || apic_read_only(offset) || offset == APIC_DFR || offset == APIC_ICR_HIGH || offset == APIC_LDR)
        return false;
    if ((value >> 32 && offset != APIC_ICR) || ((offset == APIC_EOI || offset == APIC_ESR) && value) || (offset == APIC_TPR && value > 0xff))
        return false;
    if (offset == APIC_ICR) {
        if (value & 0xfff33000)   /* reserved, and delivery status, which this mode lacks */
            return false;
        cpu->apic.icr = value;
        ipi_send(cpu, value);
        return true;
    }
    apic_write(cpu, offset, (u32)value);
    return true;
}

/* SDM 3A figure 10-27: x2APIC can only be entered from xAPIC, and left only by disabling. */
bool apic_base_write(struct sim_cpu *cpu, u64 value)
{
    const u64 old = cpu->apic.base, mode = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
    if (value & ~(APIC_BASE_PHYS | mode | APIC_BASE_BSP) || value >> SIM_PHYS_BITS || (value & mode) == APIC_BASE_X2APIC)
        return false;
    if (value & APIC_BASE_X2APIC && (!cpu->sim->profile.x2apic || !(old & APIC_BASE_ENABLE)))
        return false;
    if ((old & mode) == mode && (value & mode) == APIC_BASE_ENABLE)
        return false;
    if ((value ^ old) & APIC_BASE_BSP)
        return false;
    cpu->apic.base = value;
    if (!(value & APIC_BASE_ENABLE))
        irq_reset(cpu);
    timer_update(cpu);
    return true;
}

static u32 apic_offset(struct sim_cpu *cpu, u64 phys, const char *what)
{
    const u64 page = cpu->apic.base & APIC_BASE_PHYS;
    if (phys < page || phys >= page + PAGE_SIZE)
        sim_broken(RULE_DEV_NONE, "%s of 0x%lx: no device is there", what, phys);
    if (!irq_xapic(cpu))
        sim_broken(RULE_APIC_MODE, "%s of the APIC's page while the APIC is %s", what, irq_x2apic(cpu) ? "in x2APIC mode" : "disabled");
    const u32 offset = (u32)(phys - page);
    if (offset & 0xf || !apic_exists(offset))
        sim_broken(RULE_APIC_REGISTER, "%s of APIC register 0x%x, which does not exist (SDM 3A 10.4.1)", what, offset);
    return offset;
}

u32 apic_page_read(struct sim_cpu *cpu, u64 phys)
{
    return apic_read(cpu, apic_offset(cpu, phys, "read"));
}

void apic_page_write(struct sim_cpu *cpu, u64 phys, u32 value)
{
    const u32 offset = apic_offset(cpu, phys, "write");
    if (apic_read_only(offset))
        sim_broken(RULE_APIC_READONLY, "write of APIC register 0x%x, which is read-only", offset);
    apic_write(cpu, offset, value);
}
