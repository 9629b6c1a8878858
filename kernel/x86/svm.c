/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD SVM: enabling, the VMCB's life, and the last steps before VMRUN.
 * STAR to KERNEL_GS and SYSENTER are switched by the VMLOAD and VMSAVE that the machine puts around VMRUN. Nested translations have only the
 * ASID as a tag: to flush them is to give every vCPU a fresh one, and when they are used up, one VMRUN that flushes all.
 * Not handled: nested SVM, AVIC, clean bits (all of the VMCB is loaded at each VMRUN). */
#include "arch/x86.h"
#include "ptab.h"
#include "space_mem.h"
#include "svm_x86.h"

/* One block per CPU: | I/O map, 3 pages | MSR map, 2 pages | host save area | */
#define MAPS_BYTES    (8 * PAGE_SIZE)
#define MSRPM_OFFSET  SVM_IOPM_BYTES
#define HSAVE_OFFSET  (SVM_IOPM_BYTES + SVM_MSRPM_BYTES)
#define CR8_ACCESS    (0x0100ul | 0x0100ul << 16)   /* read and write */
#define CR4_WRITE     (0x0010ul << 16)              /* for VIRT_CR4_UNSWITCHED */
#define DR_ACCESS     (0xfffffffful << 32)

/* INVD would lose the host's cached writes; GIF instructions and VMLOAD belong to the host. The rest is what VMX makes exit too. */
#define ICEPT1                                                                                                                            \
    (SVM_ICEPT1_INTR | SVM_ICEPT1_NMI | SVM_ICEPT1_INIT | SVM_ICEPT1_RDPMC | SVM_ICEPT1_CPUID | SVM_ICEPT1_INVD | SVM_ICEPT1_HLT |          \
     SVM_ICEPT1_INVLPGA | SVM_ICEPT1_IO | SVM_ICEPT1_MSR | SVM_ICEPT1_SHUTDOWN)
#define ICEPT2                                                                                                                            \
    (SVM_ICEPT2_VMRUN | SVM_ICEPT2_VMMCALL | SVM_ICEPT2_VMLOAD | SVM_ICEPT2_VMSAVE | SVM_ICEPT2_STGI | SVM_ICEPT2_CLGI | SVM_ICEPT2_SKINIT | \
     SVM_ICEPT2_WBINVD | SVM_ICEPT2_MONITOR | SVM_ICEPT2_MWAIT | SVM_ICEPT2_XSETBV)

bool svm_probe(void)
{
    if (mach_cpuid(0x80000000u, 0).eax < CPUID_SVM || !(mach_cpuid(0x80000001u, 0).ecx & CPUID_81_ECX_SVM))
        return false;
    u64 vm_cr;   /* Bochs 2.7 lacks the register: then nothing is disabled */
    return !(mach_msr_read_try(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS) && mach_cpuid(CPUID_SVM, 0).edx & CPUID_SVM_NP;
}

static seldom u32 svm_leaf_level_max(void)
{
    return mach_cpuid(0x80000001u, 0).edx & CPUID_81_EDX_1G ? 2 : 1;   /* nested tables have the host's page sizes */
}

/* ---- Once per CPU ---- */

static void fill_ones(u8 *start, u64 bytes)
{
    for (u64 i = 0; i < bytes; i += 8)
        atomic_store_relaxed((atomic_u64 *)(start + i), ~0ul);   /* atomic: the processor reads it */
}

/* There is no mask of bits: every MOV to CR4 exits, but only where the processor has what must stay off. */
static seldom u64 cr_accesses(void)
{
    const bool leaf = mach_cpuid(0, 0).eax >= 7;
    return CR8_ACCESS | (leaf && mach_cpuid(7, 0).ecx & (CPUID_7_ECX_PKU | CPUID_7_ECX_CET_SS | CPUID_7_ECX_PKS) ? CR4_WRITE : 0);
}

static seldom enum status svm_cpu_enable(struct cpu *cpu)
{
    void *p;
    if (!svm_probe())
        return STATUS_FEATURE;   /* not the same as the boot CPU */
    const enum status s = mem_alloc(cpu->kern->mem, &cpu->kern->quota, MAPS_BYTES, &p);
    if (s != OK)
        return s;
    fill_ones(p, SVM_IOPM_BYTES + SVM_MSRPM_BYTES);
    virt_cpu_init(cpu);
    cpu->virt.maps = mach_virt_to_phys(p);
    cpu->virt.region = cpu->virt.maps + HSAVE_OFFSET;
    cpu->virt.fixed[SVM_FIXED_FEATURES] = mach_cpuid(CPUID_SVM, 0).edx;
    cpu->virt.fixed[SVM_FIXED_CR] = cr_accesses();
    cpu->virt.tag_limit = mach_cpuid(CPUID_SVM, 0).ebx - 1;   /* ASID 0 is the host's */
    cpu->virt.tag_flush = true;                               /* what firmware may have left */
    mach_msr_write(MSR_EFER, mach_msr_read(MSR_EFER) | EFER_SVME);
    mach_msr_write(MSR_VM_HSAVE_PA, cpu->virt.region);
    return OK;
}

static seldom void svm_flush(struct cpu *cpu)
{
    cpu->virt.tag_epoch++;   /* no guest runs here now, and none will under an old ASID */
}

/* ---- A VMCB's life ---- */

static seldom void svm_start(struct cpu *cpu, struct vcpu *v)
{
    vmcb_set(v, VMCB(iopm_base), cpu->virt.maps);
    vmcb_set(v, VMCB(msrpm_base), cpu->virt.maps + MSRPM_OFFSET);
    vmcb_set(v, VMCB(np_control), SVM_NP_ENABLE);
    vmcb_set(v, VMCB(n_cr3), v->space->ptab.root);
    virt_regs(v)->flags |= VIRT_STARTED;
    virt_regs(v)->control = VIRT_WISHES_NONE;
    v->resume.kind = RESUME_GUEST_SVM;
    v->resume.guest = v->hw_phys;
    virt_reset(cpu, v, svm_load);
}

/* ---- Before each entry ---- */

static u32 svm_open(struct cpu *cpu, struct vcpu *v)
{
    if (vmcb_get(v, VMCB(int_shadow)) & SVM_SHADOW)
        return 0;
    return (virt_regs(v)->flags & VIRT_NMI_BLOCKED ? 0 : VCPU_WINDOW_NMI) | (vmcb_get(v, VMCB(rflags)) & RFLAGS_IF ? VCPU_WINDOW_INTR : 0);
}

static inline bool is_stale(const struct cpu *cpu, const struct vcpu *v)
{
    return v->tag_epoch != cpu->virt.tag_epoch || cpu->virt.tag_flush;
}

static void tag(struct cpu *cpu, struct vcpu *v)
{
    virt_tag(cpu, v);
    vmcb_set(v, VMCB(asid), v->tag | (u64)(cpu->virt.tag_flush ? SVM_TLB_ALL : SVM_TLB_KEEP) << 32);
    cpu->virt.tag_flush = false;
}

/* The interrupt window is a virtual interrupt that is intercepted, so never delivered. There is no NMI window: while NMIs are blocked IRET
 * exits, which unblocks them when it is executed; vcpu.c then looks whether the window is open before each entry. */
static void intercepts(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    const u64 flags = r->flags, wishes = virt_wishes(v, flags);
    if (wishes == r->control)
        return;
    r->control = wishes;
    const bool window = v->windows & VCPU_WINDOW_INTR, tsc = flags & VIRT_RDTSC;
    const u32 iret = (flags & (VIRT_NMI_BLOCKED | VIRT_IRET)) == VIRT_NMI_BLOCKED ? SVM_ICEPT1_IRET : 0;
    const u32 one = ICEPT1 | (window ? SVM_ICEPT1_VINTR : 0) | (tsc ? SVM_ICEPT1_RDTSC : 0) | iret;
    const u32 two = ICEPT2 | (tsc ? SVM_ICEPT2_RDTSCP : 0);
    vmcb_set(v, VMCB(intercept_cr_read), cpu->virt.fixed[SVM_FIXED_CR] | (flags & VIRT_DR ? 0 : DR_ACCESS));
    vmcb_set32(v, VMCB(intercept1), one);
    vmcb_set32(v, VMCB(intercept2), two);
    vmcb_set(v, VMCB(int_control), SVM_INT_MASKING | (window ? SVM_INT_V_IRQ | SVM_INT_IGN_TPR | SVM_INT_PRIO_MASK : 0));
}

/* Types 5 and 6 do not exist here: INT1, INT3 and INTO are injected as exceptions. The return address of a software event is next RIP
 * where the processor has that field, else RIP itself, which then is moved over the instruction (APM 2 15.20). */
static void inject(struct cpu *cpu, struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    u64 event = v->inject;
    if (event & 0x400) {
        if ((event >> 8 & 7) != SVM_EVENT_SOFT_INTR)
            event = (event & ~0x700ul) | (u64)SVM_EVENT_EXCEPTION << 8;
        const u64 next = r->rip + v->inject_insn_len;
        if (cpu->virt.fixed[SVM_FIXED_FEATURES] & CPUID_SVM_NRIP) {
            vmcb_set(v, VMCB(next_rip), next);
        } else {
            vmcb_set(v, VMCB(rip), next);
            r->flags |= VIRT_RIP_ADVANCED;
        }
    }
    if (SVM_EVENT_TYPE(event) == SVM_EVENT_NMI)
        r->flags |= VIRT_NMI_BLOCKED;
    vmcb_set(v, VMCB(event_inj), event);
}

/* Before an entry that may be refused: svm_exit.c tells why. An exception can be refused in a mode that does not have it (15.20). */
static void keep(struct vcpu *v)
{
    struct virt_regs *const r = virt_regs(v);
    if (v->inject && (v->inject >> 8 & 7) >= SVM_EVENT_EXCEPTION)
        r->flags |= VIRT_UNPROVEN;
    if (r->flags & VIRT_UNPROVEN)
        svm_keep(v);
}

/* Not every entry needs it. */
static seldom void prepare(struct cpu *cpu, struct vcpu *v)
{
    virt_regs(v)->rip = vmcb_get(v, VMCB(rip));
    keep(v);
    if (v->inject)
        inject(cpu, v);
    intercepts(cpu, v);
    tag(cpu, v);
    if (virt_regs(v)->flags & VIRT_SWITCHED)
        virt_enter_switch(cpu, v);
}

static struct resume *svm_enter(struct cpu *cpu, struct vcpu *v)
{
    const struct virt_regs *const r = virt_regs(v);
    void *const hw = v->hw;
    vmcb_write(hw, VMCB(event_inj), 0);
    vmcb_write(hw, VMCB(asid), v->tag | (u64)SVM_TLB_KEEP << 32);
    if (unlikely(v->inject | (r->flags & (VIRT_UNPROVEN | VIRT_IRET | VIRT_SWITCHED))) || virt_wishes(v, r->flags) != r->control || is_stale(cpu, v))
        prepare(cpu, v);
    return &v->resume;
}

const struct virt_ops virt_svm = {
    .name = "SVM",
    .vendor = 2,
    .groups = VCPU_GROUP_ALL & ~VCPU_GROUP_PDPTE,
    .format = &ptab_npt,
    .leaf_level_max = svm_leaf_level_max,
    .cpu_enable = svm_cpu_enable,
    .create = virt_create,
    .destroy = virt_free,
    .start = svm_start,
    .load = svm_load,
    .store = svm_store,
    .open = svm_open,
    .enter = svm_enter,
    .exit = svm_exit,
    .instruction = svm_instruction,
    .flush = svm_flush,
};
