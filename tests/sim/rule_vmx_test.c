/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each misuse of VMX named? Rules VMX, CR-VMX, VIRT-CR8 and what the model lacks. */
#include "rule_test.h"

static const struct engine_event cpuid = { .kind = EVENT_CPUID };

static void enter(struct rule_scene *x, const struct engine_event *e)
{
    world_event(x->w, e);
    world_enter(x->w);
}

/* A second CPU in VMX operation, its region at AT_LIST; it is current then. */
static void second_cpu(struct rule_scene *x, u64 region)
{
    struct sim_cpu *const cpu = &x->s->cpu[1];
    sim_unit_cpu(x->s, 1);
    cpu->feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
    cpu->cr4 |= CR4_VMXE;
    *(u32 *)sim_phys(x->s, AT_LIST, 4) = VMX_BASIC_REVISION(VMX_CAP(&vmx_haswell, MSR_VMX_BASIC));
    assert_true(mach_vmxon(region));
}

static void clear(u64 phys) { assert_true(mach_vmclear(phys)); }
static void load(u64 phys) { assert_true(mach_vmptrld(phys)); }

/* ---- Operation, fixed bits ---- */

static void vmxon_no_vmxe(struct rule_scene *x) { sim_unit_cpu(x->s, 1); ignore(mach_vmxon(AT_LIST)); }
static void vmxon_well(struct rule_scene *x) { second_cpu(x, AT_LIST); }

static void vmxon_not_locked(struct rule_scene *x)
{
    sim_unit_cpu(x->s, 1);
    mach_cr4_write(mach_cr4_read() | CR4_VMXE);
    ignore(mach_vmxon(AT_LIST));
}

static void vmxon_cr0(struct rule_scene *x) { x->s->cpu[1].cr0 &= ~CR0_NE; second_cpu(x, AT_LIST); }
static void clear_outside(struct rule_scene *x) { sim_unit_cpu(x->s, 1); ignore(mach_vmclear(AT_OTHER)); }
static void read_outside(struct rule_scene *x) { sim_unit_cpu(x->s, 1); mach_vmread(VMCS_GUEST_RIP); }
static void invept_outside(struct rule_scene *x) { sim_unit_cpu(x->s, 1); ignore(mach_invept(INVEPT_ALL, 0)); }
static void invept_inside(struct rule_scene *x) { assert_true(mach_invept(INVEPT_ALL, 0)); }
static void enter_outside(struct rule_scene *x) { vmx_of(x->w->cpu)->on = false; enter(x, &cpuid); }
static void enter_well(struct rule_scene *x) { enter(x, &cpuid); }
static void cr4_vmxe_off(struct rule_scene *x) { mach_cr4_write(mach_cr4_read() & ~CR4_VMXE); }
static void cr4_vmxe_off_before(struct rule_scene *x) { sim_unit_cpu(x->s, 1); cr4_vmxe_off(x); }
static void cr0_ne_off(struct rule_scene *x) { mach_cr0_write(mach_cr0_read() & ~CR0_NE); }
static void cr0_ne_off_before(struct rule_scene *x) { sim_unit_cpu(x->s, 1); cr0_ne_off(x); }
static void region_twice(struct rule_scene *x) { second_cpu(x, AT_VMXON); }
static void region_as_vmcs(struct rule_scene *x) { second_cpu(x, AT_LIST); ignore(mach_vmclear(AT_VMXON)); }
static void own_region_as_vmcs(struct rule_scene *x) { assert_false(mach_vmclear(AT_VMXON)); }   /* VMfail */

/* ---- A VMCS's life ---- */

static void read_nothing(struct rule_scene *x) { clear(AT_VMCS); mach_vmread(VMCS_GUEST_RIP); }
static void write_nothing(struct rule_scene *x) { clear(AT_VMCS); mach_vmwrite(VMCS_GUEST_RIP, 0); }
static void enter_nothing(struct rule_scene *x) { clear(AT_VMCS); enter(x, &cpuid); }
static void read_loaded(struct rule_scene *x) { clear(AT_VMCS); load(AT_VMCS); mach_vmread(VMCS_GUEST_RIP); }
static void field_unknown(struct rule_scene *x) { mach_vmwrite(VMCS_XSS_EXIT_BITMAP, 0); }
static void field_read_only(struct rule_scene *x) { mach_vmwrite(VMCS_EXIT_REASON, 0); }
static void field_read(struct rule_scene *x) { mach_vmread(VMCS_EXIT_REASON); }
static void load_uncleared(struct rule_scene *x) { ignore(mach_vmptrld(AT_OTHER)); }
static void load_cleared(struct rule_scene *x) { clear(AT_OTHER); load(AT_OTHER); }
static void load_on_two(struct rule_scene *x) { second_cpu(x, AT_LIST); ignore(mach_vmptrld(AT_VMCS)); }
static void clear_from_afar(struct rule_scene *x) { second_cpu(x, AT_LIST); ignore(mach_vmclear(AT_VMCS)); }
static void load_in_turn(struct rule_scene *x) { clear(AT_VMCS); second_cpu(x, AT_LIST); load(AT_VMCS); }

/* Active on the first CPU still, though another one is current there. */
static void load_active(struct rule_scene *x)
{
    load_cleared(x);
    second_cpu(x, AT_LIST);
    ignore(mach_vmptrld(AT_VMCS));
}

/* By VMRESUME or VMLAUNCH as told; world_enter does what is right. */
static void do_enter(void *arg)
{
    struct world *const w = arg;
    (void)sim_vmx.enter(w->cpu, &w->resume, &w->info);
}

static void enter_by(struct rule_scene *x, u64 resume)
{
    world_event(x->w, &cpuid);
    x->w->resume.guest = resume;
    (void)sim_unit_expect_panic(x->s, do_enter, x->w);
}

static void launch_launched(struct rule_scene *x) { enter(x, &cpuid); enter_by(x, 0); }

static void resume_clear(struct rule_scene *x)
{
    enter(x, &cpuid);
    clear(AT_VMCS);
    load(AT_VMCS);
    enter_by(x, 1);
}

static void launch_cleared(struct rule_scene *x) { enter(x, &cpuid); clear(AT_VMCS); load(AT_VMCS); enter_by(x, 0); }
static void resume_launched(struct rule_scene *x) { enter(x, &cpuid); enter_by(x, 1); }

/* ---- Memory that is the processor's ---- */

void __tsan_write8(void *a);

static void *at(u64 phys) { return mach_phys_to_virt(phys); }
static void vmcs_atomic(struct rule_scene *x) { atomic_store(at(AT_VMCS + 8), 1); }
static void vmcs_rmw(struct rule_scene *x) { atomic_add(at(AT_VMCS + PAGE_SIZE - 8), 1); }
static void vmcs_plain(struct rule_scene *x) { __tsan_write8(at(AT_VMCS)); }
static void vmcs_zero(struct rule_scene *x) { sim_unit_cpu(x->s, 1); mach_zero(at(AT_VMCS), PAGE_SIZE); }
static void vmcs_copy(struct rule_scene *x) { mach_copy(at(AT_OTHER - 8), at(AT_MSR_MAP), 16); }
static void vmcs_unseen(struct rule_scene *x) { *(u64 *)at(AT_VMCS + 8) = 1; ignore(mach_vmclear(AT_VMCS)); }
static void vmcs_read(struct rule_scene *x) { atomic_load(at(AT_VMCS)); mach_copy(at(AT_LIST), at(AT_VMCS), PAGE_SIZE); }
static void vmcs_copy_behind(struct rule_scene *x) { mach_copy(at(AT_OTHER), at(AT_MSR_MAP), 16); }
static void vmcs_cleared_store(struct rule_scene *x) { clear(AT_VMCS); atomic_store(at(AT_VMCS + 8), 1); mach_zero(at(AT_VMCS), PAGE_SIZE); }
static void region_store(struct rule_scene *x) { mach_zero(at(AT_VMXON - 64), 65); }
static void region_beside(struct rule_scene *x) { mach_zero(at(AT_VMXON - 64), 64); }

static void vmcs_two_pages(struct rule_scene *x) { mach_zero(at(AT_MSR_MAP), 2 * PAGE_SIZE); }

static void free_page(u64 phys) { mach_mem_state(at(phys), PAGE_SIZE, MEM_FREE); }
static void free_vmcs(struct rule_scene *x) { free_page(AT_VMCS); }
static void free_vmcs_cleared(struct rule_scene *x) { clear(AT_VMCS); free_page(AT_VMCS); }
static void free_region(struct rule_scene *x) { free_page(AT_VMXON); }
static void free_other(struct rule_scene *x) { free_page(AT_OTHER); }
static void load_freed(struct rule_scene *x) { clear(AT_OTHER); free_page(AT_OTHER); ignore(mach_vmptrld(AT_OTHER)); }
static void enter_freed_bitmap(struct rule_scene *x) { free_page(AT_MSR_MAP); enter(x, &cpuid); }
static void enter_unused_bitmap(struct rule_scene *x) { free_page(AT_IO_MAP); enter(x, &cpuid); }
static void free_after_exit(struct rule_scene *x) { enter(x, &cpuid); free_page(AT_MSR_MAP); free_page(AT_NESTED); }

static u64 freed_meanwhile;
static void free_meanwhile(struct sim_guest *g)
{
    sim_unit_cpu(sim_here, 1);
    free_page(freed_meanwhile);
    sim_unit_cpu(sim_here, 0);
}

static void run_and_free(struct rule_scene *x, u64 phys)
{
    freed_meanwhile = phys;
    world_script(x->w, 1, &(struct script_step){ .event = cpuid, .before = free_meanwhile });
    world_enter(x->w);
}

static void free_ept_meanwhile(struct rule_scene *x) { run_and_free(x, AT_NESTED); }
static void free_bitmap_meanwhile(struct rule_scene *x) { run_and_free(x, AT_MSR_MAP); }
static void free_other_meanwhile(struct rule_scene *x) { run_and_free(x, AT_OTHER); }

static void free_list_meanwhile(struct rule_scene *x)
{
    world_set(x->w, VMCS_EXIT_MSR_LOAD_ADDR, AT_LIST);
    world_set(x->w, VMCS_EXIT_MSR_LOAD_COUNT, 1);
    *(struct vmx_msr_entry *)at(AT_LIST) = (struct vmx_msr_entry){ MSR_LSTAR, 0, 0 };
    run_and_free(x, AT_LIST);
}

/* ---- Guests ---- */

static void host_rip(struct rule_scene *x) { world_set(x->w, VMCS_HOST_RIP, 0x1000); enter(x, &cpuid); }
static void host_gs(struct rule_scene *x) { world_set(x->w, VMCS_HOST_GS_BASE, 0x1000); enter(x, &cpuid); }

static void exit_list(struct rule_scene *x, u32 address, u32 count, u32 msr)
{
    *(struct vmx_msr_entry *)at(AT_LIST) = (struct vmx_msr_entry){ msr, 0, 0 };
    world_set(x->w, address, AT_LIST);
    world_set(x->w, count, 1);
    enter(x, &cpuid);
}

static void exit_load_refused(struct rule_scene *x) { exit_list(x, VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, MSR_FS_BASE); }
static void exit_store_refused(struct rule_scene *x) { exit_list(x, VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT, 0x12345678); }
static void exit_load(struct rule_scene *x) { exit_list(x, VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, MSR_LSTAR); }
static void interrupt_leaks(struct rule_scene *x) { world_set(x->w, VMCS_PIN_CTRL, 0x16); irq_raise(x->w->cpu, 0x60); enter(x, &cpuid); }
static void interrupt_exits(struct rule_scene *x) { irq_raise(x->w->cpu, 0x60); enter(x, &cpuid); }
static void nmi_leaks(struct rule_scene *x) { world_set(x->w, VMCS_PIN_CTRL, 0x16); x->w->cpu->nmi = true; enter(x, &cpuid); }
static void nmi_exits(struct rule_scene *x) { x->w->cpu->nmi = true; enter(x, &cpuid); }
static void cr8_passes(struct rule_scene *x)
{
    world_set(x->w, VMCS_PROC_CTRL, world_field(x->w, VMCS_PROC_CTRL) & ~(u64)(VMX_PROC_CR8_LOAD | VMX_PROC_CR8_STORE));
    enter(x, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } });
}
static void cr8_exits(struct rule_scene *x)
{
    world_set(x->w, VMCS_PROC_CTRL, world_field(x->w, VMCS_PROC_CTRL) | VMX_PROC_CR8_LOAD);
    enter(x, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } });
}
static void unknown_insn(struct rule_scene *x) { enter(x, &(struct engine_event){ .kind = EVENT_OTHER_INSN, .info = 0x0fae }); }
static void unknown_event(struct rule_scene *x) { enter(x, &(struct engine_event){ .kind = EVENT_SYSCALL }); }
static void false_window(struct rule_scene *x) { enter(x, &(struct engine_event){ .kind = EVENT_INTR_WINDOW }); }

RULE_TABLE(rule_vmx, SCENE_WORLD(SIM_VMX),
    { RULE_VMX_ON, vmxon_no_vmxe, vmxon_well },
    { RULE_VMX_ON, vmxon_not_locked, vmxon_well },
    { RULE_VMX_ON, vmxon_cr0, vmxon_well },
    { RULE_VMX_OFF, clear_outside, load_cleared },
    { RULE_VMX_OFF, read_outside, field_read },
    { RULE_VMX_OFF, invept_outside, invept_inside },
    { RULE_VMX_OFF, enter_outside, enter_well },
    { RULE_CR_VMX, cr4_vmxe_off, cr4_vmxe_off_before },
    { RULE_CR_VMX, cr0_ne_off, cr0_ne_off_before },
    { RULE_VMX_REGION, region_twice, vmxon_well },
    { RULE_VMX_REGION, region_as_vmcs, own_region_as_vmcs },
    { RULE_VMX_NONE, read_nothing, read_loaded },
    { RULE_VMX_NONE, write_nothing, read_loaded },
    { RULE_VMX_NONE, enter_nothing, enter_well },
    { RULE_VMX_FIELD, field_unknown, field_read },
    { RULE_VMX_READONLY, field_read_only, field_read },
    { RULE_VMX_CLEAR, load_uncleared, load_cleared },
    { RULE_VMX_ACTIVE, load_on_two, load_in_turn },
    { RULE_VMX_ACTIVE, load_active, load_in_turn },
    { RULE_VMX_ACTIVE, clear_from_afar, load_in_turn },
    { RULE_VMX_LAUNCH, launch_launched, resume_launched },
    { RULE_VMX_LAUNCH, resume_clear, launch_cleared },
    { RULE_VMX_STORE, vmcs_atomic, vmcs_cleared_store },
    { RULE_VMX_STORE, vmcs_rmw, vmcs_read },
    { RULE_VMX_STORE, vmcs_plain, vmcs_two_pages },
    { RULE_VMX_STORE, vmcs_zero, vmcs_cleared_store },
    { RULE_VMX_STORE, vmcs_copy, vmcs_copy_behind },
    { RULE_VMX_STORE, vmcs_unseen, vmcs_read },
    { RULE_VMX_STORE, region_store, region_beside },
    { RULE_VMX_OWNED, free_vmcs, free_vmcs_cleared },
    { RULE_VMX_OWNED, free_region, free_other },
    { RULE_VMX_OWNED, free_ept_meanwhile, free_after_exit },
    { RULE_VMX_OWNED, free_bitmap_meanwhile, free_other_meanwhile },
    { RULE_VMX_OWNED, free_list_meanwhile, free_other_meanwhile },
    { RULE_VMX_FREED, load_freed, load_cleared },
    { RULE_VMX_FREED, enter_freed_bitmap, enter_unused_bitmap },
    { RULE_VMX_HOST, host_rip, enter_well },
    { RULE_VMX_HOST, host_gs, enter_well },
    { RULE_VMX_ABORT, exit_load_refused, exit_load },
    { RULE_VMX_ABORT, exit_store_refused, exit_load },
    { RULE_VMX_INTR, interrupt_leaks, interrupt_exits },
    { RULE_VMX_INTR, nmi_leaks, nmi_exits },
    { RULE_VIRT_CR8, cr8_passes, cr8_exits },
    { RULE_MACHINE_MODEL, unknown_insn, enter_well },
    { RULE_MACHINE_ENGINE, unknown_event, enter_well },
    { RULE_MACHINE_ENGINE, false_window, enter_well });
