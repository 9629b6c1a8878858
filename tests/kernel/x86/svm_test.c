/* SPDX-License-Identifier: BSD-2-Clause */
/* What is SVM's own: a processor without next RIP and decode assists, a VMCB that VMRUN refuses, ASIDs, NMIs without an NMI window. */
#include "arch/svm.h"
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"

static struct guest *open_plain(void)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_sim_svm_plain(g->f->sim);
    g->f->k->cpu[0]->virt.fixed[SVM_FIXED_FEATURES] = mach_cpuid(CPUID_SVM, 0).edx;
    return g;
}

static void plain_processor_says_less(void **state)
{
    struct guest *g = open_plain();
    guest_does(g, (struct engine_event){ .kind = EVENT_CPUID });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_CPUID);
    assert_int_equal(g->s->exit.insn_len, 0);
    guest_does(g, (struct engine_event){ .kind = EVENT_IO, .insn_len = 2, .io = { .port = 0x60, .size = 1, .string = 1, .address_size = 4 } });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_IO);
    assert_int_equal(g->s->exit.insn_len, 2);   /* EXITINFO2 */
    assert_int_equal(g->s->exit.u.io.address_size, 0);
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_CR, .cr = { .number = 8, .gpr = R9, .write = 1 } });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_CR);
    assert_int_equal(g->s->exit.u.cr.kind, 3);
    guest_close(g);
}

static void fault_of_its_own(struct guest *g, struct sim_guest *guest)
{
    guest->event = VCPU_EVENT_EXCEPTION(VECTOR_DE);
    guest->rip = 0x3000;
}

/* INT n asked for by the VMM: the return address is behind it. If it is not delivered RIP stands at it again. */
static void software_interrupt_without_next_rip(void **state)
{
    struct guest *g = open_plain();
    guest_fetch(g, VCPU_GROUP_RIP);
    g->s->rip = 0x1000;
    g->s->inject = VCPU_EVENT_VALID | 0x480;
    g->s->inject_insn_len = 2;
    g->keep_event = true;
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_W });
    assert_int_equal(guest_run(g, VCPU_GROUP_RIP | VCPU_GROUP_INJECT), VCPU_EXIT_MMIO);
    assert_int_equal(g->seen.rip, 0x1002);
    assert_int_equal(g->s->rip, 0x1000);
    assert_int_equal(g->s->pending, VCPU_EVENT_VALID | 0x480);
    g->keep_event = false;
    g->s->inject = g->s->pending;
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->s->rip, 0x1002);
    g->before = fault_of_its_own;   /* long after that event was delivered */
    g->keep_event = true;
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_W });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_MMIO);
    assert_int_equal(g->s->pending, VCPU_EVENT_EXCEPTION(VECTOR_DE));
    assert_int_equal(g->s->rip, 0x3000);
    guest_close(g);
}

static void handler_runs_into_a_fault(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 1)
        return;
    guest->rip = 0x5000;
    guest->event = VCPU_EVENT_EXCEPTION(VECTOR_DE);
    g->keep_event = true;
}

/* Once it was delivered RIP is the handler's: neither an exception that goes back to the guest nor what comes later moves it. */
static void software_interrupt_then_alignment_check(void **state)
{
    struct guest *g = open_plain();
    guest_fetch(g, VCPU_GROUP_RIP);
    g->s->rip = 0x1000;
    g->s->inject = VCPU_EVENT_VALID | 0x480;
    g->s->inject_insn_len = 2;
    guest_does(g, (struct engine_event){ .kind = EVENT_EXCEPTION, .vector = VECTOR_AC });
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_W });
    g->before = handler_runs_into_a_fault;
    assert_int_equal(guest_run(g, VCPU_GROUP_RIP | VCPU_GROUP_INJECT), VCPU_EXIT_MMIO);
    assert_int_equal(g->seen.rip, 0x1002);
    assert_int_equal(g->s->pending, VCPU_EVENT_EXCEPTION(VECTOR_DE));
    assert_int_equal(g->s->rip, 0x5000);
    guest_close(g);
}

static const struct {
    u16 offset;
    u64 value;
    u32 check;
} broken[] = {
    { offset_of(struct vcpu_state, cr4), 1ul << 40, VCPU_CHECK('V', 10) },
    { offset_of(struct vcpu_state, cr4), 0, VCPU_CHECK('V', 13) },
    { offset_of(struct vcpu_state, cr3), 1ul << 50, VCPU_CHECK('V', 9) },
};

static void refused_vmcb_is_named(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    for (u32 i = 0; i < array_size(broken); i++) {
        guest_fetch(g, VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_RIP);
        g->s->cr0 = CR0_PE | CR0_PG | CR0_ET;
        g->s->cr3 = 0;
        g->s->cr4 = CR4_PAE;
        g->s->efer = EFER_LME | EFER_LMA;
        g->s->rip = 0x1234;
        g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_UD);
        memcpy((u8 *)g->s + broken[i].offset, &broken[i].value, 8);
        assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_RIP | VCPU_GROUP_INJECT), VCPU_EXIT_ENTRY_FAILED);
        assert_int_equal(guest_sim_last_check(g->f->sim, 0), broken[i].check);
        assert_int_equal(g->s->exit.u.entry_failed.check, broken[i].check);
        assert_int_equal(g->s->exit.raw_reason, ~0ul);
        assert_int_equal(g->s->pending, VCPU_EVENT_EXCEPTION(VECTOR_UD));
        guest_fetch(g, VCPU_GROUP_RIP);
        assert_int_equal(g->s->rip, 0x1234);
    }
    guest_close(g);
}

/* Every flush is a fresh ASID; when they are used up one VMRUN flushes all, and no ASID is used by two vCPUs of one epoch. */
static void asids_are_recycled(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    struct cpu *cpu = g->f->k->cpu[0];
    u64 last = 0, epoch = 0;
    u32 wraps = 0;
    for (u32 i = 0; i < 40; i++) {
        g->f->k->virt->flush(cpu);
        assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
        assert_in_range(g->v->tag, 1, cpu->virt.tag_limit);
        if (g->v->tag <= last) {
            wraps++;
            assert_int_equal(vmcb_get(g->v, VMCB(asid)) >> 32 & 0xff, SVM_TLB_ALL);
        }
        assert_true(cpu->virt.tag_epoch > epoch);
        last = g->v->tag;
        epoch = cpu->virt.tag_epoch;
    }
    assert_int_equal(wraps, 40 / cpu->virt.tag_limit);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->v->tag, last);   /* no flush, no new one */
    assert_int_equal(vmcb_get(g->v, VMCB(asid)) >> 32 & 0xff, SVM_TLB_KEEP);
    guest_close(g);
}

/* VMRUN that would have flushed is refused: the next one flushes. */
static void refused_flush_is_repeated(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    struct cpu *cpu = g->f->k->cpu[0];
    guest_fetch(g, VCPU_GROUP_CR);
    const u64 cr4 = g->s->cr4;
    g->s->cr4 = 1ul << 40;
    cpu->virt.tag_next = cpu->virt.tag_limit + 1;
    assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_ENTRY_FAILED);
    g->s->cr4 = cr4;
    assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_HYPERCALL);
    assert_int_equal(vmcb_get(g->v, VMCB(asid)) >> 32 & 0xff, SVM_TLB_ALL);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(vmcb_get(g->v, VMCB(asid)) >> 32 & 0xff, SVM_TLB_KEEP);
    guest_close(g);
}

/* A processor that leaves EVENTINJ as it is when it refuses a VMRUN: the VMM was told that the event is pending, so it is the VMM's. */
static void refused_event_is_not_tried_again(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_CR);
    const u64 cr4 = g->s->cr4;
    g->s->cr4 = 1ul << 40;
    g->s->inject = VCPU_EVENT_NMI;
    assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->s->pending, VCPU_EVENT_NMI);
    vmcb_set(g->v, VMCB(event_inj), VCPU_EVENT_NMI);
    g->s->cr4 = cr4;
    assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, 0);
    guest_close(g);
}

static void efer_hides_svme(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_EFER);
    assert_int_equal(g->s->efer, 0);
    assert_int_equal(vmcb_get(g->v, VMCB(efer)), EFER_SVME);
    guest_close(g);
}

static void pending_debug_is_refused(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_ACTIVITY);
    g->s->pending_debug = 1ul << 14;
    assert_int_equal(guest_run(g, VCPU_GROUP_ACTIVITY), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->s->exit.u.entry_failed.check, VCPU_CHECK_PENDING_DEBUG);
    guest_close(g);
}

/* INVALID as 32 bits, as one emulator stores it: the same. */
static void invalid_in_32_bits(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    struct vcpu_exit exit = { 0 };
    guest_enter(g, 0);
    vmcb_set(g->v, VMCB(exit_code), 0xffffffff);
    vmcb_set(g->v, VMCB(rip), 0xffffffff80123456);   /* and the host's RIP in the save area */
    assert_int_equal(virt_svm.exit(g->f->k->cpu[0], g->v, TRAP(TRAP_GUEST_EXIT, 0), 0, &exit), VIRT_EXIT_VMM);
    assert_int_equal(exit.reason, VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(vmcb_get(g->v, VMCB(rip)), 0xfff0);
    guest_close(g);
}

/* A processor that leaves the host's state there spoils the save area; what is put back ends where that ends. */
static void the_save_area_is_put_back(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    struct vcpu_exit exit = { 0 };
    u64 before[(VMCB(reserved_698) - VMCB(es)) / 8];
    guest_run(g, 0);
    guest_fetch(g, VCPU_GROUP_SEG);
    g->s->seg[VCPU_SEG_ES].selector = 0x123;   /* since it ran, nothing else is new */
    guest_enter(g, VCPU_GROUP_SEG);
    memcpy(before, (u8 *)g->v->hw + VMCB(es), sizeof(before));
    for (u32 at = VMCB(es) - 8; at <= VMCB(reserved_698); at += 8)
        vmcb_set(g->v, at, 0xbad0bad0bad0 + at);
    vmcb_set(g->v, VMCB(exit_code), SVM_EXIT_INVALID);
    assert_int_equal(virt_svm.exit(g->f->k->cpu[0], g->v, TRAP(TRAP_GUEST_EXIT, 0), 0, &exit), VIRT_EXIT_VMM);
    assert_memory_equal(before, (u8 *)g->v->hw + VMCB(es), sizeof(before));
    assert_int_equal(vmcb_get(g->v, VMCB(es) - 8), 0xbad0bad0bad0 + VMCB(es) - 8);
    assert_int_equal(vmcb_get(g->v, VMCB(reserved_698)), 0xbad0bad0bad0 + VMCB(reserved_698));
    guest_close(g);
}

/* The IRET that faults has not unblocked NMIs. */
static void iret_faults(struct guest *g, struct sim_guest *guest)
{
    if (g->entries >= 2)
        guest->rip = 0x2000;
}

static void nmi_stays_blocked_until_iret_is_done(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY);
    g->s->inject = VCPU_EVENT_NMI;
    g->s->want = VCPU_GROUP_ACTIVITY;
    g->before = iret_faults;
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    guest_does(g, (struct engine_event){ .kind = EVENT_OTHER_INSN, .info = 0xcf });
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_R });
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_MMIO);
    assert_int_equal(g->s->interruptibility & VCPU_BLOCKED_NMI, VCPU_BLOCKED_NMI);
    g->before = NULL;
    g->s->rip = 0x4000;   /* elsewhere, but it has not run there */
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_R });
    assert_int_equal(guest_run(g, VCPU_GROUP_RIP), VCPU_EXIT_MMIO);
    assert_int_equal(g->s->interruptibility & VCPU_BLOCKED_NMI, VCPU_BLOCKED_NMI);
    guest_close(g);
}

/* Told at the first exit behind it. */
static void iret_is_done(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 3)
        guest->rip = 0x2000;
}

static void nmi_is_free_when_iret_is_done(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY);
    g->s->inject = VCPU_EVENT_NMI;
    g->s->want = VCPU_GROUP_ACTIVITY;
    g->before = iret_is_done;
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    guest_does(g, (struct engine_event){ .kind = EVENT_OTHER_INSN, .info = 0xcf });
    guest_does(g, (struct engine_event){ .kind = EVENT_CPUID });
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_CPUID);
    assert_int_equal(g->entries, 3);
    assert_int_equal(g->s->interruptibility & VCPU_BLOCKED_NMI, 0);
    guest_close(g);
}

/* The privilege level has a field of its own; neutrally it is SS.DPL, also if SS is unusable. */
static void cpl_is_ss_dpl(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_SEG);
    g->s->seg[VCPU_SEG_SS].attributes = VCPU_SEG_UNUSABLE | 0x60;
    svm_load(g->f->k->cpu[0], g->v, g->s, VCPU_GROUP_SEG);
    assert_int_equal(((struct vmcb *)g->v->hw)->cpl, 3);
    vmcb_set32(g->v, VMCB(cpl) - 3, 2u << 24);
    guest_fetch(g, VCPU_GROUP_SEG);
    assert_int_equal(g->s->seg[VCPU_SEG_SS].attributes, VCPU_SEG_UNUSABLE | 0x40);
    guest_close(g);
}

TEST_GROUP(svm, cmocka_unit_test(cpl_is_ss_dpl), cmocka_unit_test(plain_processor_says_less), cmocka_unit_test(software_interrupt_without_next_rip),
           cmocka_unit_test(software_interrupt_then_alignment_check),
           cmocka_unit_test(refused_vmcb_is_named), cmocka_unit_test(asids_are_recycled), cmocka_unit_test(refused_flush_is_repeated),
           cmocka_unit_test(refused_event_is_not_tried_again),
           cmocka_unit_test(efer_hides_svme), cmocka_unit_test(pending_debug_is_refused), cmocka_unit_test(invalid_in_32_bits),
           cmocka_unit_test(the_save_area_is_put_back),
           cmocka_unit_test(nmi_stays_blocked_until_iret_is_done), cmocka_unit_test(nmi_is_free_when_iret_is_done));
