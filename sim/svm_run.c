/* SPDX-License-Identifier: BSD-2-Clause */
/* VMRUN until #VMEXIT (AMD APM 2 15.5, 15.6, 15.21): what comes before the checks, events at instruction boundaries, what is written back.
 * The machine runs it as VMLOAD, VMRUN, VMSAVE with host interrupts enabled and GIF clear outside. Bounded by the run's step budget. */
#include "irq.h"
#include "memory.h"
#include "svm_model.h"
#include "translations.h"
#include "walk.h"

#define V(n) VCPU_CHECK('V', n)

void svm_exit_code(struct svm_cpu *c, u64 code, u64 info1, u64 info2)
{
    c->vmcb.exit_code = code;
    c->vmcb.exit_info1 = info1;
    c->vmcb.exit_info2 = info2;
    c->vmcb.next_rip = 0;
    c->vmcb.fetched_bytes = 0;   /* what stands behind it stays (15.8.4) */
}

/* What the processor writes at #VMEXIT; the rest of the page stays as software left it. */
static void write_back(struct sim_cpu *cpu)
{
    static const struct {
        u16 from, to;
    } written[] = { { 0x060, 0x090 }, { 0x0a8, 0x0b0 }, { 0x0c8, 0x0e0 }, { 0x400, 0x698 } };
    struct svm_cpu *c = svm_of(cpu);
    for (size_t i = 0; i < array_size(written); i++)
        if (!sim_phys_write(cpu->sim, c->vmcb_phys + written[i].from, (u8 *)&c->vmcb + written[i].from, written[i].to - written[i].from))
            sim_broken(RULE_SVM_VMCB, "the VMCB at %lx is not in RAM", c->vmcb_phys);
}

/* What the processor reads on its own must not be freed memory. */
static void check_live(struct sim_cpu *cpu, u64 phys)
{
    if (memory_state(cpu->sim, phys & ~PAGE_MASK) == MEM_FREE)
        sim_broken(RULE_SVM_FREED, "CPU %u: VMRUN uses %lx, which is freed memory", cpu->id, phys);
}

/* V01 and what is a contract of software rather than a check. */
static void check_instruction(struct sim_cpu *cpu, u64 phys)
{
    struct svm_cpu *c = svm_of(cpu);
    c->last_check = V(1);
    if (!(cpu->efer & EFER_SVME))
        sim_broken(RULE_SVM_OFF, "V01: VMRUN with EFER.SVME = 0: #UD (APM 2 15.4)");
    if ((phys & PAGE_MASK) || phys >> SIM_PHYS_BITS || !sim_phys(cpu->sim, phys, PAGE_SIZE))
        sim_broken(RULE_SVM_VMCB, "V01: VMRUN of %lx, no page of RAM: #GP (APM 3 VMRUN)", phys);
    c->last_check = 0;
    check_live(cpu, phys);
    if (!c->host_save || !sim_phys(cpu->sim, c->host_save, PAGE_SIZE))
        sim_broken(RULE_SVM_HSAVE, "VMRUN with VM_HSAVE_PA %lx: the host state would be lost (APM 2 15.30.4)", c->host_save);
    if (phys == c->host_save)
        sim_broken(RULE_SVM_HSAVE, "VMRUN of the host save area");
}

/* May a virtual interrupt be taken before the next instruction? */
static bool virtual_ready(const struct svm_cpu *c)
{
    const u64 control = c->vmcb.int_control;
    const u64 priority = control >> 16 & 0xf;
    if (!(control & SVM_INT_V_IRQ) || (!(control & SVM_INT_IGN_TPR) && priority <= (c->guest.cr8 & 0xf)))
        return false;
    return (c->guest.rflags & RFLAGS_IF) && !(c->guest.interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS));
}

/* With V_INTR_MASKING the host's IF, which is 1, decides about physical interrupts, else the guest's (15.21.1). */
static bool physical_ready(struct sim_cpu *cpu)
{
    const struct svm_cpu *c = svm_of(cpu);
    const bool open = (c->guest.rflags & RFLAGS_IF) && !(c->guest.interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS));
    return ((c->vmcb.int_control & SVM_INT_MASKING) || open) && sim_irq_pending(cpu);
}

static bool boundary_exit(struct sim_cpu *cpu)
{
    struct svm_cpu *c = svm_of(cpu);
    const u32 intercepts = c->vmcb.intercept1;
    if (cpu->nmi) {
        if (!(intercepts & SVM_ICEPT1_NMI))
            sim_broken(RULE_SVM_INTR, "an NMI would be delivered to the guest: it is not intercepted");
        svm_exit_code(c, SVM_EXIT_NMI, 0, 0);   /* stays pending for the host */
        return true;
    }
    if (physical_ready(cpu)) {
        if (!(intercepts & SVM_ICEPT1_INTR))
            sim_broken(RULE_SVM_INTR, "a host interrupt would be delivered through the guest's IDT: it is not intercepted");
        svm_exit_code(c, SVM_EXIT_INTR, 0, 0);
        return true;
    }
    if (!virtual_ready(c))
        return false;
    if (intercepts & SVM_ICEPT1_VINTR) {
        svm_exit_code(c, SVM_EXIT_VINTR, 0, 0);
        return true;
    }
    c->guest.event = VCPU_EVENT_INTERRUPT(c->vmcb.int_control >> 32 & 0xff);
    c->guest.activity = VCPU_ACTIVITY_ACTIVE;
    c->vmcb.int_control &= ~SVM_INT_V_IRQ;
    return false;
}

/* A VMCB and what it points to belong to the processor while the guest runs. */
static void check_owned(struct sim_cpu *cpu)
{
    const struct svm_cpu *c = svm_of(cpu);
    const struct vmcb *b = &c->vmcb;
    const u64 pages[] = { c->host_save, b->iopm_base, b->msrpm_base, b->n_cr3 };
    for (size_t i = 0; i < array_size(pages); i++)
        check_live(cpu, pages[i]);
    for (u32 i = 0; i < cpu->sim->cpu_count; i++) {
        const struct svm_cpu *other = svm_of(&cpu->sim->cpu[i]);
        if (other != c && other->host_save == c->host_save)
            sim_broken(RULE_SVM_HSAVE, "CPU %u and CPU %u have one host save area, %lx: the state of one is lost (APM 2 15.30.4)", i, cpu->id,
                       c->host_save);
        if (other != c && other->running && other->vmcb_phys == c->vmcb_phys)
            sim_broken(RULE_SVM_TWICE, "VMCB %lx runs on CPU %u and CPU %u at once", c->vmcb_phys, i, cpu->id);
    }
}

static void run(struct sim_cpu *cpu)
{
    struct svm_cpu *c = svm_of(cpu);
    struct sim_guest *g = &c->guest;
    for (;;) {
        if (!(g->event & SVM_EVENT_VALID) && boundary_exit(cpu))
            return;
        if (g->activity != VCPU_ACTIVITY_ACTIVE) {
            irq_held(cpu) ? sim_yield(cpu) : sim_wait(cpu);
            continue;
        }
        struct engine_event e = { 0 };
        g->want_window = c->vmcb.int_control & SVM_INT_V_IRQ;
        sim_guest_slice(cpu, g, &e);
        if (!(g->event & SVM_EVENT_VALID))
            c->rip_back = 0;
        if (e.kind == EVENT_INTR_WINDOW && (!(g->rflags & RFLAGS_IF) || (g->interruptibility & ~VCPU_BLOCKED_NMI)))
            sim_broken(RULE_MACHINE_ENGINE, "the engine reports an open window at RIP %lx, but the guest is not interruptible", g->rip);
        if (e.kind != EVENT_SLICE && e.kind != EVENT_WAIT && e.kind != EVENT_INTR_WINDOW && svm_event_exits(cpu, &e))
            return;
    }
}

/* What an emulator does that stores "the current state" at every #VMEXIT: at a refused VMRUN that is the host's. */
static void spoil(struct sim_cpu *cpu)
{
    struct vmcb *const b = &svm_of(cpu)->vmcb;
    const struct vmcb_seg host = { .selector = 0x10, .attributes = 0xa93, .limit = ~0u };
    b->es = b->cs = b->ss = b->ds = host;
    b->gdtr.base = b->idtr.base = b->rip = b->rsp = ~0ul << 47;
    b->gdtr.limit = b->idtr.limit = 0xfff;
    b->cpl = 0;
    b->efer = cpu->efer;
    b->cr0 = cpu->cr0;
    b->cr2 = cpu->cr2;
    b->cr3 = 0x1000;
    b->cr4 = cpu->cr4;
    b->dr6 = DR6_INIT;
    b->dr7 = DR7_INIT;
    b->rflags = RFLAGS_ONE;
    b->rax = svm_of(cpu)->vmcb_phys;   /* VMRUN's operand */
    b->int_shadow = 0;
    b->int_control &= ~SVM_INT_V_IRQ;
    b->event_inj = 0;
}

static void flush(struct sim_cpu *cpu)
{
    const struct svm_cpu *c = svm_of(cpu);
    if (c->vmcb.asid >= c->profile->asids)
        sim_broken(RULE_SVM_ASID, "VMRUN with ASID %u, but the processor has %u (APM 2 15.16.1)", c->vmcb.asid, c->profile->asids);
    if (c->vmcb.tlb_control == SVM_TLB_ASID_LOCAL)
        sim_tlb_flush_engine(cpu);   /* nested changes stay in what the guest calls global */
    else if (c->vmcb.tlb_control)
        sim_tlb_flush_npt(cpu, c->vmcb.tlb_control == SVM_TLB_ALL, c->vmcb.asid);
    const struct walk_root root = { .kind = WALK_NPT, .tag = c->vmcb.asid, .root = c->vmcb.n_cr3, .nxe = cpu->efer & EFER_NXE };
    translations_enter(cpu, &root, 0, c->vmcb_phys);
}

u64 svm_enter(struct sim_cpu *cpu, struct resume *resume, u64 *info)
{
    struct svm_cpu *c = svm_of(cpu);
    struct vmcb now;
    *info = 0;
    check_instruction(cpu, resume->guest);
    if (!sim_phys_read(cpu->sim, resume->guest, &now, sizeof(now)))
        sim_broken(RULE_SVM_VMCB, "the VMCB at %lx is not in RAM", resume->guest);
    c->last_check = svm_check(cpu, &now);
    if (c->vmcb_phys != resume->guest)
        c->cached = false;
    if (!c->last_check)
        svm_check_clean(c, &now);
    c->vmcb = now;
    c->vmcb_phys = resume->guest;
    if (c->last_check) {
        if (c->profile->refusal_spoils)
            spoil(cpu);
        svm_exit_code(c, SVM_EXIT_INVALID, 0, 0);
    } else {
        if (!(c->vmcb.np_control & SVM_NP_ENABLE))
            sim_broken(RULE_MACHINE_MODEL, "VMRUN without nested paging is not modelled");
        check_owned(cpu);
        flush(cpu);
        svm_load_guest(cpu, resume);
        c->running = true;
        run(cpu);
        c->running = false;
        svm_store_guest(cpu, resume);
        translations_leave(cpu, 0);
    }
    write_back(cpu);
    c->cached = !c->last_check;
    return TRAP(TRAP_GUEST_EXIT, 0);
}
