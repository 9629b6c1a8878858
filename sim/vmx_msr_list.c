/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR areas of VM entries and exits (Intel SDM 3C 25.7.2, 25.8.2, 26.4, 27.4, 27.6): ids M01 to M07.
 * M01, more entries than the processor recommends, is undefined in the manual; it fails here, as does an area outside RAM (M07). */
#include "guest_exec.h"
#include "vmx_model.h"

#define M(n) VCPU_CHECK('M', n)
#define LIST_MAX 512u               /* IA32_VMX_MISC[27:25] = 0 */
#define MSR_SMM_MONITOR_CTL 0x9bu
#define MSR_SMBASE          0x9eu
#define MSR_BIOS_UPDT_TRIG  0x79u

static u32 check_entry(struct sim_cpu *cpu, const struct vmx_msr_entry *e)
{
    if (e->reserved)
        return M(2);
    if (e->index == MSR_FS_BASE || e->index == MSR_GS_BASE)
        return M(3);
    if (e->index >> 8 == 8 && (cpu->apic.base & bit(10)))
        return M(4);
    if (e->index == MSR_SMM_MONITOR_CTL || e->index == MSR_SMBASE || e->index == MSR_BIOS_UPDT_TRIG)
        return M(5);
    return 0;
}

/* EFER alone is written without the rules of WRMSR: its LMA and LME follow the mode the transition goes to. */
static bool write_one(struct sim_cpu *cpu, u32 index, u64 value, bool host)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    if (index != MSR_EFER)
        return host ? sim_msr_write(cpu, index, value) : guest_msr_write(cpu, g, index, value);
    if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return false;
    *(host ? &cpu->efer : &g->efer) = value;
    return true;
}

u32 vmx_list_load(struct sim_cpu *cpu, u64 address, u64 count, bool host, u32 *check)
{
    if (count > LIST_MAX) {
        *check = M(1);
        return LIST_MAX + 1;
    }
    for (u32 i = 0; i < count; i++) {
        struct vmx_msr_entry e;
        *check = sim_phys_read(cpu->sim, address + i * sizeof(e), &e, sizeof(e)) ? check_entry(cpu, &e) : M(7);
        if (!*check && !write_one(cpu, e.index, e.value, host))
            *check = M(6);
        if (*check)
            return i + 1;
    }
    *check = 0;
    return 0;
}

void vmx_list_store(struct sim_cpu *cpu, u64 address, u64 count)
{
    for (u32 i = 0; i < count; i++) {
        struct vmx_msr_entry e;
        const u64 at = address + i * sizeof(e);
        if (i >= LIST_MAX || !sim_phys_read(cpu->sim, at, &e, sizeof(e)) || check_entry(cpu, &e) ||
            !guest_msr_read(cpu, &vmx_of(cpu)->guest, e.index, &e.value) || !sim_phys_write(cpu->sim, at, &e, sizeof(e)))
            sim_broken(RULE_VMX_ABORT, "VMX abort: entry %u of the exit MSR-store area is refused (SDM 3C 27.4)", i + 1);
    }
}
