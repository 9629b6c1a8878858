/* SPDX-License-Identifier: BSD-2-Clause */
/* VMREAD and VMWRITE: which fields exist, how wide they are, which are read-only (Intel SDM 3C 25.11.2, 3D appendix B).
 * mach_vmread and mach_vmwrite have no result: an access that would VMfail is a finding that names the field. */
#include "vmx_model.h"

/* Fields that exist only if a control may be 1; by slot. */
static const struct optional {
    u32 control;
    u16 msr;   /* capability whose high half allows the control; 0: exists always */
} optional[VMX_SLOTS] = {
    [VMX_SLOT(VMCS_VPID)] = { VMX_PROC2_VPID, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_POSTED_VECTOR)] = { VMX_PIN_POSTED, MSR_VMX_TRUE_PIN },
    [VMX_SLOT(VMCS_POSTED_DESC_ADDR)] = { VMX_PIN_POSTED, MSR_VMX_TRUE_PIN },
    [VMX_SLOT(VMCS_PREEMPTION_TIMER)] = { VMX_PIN_TIMER, MSR_VMX_TRUE_PIN },
    [VMX_SLOT(VMCS_EPTP_INDEX)] = { VMX_PROC2_VE, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_VE_INFO_ADDR)] = { VMX_PROC2_VE, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_INTR_STATUS)] = { VMX_PROC2_VID, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_EOI_EXIT0)] = { VMX_PROC2_VID, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_EOI_EXIT1)] = { VMX_PROC2_VID, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_EOI_EXIT2)] = { VMX_PROC2_VID, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_EOI_EXIT3)] = { VMX_PROC2_VID, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PML_INDEX)] = { VMX_PROC2_PML, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_PML_ADDR)] = { VMX_PROC2_PML, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_IO_BITMAP_A)] = { VMX_PROC_IO_BITMAPS, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_IO_BITMAP_B)] = { VMX_PROC_IO_BITMAPS, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_MSR_BITMAP)] = { VMX_PROC_MSR_BITMAPS, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_VIRTUAL_APIC_ADDR)] = { VMX_PROC_TPR_SHADOW, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_TPR_THRESHOLD)] = { VMX_PROC_TPR_SHADOW, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_PROC2_CTRL)] = { VMX_PROC_SECONDARY, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_PROC3_CTRL)] = { VMX_PROC_TERTIARY, MSR_VMX_TRUE_PROC },
    [VMX_SLOT(VMCS_APIC_ACCESS_ADDR)] = { VMX_PROC2_APIC_ACCESS, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_VMFUNC_CTRL)] = { VMX_PROC2_VMFUNC, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_EPTP_LIST_ADDR)] = { VMX_PROC2_VMFUNC, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_VMREAD_BITMAP)] = { VMX_PROC2_SHADOW, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_VMWRITE_BITMAP)] = { VMX_PROC2_SHADOW, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_XSS_EXIT_BITMAP)] = { VMX_PROC2_XSAVES, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_ENCLS_EXIT_BITMAP)] = { VMX_PROC2_ENCLS, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_ENCLV_EXIT_BITMAP)] = { bit(28), MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_SPPTP)] = { VMX_PROC2_SPP, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_TSC_MULTIPLIER)] = { VMX_PROC2_TSC_SCALING, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_EPTP)] = { VMX_PROC2_EPT, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PHYS_ADDR)] = { VMX_PROC2_EPT, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PDPTE0)] = { VMX_PROC2_EPT, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PDPTE1)] = { VMX_PROC2_EPT, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PDPTE2)] = { VMX_PROC2_EPT, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PDPTE3)] = { VMX_PROC2_EPT, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_PLE_GAP)] = { VMX_PROC2_PLE, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_PLE_WINDOW)] = { VMX_PROC2_PLE, MSR_VMX_PROC2 },
    [VMX_SLOT(VMCS_GUEST_PAT)] = { VMX_ENTRY_LOAD_PAT, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_EFER)] = { VMX_ENTRY_LOAD_EFER, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_PERF_GLOBAL)] = { VMX_ENTRY_PERF_GLOBAL, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_BNDCFGS)] = { VMX_ENTRY_BNDCFGS, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_RTIT_CTL)] = { VMX_ENTRY_RTIT, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_LBR_CTL)] = { VMX_ENTRY_LBR, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_PKRS)] = { VMX_ENTRY_LOAD_PKRS, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_S_CET)] = { VMX_ENTRY_LOAD_CET, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_SSP)] = { VMX_ENTRY_LOAD_CET, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_GUEST_ISST)] = { VMX_ENTRY_LOAD_CET, MSR_VMX_TRUE_ENTRY },
    [VMX_SLOT(VMCS_EXIT2_CTRL)] = { VMX_EXIT_SECONDARY, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_PAT)] = { VMX_EXIT_LOAD_PAT, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_EFER)] = { VMX_EXIT_LOAD_EFER, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_PERF_GLOBAL)] = { VMX_EXIT_PERF_GLOBAL, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_PKRS)] = { VMX_EXIT_LOAD_PKRS, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_S_CET)] = { VMX_EXIT_LOAD_CET, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_SSP)] = { VMX_EXIT_LOAD_CET, MSR_VMX_TRUE_EXIT },
    [VMX_SLOT(VMCS_HOST_ISST)] = { VMX_EXIT_LOAD_CET, MSR_VMX_TRUE_EXIT },
};

/* By slot: the encoding, with bit 0 set; 0: none. */
static const u16 listed[VMX_SLOTS] = {
#define LISTED(encoding, name) [VMX_SLOT(encoding)] = (encoding) | 1,
    VMCS_FIELD_LIST(LISTED)
#undef LISTED
};

#define HIGH(field)  ((field)&1)
#define WIDTH(field) ((field) >> 13 & 3)
enum { WIDTH_16, WIDTH_64, WIDTH_32, WIDTH_NATURAL };

bool vmx_field_exists(const struct vmx_profile *p, u32 field)
{
    const u32 slot = VMX_SLOT(field);
    if (listed[slot] != (field | 1) || (HIGH(field) && WIDTH(field) != WIDTH_64))
        return false;
    return !optional[slot].msr || VMX_CAP(p, optional[slot].msr) >> 32 & optional[slot].control;
}

static struct vmcs *current(struct sim_cpu *cpu, const char *name, u32 field)
{
    struct vmx_cpu *c = vmx_of(cpu);
    if (!c->on)
        sim_broken(RULE_VMX_OFF, "%s of field %x outside VMX operation: #UD (SDM 3C 31.3)", name, field);
    if (!c->current)
        sim_broken(RULE_VMX_NONE, "%s of field %x without a current VMCS: VMfailInvalid (SDM 3C 31.3)", name, field);
    if (!vmx_field_exists(c->machine->profile, field)) {
        vmcs_set(c->current, VMCS_INSN_ERROR, VMX_ERROR_FIELD);
        sim_broken(RULE_VMX_FIELD, "%s of field %x, which this processor lacks: VMfailValid(12) (SDM 3C 31.4)", name, field);
    }
    return c->current;
}

u64 vmx_read(struct sim_cpu *cpu, u32 field)
{
    const u64 value = vmcs_get(current(cpu, "VMREAD", field), field);
    return HIGH(field) ? value >> 32 : value;
}

void vmx_write(struct sim_cpu *cpu, u32 field, u64 value)
{
    struct vmcs *v = current(cpu, "VMWRITE", field);
    if ((field >> 10 & 3) == 1) {
        vmcs_set(v, VMCS_INSN_ERROR, VMX_ERROR_READ_ONLY);
        sim_broken(RULE_VMX_READONLY, "VMWRITE of read-only field %x: VMfailValid(13) (SDM 3C 31.4)", field);
    }
    if (HIGH(field))
        value = value << 32 | (vmcs_get(v, field) & 0xffffffff);
    else if (WIDTH(field) == WIDTH_16)
        value &= 0xffff;
    else if (WIDTH(field) == WIDTH_32)
        value &= 0xffffffff;
    vmcs_set(v, field, value);
}
