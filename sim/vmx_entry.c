/* SPDX-License-Identifier: BSD-2-Clause */
/* VM entry and VM exit as a whole (Intel SDM 3C, chapters 26 and 27): the order of checks, what a failure reports, and what an exit stores.
 * Every failing check leaves its id in last_check: P01 to P08 before anything, then C X N, H, G S R A, M. */
#include "vmx_model.h"

#define P(n) VCPU_CHECK('P', n)
enum { FAIL_INVALID = 1, FAIL_VALID = 2 };   /* info of TRAP_GUEST_FAILED */

/* Where exits land. The process has no such code: the values only have to come back. */
struct mach_vmx_host vmx_host(struct sim_cpu *cpu)
{
    return (struct mach_vmx_host){ .rip = 0xffffffff80001000,
                                   .rsp = 0xffffffff80f00000 + cpu->id * 0x10000ul,
                                   .gdtr_base = 0xffffffff80002000 + cpu->id * 0x100ul,
                                   .idtr_base = 0xffffffff80010000,
                                   .tr_base = 0xffffffff80020000 + cpu->id * 0x100ul,
                                   .gs_base = 0xffffffff80030000 + cpu->id * 0x100ul,
                                   .cs = SEL_KERNEL_CODE,
                                   .ss = SEL_KERNEL_DATA,
                                   .tr = SEL_TSS };
}

void vmx_check_begin(struct vmx_check *k, struct sim_cpu *cpu)
{
    const struct vmx_cpu *c = vmx_of(cpu);
    const struct vmcs *v = c->current;
    *k = (struct vmx_check){ .cpu = cpu, .profile = c->machine->profile, .v = v, .phys_mask = ~(bit(SIM_PHYS_BITS) - 1) };
    k->pin = vmcs_get(v, VMCS_PIN_CTRL);
    k->proc = vmcs_get(v, VMCS_PROC_CTRL);
    k->proc2 = k->proc & VMX_PROC_SECONDARY ? vmcs_get(v, VMCS_PROC2_CTRL) : 0;
    k->exit = vmcs_get(v, VMCS_EXIT_CTRL);
    k->entry = vmcs_get(v, VMCS_ENTRY_CTRL);
    k->cr0 = vmcs_get(v, VMCS_GUEST_CR0);
    k->cr4 = vmcs_get(v, VMCS_GUEST_CR4);
    k->rflags = vmcs_get(v, VMCS_GUEST_RFLAGS);
    k->event = vmcs_get(v, VMCS_ENTRY_INTR_INFO);
    k->event_valid = k->event & VMX_INTR_VALID;
    k->ia32e = k->entry & VMX_ENTRY_IA32E;
    k->unrestricted = k->proc2 & VMX_PROC2_UNRESTRICTED;
    k->v86 = k->rflags & RFLAGS_VM;
}

/* What the processor answers with VMfail and only a confused kernel does. */
static u32 misuse(struct vmx_cpu *c, u32 check, enum sim_rule rule, const char *what)
{
    c->last_check = check;
    if (!c->vmfails)
        sim_broken(rule, "P%02u: %s", check & 0xff, what);
    return check;
}

/* What VMLAUNCH and VMRESUME look at before the VMCS. *error: of VMfailValid; 0: VMfailInvalid. */
static u32 check_instruction(struct sim_cpu *cpu, bool launched, u32 *error)
{
    struct vmx_cpu *c = vmx_of(cpu);
    *error = 0;
    if (!c->on) {
        c->last_check = P(1);
        sim_broken(RULE_VMX_OFF, "P01: VM entry outside VMX operation: #UD (SDM 3C 26.1)");
    }
    if (!c->current)
        return misuse(c, P(4), RULE_VMX_NONE, "VM entry without a current VMCS: VMfailInvalid (SDM 3C 31.2)");
    if (vmx_ram_read(cpu, c->current->phys, 4) >> 31)
        return P(5);
    if (c->mov_ss) {
        *error = VMX_ERROR_MOV_SS;
        return P(6);
    }
    if (!launched && c->current->launched) {
        *error = VMX_ERROR_LAUNCH_NOT_CLEAR;
        return misuse(c, P(7), RULE_VMX_LAUNCH, "VMLAUNCH of a VMCS that is launched: VMfailValid(4); VMCLEAR it or VMRESUME (SDM 3C 31.4)");
    }
    if (launched && !c->current->launched) {
        *error = VMX_ERROR_RESUME_NOT_LAUNCHED;
        return misuse(c, P(8), RULE_VMX_LAUNCH, "VMRESUME of a VMCS that is clear: VMfailValid(5); VMLAUNCH comes first (SDM 3C 31.4)");
    }
    return 0;
}

static u32 check_controls_host(const struct vmx_check *k, u32 *error)
{
    *error = VMX_ERROR_CONTROLS;
    u32 id = vmx_check_controls(k);
    if (!id)
        id = vmx_check_exit_entry(k);
    if (id)
        return id;
    *error = VMX_ERROR_HOST;
    return vmx_check_host(k);
}

static u32 check_guest_state(struct vmx_check *k)
{
    u32 id = vmx_check_guest(k);
    if (!id)
        id = vmx_check_segments(k);
    return id ? id : vmx_check_state(k);
}

/* An exit during entry: of the guest nothing was saved, only reason and qualification are new (26.8). */
static u64 entry_failed(struct sim_cpu *cpu, u32 reason, u64 qualification)
{
    struct vmcs *v = vmx_of(cpu)->current;
    vmcs_set(v, VMCS_EXIT_REASON, reason | VMX_REASON_FAILED);
    vmcs_set(v, VMCS_EXIT_QUALIFICATION, qualification);
    vmx_load_host(cpu, v);
    return TRAP(TRAP_GUEST_EXIT, 0);
}

static void store_exit(struct sim_cpu *cpu, struct vmcs *v, const struct vmx_exit *x)
{
    struct sim_guest *g = &vmx_of(cpu)->guest;
    const u64 undelivered = g->event & VCPU_EVENT_VALID ? g->event : 0;
    vmcs_set(v, VMCS_EXIT_REASON, x->reason);
    vmcs_set(v, VMCS_EXIT_QUALIFICATION, x->qualification);
    vmcs_set(v, VMCS_EXIT_INTR_INFO, x->event);
    vmcs_set(v, VMCS_EXIT_ERROR_CODE, x->error);
    vmcs_set(v, VMCS_EXIT_INSN_LEN, x->length);
    vmcs_set(v, VMCS_EXIT_INSN_INFO, x->insn_info);
    vmcs_set(v, VMCS_GUEST_LINEAR_ADDR, x->linear);
    vmcs_set(v, VMCS_GUEST_PHYS_ADDR, x->physical);
    vmcs_set(v, VMCS_VECTORING_INFO, undelivered & 0xffffffff);
    vmcs_set(v, VMCS_VECTORING_ERROR, undelivered & VCPU_EVENT_ERROR ? undelivered >> 32 : 0);
    /* For a software event the length is that of its instruction (27.2.5). */
    if (undelivered && vmx_of(cpu)->software_length)
        vmcs_set(v, VMCS_EXIT_INSN_LEN, vmx_of(cpu)->software_length);
    vmcs_set(v, VMCS_ENTRY_INTR_INFO, vmcs_get(v, VMCS_ENTRY_INTR_INFO) & ~(u64)VMX_INTR_VALID);
}

/* The kernel is in its exit stub again only if it named the stub. */
static void check_landing(struct sim_cpu *cpu, const struct vmcs *v)
{
    const struct mach_vmx_host h = vmx_host(cpu);
    if (vmcs_get(v, VMCS_HOST_RIP) != h.rip || vmcs_get(v, VMCS_HOST_RSP) != h.rsp)
        sim_broken(RULE_VMX_HOST, "VM exit lands at RIP %lx, RSP %lx, not in the machine's stub on CPU %u", vmcs_get(v, VMCS_HOST_RIP),
                   vmcs_get(v, VMCS_HOST_RSP), cpu->id);
    if (vmcs_get(v, VMCS_HOST_CS_SEL) != h.cs || vmcs_get(v, VMCS_HOST_SS_SEL) != h.ss || vmcs_get(v, VMCS_HOST_TR_SEL) != h.tr ||
        vmcs_get(v, VMCS_HOST_TR_BASE) != h.tr_base || vmcs_get(v, VMCS_HOST_GDTR_BASE) != h.gdtr_base ||
        vmcs_get(v, VMCS_HOST_IDTR_BASE) != h.idtr_base || vmcs_get(v, VMCS_HOST_GS_BASE) != h.gs_base)
        sim_broken(RULE_VMX_HOST, "VM exit loads segments or tables that are not those of CPU %u", cpu->id);
}

/* What the VMCS points to must not be freed memory, though it may not be read before the guest needs it. */
static void check_owned(struct sim_cpu *cpu, const struct vmcs *v)
{
    static const struct {
        u32 field, control;   /* of the primary controls */
    } pages[] = { { VMCS_EPTP, VMX_PROC_SECONDARY },
                  { VMCS_MSR_BITMAP, VMX_PROC_MSR_BITMAPS },
                  { VMCS_IO_BITMAP_A, VMX_PROC_IO_BITMAPS },
                  { VMCS_IO_BITMAP_B, VMX_PROC_IO_BITMAPS } };
    for (size_t i = 0; i < array_size(pages); i++)
        if (vmcs_get(v, VMCS_PROC_CTRL) & pages[i].control)
            vmx_live(cpu, vmcs_get(v, pages[i].field) & PTE_PHYS_MASK);
}

static u64 enter_guest(struct sim_cpu *cpu, struct resume *resume)
{
    struct vmx_cpu *c = vmx_of(cpu);
    struct vmcs *v = c->current;
    if (!c->machine->profile->runs)
        sim_broken(RULE_MACHINE_MODEL, "the entry is good, but profile %s runs no guests", c->machine->profile->name);
    check_landing(cpu, v);
    check_owned(cpu, v);
    vmx_load_guest(cpu, v, resume);
    const u64 count = vmcs_get(v, VMCS_ENTRY_MSR_LOAD_COUNT);
    const u32 bad = count ? vmx_list_load(cpu, vmcs_get(v, VMCS_ENTRY_MSR_LOAD_ADDR), count, false, &c->last_check) : 0;
    if (bad)
        return entry_failed(cpu, VMX_REASON_FAIL_MSR, bad);
    undo_write(cpu->sim, &v->launched, sizeof(v->launched));
    v->launched = true;
    struct vmx_exit exit = { 0 };
    c->running = true;
    vmx_run(cpu, v, &exit);
    c->running = false;
    store_exit(cpu, v, &exit);
    vmx_store_guest(cpu, v, resume);
    vmx_list_store(cpu, vmcs_get(v, VMCS_EXIT_MSR_STORE_ADDR), vmcs_get(v, VMCS_EXIT_MSR_STORE_COUNT));
    vmx_load_host(cpu, v);
    u32 check = 0;
    const u64 loads = vmcs_get(v, VMCS_EXIT_MSR_LOAD_COUNT);
    const u32 abort = loads ? vmx_list_load(cpu, vmcs_get(v, VMCS_EXIT_MSR_LOAD_ADDR), loads, true, &check) : 0;
    if (abort)
        sim_broken(RULE_VMX_ABORT, "VMX abort: entry %u of the exit MSR-load area is refused, M%02u (SDM 3C 27.7)", abort, check & 0xff);
    return TRAP(TRAP_GUEST_EXIT, 0);
}

u64 vmx_enter(struct sim_cpu *cpu, struct resume *resume, u64 *info)
{
    struct vmx_cpu *c = vmx_of(cpu);
    u32 error;
    c->last_check = check_instruction(cpu, resume->guest != 0, &error);
    struct vmx_check k;
    if (!c->last_check) {
        vmx_check_begin(&k, cpu);
        c->last_check = check_controls_host(&k, &error);
    }
    if (c->last_check) {
        if (error)
            vmcs_set(c->current, VMCS_INSN_ERROR, error);
        *info = error ? FAIL_VALID : FAIL_INVALID;
        return TRAP(TRAP_GUEST_FAILED, 0);
    }
    *info = 0;
    c->last_check = check_guest_state(&k);
    return c->last_check ? entry_failed(cpu, VMX_REASON_FAIL_STATE, k.qualification) : enter_guest(cpu, resume);
}
