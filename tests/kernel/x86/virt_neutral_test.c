/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the state of a guest still its own after an entry that was refused, and does a guest get nothing that is not switched? */
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/svm.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "svm_x86.h"
#include "vmx_x86.h"

#define ALL(g) ((g)->s->capabilities)

static struct guest *open_spoiling(enum sim_vendor vendor)
{
    struct guest *g = guest_open(vendor);
    if (vendor != SIM_SVM)
        return g;
    guest_sim_svm_plain(g->f->sim);
    g->f->k->cpu[0]->virt.fixed[SVM_FIXED_FEATURES] = mach_cpuid(CPUID_SVM, 0).edx;
    return g;
}

/* ---- Refused entries ---- */

static void a_refused_entry_leaves_the_rest(void **state)
{
    static struct vcpu_state before;
    struct guest *g = open_spoiling(VENDOR(state));
    guest_fetch(g, ALL(g));
    g->s->rip = 0x1234;
    g->s->gpr[RSP] = 0x4567;
    g->s->gpr[RAX] = 0x89ab;
    g->s->rflags = RFLAGS_ONE | RFLAGS_IF;
    g->s->seg[VCPU_SEG_DS].base = 0x1230;
    g->s->idtr.limit = 0x3ff;
    g->s->cr2 = 0xc2;
    g->s->cr3 = 0x7000;
    g->s->interruptibility = VCPU_BLOCKED_STI;
    assert_int_equal(guest_run(g, ALL(g) & ~VCPU_GROUP_FPU), VCPU_EXIT_HYPERCALL);
    for (u32 twice = 0; twice < 2; twice++) {
        guest_fetch(g, ALL(g));
        g->s->interruptibility = VCPU_BLOCKED_STI;
        memcpy(&before, g->s, sizeof(before));
        g->s->cr4 |= bit(40);
        assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_ACTIVITY), VCPU_EXIT_ENTRY_FAILED);
        assert_int_equal(guest_run(g, 0), VCPU_EXIT_ENTRY_FAILED);   /* as broken as before */
        guest_fetch(g, ALL(g));
        before.cr4 |= bit(40);
        for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
            const struct vcpu_group_range *const r = &vcpu_group_range[i];
            assert_memory_equal((u8 *)g->s + r->offset, (u8 *)&before + r->offset, r->bytes);
        }
        g->s->cr4 &= ~bit(40);
        assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.seg[VCPU_SEG_DS].base, 0x1230);
        assert_int_equal(g->seen.idtr.limit, 0x3ff);
        assert_int_equal(g->seen.gpr[RAX], 0x89ab);
        assert_int_equal(g->seen.cr3, 0x7000);
        assert_int_equal(g->seen.interruptibility, VCPU_BLOCKED_STI);
    }
    guest_close(g);
}

/* No run in between has shown that the state is legal: what an exit by SHUTDOWN left is undefined (APM 2 15.14.3). */
static void a_shutdown_proves_nothing(void **state)
{
    struct guest *g = open_spoiling(SIM_SVM);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_false(virt_regs(g->v)->flags & VIRT_UNPROVEN);
    guest_does(g, (struct engine_event){ .kind = EVENT_TRIPLE_FAULT });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_SHUTDOWN);
    guest_fetch(g, VCPU_GROUP_CR);
    const u64 cr0 = g->s->cr0;
    vmcb_set(g->v, VMCB(cr4), bit(40));
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_ENTRY_FAILED);
    guest_fetch(g, VCPU_GROUP_CR);
    assert_int_equal(g->s->cr0, cr0);
    guest_close(g);
}

/* INTO and BOUND do not exist in 64-bit mode: an event alone can be refused (15.20). */
static void an_event_is_refused(void **state)
{
    struct guest *g = open_spoiling(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_SEG);
    g->s->cr0 = CR0_PE | CR0_PG | CR0_ET;
    g->s->cr4 = CR4_PAE;
    g->s->efer = EFER_LME | EFER_LMA;
    g->s->seg[VCPU_SEG_CS].attributes = 0xa09b;
    assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_SEG), VCPU_EXIT_HYPERCALL);
    guest_fetch(g, VCPU_GROUP_CR | VCPU_GROUP_RIP);
    const u64 cr4 = g->s->cr4, rip = g->s->rip;
    g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_OF);
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_ENTRY_FAILED);
    guest_fetch(g, VCPU_GROUP_CR | VCPU_GROUP_RIP);
    assert_int_equal(g->s->cr4, cr4);
    assert_int_equal(g->s->rip, rip);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

static void a_refused_window_stays_wanted(void **state)
{
    struct guest *g = open_spoiling(SIM_SVM);
    guest_fetch(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT);
    g->s->windows = VCPU_WINDOW_INTR;
    g->s->cr4 = bit(40);
    assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT), VCPU_EXIT_ENTRY_FAILED);
    g->s->windows = VCPU_WINDOW_INTR;
    g->s->cr4 = 0;
    guest_enter(g, VCPU_GROUP_CR | VCPU_GROUP_INJECT);
    assert_true(vmcb_get(g->v, VMCB(int_control)) & SVM_INT_V_IRQ);
    while (guest_inside(g))
        assert_true(guest_step(g));
    guest_close(g);
}

/* ---- What is not switched ---- */

static void protection_keys_are_refused(void **state)
{
    static const u64 bits[] = { CR4_PKE, CR4_CET, CR4_PKS, CR4_UINTR, CR4_FRED };
    struct guest *g = guest_open(VENDOR(state));
    if (VENDOR(state) == SIM_SVM)
        g->f->k->cpu[0]->virt.fixed[SVM_FIXED_CR] |= 0x10ul << 16;   /* a processor that has them */
    guest_fetch(g, VCPU_GROUP_CR);
    for (u32 i = 0; i < array_size(bits); i++) {
        g->s->cr4 = bits[i];
        assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_ENTRY_FAILED);
        assert_int_equal(g->s->exit.u.entry_failed.check, VCPU_CHECK_CR4);
        g->s->cr4 = 0;
        g->s->gpr[RBX] = bits[i];
        guest_does(g, (struct engine_event){ .kind = EVENT_MOV_CR, .cr = { .number = 4, .gpr = RBX, .write = 1 } });
        /* A 32-bit guest has no bit 32. */
        const u32 want = bits[i] >> 32 && VENDOR(state) == SIM_VMX ? VCPU_EXIT_HYPERCALL : VCPU_EXIT_CR;
        assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_GPR), want);
        assert_int_equal(g->s->exit.u.cr.number, want == VCPU_EXIT_CR ? 4 : 0);
    }
    guest_close(g);
}

/* With CR4.MCE = 0 a machine check shuts the processor down before anybody can intercept it. */
static void machine_checks_stay_enabled(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_fetch(g, VCPU_GROUP_CR);
    g->s->cr4 = CR4_PSE;
    g->s->want = VCPU_GROUP_CR;
    assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.cr4 & CR4_MCE, CR4_MCE);
    assert_int_equal(g->s->cr4, CR4_PSE);
    g->s->gpr[RBX] = CR4_MCE;
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_CR, .cr = { .number = 4, .gpr = RBX, .write = 1 } });
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR), VCPU_EXIT_CR);
    g->s->cr4 = CR4_MCE;
    g->s->gpr[RBX] = 0;
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_CR, .cr = { .number = 4, .gpr = RBX, .write = 1 } });
    assert_int_equal(guest_run(g, VCPU_GROUP_CR | VCPU_GROUP_GPR), VCPU_EXIT_CR);
    assert_int_equal(g->s->cr4, CR4_MCE);
    guest_close(g);
}

/* ---- #DB ---- */

static void a_debug_exception_is_neutral(void **state)
{
    static const struct { u64 dr6, info, found; } rows[] = {
        { DR6_INIT, DR6_BS, DR6_INIT | DR6_BS },
        { DR6_INIT, 2, DR6_INIT | 2 },
        { DR6_INIT | DR6_BS | 1, 8, DR6_INIT | DR6_BS | 8 },   /* B0-B3 are replaced, BS stays until software clears it */
        { DR6_INIT | DR6_BD, 0, DR6_INIT | DR6_BD },
    };
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < array_size(rows); i++) {
        guest_fetch(g, VCPU_GROUP_DR | VCPU_GROUP_CONTROL);
        g->s->dr6 = rows[i].dr6;
        g->s->exceptions = 1u << VECTOR_DB;
        guest_does(g, (struct engine_event){ .kind = EVENT_EXCEPTION, .vector = VECTOR_DB, .info = rows[i].info });
        assert_int_equal(guest_run(g, VCPU_GROUP_DR | VCPU_GROUP_CONTROL), VCPU_EXIT_EXCEPTION);
        assert_int_equal(g->s->exit.u.exception.vector, VECTOR_DB);
        assert_int_equal(g->s->exit.u.exception.address, rows[i].found);
    }
    guest_close(g);
}

GUEST_GROUP(virt_neutral, GUEST_TEST(a_refused_entry_leaves_the_rest), GUEST_TEST(protection_keys_are_refused), GUEST_TEST(a_debug_exception_is_neutral));
TEST_GROUP(virt_neutral_vendor, cmocka_unit_test(a_shutdown_proves_nothing), cmocka_unit_test(an_event_is_refused),
           cmocka_unit_test(a_refused_window_stays_wanted), cmocka_unit_test(machine_checks_stay_enabled));
