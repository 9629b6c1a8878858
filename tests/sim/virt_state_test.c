/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the guest get the state that VMCS or VMCB hold, does what it changes come back, and does the host get its own back? */
#include <string.h>
#include "unit.h"
#include "virt_fixture.h"

static const struct engine_event cpuid = { .kind = EVENT_CPUID };

static void change_all(struct sim_guest *g)
{
    for (u32 i = 0; i < 16; i++) {
        assert_int_equal(g->gpr[i], i == RSP ? 0x2000 : 0x700 + i);
        g->gpr[i] += 0x10000;
    }
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++)
        g->seg[n] = (struct vcpu_segment){ .base = 0x100000 + n, .limit = 0xf000 + n, .selector = 8 * n, .attributes = 0x1090 + n };
    g->gdtr.base = 0x6000;
    g->gdtr.limit = 0x7f;
    g->idtr.base = 0x6800;
    g->idtr.limit = 0xfff;
    g->rip = 0x4444;
    g->rflags |= RFLAGS_CF;
    g->cr0 |= CR0_TS;
    g->cr2 = 0x12345;
    g->cr3 = 0x3000;
    g->cr4 |= CR4_PGE;
    g->efer |= EFER_NXE;
    g->pat = 0x0606060606060606;
    g->dr6 = 0xffff0ff1;
    g->dr7 = 0x401;
    g->sysenter_cs = 0x50;
    g->sysenter_esp = 0x51;
    g->sysenter_eip = 0x52;
    g->star = 0x53;
    g->lstar = 0x54;
    g->cstar = 0x55;
    g->fmask = 0x56;
    g->kernel_gs = 0x57;
    g->tsc_aux = 0x58;
    g->interruptibility = VCPU_BLOCKED_STI;
}

static void start(struct world *w)
{
    for (u32 i = 0; i < 16; i++)
        w->resume.gpr[i] = 0x700 + i;
    if (w->s->config.vendor == SIM_SVM)
        world_vmcb(w)->rax = 0x700;
    world_script(w, 1, &(struct script_step){ .event = cpuid, .before = change_all });
    world_enter(w);
    assert_null(w->finding);
}

static void round_trip_vmx(void **state)
{
    struct world *w = world_create(SIM_VMX);
    start(w);
    for (u32 i = 0; i < 16; i++)
        assert_int_equal(w->resume.gpr[i], i == RSP ? 0x704 : 0x10700 + i);   /* RSP is in the VMCS */
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++) {
        assert_int_equal(world_field(w, VMCS_SEG(VMCS_GUEST_ES_BASE, n)), 0x100000 + n);
        assert_int_equal(world_field(w, VMCS_SEG(VMCS_GUEST_ES_LIMIT, n)), 0xf000 + n);
        assert_int_equal(world_field(w, VMCS_SEG(VMCS_GUEST_ES_AR, n)), 0x1090 + n);
        assert_int_equal(world_field(w, VMCS_SEG(VMCS_GUEST_ES_SEL, n)), 8 * n);
    }
    const struct {
        u32 field;
        u64 value;
    } rows[] = { { VMCS_GUEST_RIP, 0x4444 },         { VMCS_GUEST_RSP, 0x12000 },       { VMCS_GUEST_RFLAGS, 3 },
                 { VMCS_GUEST_CR3, 0x3000 },         { VMCS_GUEST_GDTR_BASE, 0x6000 },  { VMCS_GUEST_GDTR_LIMIT, 0x7f },
                 { VMCS_GUEST_IDTR_BASE, 0x6800 },   { VMCS_GUEST_IDTR_LIMIT, 0xfff },  { VMCS_GUEST_DR7, 0x401 },
                 { VMCS_GUEST_SYSENTER_CS, 0x50 },   { VMCS_GUEST_SYSENTER_ESP, 0x51 }, { VMCS_GUEST_SYSENTER_EIP, 0x52 },
                 { VMCS_GUEST_INTERRUPTIBILITY, 1 }, { VMCS_GUEST_PAT, 0x0606060606060606 } };
    for (size_t i = 0; i < array_size(rows); i++)
        assert_int_equal(world_field(w, rows[i].field), rows[i].value);
    assert_true(world_field(w, VMCS_GUEST_CR0) & CR0_TS);
    assert_true(world_field(w, VMCS_GUEST_CR4) & CR4_PGE);
    assert_true(world_field(w, VMCS_GUEST_EFER) & EFER_NXE);
    /* No field holds these: the CPU's own registers now have the guest's values. */
    assert_int_equal(w->cpu->cr2, 0x12345);
    assert_int_equal(w->cpu->dr[6], 0xffff0ff1);
    assert_int_equal(w->cpu->lstar, 0x54);
    assert_int_equal(w->cpu->kernel_gs, 0x57);
    assert_int_equal(w->cpu->tsc_aux, 0x58);
    world_destroy(w);
}

static void round_trip_svm(void **state)
{
    struct world *w = world_create(SIM_SVM);
    const u64 lstar = w->cpu->lstar;
    start(w);
    const struct vmcb *b = world_vmcb(w);
    for (u32 i = 0; i < 16; i++)
        assert_int_equal(w->resume.gpr[i], i == RSP || i == RAX ? 0x700 + i : 0x10700 + i);   /* RSP and RAX are in the VMCB */
    const struct vmcb_seg *const segs[] = { &b->es, &b->cs, &b->ss, &b->ds, &b->fs, &b->gs, &b->ldtr, &b->tr };
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++) {
        assert_int_equal(segs[n]->base, 0x100000 + n);
        assert_int_equal(segs[n]->limit, 0xf000 + n);
        assert_int_equal(segs[n]->attributes, 0x190 + n);
        assert_int_equal(segs[n]->selector, 8 * n);
    }
    const struct {
        u64 is, value;
    } rows[] = { { b->rip, 0x4444 }, { b->rsp, 0x12000 }, { b->rax, 0x10700 }, { b->rflags, 3 }, { b->cr2, 0x12345 }, { b->cr3, 0x3000 },
                 { b->gdtr.base, 0x6000 }, { b->gdtr.limit, 0x7f }, { b->idtr.base, 0x6800 }, { b->idtr.limit, 0xfff },
                 { b->dr6, 0xffff0ff1 }, { b->dr7, 0x401 }, { b->sysenter_cs, 0x50 }, { b->sysenter_esp, 0x51 },
                 { b->sysenter_eip, 0x52 }, { b->star, 0x53 }, { b->lstar, 0x54 }, { b->cstar, 0x55 }, { b->sfmask, 0x56 },
                 { b->kernel_gs_base, 0x57 }, { b->g_pat, 0x0606060606060606 }, { b->int_shadow, 1 }, { b->cpl, 0 } };
    for (size_t i = 0; i < array_size(rows); i++)
        assert_int_equal(rows[i].is, rows[i].value);
    assert_true((b->cr0 & CR0_TS) && (b->cr4 & CR4_PGE) && (b->efer & EFER_NXE));
    assert_int_equal(w->cpu->lstar, lstar);   /* VMLOAD and VMSAVE give the host its own back */
    world_destroy(w);
}

/* Segments without P are unusable, but CS and TR have no such state; only system bases and those of FS and GS are 64 bits wide. */
static void svm_segments(void **state)
{
    struct world *w = world_create(SIM_SVM);
    struct vmcb *b = world_vmcb(w);
    struct vmcb_seg *const segs[] = { &b->es, &b->cs, &b->ss, &b->ds, &b->fs, &b->gs, &b->ldtr, &b->tr };
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++)
        *segs[n] = (struct vmcb_seg){ .attributes = n == VCPU_SEG_CS ? 0xa1b : 0x13, .base = 0x7f0000001000 };
    world_event(w, &cpuid);
    world_enter(w);
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++) {
        const bool wide = n >= VCPU_SEG_FS;
        assert_int_equal(w->seen.seg[n].base, wide ? 0x7f0000001000 : 0x1000);
        assert_int_equal(!!(w->seen.seg[n].attributes & VCPU_SEG_UNUSABLE), n != VCPU_SEG_CS && n != VCPU_SEG_TR);
    }
    assert_int_equal(w->seen.seg[VCPU_SEG_CS].attributes, 0xa01b);
    world_destroy(w);
}

/* CPL is a field of its own: engines see it as SS.DPL. */
static void cpl(void **state)
{
    struct world *w = world_create(SIM_SVM);
    world_vmcb(w)->cpl = 3;
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->seen.seg[VCPU_SEG_SS].attributes >> 5 & 3, 3);
    assert_int_equal(world_vmcb(w)->cpl, 3);
    world_vmcb(w)->ss.attributes = 0;   /* not present: unusable */
    world_event(w, &cpuid);
    world_enter(w);
    assert_true(w->seen.seg[VCPU_SEG_SS].attributes & VCPU_SEG_UNUSABLE);
    assert_int_equal(world_vmcb(w)->ss.attributes & 0x80, 0);
    world_destroy(w);
}

/* An exit loads the host's registers from the VMCS, whether they were the CPU's or not. */
static void host_state(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_HOST_CR3, 0x5000);
    world_set(w, VMCS_HOST_PAT, 0x0000000000000006);
    world_set(w, VMCS_HOST_EFER, EFER_LMA | EFER_LME);
    world_set(w, VMCS_HOST_FS_BASE, 0x1234);
    world_set(w, VMCS_HOST_SYSENTER_EIP, 0x77);
    world_set(w, VMCS_HOST_CR0, w->cpu->cr0 & ~CR0_MP);
    w->cpu->dr[7] = 0x455;
    world_event(w, &cpuid);
    world_enter(w);
    assert_null(w->finding);
    assert_int_equal(w->cpu->cr3, 0x5000);
    assert_int_equal(w->cpu->pat, 6);
    assert_int_equal(w->cpu->efer, EFER_LMA | EFER_LME);
    assert_int_equal(w->cpu->fs_base, 0x1234);
    assert_int_equal(w->cpu->sysenter_eip, 0x77);
    assert_int_equal(w->cpu->cr0 & CR0_MP, 0);
    assert_int_equal(w->cpu->dr[7], DR7_INIT);
    world_destroy(w);
}

/* EFER without its load control follows the mode; the PDPTEs come from their fields. */
static void mode_registers(void **state)
{
    struct world *w = world_create(SIM_VMX);
    for (enum world_base base = BASE_LONG; base <= BASE_PAE; base++) {
        world_good(w, base);
        world_set(w, VMCS_ENTRY_CTRL, world_field(w, VMCS_ENTRY_CTRL) & ~(u64)VMX_ENTRY_LOAD_EFER);
        world_set(w, VMCS_GUEST_EFER, 0x123);
        world_set(w, VMCS_GUEST_PDPTE3, 0x7001);
        world_event(w, &cpuid);
        world_enter(w);
        assert_null(w->finding);
        const u64 mode = base == BASE_LONG ? EFER_LMA | EFER_LME : base == BASE_REAL ? EFER_LME : 0;   /* paging off: LME stays the host's */
        assert_int_equal(w->seen.efer, EFER_SCE | EFER_NXE | mode);
        assert_int_equal(w->seen.pdpte[3], 0x7001);
        assert_int_equal(world_field(w, VMCS_GUEST_PDPTE3), 0x7001);
    }
    world_destroy(w);
}

/* Host state that the machine did not give is found before the guest runs. */
static void landing(void **state)
{
    static const u32 fields[] = { VMCS_HOST_RIP, VMCS_HOST_RSP, VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE, VMCS_HOST_TR_BASE,
                                  VMCS_HOST_GS_BASE, VMCS_HOST_CS_SEL };
    struct world *w = world_create(SIM_VMX);
    for (size_t i = 0; i < array_size(fields); i++) {
        world_good(w, BASE_LONG);
        world_set(w, fields[i], world_field(w, fields[i]) + 8);
        world_event(w, &cpuid);
        world_enter(w);
        assert_non_null(w->finding);
        assert_non_null(strstr(w->finding, "VM exit"));
    }
    world_destroy(w);
}

/* The entry list gives the guest its MSRs, the exit lists save them and give the host its own. */
static void msr_lists(void **state)
{
    struct world *w = world_create(SIM_VMX);
    struct vmx_msr_entry *list = sim_phys(w->s, AT_LIST, 3 * sizeof(*list));
    list[0] = (struct vmx_msr_entry){ MSR_LSTAR, 0, 0x1000 };
    list[1] = (struct vmx_msr_entry){ MSR_LSTAR, 0, 0 };
    list[2] = (struct vmx_msr_entry){ MSR_LSTAR, 0, 0x2000 };
    world_set(w, VMCS_ENTRY_MSR_LOAD_ADDR, AT_LIST);
    world_set(w, VMCS_EXIT_MSR_STORE_ADDR, AT_LIST + 16);
    world_set(w, VMCS_EXIT_MSR_LOAD_ADDR, AT_LIST + 32);
    world_set(w, VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    world_set(w, VMCS_EXIT_MSR_STORE_COUNT, 1);
    world_set(w, VMCS_EXIT_MSR_LOAD_COUNT, 1);
    world_event(w, &cpuid);
    world_enter(w);
    assert_null(w->finding);
    assert_int_equal(w->seen.lstar, 0x1000);
    assert_int_equal(list[1].value, 0x1000);
    assert_int_equal(w->cpu->lstar, 0x2000);
    list[2].value = bit(50);
    world_event(w, &cpuid);
    world_enter(w);
    assert_non_null(strstr(w->finding, "VMX abort"));
    world_destroy(w);
}

/* Translations: without VPID each entry drops the linear ones; TLB_CONTROL and the instructions do as told. */
static void flushes(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->flushes, 0);
    world_set(w, VMCS_PROC2_CTRL, world_field(w, VMCS_PROC2_CTRL) & ~(u64)VMX_PROC2_VPID);
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->flushes, 1);
    assert_true(sim_vmx.invept(w->cpu, INVEPT_ALL, 0));
    assert_true(sim_vmx.invvpid(w->cpu, INVVPID_SINGLE, 1, 0));
    assert_int_equal(w->flushes, 3);
    world_destroy(w);
    w = world_create(SIM_SVM);
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->flushes, 0);
    world_vmcb(w)->tlb_control = SVM_TLB_ASID;
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->flushes, 1);
    sim_svm.invlpga(w->cpu, 0x1000, 1);
    assert_int_equal(w->flushes, 2);
    world_vmcb(w)->asid = 16;
    world_enter(w);
    assert_non_null(strstr(w->finding, "ASID"));
    world_destroy(w);
}

/* A clean bit promises that its group is as the last exit left it. A lie is found, a change without the bit is not, nor is a new VMCB. */
static void clean_bits(void **state)
{
    static const struct {
        u32 bit, offset;
    } rows[] = { { 0, 0x00c }, { 0, 0x050 }, { 1, 0x048 }, { 2, 0x058 }, { 3, 0x064 }, { 4, 0x0b1 }, { 5, 0x550 }, { 6, 0x560 }, { 7, 0x468 },
                 { 7, 0x488 }, { 8, 0x418 }, { 9, 0x640 } };
    struct world *w = world_create(SIM_SVM);
    for (size_t i = 0; i < array_size(rows); i++)
        for (u32 lie = 0; lie < 2; lie++) {
            world_good(w, BASE_LONG);
            world_vmcb(w)->clean = ~0u;   /* the first run of it: nothing is cached, all is loaded */
            world_event(w, &cpuid);
            world_enter(w);
            assert_null(w->finding);
            ((u8 *)world_vmcb(w))[rows[i].offset] ^= rows[i].offset == 0x0b1 ? 0x10 : rows[i].offset == 0x058 ? 2 : 0x40;
            world_vmcb(w)->clean = lie ? 1u << rows[i].bit : ~(1u << rows[i].bit);
            world_event(w, &cpuid);
            world_enter(w);
            if (lie && (!w->finding || !strstr(w->finding, "clean bit")))
                fail_msg("row %zu: not found", i);
            if (!lie && w->finding && strstr(w->finding, "clean bit"))
                fail_msg("row %zu: %s", i, w->finding);
        }
    world_destroy(w);
}

/* Some of the pages are the processor's for good: freeing them is a broken rule of its own (rule_vmx_test.c, rule_svm_test.c). */
static void free_page(void *page)
{
    mach_mem_state(page, PAGE_SIZE, MEM_FREE);
}

/* What the silicon reads must not be freed memory. */
static void freed(void **state)
{
    static const u32 pages[2][4] = { { AT_VMCS, AT_NESTED, AT_MSR_MAP, AT_IO_MAP }, { AT_VMCB, AT_NESTED, AT_MSR_MAP, AT_SAVE } };
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct world *w = world_create(vendor);
        if (vendor == SIM_VMX)
            world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) | VMX_PROC_IO_BITMAPS);
        for (u32 i = 0; i < 4; i++) {
            void *const page = sim_phys(w->s, pages[vendor - 1][i], PAGE_SIZE);
            sim_unit_expect_panic(w->s, free_page, page);
            world_event(w, &cpuid);
            world_enter(w);
            mach_mem_state(page, PAGE_SIZE, MEM_LIVE);
            assert_non_null(w->finding);
            assert_non_null(strstr(w->finding, "freed"));
            world_event(w, &cpuid);
            world_enter(w);
            assert_null(w->finding);
        }
        world_destroy(w);
    }
}

static struct svm_cpu *watched;
static void is_running(struct sim_guest *g)
{
    assert_true(watched->running);
}

/* A VMCB is the processor's while its guest runs. */
static void vmcb_in_use(void **state)
{
    struct world *w = world_create(SIM_SVM);
    watched = svm_of(w->cpu);
    world_script(w, 1, &(struct script_step){ .event = cpuid, .before = is_running });
    world_enter(w);
    assert_false(watched->running);
    world_destroy(w);
}

/* Pending debug exceptions are delivered first; an injected event takes their place. */
static void pending_debug(void **state)
{
    struct world *w = world_create(SIM_VMX);
    w->cpu->dr[6] = DR6_INIT;
    world_set(w, VMCS_GUEST_PENDING_DEBUG, bit(14) | 2);
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_DB));
    assert_int_equal(w->cpu->dr[6], DR6_INIT | bit(14) | 2);
    assert_int_equal(world_field(w, VMCS_GUEST_PENDING_DEBUG), 0);
    world_set(w, VMCS_GUEST_PENDING_DEBUG, bit(14));
    world_set(w, VMCS_ENTRY_INTR_INFO, VCPU_EVENT_NMI);
    world_event(w, &cpuid);
    world_enter(w);
    assert_int_equal(w->delivered, VCPU_EVENT_NMI);
    world_destroy(w);
}

static void svm_msrs(void **state)
{
    struct world *w = world_create(SIM_SVM);
    struct mach_cpuid r = { 0 };
    u64 value = 1;
    sim_svm.cpuid(w->cpu, CPUID_SVM, 0, &r);
    assert_int_equal(r.ebx, 16);
    assert_true(r.edx & CPUID_SVM_NP);
    assert_int_equal(sim_svm.msr_read(w->cpu, MSR_VM_CR, &value), MSR_DONE);
    assert_int_equal(value, 0);
    assert_int_equal(sim_svm.msr_write(w->cpu, MSR_VM_HSAVE_PA, AT_SAVE + 8), MSR_GP);
    assert_int_equal(sim_svm.msr_write(w->cpu, MSR_VM_HSAVE_PA, bit(40)), MSR_GP);
    assert_int_equal(sim_svm.msr_write(w->cpu, MSR_VM_HSAVE_PA, AT_SAVE), MSR_DONE);
    assert_int_equal(sim_svm.msr_read(w->cpu, MSR_VM_HSAVE_PA, &value), MSR_DONE);
    assert_int_equal(value, AT_SAVE);
    assert_int_equal(sim_svm.msr_read(w->cpu, MSR_STAR, &value), MSR_NOT_MINE);
    r = (struct mach_cpuid){ 0 };
    sim_svm.cpuid(w->cpu, 0x80000000u, 0, &r);
    assert_int_equal(r.eax, CPUID_SVM);
    sim_svm.cpuid(w->cpu, 0x80000001u, 0, &r);
    assert_int_equal(r.ecx, CPUID_81_ECX_SVM);
    sim_svm.cpu_reset(w->cpu);
    assert_int_equal(svm_of(w->cpu)->host_save, 0);
    world_destroy(w);
}

TEST_GROUP(sim_virt_state, cmocka_unit_test(round_trip_vmx), cmocka_unit_test(round_trip_svm), cmocka_unit_test(svm_segments), cmocka_unit_test(cpl),
           cmocka_unit_test(host_state), cmocka_unit_test(mode_registers), cmocka_unit_test(landing), cmocka_unit_test(msr_lists), cmocka_unit_test(flushes),
           cmocka_unit_test(clean_bits), cmocka_unit_test(freed), cmocka_unit_test(vmcb_in_use), cmocka_unit_test(pending_debug),
           cmocka_unit_test(svm_msrs));
