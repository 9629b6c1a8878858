/* SPDX-License-Identifier: BSD-2-Clause */
/* VMREAD and VMWRITE: which fields exist, how wide they are, which are read-only (Intel SDM 3C 25.11.2, 3D appendix B).
 * mach_vmread and mach_vmwrite have no result: an access that would VMfail is a finding that names the field. */
#include "vmx_model.h"

/* Fields that exist only if a control may be 1. */
static const struct optional {
    u16 field;
    u16 msr;   /* capability whose high half allows the control */
    u32 control;
} optional[] = {
    { VMCS_VPID, MSR_VMX_PROC2, VMX_PROC2_VPID },
    { VMCS_POSTED_VECTOR, MSR_VMX_TRUE_PIN, VMX_PIN_POSTED },
    { VMCS_POSTED_DESC_ADDR, MSR_VMX_TRUE_PIN, VMX_PIN_POSTED },
    { VMCS_PREEMPTION_TIMER, MSR_VMX_TRUE_PIN, VMX_PIN_TIMER },
    { VMCS_EPTP_INDEX, MSR_VMX_PROC2, VMX_PROC2_VE },
    { VMCS_VE_INFO_ADDR, MSR_VMX_PROC2, VMX_PROC2_VE },
    { VMCS_GUEST_INTR_STATUS, MSR_VMX_PROC2, VMX_PROC2_VID },
    { VMCS_EOI_EXIT0, MSR_VMX_PROC2, VMX_PROC2_VID },
    { VMCS_EOI_EXIT1, MSR_VMX_PROC2, VMX_PROC2_VID },
    { VMCS_EOI_EXIT2, MSR_VMX_PROC2, VMX_PROC2_VID },
    { VMCS_EOI_EXIT3, MSR_VMX_PROC2, VMX_PROC2_VID },
    { VMCS_GUEST_PML_INDEX, MSR_VMX_PROC2, VMX_PROC2_PML },
    { VMCS_PML_ADDR, MSR_VMX_PROC2, VMX_PROC2_PML },
    { VMCS_IO_BITMAP_A, MSR_VMX_TRUE_PROC, VMX_PROC_IO_BITMAPS },
    { VMCS_IO_BITMAP_B, MSR_VMX_TRUE_PROC, VMX_PROC_IO_BITMAPS },
    { VMCS_MSR_BITMAP, MSR_VMX_TRUE_PROC, VMX_PROC_MSR_BITMAPS },
    { VMCS_VIRTUAL_APIC_ADDR, MSR_VMX_TRUE_PROC, VMX_PROC_TPR_SHADOW },
    { VMCS_TPR_THRESHOLD, MSR_VMX_TRUE_PROC, VMX_PROC_TPR_SHADOW },
    { VMCS_PROC2_CTRL, MSR_VMX_TRUE_PROC, VMX_PROC_SECONDARY },
    { VMCS_PROC3_CTRL, MSR_VMX_TRUE_PROC, VMX_PROC_TERTIARY },
    { VMCS_APIC_ACCESS_ADDR, MSR_VMX_PROC2, VMX_PROC2_APIC_ACCESS },
    { VMCS_VMFUNC_CTRL, MSR_VMX_PROC2, VMX_PROC2_VMFUNC },
    { VMCS_EPTP_LIST_ADDR, MSR_VMX_PROC2, VMX_PROC2_VMFUNC },
    { VMCS_VMREAD_BITMAP, MSR_VMX_PROC2, VMX_PROC2_SHADOW },
    { VMCS_VMWRITE_BITMAP, MSR_VMX_PROC2, VMX_PROC2_SHADOW },
    { VMCS_XSS_EXIT_BITMAP, MSR_VMX_PROC2, VMX_PROC2_XSAVES },
    { VMCS_ENCLS_EXIT_BITMAP, MSR_VMX_PROC2, VMX_PROC2_ENCLS },
    { VMCS_ENCLV_EXIT_BITMAP, MSR_VMX_PROC2, bit(28) },
    { VMCS_SPPTP, MSR_VMX_PROC2, VMX_PROC2_SPP },
    { VMCS_TSC_MULTIPLIER, MSR_VMX_PROC2, VMX_PROC2_TSC_SCALING },
    { VMCS_EPTP, MSR_VMX_PROC2, VMX_PROC2_EPT },
    { VMCS_GUEST_PHYS_ADDR, MSR_VMX_PROC2, VMX_PROC2_EPT },
    { VMCS_GUEST_PDPTE0, MSR_VMX_PROC2, VMX_PROC2_EPT },
    { VMCS_GUEST_PDPTE1, MSR_VMX_PROC2, VMX_PROC2_EPT },
    { VMCS_GUEST_PDPTE2, MSR_VMX_PROC2, VMX_PROC2_EPT },
    { VMCS_GUEST_PDPTE3, MSR_VMX_PROC2, VMX_PROC2_EPT },
    { VMCS_PLE_GAP, MSR_VMX_PROC2, VMX_PROC2_PLE },
    { VMCS_PLE_WINDOW, MSR_VMX_PROC2, VMX_PROC2_PLE },
    { VMCS_GUEST_PAT, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_PAT },
    { VMCS_GUEST_EFER, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER },
    { VMCS_GUEST_PERF_GLOBAL, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_PERF_GLOBAL },
    { VMCS_GUEST_BNDCFGS, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_BNDCFGS },
    { VMCS_GUEST_RTIT_CTL, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_RTIT },
    { VMCS_GUEST_LBR_CTL, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LBR },
    { VMCS_GUEST_PKRS, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_PKRS },
    { VMCS_GUEST_S_CET, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_CET },
    { VMCS_GUEST_SSP, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_CET },
    { VMCS_GUEST_ISST, MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_CET },
    { VMCS_EXIT2_CTRL, MSR_VMX_TRUE_EXIT, VMX_EXIT_SECONDARY },
    { VMCS_HOST_PAT, MSR_VMX_TRUE_EXIT, VMX_EXIT_LOAD_PAT },
    { VMCS_HOST_EFER, MSR_VMX_TRUE_EXIT, VMX_EXIT_LOAD_EFER },
    { VMCS_HOST_PERF_GLOBAL, MSR_VMX_TRUE_EXIT, VMX_EXIT_PERF_GLOBAL },
    { VMCS_HOST_PKRS, MSR_VMX_TRUE_EXIT, VMX_EXIT_LOAD_PKRS },
    { VMCS_HOST_S_CET, MSR_VMX_TRUE_EXIT, VMX_EXIT_LOAD_CET },
    { VMCS_HOST_SSP, MSR_VMX_TRUE_EXIT, VMX_EXIT_LOAD_CET },
    { VMCS_HOST_ISST, MSR_VMX_TRUE_EXIT, VMX_EXIT_LOAD_CET },
};

static bool listed(u32 field)
{
    switch (field) {
#define CASE(encoding, name) case encoding:
        VMCS_FIELD_LIST(CASE)
#undef CASE
        return true;
    default:
        return false;
    }
}

#define HIGH(field)  ((field)&1)
#define WIDTH(field) ((field) >> 13 & 3)
enum { WIDTH_16, WIDTH_64, WIDTH_32, WIDTH_NATURAL };

bool vmx_field_exists(const struct vmx_profile *p, u32 field)
{
    const u32 full = field & ~1u;
    if (!listed(full) || (HIGH(field) && WIDTH(field) != WIDTH_64))
        return false;
    for (size_t i = 0; i < array_size(optional); i++)
        if (optional[i].field == full)
            return VMX_CAP(p, optional[i].msr) >> 32 & optional[i].control;
    return true;
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
