/* SPDX-License-Identifier: BSD-2-Clause */
/* What is VMX's own: does the kernel name the check an entry failed on, does it find what a processor lacks, is a VMCS cleared before its memory
 * is used for something else? */
#include "arch/vmx.h"
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "virt_sim.h"
#include "virt_x86.h"
#include "vmx_x86.h"

/* Legal long mode, from which single values are broken. */
static void long_mode(struct vcpu_state *s)
{
    s->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_WP;
    s->cr3 = 0x5000;
    s->cr4 = CR4_PAE;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE;
    s->rip = 0xffffffff81000000;
    s->rflags = 0x202;
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        s->seg[i] = (struct vcpu_segment){ .limit = ~0u, .attributes = i == VCPU_SEG_CS ? 0xa09b : 0xc093, .selector = i == VCPU_SEG_CS ? 8 : 16 };
    s->seg[VCPU_SEG_TR] = (struct vcpu_segment){ .limit = 0x67, .attributes = 0x8b, .selector = 0x28 };
    s->seg[VCPU_SEG_LDTR] = (struct vcpu_segment){ .attributes = VCPU_SEG_UNUSABLE };
}
#define GROUPS (VCPU_GROUP_CR | VCPU_GROUP_EFER | VCPU_GROUP_RIP | VCPU_GROUP_SEG | VCPU_GROUP_ACTIVITY | VCPU_GROUP_INJECT | VCPU_GROUP_DR)

struct broken {
    u16 offset, bytes;
    u64 value;
    u32 check;
};
#define B(member, value, check) { offset_of(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member), value, check }
static const struct broken broken[] = {
    B(cr4, CR4_PAE | 1ul << 40, VCPU_CHECK('G', 3)), B(cr4, 0, VCPU_CHECK('G', 7)), B(cr0, CR0_PE | CR0_NE, VCPU_CHECK('G', 6)),
    B(cr3, 1ul << 50, VCPU_CHECK('G', 9)), B(efer, EFER_LMA, VCPU_CHECK('G', 15)), B(rflags, 0x8202, VCPU_CHECK('R', 3)),
    B(rflags, 0x200, VCPU_CHECK('R', 4)), B(rflags, 0x20202, VCPU_CHECK('S', 4)), B(rip, 1ul << 47, VCPU_CHECK('R', 2)),
    B(seg[VCPU_SEG_CS].attributes, 0xe09b, VCPU_CHECK('S', 19)), B(seg[VCPU_SEG_CS].attributes, 0xa092, VCPU_CHECK('S', 9)),
    B(seg[VCPU_SEG_CS].attributes, 0xa0fb, VCPU_CHECK('S', 14)), B(seg[VCPU_SEG_CS].attributes, 0xa01b, VCPU_CHECK('S', 17)),
    B(seg[VCPU_SEG_CS].attributes, 0xa08b, VCPU_CHECK('S', 13)), B(seg[VCPU_SEG_SS].attributes, 0xc099, VCPU_CHECK('S', 10)),
    B(seg[VCPU_SEG_DS].attributes, 0xc092, VCPU_CHECK('S', 11)), B(seg[VCPU_SEG_ES].attributes, 0xc099, VCPU_CHECK('S', 12)),
    B(seg[VCPU_SEG_FS].attributes, 0x4093, VCPU_CHECK('S', 20)), B(seg[VCPU_SEG_GS].limit, 0x100, VCPU_CHECK('S', 20)),
    B(seg[VCPU_SEG_TR].attributes, 0x89, VCPU_CHECK('S', 21)), B(seg[VCPU_SEG_TR].selector, 0x2c, VCPU_CHECK('S', 1)),
    B(seg[VCPU_SEG_LDTR].attributes, 0x83, VCPU_CHECK('S', 22)), B(interruptibility, VCPU_BLOCKED_STI, 0),
    B(pending_debug, 1ul << 14, 0), B(inject, VCPU_EVENT_INTERRUPT(0x30), 0),
};

static void check_is_named(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    u32 failures = 0;
    for (u32 i = 0; i < array_size(broken); i++) {
        guest_fetch(g, GROUPS);
        long_mode(g->s);
        g->s->interruptibility = 0;
        g->s->pending_debug = g->s->inject = 0;
        assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);   /* legal so far */
        guest_fetch(g, GROUPS);
        long_mode(g->s);
        memcpy((u8 *)g->s + broken[i].offset, &broken[i].value, broken[i].bytes);
        const u32 reason = guest_run(g, GROUPS);
        if (!broken[i].check) {
            assert_int_equal(reason, VCPU_EXIT_HYPERCALL);
            continue;
        }
        failures++;
        assert_int_equal(reason, VCPU_EXIT_ENTRY_FAILED);
        assert_int_equal(g->s->exit.raw_reason, VMX_REASON_FAILED | VMX_REASON_FAIL_STATE);
        assert_int_equal(guest_sim_last_check(g->f->sim, 0), broken[i].check);
        assert_int_equal(g->s->exit.u.entry_failed.check, broken[i].check);
    }
    assert_int_equal(failures, array_size(broken) - 3);
    guest_close(g);
}

/* Two writers of the same list of checks, the kernel's and the model's, asked about random states: the answers must agree. */
static void diagnosis_agrees_with_the_processor(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    u64 seed = 7;
    u32 named = 0;
    for (u32 round = 0; round < 4000; round++) {
        guest_fetch(g, GROUPS);
        long_mode(g->s);
        g->s->interruptibility = 0;
        g->s->pending_debug = g->s->inject = 0;
        for (u32 i = 0; i < 1 + round % 2; i++) {
            seed = seed * 6364136223846793005ul + 1442695040888963407ul;
            static const u16 from = offset_of(struct vcpu_state, rip), to = offset_of(struct vcpu_state, sysenter_cs);
            const u32 at = from + (u32)(seed >> 40) % (to - from);
            ((u8 *)g->s)[at] ^= 1u << (seed >> 33 & 7);
        }
        const u32 reason = guest_run(g, GROUPS);
        if (reason != VCPU_EXIT_ENTRY_FAILED || !g->s->exit.raw_reason)
            continue;
        named++;
        assert_int_equal(g->s->exit.u.entry_failed.check, guest_sim_last_check(g->f->sim, 0));
    }
    assert_true(named > 300);
    guest_close(g);
}

/* An error code needs protected mode: the one rule of injection that software alone cannot check at the load. */
static void error_code_in_real_mode(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR;
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_ENTRY_FAILED);
    assert_int_equal(g->s->exit.u.entry_failed.check, VCPU_CHECK('N', 7));
    assert_int_equal(g->s->exit.u.entry_failed.vmx_error, VMX_ERROR_CONTROLS);
    assert_int_equal(g->s->pending, VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);   /* it is not injected later */
    assert_int_equal(g->seen.event, 0);
    guest_close(g);
}

/* The exit leaves NMIs blocked (SDM 3C 28.5.5): a window comes before anything else runs. */
static void host_nmi_goes_to_the_kernel(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 1)
        guest_sim_nmi(g->f->sim, 0);
    else
        assert_false(guest_sim_nmi_blocked(g->f->sim, 0));
}

static void nmi_is_the_hosts(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    g->before = host_nmi_goes_to_the_kernel;
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->entries, 2);
    assert_int_equal(atomic_load(&g->f->k->cpu[0]->nmi), 1u << VECTOR_NMI);
    guest_close(g);
}

/* RIP moves over an INT1 that goes back to the guest, in 64 bits. */
static void int1_in_64_bit_mode(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_fetch(g, GROUPS);
    long_mode(g->s);
    guest_does(g, (struct engine_event){ .kind = EVENT_EXCEPTION, .vector = VECTOR_DB, .insn_len = 1 });
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, VCPU_EVENT_EXCEPTION(VECTOR_DB));
    assert_int_equal(g->seen.rip, 0xffffffff81000001);
    guest_close(g);
}

/* Debug exceptions that the VMM left pending come first, with their causes in DR6. */
static void pending_debug_is_delivered(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_fetch(g, VCPU_GROUP_ACTIVITY);
    g->s->pending_debug = DR6_BS | 2;
    assert_int_equal(guest_run(g, VCPU_GROUP_ACTIVITY), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->entries, 1);
    assert_int_equal(g->seen.event, VCPU_EVENT_EXCEPTION(VECTOR_DB));
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr6, DR6_INIT | DR6_BS | 2);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, 0);
    guest_close(g);
}

/* A guest that does not use debug registers costs no access to one. */
static void debug_registers_are_left_alone(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_fetch(g, VCPU_GROUP_DR);
    g->s->dr6 = DR6_INIT | 5;
    mach_dr_write(6, DR6_INIT | 2);
    assert_int_equal(guest_run(g, VCPU_GROUP_DR), VCPU_EXIT_HYPERCALL);
    assert_int_equal(mach_dr_read(6), DR6_INIT | 2);
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr6, DR6_INIT | 5);
    guest_close(g);
}

static void machine_check_is_the_hosts(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_does(g, (struct engine_event){ .kind = EVENT_EXCEPTION, .vector = VECTOR_MC });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(atomic_load(&g->f->k->cpu[0]->nmi), 1u << VECTOR_MC);
    guest_fetch(g, VCPU_GROUP_CONTROL);
    assert_int_equal(g->s->exceptions, 0);   /* the VMM does not see that it is intercepted */
    guest_close(g);
}

/* The guest may set CR0.NE and CR4.VMXE as it likes: what it reads is what was loaded, what runs is what VMX wants. */
static void fixed_bits_are_shadowed(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_fetch(g, VCPU_GROUP_CR);
    g->s->cr0 = CR0_ET | CR0_CD | CR0_NW;
    g->s->cr4 = CR4_PSE;
    guest_run(g, VCPU_GROUP_CR);
    assert_int_equal(g->seen.cr0 & (CR0_NE | CR0_CD | CR0_NW), CR0_NE);
    assert_int_equal(g->seen.cr4, CR4_PSE | CR4_VMXE | CR4_MCE);
    guest_fetch(g, VCPU_GROUP_CR);
    assert_int_equal(g->s->cr0, CR0_ET | CR0_CD | CR0_NW);
    assert_int_equal(g->s->cr4, CR4_PSE);
    guest_close(g);
}

/* ---- Tags ---- */

static void tags_wrap(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    struct virt_cpu *c = &g->f->k->cpu[0]->virt;
    c->tag_limit = 3;
    for (u32 i = 0; i < 10; i++) {
        guest_fetch(g, VCPU_GROUP_CR);
        assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_HYPERCALL);
        assert_in_range(g->v->tag, 1, 3);
        assert_false(c->tag_flush);
    }
    assert_true(c->tag_epoch >= 3);
    assert_true(g->flushes >= 3);   /* INVVPID at each wrap */
    guest_close(g);
}

static void memory_is_cleared_of_the_vmcs(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    guest_run(g, 0);
    assert_int_equal(g->f->k->cpu[0]->virt.current, g->v->hw_phys);
    const u64 phys = g->v->hw_phys;
    fixture_call(g->f, g->ec, HYPERCALL_revoke, FIXTURE_SEL_PD, GUEST_SEL_VCPU, REVOKE(1, SPACE_OBJECT), REVOKE_SELF);
    fixture_settle(g->f);
    assert_int_not_equal(g->f->k->cpu[0]->virt.current, phys);
    assert_false(guest_sim_vmcs_active(g->f->sim, phys));
    guest_close(g);
}

/* The runner may be another EC each time: exits land in the address space of the one that ran. */
static void exits_load_the_runners_space(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    struct pd *pd = fixture_pd(g->f, 1ul << 20, 400);
    guest_run(g, 0);
    assert_int_equal(mach_cr3_read(), g->f->pd->memory.ptab.root);
    assert_int_equal(space_obj_reserve(&pd->objects, GUEST_SEL_VCPU, &(struct cap_slot *){ NULL }), OK);
    object_ref(&g->v->object);
    assert_int_equal(space_obj_insert(&pd->objects, GUEST_SEL_VCPU, &g->v->object), OK);
    g->ec = fixture_thread(g->f, 0, pd, 20, 410);
    fixture_run(g->f, 0);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(mach_cr3_read(), pd->memory.ptab.root);
    guest_close(g);
}

/* An IRET that faults on guest memory had unblocked NMIs: they are blocked again. */
static void faulting_iret_blocks_nmis_again(void **state)
{
    struct guest *g = guest_open(SIM_VMX);
    u64 info = 0;
    g->s->want = VCPU_GROUP_ACTIVITY;
    guest_enter(g, 0);
    guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_R });
    const u64 trap = guest_sim_enter(g->f->sim, 0, g->f->resumed[0], &info);
    guest_sim_iret_faulted(g->f->sim, 0);
    fixture_trap(g->f, 0, trap, info);
    assert_int_equal(g->s->exit.reason, VCPU_EXIT_MMIO);
    assert_int_equal(g->s->interruptibility, VCPU_BLOCKED_NMI);
    guest_close(g);
}

/* Of an exception the exit's own information tells it, if there is any (28.2.3): without that bit, or with a bit that an earlier exit left there,
 * NMIs stay as they are. */
static void only_a_faulting_iret_blocks_nmis(void **state)
{
    const struct engine_event gp = { .kind = EVENT_EXCEPTION, .vector = VECTOR_GP, .error_valid = true }, cpuid = { .kind = EVENT_CPUID };
    const struct engine_event mmio = { .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_R };
    const u64 fault = VMX_INTR_VALID | VMX_EVENT_EXCEPTION << 8 | VECTOR_GP;
    const struct { struct engine_event event; u64 info; u32 reason, blocked; } rows[] = {
        { gp, fault, VCPU_EXIT_EXCEPTION, 0 },
        { gp, fault | VMX_INTR_UNBLOCK, VCPU_EXIT_EXCEPTION, VCPU_BLOCKED_NMI },
        { cpuid, VMX_INTR_UNBLOCK, VCPU_EXIT_CPUID, 0 },   /* not valid: the other bits mean nothing */
        { mmio, VMX_INTR_UNBLOCK, VCPU_EXIT_MMIO, 0 },     /* the qualification says it there */
    };
    for (u32 i = 0; i < array_size(rows); i++) {
        struct guest *g = guest_open(SIM_VMX);
        u64 info = 0;
        guest_fetch(g, VCPU_GROUP_CONTROL);
        g->s->exceptions = 1u << VECTOR_GP;
        g->s->want = VCPU_GROUP_ACTIVITY;
        guest_enter(g, VCPU_GROUP_CONTROL);
        guest_does(g, rows[i].event);
        const u64 trap = guest_sim_enter(g->f->sim, 0, g->f->resumed[0], &info);
        virt_sim_field(g->f->sim, 0, VMCS_EXIT_INTR_INFO, rows[i].info);
        fixture_trap(g->f, 0, trap, info);
        assert_int_equal(g->s->exit.reason, rows[i].reason);
        assert_int_equal(g->s->interruptibility, rows[i].blocked);
        guest_close(g);
    }
}

TEST_GROUP(vmx, cmocka_unit_test(check_is_named), cmocka_unit_test(diagnosis_agrees_with_the_processor), cmocka_unit_test(error_code_in_real_mode),
           cmocka_unit_test(nmi_is_the_hosts), cmocka_unit_test(int1_in_64_bit_mode), cmocka_unit_test(pending_debug_is_delivered),
           cmocka_unit_test(debug_registers_are_left_alone), cmocka_unit_test(machine_check_is_the_hosts), cmocka_unit_test(fixed_bits_are_shadowed),
           cmocka_unit_test(tags_wrap), cmocka_unit_test(memory_is_cleared_of_the_vmcs),
           cmocka_unit_test(exits_load_the_runners_space), cmocka_unit_test(faulting_iret_blocks_nmis_again),
           cmocka_unit_test(only_a_faulting_iret_blocks_nmis));
