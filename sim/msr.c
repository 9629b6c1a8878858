/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers: one row each, with the bits that may be written; the APIC's and the VMX or SVM model's are asked first. An MSR
 * without a row is #GP. Rules: Intel SDM 4, AMD APM 2 appendix A. */
#include "arch/apic.h"
#include "arch/x86.h"
#include "irq.h"
#include "timer.h"
#include "virt_model.h"

enum msr_rule { MSR_BITS, MSR_CANONICAL, MSR_READ_ONLY };

struct msr_row {
    u32 msr;
    enum msr_rule rule;
    u64 writable;        /* MSR_BITS */
    size_t member;       /* in struct sim_cpu; 0: reads as 0 */
};

#define AT(m) offset_of(struct sim_cpu, m)
static const struct msr_row msr_rows[] = {
    { MSR_SYSENTER_CS, MSR_BITS, 0xffffffff, AT(sysenter_cs) },
    { MSR_SYSENTER_ESP, MSR_CANONICAL, 0, AT(sysenter_esp) },
    { MSR_SYSENTER_EIP, MSR_CANONICAL, 0, AT(sysenter_eip) },
    { MSR_STAR, MSR_BITS, ~0ul, AT(star) },
    { MSR_LSTAR, MSR_CANONICAL, 0, AT(lstar) },
    { MSR_CSTAR, MSR_CANONICAL, 0, AT(cstar) },
    { MSR_FMASK, MSR_BITS, 0xffffffff, AT(fmask) },
    { MSR_FS_BASE, MSR_CANONICAL, 0, AT(fs_base) },
    { MSR_GS_BASE, MSR_CANONICAL, 0, AT(gs_base) },
    { MSR_KERNEL_GS_BASE, MSR_CANONICAL, 0, AT(kernel_gs) },
    { MSR_TSC_AUX, MSR_BITS, 0xffffffff, AT(tsc_aux) },
    { MSR_MTRRCAP, MSR_READ_ONLY, 0, 0 },
    { MSR_MTRR_DEF_TYPE, MSR_BITS, 0xcff, AT(mtrr_def_type) },
    { MSR_MISC_ENABLE, MSR_BITS, ~0ul, AT(misc_enable) },
    { MSR_DEBUGCTL, MSR_BITS, 0, 0 },
    { MSR_MCG_CAP, MSR_READ_ONLY, 0, 0 },
};

static const struct msr_row *msr_find(u32 msr)
{
    for (u32 i = 0; i < array_size(msr_rows); i++)
        if (msr_rows[i].msr == msr)
            return &msr_rows[i];
    return NULL;
}

static bool canonical(u64 address)
{
    return (u64)((s64)(address << 16) >> 16) == address;
}

/* Memory types 2, 3 and above 7 are reserved (SDM 3A 11.12.2). */
static bool pat_legal(u64 value)
{
    for (u32 i = 0; i < 8; i++) {
        const u32 type = value >> 8 * i & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool efer_write(struct sim_cpu *cpu, u64 value)
{
    const u64 allowed = EFER_SCE | EFER_LME | EFER_LMA | (cpu->sim->profile.nx ? EFER_NXE : 0) |
                        (cpu->sim->config.vendor == SIM_SVM ? EFER_SVME : 0);
    if (value & ~allowed)
        return false;
    if ((value ^ cpu->efer) & EFER_LME && cpu->cr0 & CR0_PG)
        return false;
    cpu->efer = (value & ~EFER_LMA) | (cpu->efer & EFER_LMA);
    return true;
}

bool sim_msr_read(struct sim_cpu *cpu, u32 msr, u64 *value)
{
    const struct virt_model *v = cpu->sim->virt;
    const enum msr_answer answer = v && v->msr_read ? v->msr_read(cpu, msr, value) : MSR_NOT_MINE;
    if (answer != MSR_NOT_MINE)
        return answer == MSR_DONE;
    if (msr >= 0x800 && msr < 0x900)
        return apic_msr_read(cpu, msr, value);
    switch (msr) {
    case MSR_TSC:
        *value = sim_tsc(cpu);
        return true;
    case MSR_APIC_BASE:
        *value = cpu->apic.base;
        return true;
    case MSR_TSC_DEADLINE:
        *value = cpu->apic.deadline;
        return cpu->sim->profile.tsc_deadline;
    case MSR_EFER:
        *value = cpu->efer;
        return true;
    case MSR_ARCH_CAPABILITIES:
        *value = cpu->sim->profile.arch_capabilities;
        return cpu->sim->profile.arch_cap;
    case MSR_PAT:
        *value = cpu->pat;
        return true;
    }
    const struct msr_row *row = msr_find(msr);
    if (!row)
        return false;
    *value = row->member ? *(const u64 *)((const u8 *)cpu + row->member) : 0;
    return true;
}

/* A command: only written, one bit; each is counted. */
static bool command_write(bool exists, u64 value, u64 *count)
{
    if (!exists || value & ~1ul)
        return false;
    *count += value;
    return true;
}

static bool deadline_write(struct sim_cpu *cpu, u64 value)
{
    if (!cpu->sim->profile.tsc_deadline)
        return false;
    if ((cpu->apic.lvt_timer & 0x60000) != APIC_LVT_TIMER_DEADLINE)
        return true;   /* ignored (SDM 3A 10.5.4.1) */
    cpu->apic.deadline = value;
    timer_update(cpu);
    return true;
}

static bool row_write(struct sim_cpu *cpu, const struct msr_row *row, u64 value)
{
    if (row->rule == MSR_READ_ONLY || (row->rule == MSR_CANONICAL && !canonical(value)) || (row->rule == MSR_BITS && value & ~row->writable))
        return false;
    if (row->member)
        *(u64 *)((u8 *)cpu + row->member) = value;
    return true;
}

bool sim_msr_write(struct sim_cpu *cpu, u32 msr, u64 value)
{
    const struct virt_model *v = cpu->sim->virt;
    const enum msr_answer answer = v && v->msr_write ? v->msr_write(cpu, msr, value) : MSR_NOT_MINE;
    if (answer != MSR_NOT_MINE)
        return answer == MSR_DONE;
    if (msr >= 0x800 && msr < 0x900)
        return apic_msr_write(cpu, msr, value);
    switch (msr) {
    case MSR_APIC_BASE:
        return apic_base_write(cpu, value);
    case MSR_TSC_DEADLINE:
        return deadline_write(cpu, value);
    case MSR_EFER:
        return efer_write(cpu, value);
    case MSR_PRED_CMD:
        return command_write(cpu->sim->profile.ibpb, value, &cpu->barriers);
    case MSR_FLUSH_CMD:
        return command_write(cpu->sim->profile.l1d_flush, value, &cpu->l1d_flushes);
    case MSR_PAT:
        if (!pat_legal(value))
            return false;
        cpu->pat = value;
        return true;
    }
    const struct msr_row *row = msr_find(msr);
    return row && row_write(cpu, row, value);
}
