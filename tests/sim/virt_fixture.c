/* SPDX-License-Identifier: BSD-2-Clause */
/* See virt_fixture.h. */
#include <stdlib.h>
#include <string.h>
#include "unit.h"
#include "virt_fixture.h"

#define PIN   (0x16u | VMX_PIN_INTR | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI)
#define PROC  (0x04006172u | VMX_PROC_HLT | VMX_PROC_IO | VMX_PROC_TSC_OFFSET | VMX_PROC_SECONDARY | VMX_PROC_MSR_BITMAPS)
#define PROC2 (VMX_PROC2_EPT | VMX_PROC2_VPID | VMX_PROC2_RDTSCP)
#define EXIT                                                                                                           \
    (0x36dfbu | VMX_EXIT_HOST64 | VMX_EXIT_SAVE_DEBUG | VMX_EXIT_SAVE_PAT | VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER |   \
     VMX_EXIT_LOAD_EFER)
#define ENTRY (0x11fbu | VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER)

static void poke(struct world *w, u64 phys, u64 value, u32 bytes)
{
    if (!sim_phys_write(w->s, phys, &value, bytes))
        abort();
}

static bool script_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    struct world *w = container_of(e, struct world, engine);
    if (w->next == 0)
        w->seen = *g;
    if (w->next >= w->steps) {
        *out = (struct engine_event){ .kind = EVENT_END };
        return true;
    }
    const struct script_step *step = &w->script[w->next++];
    if ((g->event & VCPU_EVENT_VALID) && !step->keeps_event) {
        w->delivered = g->event;
        g->event = 0;
    }
    if (step->before)
        step->before(g);
    *out = step->event;
    if (w->next == w->raise_after)
        irq_raise(cpu, 0x60);
    return true;
}

static void script_flush(struct engine *e, struct sim_cpu *cpu)
{
    container_of(e, struct world, engine)->flushes++;
}

/* Four levels, entry 0 each; the last maps the guest's pages. */
static void nested_tables(struct world *w)
{
    const bool vmx = w->s->config.vendor == SIM_VMX;
    const u64 table = vmx ? 7 : PTE_P | PTE_W | PTE_U, leaf = vmx ? 7 | 6 << 3 : PTE_P | PTE_W | PTE_U;
    for (u32 level = 0; level < 3; level++)
        poke(w, AT_NESTED + level * PAGE_SIZE, (AT_NESTED + (level + 1) * PAGE_SIZE) | table, 8);
    for (u32 i = 0; i < 16; i++) {
        const u64 gpa = i * PAGE_SIZE;
        u64 entry = (AT_GUEST + gpa) | leaf;
        if (gpa == GPA_ABSENT)
            entry = 0;
        if (gpa == GPA_READ_ONLY)
            entry &= ~2ul;
        if (gpa == GPA_WRONG)
            entry = vmx ? 2 : entry | bit(51);   /* write without read; a reserved bit */
        poke(w, AT_NESTED + 3 * PAGE_SIZE + i * 8, entry, 8);
    }
}

static void vmx_start(struct world *w)
{
    struct sim_cpu *cpu = w->cpu;
    const u64 revision = VMX_BASIC_REVISION(VMX_CAP(&vmx_haswell, MSR_VMX_BASIC));
    cpu->feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
    cpu->cr4 |= CR4_VMXE;
    poke(w, AT_VMXON, revision, 4);
    poke(w, AT_VMCS, revision, 4);
    if (!sim_vmx.vmxon(cpu, AT_VMXON) || !sim_vmx.vmclear(cpu, AT_VMCS) || !sim_vmx.vmptrld(cpu, AT_VMCS))
        abort();
    w->vmcs = vmx_of(cpu)->current;
}

struct world *world_create(enum sim_vendor vendor)
{
    struct world *w = calloc(1, sizeof(*w));
    w->s = sim_unit(2, 16ul << 20, vendor);
    w->cpu = &w->s->cpu[0];
    w->engine = (struct engine){ .name = "script", .guest = script_guest, .flush = script_flush };
    w->s->config.guest = &w->engine;
    w->cpu->apic.spurious |= APIC_SVR_ENABLE;
    nested_tables(w);
    if (vendor == SIM_VMX)
        vmx_start(w);
    world_good(w, BASE_LONG);
    return w;
}

void world_destroy(struct world *w)
{
    sim_destroy(w->s);
    free(w);
}

struct vmcb *world_vmcb(struct world *w)
{
    return sim_phys(w->s, AT_VMCB, PAGE_SIZE);
}

u64 world_field(const struct world *w, u32 field)
{
    return vmcs_get(w->vmcs, field);
}

void world_set(struct world *w, u32 field, u64 value)
{
    vmcs_set(w->vmcs, field, value);
}

struct pair {
    u32 field;
    u64 value;
};

static void set_all(struct world *w, const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        world_set(w, pairs[i].field, pairs[i].value);
}

static void vmx_host_state(struct world *w)
{
    const struct mach_vmx_host h = vmx_host(w->cpu);
    const struct pair host[] = {
        { VMCS_HOST_CS_SEL, h.cs },           { VMCS_HOST_SS_SEL, h.ss },           { VMCS_HOST_TR_SEL, h.tr },
        { VMCS_HOST_RIP, h.rip },             { VMCS_HOST_RSP, h.rsp },             { VMCS_HOST_GDTR_BASE, h.gdtr_base },
        { VMCS_HOST_IDTR_BASE, h.idtr_base }, { VMCS_HOST_TR_BASE, h.tr_base },     { VMCS_HOST_GS_BASE, h.gs_base },
        { VMCS_HOST_CR0, w->cpu->cr0 },       { VMCS_HOST_CR3, w->cpu->cr3 },       { VMCS_HOST_CR4, w->cpu->cr4 },
        { VMCS_HOST_EFER, w->cpu->efer },     { VMCS_HOST_PAT, PAT_RESET },
    };
    set_all(w, host, array_size(host));
}

static void vmx_segments(struct world *w, u32 code, u32 data, u64 limit)
{
    for (u32 n = VCPU_SEG_ES; n <= VCPU_SEG_GS; n++) {
        world_set(w, VMCS_SEG(VMCS_GUEST_ES_LIMIT, n), limit);
        world_set(w, VMCS_SEG(VMCS_GUEST_ES_AR, n), n == VCPU_SEG_CS ? code : data);
    }
    world_set(w, VMCS_GUEST_TR_AR, 0x8b);
    world_set(w, VMCS_GUEST_TR_LIMIT, 0x67);
    world_set(w, VMCS_GUEST_LDTR_AR, VCPU_SEG_UNUSABLE);
}

static void vmx_mode(struct world *w, enum world_base base)
{
    const bool wide = base == BASE_LONG, flat = base == BASE_PAE;
    if (base == BASE_REAL) {
        world_set(w, VMCS_GUEST_CR0, CR0_NE | CR0_ET);
        world_set(w, VMCS_GUEST_CR4, CR4_VMXE);
    }
    if (base == BASE_LONG || base == BASE_REAL)
        world_set(w, VMCS_PROC2_CTRL, PROC2 | VMX_PROC2_UNRESTRICTED);
    world_set(w, VMCS_ENTRY_CTRL, wide ? ENTRY | VMX_ENTRY_IA32E : ENTRY);
    world_set(w, VMCS_GUEST_EFER, wide ? EFER_LMA | EFER_LME | EFER_SCE : 0);
    if (base == BASE_V86) {
        vmx_segments(w, 0xf3, 0xf3, 0xffff);
        world_set(w, VMCS_GUEST_RFLAGS, RFLAGS_VM | RFLAGS_ONE);
    } else {
        vmx_segments(w, wide ? 0xa09b : flat ? 0xc09b : 0x9b, base == BASE_REAL ? 0x93 : 0xc093, base == BASE_REAL ? 0xffff : ~0u);
    }
}

static void vmx_good(struct world *w, enum world_base base)
{
    const struct pair common[] = {
        { VMCS_PIN_CTRL, PIN },          { VMCS_PROC_CTRL, PROC },     { VMCS_PROC2_CTRL, PROC2 },
        { VMCS_EXIT_CTRL, EXIT },        { VMCS_EPTP, AT_NESTED | EPTP_WB | EPTP_WALK4 },
        { VMCS_VPID, 1 },                { VMCS_MSR_BITMAP, AT_MSR_MAP },
        { VMCS_LINK_POINTER, ~0ul },     { VMCS_GUEST_PAT, PAT_RESET }, { VMCS_GUEST_DR7, DR7_INIT },
        { VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG | CR0_ET | CR0_WP }, { VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE },
        { VMCS_GUEST_CR3, 0x1000 },      { VMCS_GUEST_RFLAGS, RFLAGS_ONE }, { VMCS_GUEST_RIP, 0x1000 }, { VMCS_GUEST_RSP, 0x2000 },
        { VMCS_IO_BITMAP_A, AT_IO_MAP }, { VMCS_IO_BITMAP_B, AT_IO_MAP + PAGE_SIZE },
    };
    struct vmx_cpu *c = vmx_of(w->cpu);
    memset(w->vmcs->field, 0, sizeof(w->vmcs->field));
    w->vmcs->launched = false;
    c->machine->profile = &vmx_haswell;
    c->mov_ss = false;
    c->current = w->vmcs;
    set_all(w, common, array_size(common));
    vmx_host_state(w);
    vmx_mode(w, base);
}

static struct vmcb_seg seg(u16 selector, u16 attributes, u32 limit)
{
    return (struct vmcb_seg){ .selector = selector, .attributes = attributes, .limit = limit };
}

static void svm_good(struct world *w, enum world_base base)
{
    struct vmcb *b = world_vmcb(w);
    const bool wide = base == BASE_LONG, real = base == BASE_REAL;
    struct svm_cpu *c = svm_of(w->cpu);
    memset(b, 0, sizeof(*b));
    c->profile = &svm_full;
    c->cached = false;
    c->host_save = AT_SAVE;
    b->intercept1 = SVM_ICEPT1_INTR | SVM_ICEPT1_NMI | SVM_ICEPT1_CPUID | SVM_ICEPT1_HLT | SVM_ICEPT1_IO | SVM_ICEPT1_MSR | SVM_ICEPT1_SHUTDOWN;
    b->intercept2 = SVM_ICEPT2_VMRUN | SVM_ICEPT2_VMMCALL | SVM_ICEPT2_WBINVD | SVM_ICEPT2_XSETBV;
    b->iopm_base = AT_IO_MAP;
    b->msrpm_base = AT_MSR_MAP;
    b->asid = 1;
    b->int_control = SVM_INT_MASKING;
    b->np_control = SVM_NP_ENABLE;
    b->n_cr3 = AT_NESTED;
    b->es = b->ss = b->ds = b->fs = b->gs = seg(0x10, real ? 0x93 : 0xc93, real ? 0xffff : ~0u);
    b->cs = seg(8, real ? 0x9b : wide ? 0xa9b : 0xc9b, real ? 0xffff : ~0u);
    b->tr = seg(0, 0x8b, 0x67);
    b->efer = EFER_SVME | (wide ? EFER_LME | EFER_LMA : 0);
    b->cr0 = CR0_ET | (real ? 0 : CR0_PE | CR0_PG | CR0_WP);
    b->cr4 = real ? 0 : CR4_PAE;
    b->cr3 = AT_PDPTES;
    b->dr6 = DR6_INIT;
    b->dr7 = DR7_INIT;
    b->rflags = RFLAGS_ONE;
    b->rip = 0x1000;
    b->rsp = 0x2000;
    b->g_pat = PAT_RESET;
}

/* The host's registers, and pages that a case may have written. */
static void host_good(struct world *w)
{
    struct sim_cpu *cpu = w->cpu;
    memset(sim_phys(w->s, AT_OTHER, AT_VMCB - AT_OTHER), 0, AT_VMCB - AT_OTHER);
    memset(sim_phys(w->s, AT_APIC_PAGE, 2 * PAGE_SIZE), 0, 2 * PAGE_SIZE);
    memset(sim_phys(w->s, AT_GUEST, 16 * PAGE_SIZE), 0, 16 * PAGE_SIZE);
    memset(&w->resume, 0, sizeof(w->resume));
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | (w->s->config.vendor == SIM_SVM ? EFER_SVME : 0);
    cpu->nmi = false;
    memset(cpu->apic.irr, 0, sizeof(cpu->apic.irr));
    memset(cpu->apic.isr, 0, sizeof(cpu->apic.isr));
    if (w->s->config.vendor == SIM_VMX) {
        const u64 revision = VMX_BASIC_REVISION(VMX_CAP(&vmx_haswell, MSR_VMX_BASIC));
        poke(w, AT_VMCS, revision, 4);
        poke(w, AT_OTHER, revision, 4);
    }
}

void world_good(struct world *w, enum world_base base)
{
    host_good(w);
    if (w->s->config.vendor == SIM_VMX)
        vmx_good(w, base);
    else
        svm_good(w, base);
}

void world_script(struct world *w, u32 count, const struct script_step *steps)
{
    w->steps = count;
    w->next = 0;
    w->delivered = 0;
    for (u32 i = 0; i < count; i++)
        w->script[i] = steps[i];
}

void world_event(struct world *w, const struct engine_event *e)
{
    world_script(w, 1, &(struct script_step){ .event = *e });
}

static void enter(void *arg)
{
    struct world *w = arg;
    w->trap = w->s->virt->enter(w->cpu, &w->resume, &w->info);
}

void world_enter(struct world *w)
{
    w->trap = w->info = 0;
    w->resume.kind = w->s->config.vendor == SIM_VMX ? RESUME_GUEST_VMX : RESUME_GUEST_SVM;
    w->resume.guest = w->s->config.vendor == SIM_VMX ? w->vmcs->launched : (u64)AT_VMCB;
    w->finding = sim_unit_expect_panic(w->s, enter, w);
}

u32 world_reason(const struct world *w)
{
    const struct vmcb *b = sim_phys(w->s, AT_VMCB, PAGE_SIZE);
    return (u32)(w->s->config.vendor == SIM_VMX ? world_field(w, VMCS_EXIT_REASON) : b->exit_code);
}

void world_gpr(struct world *w, u32 n, u64 value)
{
    w->resume.gpr[n] = value;
    if (n == RAX && w->s->config.vendor == SIM_SVM)
        world_vmcb(w)->rax = value;
}

u64 world_rip(const struct world *w)
{
    const struct vmcb *b = sim_phys(w->s, AT_VMCB, PAGE_SIZE);
    return w->s->config.vendor == SIM_VMX ? world_field(w, VMCS_GUEST_RIP) : b->rip;
}

const struct sim_guest *world_pass(struct world *w, const struct engine_event *e)
{
    const bool vmx = w->s->config.vendor == SIM_VMX;
    world_script(w, 2, (struct script_step[]){ { .event = *e }, { .event = { .kind = EVENT_CPUID } } });
    world_enter(w);
    if (w->finding)
        fail_msg("%s", w->finding);
    assert_int_equal(world_reason(w), vmx ? (u32)VMX_REASON_CPUID : (u32)SVM_EXIT_CPUID);
    return vmx ? &vmx_of(w->cpu)->guest : &svm_of(w->cpu)->guest;
}
