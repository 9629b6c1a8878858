/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel VMX: enabling, the VMCS's life, and the last steps before an entry.
 * Invariant: a VMCS is used on its vCPU's home CPU only, from VMCLEAR at the first run to VMCLEAR at the end; virt.current is the current one.
 * MSRs: STAR LSTAR CSTAR FMASK KERNEL_GS are written here and not by MSR-load lists: the lists would be more memory that silicon reads, they
 * are walked at every entry even if no value differs, and a refused value would be an entry failure instead of a named check at the load. RDMSR and
 * WRMSR exit, so a guest sees them by SYSCALL, SYSRET and SWAPGS only: until its EFER has SCE, or LME, the host's stay.
 * Not handled: 32-bit hosts, nested VMX, SMM. */
#include "arch/x86.h"
#include "ptab.h"
#include "space_mem.h"
#include "vmx_x86.h"

#define VMX_MSRS 5u   /* those of virt_regs.msr but TSC_AUX */

static const u32 msr_index[VMX_MSRS] = { MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS_BASE };
#define KERNEL_GS 4u
#define VIRT_MSRS_SEEN (VIRT_SCE | VIRT_LME)

static seldom u32 vmx_leaf_level_max(void)
{
    const u64 c = mach_msr_read(MSR_VMX_EPT_VPID);
    return c & VMX_EPT_1G ? 2 : c & VMX_EPT_2M ? 1 : 0;
}

static u64 eptp(const struct vcpu *v)
{
    return v->space->ptab.root | EPTP_WB | EPTP_WALK4;   /* no A and D bits: the walker never writes to our tables */
}

/* ---- Once per CPU ---- */

static seldom void feature_control(void)
{
    const u64 f = mach_msr_read(MSR_FEATURE_CONTROL);
    if (!(f & FEATURE_CONTROL_LOCK))   /* without a BIOS nobody has written it */
        mach_msr_write(MSR_FEATURE_CONTROL, f | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
}

static seldom void *new_region(struct quota *q, u64 *phys)
{
    void *p;
    if (mem_alloc(kern()->mem, q, PAGE_SIZE, &p) != OK)
        return NULL;
    atomic_store32(p, VMX_BASIC_REVISION(mach_msr_read(MSR_VMX_BASIC)));   /* atomic: the processor reads it */
    *phys = mach_virt_to_phys(p);
    return p;
}

static seldom enum status vmx_cpu_enable(struct cpu *cpu)
{
    u64 phys;
    if (!vmx_probe())
        return STATUS_FEATURE;   /* not the same as the boot CPU */
    void *const region = new_region(&cpu->kern->quota, &phys);
    if (!region)
        return STATUS_MEMORY;
    feature_control();
    mach_cr0_write(mach_cr0_read() | mach_msr_read(MSR_VMX_CR0_FIXED0));
    mach_cr4_write(mach_cr4_read() | mach_msr_read(MSR_VMX_CR4_FIXED0));
    if (!mach_vmxon(phys)) {
        mem_free(cpu->kern->mem, &cpu->kern->quota, region, PAGE_SIZE);
        return STATUS_FEATURE;
    }
    vmx_caps(cpu);
    virt_cpu_init(cpu);
    cpu->virt.tag_limit = cpu->virt.fixed[VMX_FIXED_PROC2] & VMX_PROC2_VPID ? 0xffff : 0;
    cpu->virt.region = phys;
    return mach_invept(INVEPT_ALL, 0) ? OK : STATUS_FEATURE;   /* what firmware may have left */
}

static seldom void vmx_flush(struct cpu *cpu)
{
    if (cpu->virt.region && !mach_invept(INVEPT_ALL, 0))
        mach_panic("vmx: INVEPT failed although the processor offers it");
}

/* ---- A VMCS's life ---- */

static seldom void vmx_destroy(struct vcpu *v)
{
    struct virt_cpu *const c = &kern()->cpu[v->object.cpu]->virt;
    if (virt_regs(v)->flags & VIRT_STARTED) {
        if (!mach_vmclear(v->hw_phys))   /* the processor may hold it in a cache and write it back later */
            mach_panic("vmx: VMCLEAR failed");
        if (c->current == v->hw_phys)
            c->current = 0;
    }
    virt_free(v);
}

seldom void vmx_switch(struct cpu *cpu, struct vcpu *v)
{
    if (!mach_vmptrld(v->hw_phys))
        mach_panic("vmx: VMPTRLD failed");
    cpu->virt.current = v->hw_phys;
}

static seldom void host_state(void)
{
    const struct mach_vmx_host h = mach_vmx_host();
    const struct {
        u32 field;
        u64 value;
    } rows[] = {
        { VMCS_HOST_CS_SEL, h.cs },           { VMCS_HOST_SS_SEL, h.ss },           { VMCS_HOST_DS_SEL, h.ds },
        { VMCS_HOST_ES_SEL, h.es },           { VMCS_HOST_FS_SEL, h.fs },           { VMCS_HOST_GS_SEL, h.gs },
        { VMCS_HOST_TR_SEL, h.tr },           { VMCS_HOST_RIP, h.rip },             { VMCS_HOST_RSP, h.rsp },
        { VMCS_HOST_GDTR_BASE, h.gdtr_base }, { VMCS_HOST_IDTR_BASE, h.idtr_base }, { VMCS_HOST_TR_BASE, h.tr_base },
        { VMCS_HOST_GS_BASE, h.gs_base },     { VMCS_HOST_FS_BASE, h.fs_base },     { VMCS_HOST_CR4, mach_cr4_read() },
        { VMCS_HOST_CR0, mach_cr0_read() | CR0_TS },   /* fpu.h */
        { VMCS_HOST_EFER, mach_msr_read(MSR_EFER) },    { VMCS_HOST_PAT, mach_msr_read(MSR_PAT) },
        { VMCS_HOST_SYSENTER_CS, 0 },         { VMCS_HOST_SYSENTER_ESP, 0 },        { VMCS_HOST_SYSENTER_EIP, 0 },
    };
    for (u32 i = 0; i < array_size(rows); i++)
        mach_vmwrite(rows[i].field, rows[i].value);
}

static seldom void controls(struct cpu *cpu, struct vcpu *v)
{
    const u64 *const f = cpu->virt.fixed;
    const struct {
        u32 field;
        u64 value;
    } rows[] = {
        { VMCS_PIN_CTRL, f[VMX_FIXED_PIN] },   { VMCS_PROC_CTRL, f[VMX_FIXED_PROC] },   { VMCS_PROC2_CTRL, f[VMX_FIXED_PROC2] },
        { VMCS_EXIT_CTRL, f[VMX_FIXED_EXIT] }, { VMCS_ENTRY_CTRL, f[VMX_FIXED_ENTRY] }, { VMCS_EPTP, eptp(v) },
        { VMCS_LINK_POINTER, ~0ul },
        { VMCS_CR0_MASK, f[VMX_FIXED_CR0] | CR0_CD | CR0_NW },  { VMCS_CR4_MASK, f[VMX_FIXED_CR4] | VIRT_CR4_UNSWITCHED },
        { VMCS_PF_ERROR_MASK, 0 },             { VMCS_PF_ERROR_MATCH, 0 },              { VMCS_CR3_TARGET_COUNT, 0 },
        { VMCS_EXIT_MSR_STORE_COUNT, 0 },      { VMCS_EXIT_MSR_LOAD_COUNT, 0 },         { VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
        { VMCS_ENTRY_INTR_INFO, 0 },           { VMCS_GUEST_DEBUGCTL, 0 },              { VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE },
    };
    for (u32 i = 0; i < array_size(rows); i++)
        mach_vmwrite(rows[i].field, rows[i].value);
    virt_regs(v)->control = VIRT_WISHES_NONE;
}

static seldom void vmx_start(struct cpu *cpu, struct vcpu *v)
{
    atomic_store32(v->hw, VMX_BASIC_REVISION(mach_msr_read(MSR_VMX_BASIC)));
    if (!mach_vmclear(v->hw_phys))
        mach_panic("vmx: VMCLEAR failed");
    virt_regs(v)->flags |= VIRT_STARTED;
    v->resume.kind = RESUME_GUEST_VMX;
    v->resume.guest = 0;
    vmx_current(cpu, v);
    controls(cpu, v);
    host_state();
    virt_reset(cpu, v, vmx_load);
}

/* ---- Before each entry ---- */

static u32 vmx_open(struct cpu *cpu, struct vcpu *v)
{
    vmx_current(cpu, v);
    const u64 blocked = mach_vmread(VMCS_GUEST_INTERRUPTIBILITY);
    if (blocked & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS))
        return 0;
    return (blocked & VMX_BLOCK_NMI ? 0 : VCPU_WINDOW_NMI) | (mach_vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF ? VCPU_WINDOW_INTR : 0);
}

static seldom void tag(struct cpu *cpu, struct vcpu *v)
{
    if (!cpu->virt.tag_limit || !virt_tag(cpu, v))
        return;   /* without VPIDs entries and exits drop everything */
    if (cpu->virt.tag_flush && !mach_invvpid(INVVPID_ALL, 0, 0))
        mach_panic("vmx: INVVPID failed although the processor offers it");
    cpu->virt.tag_flush = false;
    mach_vmwrite(VMCS_VPID, v->tag);
}

static seldom void controls_again(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    u64 control = cpu->virt.fixed[VMX_FIXED_PROC];
    control |= v->windows & VCPU_WINDOW_INTR ? VMX_PROC_INTR_WINDOW : 0;
    control |= v->windows & VCPU_WINDOW_NMI ? VMX_PROC_NMI_WINDOW : 0;
    control |= r->flags & VIRT_RDTSC ? VMX_PROC_RDTSC : 0;
    control |= r->flags & VIRT_DR ? 0 : VMX_PROC_DR;
    mach_vmwrite(VMCS_PROC_CTRL, control);
    r->control = virt_wishes(v, r->flags);
}

/* Formats agree (25.8.3); an exit clears the valid bit of the field. */
static seldom void inject(struct vcpu *v)
{
    mach_vmwrite(VMCS_ENTRY_INTR_INFO, v->inject & 0xffffffff);
    if (v->inject & VCPU_EVENT_ERROR)
        mach_vmwrite(VMCS_ENTRY_ERROR_CODE, v->inject >> 32);
    if (v->inject & 0x400)
        mach_vmwrite(VMCS_ENTRY_INSN_LEN, v->inject_insn_len);
}

/* Those that the guest can see: `to` replaces `from` where they differ. */
static void msrs(const struct virt_regs *r, const u64 *from, const u64 *to)
{
    for (u32 i = 0; i < VMX_MSRS; i++) {
        if (r->flags & (i == KERNEL_GS ? VIRT_LME : VIRT_SCE) && from[i] != to[i])
            mach_msr_write(msr_index[i], to[i]);
    }
}

/* Registers that only some guests use. */
static seldom void registers(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    msrs(r, cpu->virt.host_msr, r->msr);
    if (r->flags & VIRT_DR)
        mach_dr_write(6, r->dr6);
    if (r->flags & VIRT_SWITCHED)
        virt_enter_switch(cpu, v);
}

static struct resume *vmx_enter(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    vmx_current(cpu, v);
    if (unlikely(v->tag_epoch != cpu->virt.tag_epoch))
        tag(cpu, v);
    if (unlikely(virt_wishes(v, r->flags) != r->control))
        controls_again(cpu, v);
    if (unlikely(v->inject))
        inject(v);
    const u64 cr3 = mach_cr3_read();
    if (unlikely(cr3 != r->host_cr3)) {
        mach_vmwrite(VMCS_HOST_CR3, cr3);
        r->host_cr3 = cr3;
    }
    if (unlikely(mach_cr2_read() != r->cr2))
        mach_cr2_write(r->cr2);   /* serializing */
    if (unlikely(r->flags & (VIRT_MSRS_SEEN | VIRT_SWITCHED)))
        registers(cpu, v);
    return &v->resume;
}

static seldom void registers_back(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    if (r->flags & VIRT_SWITCHED)
        virt_leave_switch(cpu, v);
    if (r->flags & VIRT_LME)
        r->msr[KERNEL_GS] = mach_msr_read(MSR_KERNEL_GS_BASE);   /* SWAPGS does not exit; the others change by WRMSR only */
    msrs(r, r->msr, cpu->virt.host_msr);
    if (!(r->flags & VIRT_DR))
        return;   /* nobody wrote DR6: MOV DR and #DB exit, and neither exits nor entries change it (26.1, 27.6.1.1) */
    r->dr6 = mach_dr_read(6);
    if (!(mach_vmread(VMCS_GUEST_DR7) & VIRT_DR7_ENABLED))
        r->flags &= ~VIRT_DR;   /* saved; until the guest touches them again nothing is switched */
}

/* What the guest changed is saved, what is the host's is back. */
void vmx_leave(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    r->cr2 = mach_cr2_read();
    if (unlikely(r->flags & (VIRT_MSRS_SEEN | VIRT_SWITCHED)))
        registers_back(cpu, v);
}

const struct virt_ops virt_vmx = {
    .name = "VMX",
    .vendor = 1,
    .groups = VCPU_GROUP_ALL,
    .format = &ptab_ept,
    .leaf_level_max = vmx_leaf_level_max,
    .cpu_enable = vmx_cpu_enable,
    .create = virt_create,
    .destroy = vmx_destroy,
    .start = vmx_start,
    .load = vmx_load,
    .store = vmx_store,
    .open = vmx_open,
    .enter = vmx_enter,
    .exit = vmx_exit,
    .flush = vmx_flush,
};
