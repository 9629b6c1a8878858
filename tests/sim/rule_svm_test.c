/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each misuse of SVM named? Rules SVM, VIRT-CR8 and what the model lacks. */
#include "rule_test.h"

static const struct engine_event cpuid = { .kind = EVENT_CPUID };

static void enter(struct rule_scene *x, const struct engine_event *e)
{
    world_event(x->w, e);
    world_enter(x->w);
}

static struct svm_cpu *cpu_of(struct rule_scene *x, u32 cpu) { return svm_of(&x->s->cpu[cpu]); }
static void *at(u64 phys) { return mach_phys_to_virt(phys); }

static void enter_well(struct rule_scene *x) { enter(x, &cpuid); }
static void enter_svme_off(struct rule_scene *x) { x->w->cpu->efer &= ~EFER_SVME; enter(x, &cpuid); }
static void invlpga_svme_off(struct rule_scene *x) { sim_unit_cpu(x->s, 1); mach_invlpga(0, 1); }
static void invlpga(struct rule_scene *x) { mach_invlpga(0, 1); }

static void enter_at(struct rule_scene *x, u64 phys)
{
    world_event(x->w, &cpuid);
    (void)sim_svm.enter(x->w->cpu, &(struct resume){ .kind = RESUME_GUEST_SVM, .guest = phys }, &x->w->info);
}

static void vmcb_unaligned(struct rule_scene *x) { enter_at(x, AT_VMCB + 8); }
static void vmcb_no_ram(struct rule_scene *x) { enter_at(x, x->s->ram_bytes); }
static void vmcb_aligned(struct rule_scene *x) { enter_at(x, AT_VMCB); }
static void hsave_none(struct rule_scene *x) { cpu_of(x, 0)->host_save = 0; enter(x, &cpuid); }
static void hsave_is_vmcb(struct rule_scene *x) { cpu_of(x, 0)->host_save = AT_VMCB; enter(x, &cpuid); }
static void hsave_shared(struct rule_scene *x) { cpu_of(x, 1)->host_save = AT_SAVE; enter(x, &cpuid); }
static void hsave_own(struct rule_scene *x) { cpu_of(x, 1)->host_save = AT_OTHER; enter(x, &cpuid); }
static void asid_16(struct rule_scene *x) { world_vmcb(x->w)->asid = 16; enter(x, &cpuid); }
static void asid_15(struct rule_scene *x) { world_vmcb(x->w)->asid = 15; enter(x, &cpuid); }

static void change_with_clean(struct rule_scene *x, u32 clean)
{
    enter(x, &cpuid);
    world_vmcb(x->w)->asid = 2;
    world_vmcb(x->w)->clean = clean;
    enter(x, &cpuid);
}

static void clean_lies(struct rule_scene *x) { change_with_clean(x, 1u << 2); }
static void clean_tells(struct rule_scene *x) { change_with_clean(x, ~(1u << 2)); }
static void another_runs(struct rule_scene *x, u64 vmcb) { cpu_of(x, 1)->vmcb_phys = vmcb; cpu_of(x, 1)->running = true; enter(x, &cpuid); }
static void vmcb_twice(struct rule_scene *x) { another_runs(x, AT_VMCB); }
static void vmcb_another(struct rule_scene *x) { another_runs(x, AT_OTHER); }

/* ---- Memory that is the processor's ---- */

void __tsan_write8(void *a);

static struct rule_scene *scene;
static void (*meanwhile)(struct rule_scene *x);
static void other_cpu(struct sim_guest *g)
{
    sim_unit_cpu(scene->s, 1);
    meanwhile(scene);
    sim_unit_cpu(scene->s, 0);
}

static void run_and(struct rule_scene *x, void (*what)(struct rule_scene *x))
{
    scene = x;
    meanwhile = what;
    world_script(x->w, 1, &(struct script_step){ .event = cpuid, .before = other_cpu });
    world_enter(x->w);
}

static void free_page(u64 phys) { mach_mem_state(at(phys), PAGE_SIZE, MEM_FREE); }
static void vmcb_store(struct rule_scene *x) { atomic_store(at(AT_VMCB + 0xa8), 0); }
static void vmcb_plain(struct rule_scene *x) { __tsan_write8(at(AT_VMCB + 0xa8)); }
static void vmcb_load(struct rule_scene *x) { atomic_load(at(AT_VMCB + 0xa8)); }
static void map_store(struct rule_scene *x) { atomic_store(at(AT_MSR_MAP), 1); }
static void vmcb_free(struct rule_scene *x) { free_page(AT_VMCB); }
static void map_free(struct rule_scene *x) { free_page(AT_MSR_MAP + PAGE_SIZE); }
static void io_free(struct rule_scene *x) { free_page(AT_IO_MAP + 2 * PAGE_SIZE); }
static void root_free(struct rule_scene *x) { free_page(AT_NESTED); }
static void other_free(struct rule_scene *x) { free_page(AT_OTHER); }
static void store_running(struct rule_scene *x) { run_and(x, vmcb_store); }
static void plain_running(struct rule_scene *x) { run_and(x, vmcb_plain); }
static void load_running(struct rule_scene *x) { run_and(x, vmcb_load); }
static void map_running(struct rule_scene *x) { run_and(x, map_store); }
static void store_after(struct rule_scene *x) { enter(x, &cpuid); vmcb_store(x); vmcb_plain(x); }
static void hsave_store(struct rule_scene *x) { mach_zero(at(AT_SAVE), 64); }
static void hsave_beside(struct rule_scene *x) { mach_zero(at(AT_SAVE + PAGE_SIZE), 64); }
static void free_running_vmcb(struct rule_scene *x) { run_and(x, vmcb_free); }
static void free_running_map(struct rule_scene *x) { run_and(x, map_free); }
static void free_running_io(struct rule_scene *x) { run_and(x, io_free); }
static void free_running_root(struct rule_scene *x) { run_and(x, root_free); }
static void free_running_other(struct rule_scene *x) { run_and(x, other_free); }
static void free_after(struct rule_scene *x) { enter(x, &cpuid); vmcb_free(x); map_free(x); io_free(x); root_free(x); }
static void free_hsave(struct rule_scene *x) { free_page(AT_SAVE); }
static void free_hsave_unused(struct rule_scene *x) { x->w->cpu->efer &= ~EFER_SVME; free_page(AT_SAVE); }
static void enter_freed_vmcb(struct rule_scene *x) { vmcb_free(x); enter(x, &cpuid); }
static void enter_freed_map(struct rule_scene *x) { free_page(AT_MSR_MAP); enter(x, &cpuid); }
static void enter_other_freed(struct rule_scene *x) { other_free(x); enter(x, &cpuid); }

/* ---- Guests ---- */

static void leak(struct rule_scene *x) { world_vmcb(x->w)->intercept1 &= ~(SVM_ICEPT1_INTR | SVM_ICEPT1_NMI); enter(x, &cpuid); }
static void interrupt_leaks(struct rule_scene *x) { irq_raise(x->w->cpu, 0x60); leak(x); }
static void interrupt_exits(struct rule_scene *x) { irq_raise(x->w->cpu, 0x60); enter(x, &cpuid); }
static void nmi_leaks(struct rule_scene *x) { x->w->cpu->nmi = true; leak(x); }
static void nmi_exits(struct rule_scene *x) { x->w->cpu->nmi = true; enter(x, &cpuid); }
static void triple_fault(struct rule_scene *x) { enter(x, &(struct engine_event){ .kind = EVENT_TRIPLE_FAULT }); }
static void shutdown_leaks(struct rule_scene *x) { world_vmcb(x->w)->intercept1 &= ~SVM_ICEPT1_SHUTDOWN; triple_fault(x); }

static void cr8(struct rule_scene *x, u64 control)
{
    world_vmcb(x->w)->int_control = control;
    world_script(x->w, 2, (struct script_step[]){ { .event = { .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } } }, { .event = cpuid } });
    world_enter(x->w);
}

static void cr8_passes(struct rule_scene *x) { cr8(x, 0); }
static void cr8_virtual(struct rule_scene *x) { cr8(x, SVM_INT_MASKING); }
static void no_nested_paging(struct rule_scene *x)
{
    world_vmcb(x->w)->np_control = 0;
    enter(x, &cpuid);
}
static void unknown_insn(struct rule_scene *x) { enter(x, &(struct engine_event){ .kind = EVENT_OTHER_INSN, .info = 0x0fae }); }
static void false_window(struct rule_scene *x) { enter(x, &(struct engine_event){ .kind = EVENT_INTR_WINDOW }); }

RULE_TABLE(rule_svm, SCENE_WORLD(SIM_SVM),
    { RULE_SVM_OFF, enter_svme_off, enter_well },
    { RULE_SVM_OFF, invlpga_svme_off, invlpga },
    { RULE_SVM_VMCB, vmcb_unaligned, vmcb_aligned },
    { RULE_SVM_VMCB, vmcb_no_ram, vmcb_aligned },
    { RULE_SVM_HSAVE, hsave_none, enter_well },
    { RULE_SVM_HSAVE, hsave_is_vmcb, enter_well },
    { RULE_SVM_HSAVE, hsave_shared, hsave_own },
    { RULE_SVM_ASID, asid_16, asid_15 },
    { RULE_SVM_CLEAN, clean_lies, clean_tells },
    { RULE_SVM_TWICE, vmcb_twice, vmcb_another },
    { RULE_SVM_STORE, store_running, store_after },
    { RULE_SVM_STORE, plain_running, load_running },
    { RULE_SVM_STORE, hsave_store, hsave_beside },
    { RULE_SVM_OWNED, free_running_vmcb, free_after },
    { RULE_SVM_OWNED, free_running_map, map_running },
    { RULE_SVM_OWNED, free_running_io, free_running_other },
    { RULE_SVM_OWNED, free_running_root, free_running_other },
    { RULE_SVM_OWNED, free_hsave, free_hsave_unused },
    { RULE_SVM_FREED, enter_freed_vmcb, enter_other_freed },
    { RULE_SVM_FREED, enter_freed_map, enter_other_freed },
    { RULE_SVM_INTR, interrupt_leaks, interrupt_exits },
    { RULE_SVM_INTR, nmi_leaks, nmi_exits },
    { RULE_SVM_SHUTDOWN, shutdown_leaks, triple_fault },
    { RULE_VIRT_CR8, cr8_passes, cr8_virtual },
    { RULE_MACHINE_MODEL, no_nested_paging, enter_well },
    { RULE_MACHINE_MODEL, unknown_insn, enter_well },
    { RULE_MACHINE_ENGINE, false_window, enter_well });
