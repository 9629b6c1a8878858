/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the rules of abi/vcpu.h hold on both vendors: what moves and when, who may run a vCPU, what do garbage and missing memory do? Each test
 * runs on the simulated VMX and on the simulated SVM. */
#include "vcpu.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "guest_fixture.h"

/* ---- Groups: what is written arrives in the guest, and comes back ---- */

struct member {
    u32 group;
    u16 offset, bytes, seen;   /* seen: offset in struct sim_guest; 0xffff: not visible there */
    u64 value;
};
#define HIDDEN 0xffffu
#define M_(name, member, at, value) { VCPU_GROUP_##name, offset_of(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member), at, value }
#define M(name, member, value)      M_(name, member, offset_of(struct sim_guest, member), value)
#define H(name, member, value)      M_(name, member, HIDDEN, value)
#define SEG(n, sel, b, l, a)                                                                                              \
    M(SEG, seg[n].selector, sel), M(SEG, seg[n].base, b), M(SEG, seg[n].limit, l), M(SEG, seg[n].attributes, a)
static const struct member members[] = {
    M(GPR, gpr[0], 0x1001), M(GPR, gpr[1], 0x8000000000001002), M(GPR, gpr[2], 0x1003), M(GPR, gpr[3], 0x1004), M(GPR, gpr[4], 0x1005),
    M(GPR, gpr[5], 0x1006), M(GPR, gpr[6], 0x1007), M(GPR, gpr[7], 0x1008), M(GPR, gpr[8], 0x1009), M(GPR, gpr[15], ~0ul),
    M(RIP, rip, 0x4321), M(RIP, rflags, 0x0cc6),
    SEG(VCPU_SEG_ES, 0x1230, 0x12300, 0xffff, 0x93), SEG(VCPU_SEG_CS, 0x2000, 0x20000, 0xfffe, 0x9b),
    SEG(VCPU_SEG_SS, 0x3000, 0x30000, 0xffffffff, 0xc093), SEG(VCPU_SEG_DS, 0x4000, 0x40000, 0x12345, 0x1093),
    SEG(VCPU_SEG_FS, 0x5000, 0xffff800000000000, 0xffff, 0x93), SEG(VCPU_SEG_GS, 0x6000, 0x7fffffffffff, 0xffff, 0x93),
    SEG(VCPU_SEG_LDTR, 0x50, 0x7000, 0x17, 0x82), SEG(VCPU_SEG_TR, 0x58, 0x8000, 0x67, 0x8b),
    M(TABLE, gdtr.base, 0xffff800000001000), M(TABLE, gdtr.limit, 0x37), M(TABLE, idtr.base, 0x2000), M(TABLE, idtr.limit, 0xfff),
    H(CR, cr0, CR0_ET | CR0_PE | CR0_NE), M(CR, cr2, 0xdead000000001234), M(CR, cr3, 0x5000), H(CR, cr4, CR4_PSE | CR4_PGE), H(CR, cr8, 9),
    H(DR, dr0, 0x11), H(DR, dr1, 0x22), H(DR, dr2, 0x33), H(DR, dr3, 0xffffffffffff0044), M(DR, dr6, 0xffff0ff1), M(DR, dr7, 0x401),
    H(EFER, efer, EFER_SCE | EFER_NXE), M(EFER, pat, 0x0001040506070600),
    M(SYSENTER, sysenter_cs, 0x10), M(SYSENTER, sysenter_esp, 0xffffffff81000000), M(SYSENTER, sysenter_eip, 0x7fff12345678),
    M(SYSCALL, star, 0x001b000800000000), M(SYSCALL, lstar, 0xffffffff82000000), M(SYSCALL, cstar, 0xffffffff83000000),
    M(SYSCALL, fmask, 0x47700), M(SYSCALL, kernel_gs, 0xffff888000000000), H(SYSCALL, tsc_aux, 0x1001),
    M(TSC, tsc_offset, 0xffffffff00000000), M(FPU, xcr0, 3),
    M(PDPTE, pdpte[0], 0x1001), M(PDPTE, pdpte[1], 0x2001), M(PDPTE, pdpte[2], 0x3001), M(PDPTE, pdpte[3], 0x4001),
    H(ACTIVITY, activity, 0), H(ACTIVITY, interruptibility, VCPU_BLOCKED_NMI), H(ACTIVITY, pending_debug, 0),
    H(CONTROL, exceptions, 0x2040), H(CONTROL, control_flags, VCPU_CONTROL_RDTSC),
};

static u64 read_at(const void *base, u16 offset, u16 bytes)
{
    u64 value = 0;
    memcpy(&value, (const u8 *)base + offset, bytes);
    return value;
}

static void group_round_trip(void **state)
{
    const u32 group = 1u << ((u64)*state >> 2);
    struct guest *g = guest_open((enum sim_vendor)((u64)*state & 3));
    guest_fetch(g, VCPU_GROUP_ALL & g->s->capabilities);
    for (u32 i = 0; i < array_size(members); i++)
        if (members[i].group == group)
            memcpy((u8 *)g->s + members[i].offset, &members[i].value, members[i].bytes);
    if (!(g->s->capabilities & group)) {
        assert_int_equal(guest_enter(g, group), STATUS_FEATURE);
        guest_close(g);
        return;
    }
    const bool seen = group == VCPU_GROUP_SYSCALL;   /* by instructions that EFER turns on */
    if (seen)
        g->s->efer = EFER_SCE | EFER_LME;
    assert_int_equal(guest_run(g, group | (seen ? VCPU_GROUP_EFER : 0)), VCPU_EXIT_HYPERCALL);
    memset((u8 *)g->s + vcpu_group_range[(u64)*state >> 2].offset, 0xee, vcpu_group_range[(u64)*state >> 2].bytes);
    guest_fetch(g, group);
    for (u32 i = 0; i < array_size(members); i++) {
        const struct member *m = &members[i];
        if (m->group != group)
            continue;
        assert_int_equal(read_at(g->s, m->offset, m->bytes), m->value);
        if (m->seen != HIDDEN)
            assert_int_equal(read_at(&g->seen, m->seen, m->bytes), m->value);
    }
    guest_close(g);
}

/* ---- The first run ---- */

static void startup_is_the_reset_state(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    const struct vcpu_state *s = g->s;
    assert_int_equal(s->version, VCPU_STATE_VERSION);
    assert_int_equal(s->vendor, g->vendor);
    assert_int_equal(s->exit.reason, VCPU_EXIT_STARTUP);
    assert_int_equal(s->valid, s->capabilities & ~VCPU_GROUP_FPU);
    assert_int_equal(s->rip, 0xfff0);
    assert_int_equal(s->rflags, 2);
    assert_int_equal(s->cr0, 0x60000010);
    assert_int_equal(s->seg[VCPU_SEG_CS].base, 0xffff0000);
    assert_int_equal(s->seg[VCPU_SEG_CS].selector, 0xf000);
    assert_int_equal(s->seg[VCPU_SEG_CS].attributes, 0x9b);
    assert_int_equal(s->seg[VCPU_SEG_TR].attributes, 0x8b);
    assert_int_equal(s->gdtr.limit, 0xffff);
    assert_int_equal(s->gpr[RDX], mach_cpuid(1, 0).eax);
    assert_int_equal(s->dr6, 0xffff0ff0);
    assert_int_equal(s->dr7, 0x400);
    assert_int_equal(s->pat, 0x0007040600070406);
    assert_int_equal(s->efer, 0);
    assert_int_equal(g->entries, 0);
    guest_close(g);
}

static void groups_wanted_come_along(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    memset((u8 *)g->s->seg, 0xee, sizeof(g->s->seg));
    g->s->want = VCPU_GROUP_SEG;
    guest_run(g, 0);
    assert_int_equal(g->s->valid, VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_SEG);
    assert_int_equal(g->s->seg[VCPU_SEG_CS].selector, 0xf000);
    g->s->want = 0;
    guest_run(g, 0);
    assert_int_equal(g->s->valid, VCPU_GROUP_GPR | VCPU_GROUP_RIP);
    guest_fetch(g, VCPU_GROUP_TSC);
    assert_int_equal(g->s->valid, VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_TSC);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, 1u << 15), STATUS_ARG);
    guest_close(g);
}

static void unknown_groups_are_refused(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 15; i < 32; i++)
        assert_int_equal(guest_enter(g, 1u << i), STATUS_FEATURE);
    assert_false(guest_inside(g));
    assert_int_equal(g->entries, 0);
    guest_close(g);
}

/* ---- Who may run it ---- */

static void busy_and_foreign_runs(void **state)
{
    struct guest *g = guest_open_cpus(2, VENDOR(state));
    struct ec *far = fixture_thread(g->f, 1, g->f->pd, 10, 300);
    fixture_run(g->f, 1);
    assert_int_equal(fixture_call(g->f, far, HYPERCALL_vcpu_run, GUEST_SEL_VCPU), STATUS_CPU);
    assert_int_equal(fixture_call(g->f, far, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, 1), STATUS_CPU);
    guest_enter(g, 0);
    struct ec *near = fixture_thread(g->f, 0, g->f->pd, 20, 310);
    fixture_run(g->f, 0);   /* preempts the guest */
    assert_ptr_equal(g->f->k->cpu[0]->current, near);
    assert_int_equal(fixture_call(g->f, near, HYPERCALL_vcpu_run, GUEST_SEL_VCPU), STATUS_BUSY);
    assert_int_equal(fixture_call(g->f, near, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, 1), STATUS_BUSY);
    guest_close(g);
}

/* A handler on its caller's time must not become an endless guest. */
static void donated_time_runs_no_guest(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct ec *handler = fixture_handler(g->f, 0, g->f->pd, 300);
    fixture_call(g->f, g->ec, HYPERCALL_call, 301, 0);
    assert_ptr_equal(g->f->k->cpu[0]->current, handler);
    assert_int_equal(fixture_call(g->f, handler, HYPERCALL_vcpu_run, GUEST_SEL_VCPU), STATUS_BUSY);
    guest_close(g);
}

/* Somebody more urgent became ready while the guest ran: the exit is reported, but the VMM runs after him. */
static void exit_gives_way_to_a_higher_priority(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    u64 info = 0;
    guest_enter(g, 0);
    const u64 trap = guest_sim_enter(g->f->sim, 0, g->f->resumed[0], &info);
    struct ec *urgent = fixture_thread(g->f, 0, g->f->pd, 20, 300);
    assert_ptr_equal(fixture_trap(g->f, 0, trap, info), &urgent->resume);
    assert_false(guest_inside(g));
    assert_int_equal(g->s->exit.reason, VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

static void runner_dies_inside(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    ec_kill(fixture_cpu(g->f, 0), g->ec);
    assert_null(g->v->runner);
    fixture_run(g->f, 0);
    struct ec *next = fixture_thread(g->f, 0, g->f->pd, 10, 300);
    fixture_run(g->f, 0);
    g->ec = next;
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

/* ---- Hostile pages, memory that runs out ---- */

static u64 mix(u64 *seed)
{
    *seed = *seed * 6364136223846793005ul + 1442695040888963407ul;
    return *seed >> 33 ^ *seed << 20;
}

/* Random bytes in random groups: an exit or a refusal each time, never more. The model stops the test at the first broken rule. */
static void garbage_never_crashes(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    const u32 all = VCPU_GROUP_ALL & g->s->capabilities;
    struct vcpu_state *const good = malloc(sizeof(*good));
    u64 seed = 1;
    u32 ran = 0;
    guest_fetch(g, all);
    memcpy(good, g->s, sizeof(*good));
    for (u32 round = 0; round < 3000; round++) {
        guest_fetch(g, all);
        const u32 dirty = (u32)mix(&seed) & all & (round & 1 ? VCPU_GROUP_ALL : 1u << (round / 2 % 15));
        for (u32 left = dirty; left; left &= left - 1) {
            const struct vcpu_group_range *r = &vcpu_group_range[__builtin_ctz(left)];
            const u32 changes = round % 3 ? 1 : 16;
            for (u32 i = 0; i < changes; i++)
                ((u8 *)g->s)[r->offset + mix(&seed) % r->bytes] = (u8)mix(&seed);
        }
        g->s->fpu[mix(&seed) % 600] = (u8)mix(&seed);
        ran += guest_run(g, dirty) == VCPU_EXIT_HYPERCALL;
        if (round % 16 == 15) {   /* begin again from a state that can be entered */
            memcpy(&g->s->inject, &good->inject, sizeof(*good) - offset_of(struct vcpu_state, inject));
            assert_int_equal(guest_run(g, all), VCPU_EXIT_HYPERCALL);
        }
    }
    assert_true(ran > 200);
    free(good);
    guest_close(g);
}

static void creation_fails_cleanly(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    const struct fixture_books before = fixture_books(g->f);
    u64 status = STATUS_MEMORY;
    u32 nth = 1;
    for (; status == STATUS_MEMORY && nth < 40; nth++) {
        sim_unit_fail(g->f->sim, nth);
        status = fixture_call(g->f, g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, 201, 0, GUEST_STATE + 0x10000);
        sim_unit_fail(g->f->sim, 0);
        if (status == STATUS_MEMORY) {
            const struct fixture_books after = fixture_books(g->f);
            assert_int_equal(after.kernel_used, before.kernel_used);
        }
    }
    assert_int_equal(status, OK);
    assert_true(nth > 5);   /* vCPU, two state pages, copy, FPU image, VMCS or VMCB, and a range */
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_revoke, FIXTURE_SEL_PD, 201, REVOKE(1, SPACE_OBJECT), REVOKE_SELF), OK);
    fixture_settle(g->f);
    u64 frame;
    u32 rights;
    assert_false(space_mem_lookup(&g->f->pd->memory, (GUEST_STATE + 0x10000) >> PAGE_BITS, &frame, &rights));
    guest_close(g);
}

static void creation_and_release_balance(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < 3; i++) {
        const struct fixture_books before = fixture_books(g->f);
        assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, 201, 0, GUEST_STATE + 0x10000), OK);
        assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, 201), OK);   /* STARTUP */
        fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, 201);
        assert_non_null(g->ec->vcpu);
        const void *const fpu = g->ec->vcpu->fpu;
        while (g->ec->vcpu)
            assert_true(guest_step(g));
        assert_ptr_equal(g->f->k->cpu[0]->fpu_owner, fpu);
        fixture_call(g->f, g->ec, HYPERCALL_revoke, FIXTURE_SEL_PD, 201, REVOKE(1, SPACE_OBJECT), REVOKE_SELF);
        if (i)   /* the first one made tables that stay */
            fixture_balanced(g->f, before);
        fixture_settle(g->f);
        assert_ptr_not_equal(g->f->k->cpu[0]->fpu_owner, fpu);
    }
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

static void no_virtualization_no_vcpu(void **state)
{
    struct fixture *f = fixture_open(1, SIM_NONE);
    struct ec *ec = fixture_thread(f, 0, f->pd, 10, 100);
    fixture_run(f, 0);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, 200, 0, GUEST_STATE), STATUS_FEATURE);
    fixture_close(f);
}

/* ---- Every test on both vendors ---- */

static const struct {
    const char *name;
    void (*test)(void **state);
} both[] = {
#define T(test) { #test, test }
    T(startup_is_the_reset_state), T(groups_wanted_come_along), T(unknown_groups_are_refused), T(busy_and_foreign_runs),
    T(runner_dies_inside), T(exit_gives_way_to_a_higher_priority), T(donated_time_runs_no_guest), T(garbage_never_crashes), T(creation_fails_cleanly), T(creation_and_release_balance),
};

static struct CMUnitTest tests[1 + 2 * (array_size(both) + VCPU_GROUP_COUNT)];
static struct unit_group group = { "vcpu", tests, 0, NULL };

static void add(const char *name, u32 number, void (*f)(void **), u64 vendor, u64 state)
{
    char *text = malloc(80);
    snprintf(text, 80, number == ~0u ? "%s_%s" : "%s_%s_%u", name, vendor == SIM_VMX ? "vmx" : "svm", number);
    tests[group.count++] = (struct CMUnitTest){ .name = text, .test_func = f, .initial_state = (void *)state };
}

__attribute__((constructor)) static void vcpu_register(void)
{
    for (u64 vendor = SIM_VMX; vendor <= SIM_SVM; vendor++) {
        for (u32 i = 0; i < array_size(both); i++)
            add(both[i].name, ~0u, both[i].test, vendor, vendor);
        for (u64 i = 0; i < VCPU_GROUP_COUNT; i++)
            if (1u << i != VCPU_GROUP_INJECT)
                add("group_round_trip", (u32)i, group_round_trip, vendor, i << 2 | vendor);
    }
    tests[group.count++] = (struct CMUnitTest)cmocka_unit_test(no_virtualization_no_vcpu);
    unit_register(&group);
}
