/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of an injected event, delivered or not? When do windows open, when does a host interrupt or NMI take the CPU back? Both vendors. */
#include <string.h>
#include "abi/hypercall.h"
#include "unit.h"
#include "virt_fixture.h"

#define RIP 0x1000u
static const struct engine_event cpuid = { .kind = EVENT_CPUID };
static const struct engine_event slice = { .kind = EVENT_SLICE };
static const struct engine_event window = { .kind = EVENT_INTR_WINDOW };
static const struct engine_event absent = { .kind = EVENT_NESTED_FAULT, .gpa = GPA_ABSENT, .access = RIGHT_R };

static bool is_vmx(const struct world *w)
{
    return w->s->config.vendor == SIM_VMX;
}

/* Inject in the neutral format, which both vendors' fields share. */
static void inject(struct world *w, u64 event, u32 length)
{
    if (is_vmx(w)) {
        world_set(w, VMCS_ENTRY_INTR_INFO, event & 0xffffffff);
        world_set(w, VMCS_ENTRY_ERROR_CODE, event >> 32);
        world_set(w, VMCS_ENTRY_INSN_LEN, length);
        world_set(w, VMCS_GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_IF);
    } else {
        world_vmcb(w)->event_inj = event;
        world_vmcb(w)->next_rip = length ? RIP + length : 0;
        world_vmcb(w)->rflags = RFLAGS_ONE | RFLAGS_IF;
    }
}

static u64 undelivered(struct world *w)
{
    return is_vmx(w) ? world_field(w, VMCS_VECTORING_INFO) | world_field(w, VMCS_VECTORING_ERROR) << 32 : world_vmcb(w)->exit_int_info;
}

static u64 rip(struct world *w)
{
    return is_vmx(w) ? world_field(w, VMCS_GUEST_RIP) : world_vmcb(w)->rip;
}

static bool injection_left(struct world *w)
{
    return (is_vmx(w) ? world_field(w, VMCS_ENTRY_INTR_INFO) : world_vmcb(w)->event_inj) & VCPU_EVENT_VALID;
}

static const struct {
    u64 event;
    u32 length;
} events[] = {
    { VCPU_EVENT_INTERRUPT(0x31), 0 },
    { VCPU_EVENT_NMI, 0 },
    { VCPU_EVENT_EXCEPTION(VECTOR_UD), 0 },
    { VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR | 0x1234ul << 32, 0 },
    { VCPU_EVENT_VALID | 0x480, 2 },
};

static void injected(enum sim_vendor vendor, bool delivered)
{
    struct world *w = world_create(vendor);
    for (size_t i = 0; i < array_size(events); i++) {
        world_good(w, BASE_LONG);
        inject(w, events[i].event, events[i].length);
        world_script(w, 1, &(struct script_step){ .event = delivered ? cpuid : absent, .keeps_event = !delivered });
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(w->seen.event, events[i].event);
        assert_int_equal(w->seen.rip, RIP + events[i].length);   /* the return address of a software interrupt */
        assert_int_equal(undelivered(w), delivered ? 0 : events[i].event);
        assert_false(injection_left(w));
        assert_int_equal(rip(w), delivered ? RIP + events[i].length : RIP);
        if (vendor == SIM_VMX && events[i].length && !delivered)
            assert_int_equal(world_field(w, VMCS_EXIT_INSN_LEN), events[i].length);
        if (vendor == SIM_VMX)
            assert_int_equal(world_field(w, VMCS_GUEST_INTERRUPTIBILITY), events[i].event == VCPU_EVENT_NMI ? VMX_BLOCK_NMI : 0);
    }
    world_destroy(w);
}

static void delivered_vmx(void **state)
{
    injected(SIM_VMX, true);
}

static void delivered_svm(void **state)
{
    injected(SIM_SVM, true);
}

static void undelivered_vmx(void **state)
{
    injected(SIM_VMX, false);
}

static void undelivered_svm(void **state)
{
    injected(SIM_SVM, false);
}

/* A host interrupt that waits already does not take the CPU before the injected event was delivered. */
static void injection_first(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct world *w = world_create(vendor);
        inject(w, VCPU_EVENT_INTERRUPT(0x31), 0);
        irq_raise(w->cpu, 0x60);
        world_script(w, 2, (struct script_step[]){ { .event = slice, .keeps_event = true }, { .event = slice } });
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(w->next, 2);
        assert_int_equal(w->delivered, VCPU_EVENT_INTERRUPT(0x31));
        assert_int_equal(undelivered(w), 0);
        assert_int_equal(world_reason(w), vendor == SIM_VMX ? (u32)VMX_REASON_INTR : (u32)SVM_EXIT_INTR);
        world_destroy(w);
    }
}

/* A host interrupt exits whatever the guest's IF; it stays in the APIC unless the exit acknowledges it. */
static void host_interrupt(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct world *w = world_create(vendor);
        irq_raise(w->cpu, 0x60);
        world_script(w, 0, NULL);
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(w->next, 0);
        assert_int_equal(world_reason(w), vendor == SIM_VMX ? (u32)VMX_REASON_INTR : (u32)SVM_EXIT_INTR);
        assert_true(sim_irq_pending(w->cpu));
        world_destroy(w);
    }
}

static void acknowledge(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_EXIT_CTRL, world_field(w, VMCS_EXIT_CTRL) | VMX_EXIT_ACK_INTR);
    irq_raise(w->cpu, 0x60);
    world_enter(w);
    assert_int_equal(world_field(w, VMCS_EXIT_INTR_INFO), VMX_INTR_VALID | 0x60);
    assert_false(sim_irq_pending(w->cpu));
    world_destroy(w);
}

/* Not intercepted: it would go through the guest's IDT. No kernel of ours wants that. */
static void leaks(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)
        for (u32 nmi = 0; nmi < 2; nmi++) {
            struct world *w = world_create(vendor);
            if (vendor == SIM_VMX) {
                world_set(w, VMCS_PIN_CTRL, 0x16);
            } else {
                world_vmcb(w)->intercept1 &= ~(SVM_ICEPT1_INTR | SVM_ICEPT1_NMI);
            }
            w->cpu->nmi = nmi;
            irq_raise(w->cpu, 0x60);
            world_event(w, &cpuid);
            world_enter(w);
            assert_non_null(w->finding);
            assert_non_null(strstr(w->finding, nmi ? "NMI" : "host interrupt"));
            world_destroy(w);
        }
}

/* VMX consumes the NMI that exits and blocks others, SVM leaves it pending for the host. */
static void nmi(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct world *w = world_create(vendor);
        w->cpu->nmi = true;
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(world_reason(w), vendor == SIM_VMX ? (u32)VMX_REASON_EXCEPTION : (u32)SVM_EXIT_NMI);
        assert_int_equal(w->cpu->nmi, vendor == SIM_SVM);
        assert_int_equal(w->cpu->in_nmi, vendor == SIM_VMX);
        if (vendor == SIM_VMX)
            assert_int_equal(world_field(w, VMCS_EXIT_INTR_INFO), VMX_INTR_VALID | VMX_EVENT_NMI << 8 | VECTOR_NMI);
        world_destroy(w);
    }
}

static void open_flags(struct sim_guest *g)
{
    assert_true(g->want_window);
    g->rflags |= RFLAGS_IF;
    g->interruptibility = 0;
}

/* Ask for a window: rflags and blocking of the guest at the entry. */
static void ask_window(struct world *w, u64 rflags, u32 blocked)
{
    world_good(w, BASE_LONG);
    if (is_vmx(w)) {
        world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) | VMX_PROC_INTR_WINDOW);
        world_set(w, VMCS_GUEST_RFLAGS, rflags);
        world_set(w, VMCS_GUEST_INTERRUPTIBILITY, blocked);
    } else {
        struct vmcb *b = world_vmcb(w);
        b->intercept1 |= SVM_ICEPT1_VINTR;
        b->int_control |= SVM_INT_V_IRQ | SVM_INT_IGN_TPR;
        b->rflags = rflags;
        b->int_shadow = blocked ? SVM_SHADOW : 0;
    }
}

static void windows(void **state)
{
    const struct {
        u64 rflags;
        u32 blocked;
        bool at_once;
    } rows[] = { { RFLAGS_ONE | RFLAGS_IF, 0, true }, { RFLAGS_ONE, 0, false }, { RFLAGS_ONE | RFLAGS_IF, VCPU_BLOCKED_STI, false } };
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct world *w = world_create(vendor);
        for (size_t i = 0; i < array_size(rows); i++) {
            ask_window(w, rows[i].rflags, rows[i].blocked);
            world_script(w, 1, &(struct script_step){ .event = window, .before = open_flags });
            world_enter(w);
            assert_null(w->finding);
            assert_int_equal(w->next, !rows[i].at_once);
            assert_int_equal(world_reason(w), vendor == SIM_VMX ? (u32)VMX_REASON_INTR_WINDOW : (u32)SVM_EXIT_VINTR);
            assert_int_equal(rip(w), RIP);
        }
        world_destroy(w);
    }
}

/* A window that the engine reports but that is not open is the engine's fault, not an exit. */
static void false_window(void **state)
{
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        struct world *w = world_create(vendor);
        ask_window(w, RFLAGS_ONE, 0);
        world_event(w, &window);
        world_enter(w);
        assert_non_null(w->finding);
        world_destroy(w);
    }
}

/* An interrupt window has priority over a host interrupt, an NMI over the interrupt window (VMX). */
static void priorities(void **state)
{
    struct world *w = world_create(SIM_VMX);
    ask_window(w, RFLAGS_ONE | RFLAGS_IF, 0);
    irq_raise(w->cpu, 0x60);
    world_enter(w);
    assert_int_equal(world_reason(w), VMX_REASON_INTR_WINDOW);
    w->cpu->nmi = true;
    world_enter(w);
    assert_int_equal(world_reason(w), VMX_REASON_EXCEPTION);
    world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) | VMX_PROC_NMI_WINDOW);
    w->cpu->nmi = true;
    world_enter(w);
    assert_int_equal(world_reason(w), VMX_REASON_NMI_WINDOW);
    world_destroy(w);
}

static void iret(struct sim_guest *g)
{
    assert_int_equal(g->interruptibility, VCPU_BLOCKED_NMI);
    g->interruptibility = 0;
}

/* The NMI window opens when IRET ends blocking by NMI. */
static void nmi_window(void **state)
{
    struct world *w = world_create(SIM_VMX);
    world_set(w, VMCS_PROC_CTRL, world_field(w, VMCS_PROC_CTRL) | VMX_PROC_NMI_WINDOW);
    world_set(w, VMCS_GUEST_INTERRUPTIBILITY, VMX_BLOCK_NMI);
    world_script(w, 2, (struct script_step[]){ { .event = slice }, { .event = slice, .before = iret } });
    world_enter(w);
    assert_null(w->finding);
    assert_int_equal(w->next, 2);
    assert_int_equal(world_reason(w), VMX_REASON_NMI_WINDOW);
    world_destroy(w);
}

/* SVM: a virtual interrupt that is not intercepted is delivered when IF and its priority allow, once. */
static void virtual_interrupt(void **state)
{
    const struct {
        u64 control;
        bool taken;
    } rows[] = { { SVM_INT_V_IRQ | SVM_INT_IGN_TPR, true }, { SVM_INT_V_IRQ | SVM_INT_PRIO(5) | 4, true },
                 { SVM_INT_V_IRQ | SVM_INT_PRIO(5) | 5, false }, { 0, false } };
    struct world *w = world_create(SIM_SVM);
    for (size_t i = 0; i < array_size(rows); i++) {
        world_good(w, BASE_LONG);
        world_vmcb(w)->rflags |= RFLAGS_IF;
        world_vmcb(w)->int_control = SVM_INT_MASKING | SVM_INT_VECTOR(0x51) | rows[i].control;
        world_event(w, &cpuid);
        world_enter(w);
        assert_null(w->finding);
        assert_int_equal(w->delivered, rows[i].taken ? VCPU_EVENT_INTERRUPT(0x51) : 0);
        assert_int_equal(!!(world_vmcb(w)->int_control & SVM_INT_V_IRQ), rows[i].control && !rows[i].taken);
    }
    world_destroy(w);
}

/* SVM without V_INTR_MASKING: the guest's IF, or its interrupt shadow, holds back host interrupts. */
static void no_masking(void **state)
{
    struct world *w = world_create(SIM_SVM);
    for (u32 i = 0; i < 3; i++) {
        const bool open = i == 1;
        world_good(w, BASE_LONG);
        world_vmcb(w)->int_control = 0;
        world_vmcb(w)->rflags |= i ? RFLAGS_IF : 0;
        world_vmcb(w)->int_shadow = i == 2 ? SVM_SHADOW : 0;
        irq_raise(w->cpu, 0x60);
        world_event(w, &cpuid);
        world_enter(w);
        assert_int_equal(world_reason(w), open ? SVM_EXIT_INTR : SVM_EXIT_CPUID);
    }
    world_destroy(w);
}

/* A fault while another event is delivered is a double fault; an intercepted one exits and says what was being delivered. */
static void double_fault(void **state)
{
    const struct engine_event fault = { .kind = EVENT_EXCEPTION, .vector = VECTOR_NP, .error = 0x10, .error_valid = true };
    for (enum sim_vendor vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)
        for (u32 intercepted = 0; intercepted < 2; intercepted++) {
            struct world *w = world_create(vendor);
            inject(w, VCPU_EVENT_EXCEPTION(VECTOR_UD), 0);
            if (intercepted && vendor == SIM_VMX)
                world_set(w, VMCS_EXCEPTION_BITMAP, 1u << VECTOR_NP);
            else if (intercepted)
                world_vmcb(w)->intercept_exceptions = 1u << VECTOR_NP;
            world_script(w, 2, (struct script_step[]){ { .event = fault, .keeps_event = true }, { .event = cpuid } });
            world_enter(w);
            assert_null(w->finding);
            assert_int_equal(undelivered(w), intercepted ? VCPU_EVENT_EXCEPTION(VECTOR_UD) : 0);
            assert_int_equal(w->delivered, intercepted ? 0 : VCPU_EVENT_EXCEPTION(VECTOR_DF) | VCPU_EVENT_ERROR);
            world_destroy(w);
        }
}

TEST_GROUP(sim_virt_inject, cmocka_unit_test(delivered_vmx), cmocka_unit_test(delivered_svm), cmocka_unit_test(undelivered_vmx),
           cmocka_unit_test(undelivered_svm), cmocka_unit_test(injection_first), cmocka_unit_test(host_interrupt),
           cmocka_unit_test(acknowledge), cmocka_unit_test(leaks), cmocka_unit_test(nmi), cmocka_unit_test(windows),
           cmocka_unit_test(false_window), cmocka_unit_test(priorities), cmocka_unit_test(nmi_window), cmocka_unit_test(virtual_interrupt),
           cmocka_unit_test(no_masking), cmocka_unit_test(double_fault));
