/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers that only software switches, the FPU, cached translations: has the guest its own, and the host its own again? Each test runs on the
 * simulated VMX and on the simulated SVM. */
#include "vcpu.h"
#include <string.h>
#include "abi/vcpu_groups.h"
#include "apic.h"
#include "arch/x86.h"
#include "fpu.h"
#include "guest_fixture.h"
#include "kernel_fixture_sim.h"

#define SEL_HANDLER 320u

/* ---- Host and guest registers ---- */

static void host_registers_are_back(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct sim *s = g->f->sim;
    u64 before[5];
    for (u32 i = 2; i < 5; i++)
        before[i] = guest_sim_register(s, 0, i);
    guest_fetch(g, VCPU_GROUP_ALL & g->s->capabilities);
    g->s->lstar = 0x1111000;
    g->s->kernel_gs = 0x2222000;
    g->s->tsc_aux = 77;
    g->s->efer = EFER_SCE | EFER_LME;
    assert_int_equal(guest_run(g, VCPU_GROUP_SYSCALL | VCPU_GROUP_EFER), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.lstar, 0x1111000);
    assert_int_equal(g->seen.kernel_gs, 0x2222000);
    assert_int_equal(g->seen.tsc_aux, 77);
    for (u32 i = 2; i < 5; i++)
        assert_int_equal(guest_sim_register(s, 0, i), before[i]);
    guest_close(g);
}

/* Differs from the host's is not the same as is not 0. */
static void the_hosts_tsc_aux_is_not_seen(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    mach_msr_write(MSR_TSC_AUX, 5);
    cpu->virt.host_msr[VIRT_MSRS - 1] = 5;
    for (u64 its = 0; its < 10; its += 5) {
        guest_fetch(g, VCPU_GROUP_SYSCALL);
        g->s->tsc_aux = its;
        assert_int_equal(guest_run(g, VCPU_GROUP_SYSCALL), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.tsc_aux, its);
        assert_int_equal(guest_sim_register(g->f->sim, 0, GUEST_HOST_TSC_AUX), 5);
    }
    guest_close(g);
}

/* VMX switches them by software: not until the guest has the instructions that show them. They are kept all the same. */
static void msrs_are_switched_when_seen(void **state)
{
    static const struct { u64 efer, lstar, kernel_gs; } rows[] = {
        { 0, 0, 0 }, { EFER_SCE, 0x1111000, 0 }, { EFER_LME, 0, 0x2222000 }, { EFER_SCE | EFER_LME, 0x1111000, 0x2222000 }, { 0, 0, 0 },
    };
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_SYSCALL | VCPU_GROUP_EFER);
    const u64 host[] = { guest_sim_register(g->f->sim, 0, 2), guest_sim_register(g->f->sim, 0, 3) };
    g->s->lstar = 0x1111000;
    g->s->kernel_gs = 0x2222000;
    for (u32 i = 0; i < array_size(rows); i++) {
        g->s->efer = rows[i].efer;
        guest_run(g, VCPU_GROUP_SYSCALL | VCPU_GROUP_EFER);
        const bool all = g->vendor == SIM_SVM;
        assert_int_equal(g->seen.lstar, all ? 0x1111000 : rows[i].lstar ? rows[i].lstar : host[0]);
        assert_int_equal(g->seen.kernel_gs, all ? 0x2222000 : rows[i].kernel_gs ? rows[i].kernel_gs : host[1]);
        guest_fetch(g, VCPU_GROUP_SYSCALL);
        assert_int_equal(g->s->lstar, 0x1111000);
        assert_int_equal(g->s->kernel_gs, 0x2222000);
    }
    guest_close(g);
}

/* Its XCR0 stays for its VMM, which has no FPU, through hypercalls that change nothing; for nobody else, nor for a move of its image. */
static void xcr0_is_back_for_others(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    struct ec *const other = fixture_handler(g->f, 0, g->f->pd, SEL_HANDLER);
    const u64 host = mach_xgetbv();
    assert_int_not_equal(host, 1);
    for (u32 i = 0; i < 3; i++) {
        assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.xcr0, 1);
        assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_null), OK);
        assert_int_equal(mach_xgetbv(), 1);
        if (i == 0) {
            fixture_call(g->f, g->ec, HYPERCALL_call, SEL_HANDLER + 1, 0);
            assert_ptr_equal(g->f->resumed[0], &other->resume);
            assert_int_equal(mach_xgetbv(), host);
            fixture_call(g->f, other, HYPERCALL_reply, 0);
        } else if (i == 1) {
            guest_fetch(g, VCPU_GROUP_FPU);
        } else {
            fpu_switch(cpu, NULL);
        }
        assert_int_equal(mach_xgetbv(), host);
        assert_int_equal(g->s->xcr0, i ? 1 : 0);
    }
    guest_close(g);
}

static void swapgs_in_the_guest(struct guest *g, struct sim_guest *guest)
{
    guest->kernel_gs = 0x3333000;
    guest->cr2 = 0x4444;
    guest->dr6 = 0xffff4ff0;
}

static void what_the_guest_changed_is_kept(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_EFER);
    g->s->efer = EFER_LME;
    g->before = swapgs_in_the_guest;
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 6, .gpr = RBX } });   /* exits: it uses them from now on */
    guest_run(g, VCPU_GROUP_EFER);
    mach_cr2_write(0);
    guest_fetch(g, VCPU_GROUP_SYSCALL | VCPU_GROUP_CR | VCPU_GROUP_DR);
    assert_int_equal(g->s->kernel_gs, 0x3333000);
    assert_int_equal(g->s->cr2, 0x4444);
    assert_int_equal(g->s->dr6, 0xffff4ff0);
    guest_close(g);
}

static void debug_registers_are_switched_when_used(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_GPR);
    g->s->gpr[RBX] = 0xabcd;
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 0, .gpr = RBX, .write = 1 } });   /* exits once */
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 0, .gpr = RBX, .write = 1 } });   /* passes */
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR), VCPU_EXIT_HYPERCALL);
    mach_dr_write(0, 0x77);
    guest_run(g, 0);   /* it does not touch them */
    assert_int_equal(mach_dr_read(0), 0x77);
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr0, 0xabcd);
    guest_close(g);
}

/* Nor are those that it never touched read back with what else of it was switched. */
static void the_hosts_dr6_is_not_the_guests(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_EFER | VCPU_GROUP_DR);
    const u64 own = g->s->dr6;
    g->s->efer = EFER_LME;   /* KERNEL_GS is switched */
    mach_dr_write(6, own ^ 0xf);
    guest_run(g, VCPU_GROUP_EFER);
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr6, own);
    guest_close(g);
}

static void guest_writes_xmm(struct guest *g, struct sim_guest *guest)
{
    u8 *fpu = guest_sim_fpu(g->f->sim, 0);
    assert_int_equal(fpu[160], g->arg & 0xff);
    memset(fpu + 160, (int)(g->arg >> 8), 256);
}

/* XMM0-15: from the page into the registers, from the registers into the page, several times, so that the registers are the newer copy. */
static void fpu_image_round_trip(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    g->before = guest_writes_xmm;
    guest_fetch(g, VCPU_GROUP_FPU);
    assert_int_equal(g->s->fpu_bytes, fpu_image_bytes());
    for (u32 i = 0; i < 3; i++) {
        memset(g->s->fpu + 160, 0x5a, 256);
        g->s->fpu[512] = 3;
        g->arg = 0xa55a;
        assert_int_equal(guest_run(g, VCPU_GROUP_FPU), VCPU_EXIT_HYPERCALL);
        memset(g->s->fpu, 0, 512);
        guest_fetch(g, VCPU_GROUP_FPU);
        assert_int_equal(g->s->fpu[160], 0xa5);
        assert_int_equal(g->s->fpu[415], 0xa5);
    }
    guest_close(g);
}

static void bad_fpu_group_is_refused(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_FPU);
    g->s->fpu[520] = 1;                   /* XCOMP_BV */
    assert_int_equal(guest_run(g, VCPU_GROUP_FPU), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->s->exit.u.entry_failed.check, VCPU_CHECK_FPU_IMAGE);
    g->s->fpu[520] = 0;
    g->s->xcr0 = 1ul << 40 | 1;
    assert_int_equal(guest_run(g, VCPU_GROUP_FPU), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->s->exit.u.entry_failed.check, VCPU_CHECK_XCR0);
    guest_close(g);
}

/* ---- Translations ---- */

/* Guest memory is taken back on another CPU: it is not done before this one has dropped its translations, at the latest at its next entry. */
static void revoke_waits_for_the_guest(void **state)
{
    struct guest *g = guest_open_cpus(2, VENDOR(state));
    struct fixture *f = g->f;
    struct ec *far = fixture_thread(f, 1, f->pd, 10, 300);
    fixture_run(f, 1);
    fixture_run(f, 0);
    assert_int_equal(fixture_call(f, g->ec, HYPERCALL_delegate, FIXTURE_SEL_PD, FIXTURE_SEL_PD, FIXTURE_MEMORY >> PAGE_BITS, 0,
                                  DELEGATE(4, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST)), OK);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(atomic_load(&g->v->space->cpus), 1);
    const u64 tag = g->v->tag;
    fixture_cpu(f, 1);
    fixture_call(f, far, HYPERCALL_revoke, FIXTURE_SEL_PD, FIXTURE_MEMORY >> PAGE_BITS, REVOKE(4, SPACE_MEMORY), 0);
    struct cpu *cpu = fixture_cpu(f, 0);
    assert_true(atomic_load(&cpu->tlb.requested) > atomic_load(&cpu->tlb.done));
    assert_int_equal(far->state, EC_WAIT_TLB);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_int_equal(atomic_load(&cpu->tlb.requested), atomic_load(&cpu->tlb.done));
    if (g->vendor == SIM_SVM)
        assert_int_not_equal(g->v->tag, tag);
    guest_close(g);
}

static void paging_change_takes_a_fresh_tag(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_run(g, 0);
    const u64 first = g->v->tag;
    guest_run(g, VCPU_GROUP_RIP | VCPU_GROUP_GPR);
    assert_int_equal(g->v->tag, first);
    guest_fetch(g, VCPU_GROUP_CR);
    guest_run(g, VCPU_GROUP_CR);
    assert_int_not_equal(g->v->tag, first);
    guest_close(g);
}

/* ---- Every test on both vendors ---- */

GUEST_GROUP(vcpu_switch, GUEST_TEST(host_registers_are_back), GUEST_TEST(msrs_are_switched_when_seen), GUEST_TEST(the_hosts_tsc_aux_is_not_seen),
            GUEST_TEST(xcr0_is_back_for_others), GUEST_TEST(what_the_guest_changed_is_kept),
            GUEST_TEST(debug_registers_are_switched_when_used), GUEST_TEST(the_hosts_dr6_is_not_the_guests), GUEST_TEST(fpu_image_round_trip), GUEST_TEST(bad_fpu_group_is_refused),
            GUEST_TEST(revoke_waits_for_the_guest), GUEST_TEST(paging_change_takes_a_fresh_tag));
