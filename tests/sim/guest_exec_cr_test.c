/* SPDX-License-Identifier: BSD-2-Clause */
/* Control registers of a guest whose accesses do not exit: do they change as the manual says, with masks, shadows and the faults of the CPU's own rules?
 * Both vendors where both let it pass. */
#include <string.h>
#include "unit.h"
#include "virt_fixture.h"

#define RIP 0x1000u
static const struct engine_event cpuid = { .kind = EVENT_CPUID };

static void mov_cr(void **state)
{
    static const struct {
        u32 number;
        u64 value;
        bool faults;
    } rows[] = {
        { 0, CR0_PE | CR0_NE | CR0_PG | CR0_TS, false },
        { 0, CR0_PE | CR0_NE | CR0_PG | bit(32), true },
        { 0, CR0_NE | CR0_PG, true },
        { 0, CR0_PE | CR0_NE | CR0_PG | CR0_NW, true },
        { 0, CR0_PE | CR0_NE, true },   /* leaves paging in 64-bit mode */
        { 2, 0x5555, false },
        { 3, 0x7000, false },
        { 3, bit(45), true },
        { 4, CR4_PAE | CR4_VMXE | CR4_PGE, false },
        { 4, CR4_VMXE, true },          /* PAE off in long mode */
        { 4, CR4_PAE | CR4_VMXE | CR4_LA57, true },
    };
    BOTH(w) {
        for (size_t i = 0; i < array_size(rows); i++) {
            world_good(w, BASE_LONG);
            const u64 value = vendor == SIM_SVM ? rows[i].value & ~(rows[i].number == 4 ? CR4_VMXE : 0) : rows[i].value;
            world_gpr(w, RBX, value);
            const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { rows[i].number, RBX, 1 } });
            const u64 now = rows[i].number == 0 ? g->cr0 : rows[i].number == 2 ? g->cr2 : rows[i].number == 3 ? g->cr3 : g->cr4;
            assert_int_equal(world_rip(w), rows[i].faults ? RIP : RIP + 3);
            assert_int_equal(w->delivered, rows[i].faults ? VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR : 0);
            if (!rows[i].faults)
                assert_int_equal(now, rows[i].number == 0 ? value | CR0_ET : value);
        }
    }
}

/* Paging on with EFER.LME set turns long mode on, and the VMCS's entry control follows. */
static void long_mode_on(void **state)
{
    BOTH(w) {
        world_good(w, BASE_REAL);
        if (vendor == SIM_VMX) {
            world_set(w, VMCS_GUEST_CR0, CR0_PE | CR0_NE);
            world_set(w, VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
            world_set(w, VMCS_GUEST_EFER, EFER_LME);
        } else {
            world_vmcb(w)->cr0 = CR0_PE;
            world_vmcb(w)->cr4 = CR4_PAE;
            world_vmcb(w)->efer |= EFER_LME;
        }
        world_gpr(w, RAX, CR0_PE | CR0_NE | CR0_PG);
        const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 0, RAX, 1 } });
        assert_true(g->efer & EFER_LMA);
        if (vendor == SIM_VMX) {
            assert_true(world_field(w, VMCS_ENTRY_CTRL) & VMX_ENTRY_IA32E);
            assert_true(world_field(w, VMCS_GUEST_EFER) & EFER_LMA);
        } else {
            assert_true(world_vmcb(w)->efer & EFER_LMA);
        }
    }
}

/* PAE paging: the model reads the pointers from guest memory; a nested fault there exits. */
static void pdptes(void **state)
{
    struct world *w = world_create(SIM_VMX);
    static const struct {
        u64 cr3, entry;
        u32 reason;
    } rows[] = { { 0x3000, 0x9001, VMX_REASON_CPUID }, { 0x3000, 0x9003, 0 }, { GPA_ABSENT, 0, VMX_REASON_EPT_VIOLATION } };
    for (size_t i = 0; i < array_size(rows); i++) {
        world_good(w, BASE_PAE);
        *(u64 *)sim_phys(w->s, AT_GUEST + 0x3000 + 16, 8) = rows[i].entry;
        world_gpr(w, RCX, rows[i].cr3);
        world_script(w, 2, (struct script_step[]){ { .event = { .kind = EVENT_MOV_CR, .cr = { 3, RCX, 1 } } }, { .event = cpuid } });
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(world_reason(w), rows[i].reason ? rows[i].reason : VMX_REASON_CPUID);
        if (i == 0)
            assert_int_equal(world_field(w, VMCS_GUEST_PDPTE2), 0x9001);
        if (i == 1)
            assert_int_equal(w->delivered, VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR);
        if (i == 2)
            assert_int_equal(world_field(w, VMCS_GUEST_PHYS_ADDR), GPA_ABSENT);
        assert_int_equal(world_field(w, VMCS_GUEST_CR3), i == 0 ? 0x3000 : 0x1000);
    }
    world_destroy(w);
}

/* Host-owned bits read as the shadow, keep their value when the guest writes what the shadow says, and exit otherwise. */
static void masks(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_CR4_MASK, CR4_VMXE | CR4_PGE);
    world_set(w, VMCS_CR4_SHADOW, CR4_PGE);
    const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 4, RDI, 0 } });
    assert_int_equal(g->gpr[RDI], CR4_PAE | CR4_PGE);
    world_set(w, VMCS_GUEST_RIP, RIP);
    world_gpr(w, RSI, CR4_PAE | CR4_PGE | CR4_DE);
    g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 4, RSI, 1 } });
    assert_int_equal(g->cr4, CR4_PAE | CR4_VMXE | CR4_DE);
    world_gpr(w, RSI, CR4_PAE);
    world_event(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 4, RSI, 1 } });
    world_enter(w);
    assert_int_equal(world_reason(w), VMX_REASON_CR);
    /* A CR3 target does not exit. */
    world_good(w, BASE_LONG);
    world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) | VMX_PROC_CR3_LOAD);
    world_set(w, VMCS_CR3_TARGET_COUNT, 2);
    world_set(w, VMCS_CR3_TARGET1, 0x8000);
    world_gpr(w, RSI, 0x8000);
    g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 3, RSI, 1 } });
    assert_int_equal(g->cr3, 0x8000);
    assert_true(w->flushes > 0);
    world_gpr(w, RSI, 0x9000);
    world_event(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 3, RSI, 1 } });
    world_enter(w);
    assert_int_equal(world_reason(w), VMX_REASON_CR);
    world_destroy(w);
}

static void clts_lmsw(void **state)
{
    BOTH(w) {
        if (vendor == SIM_VMX)
            world_set(w, VMCS_GUEST_CR0, world_field(w, VMCS_GUEST_CR0) | CR0_TS);
        else
            world_vmcb(w)->cr0 |= CR0_TS;
        const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_CLTS });
        assert_int_equal(g->cr0 & CR0_TS, 0);
        assert_int_equal(world_rip(w), RIP + 2);
        g = world_pass(w, &(struct engine_event){ .kind = EVENT_LMSW, .info = CR0_TS });
        assert_int_equal(g->cr0 & (CR0_TS | CR0_PE), CR0_TS | CR0_PE);   /* LMSW does not clear PE */
    }
}

/* Reads of control registers that pass. */
static void mov_from_cr(void **state)
{
    static const u32 numbers[] = { 0, 2, 3, 4, 8 };
    BOTH(w) {
        for (size_t i = 0; i < array_size(numbers); i++) {
            world_good(w, BASE_LONG);
            w->cpu->cr2 = 0x2222;
            w->cpu->apic.tpr = 0x30;
            if (vendor == SIM_SVM) {
                world_vmcb(w)->cr2 = 0x2222;
                world_vmcb(w)->int_control |= 3;
            }
            const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { numbers[i], R12, 0 } });
            const u64 wanted[] = { g->cr0, 0x2222, vendor == SIM_VMX ? 0x1000 : (u64)AT_PDPTES, g->cr4, 3 };
            assert_int_equal(g->gpr[R12], wanted[i]);
        }
        w->cpu->apic.tpr = 0;
    }
}

/* The rules of PCIDE, and what SVM's selective intercept of CR0 lets pass. */
static void cr_rules(void **state)
{
    struct world *w = world_create(SIM_SVM);
    static const struct {
        u32 number;
        u64 cr3, value;
        u32 code;
        bool faults;
    } rows[] = {
        { 4, 0x1000, CR4_PAE | CR4_PCIDE, SVM_EXIT_CPUID, false },
        { 4, 0x1001, CR4_PAE | CR4_PCIDE, SVM_EXIT_CPUID, true },
        { 0, 0x1000, CR0_PE | CR0_PG | CR0_WP | CR0_ET | CR0_TS | CR0_MP, SVM_EXIT_CPUID, false },
        { 0, 0x1000, CR0_PE | CR0_PG | CR0_ET, SVM_EXIT_CR0_SEL, false },
        { 3, 0x1000, 0x2000, SVM_EXIT_CPUID, false },
    };
    for (size_t i = 0; i < array_size(rows); i++) {
        world_good(w, BASE_LONG);
        world_vmcb(w)->intercept1 |= SVM_ICEPT1_CR0_SEL;
        world_vmcb(w)->cr3 = rows[i].cr3;
        world_gpr(w, RBX, rows[i].value);
        world_script(w, 2, (struct script_step[]){ { .event = { .kind = EVENT_MOV_CR, .cr = { rows[i].number, RBX, 1 } } }, { .event = cpuid } });
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(world_reason(w), rows[i].code);
        assert_int_equal(w->delivered, rows[i].faults ? VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR : 0);
    }
    world_destroy(w);
}

/* LMSW sets PE but never clears it, and moves three more bits. */
static void lmsw_bits(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_good(w, BASE_REAL);
    world_set(w, VMCS_GUEST_CR0, CR0_NE | CR0_ET | CR0_MP);
    const struct sim_guest *g = world_pass(w, &(struct engine_event){ .kind = EVENT_LMSW, .info = CR0_PE | CR0_EM });
    assert_int_equal(g->cr0, CR0_NE | CR0_ET | CR0_PE | CR0_EM);
    world_destroy(w);
}

/* CR8 of a guest is the virtual TPR with V_INTR_MASKING; else it would be the host's: found. */
static void cr8(void **state)
{
    struct world *w = world_create(SIM_SVM);
    world_gpr(w, RBX, 9);
    world_pass(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } });
    assert_int_equal(world_vmcb(w)->int_control & 0xff, 9);
    world_vmcb(w)->int_control = 0;
    world_event(w, &(struct engine_event){ .kind = EVENT_MOV_CR, .cr = { 8, RBX, 1 } });
    world_enter(w);
    assert_non_null(strstr(w->finding, "CR8"));
    world_destroy(w);
}

TEST_GROUP(sim_guest_exec_cr, cmocka_unit_test(mov_cr), cmocka_unit_test(long_mode_on), cmocka_unit_test(pdptes), cmocka_unit_test(masks),
           cmocka_unit_test(clts_lmsw), cmocka_unit_test(mov_from_cr), cmocka_unit_test(cr_rules), cmocka_unit_test(lmsw_bits),
           cmocka_unit_test(cr8));
