/* SPDX-License-Identifier: BSD-2-Clause */
/* Delegate and revoke as user level sees them: one hypercall, however often it was preempted or waited for other CPUs; on return the right is
 * there, or gone everywhere. One table, run on VMX and SVM where guests are concerned. */
#include "apic.h"
#include "kernel_fixture.h"

enum { A = 100, CHILD_EC = 102, REMOTE = 104, PD = 120 };
#define PAGE (FIXTURE_MEMORY >> PAGE_BITS)
#define THERE 0x40000ul

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *remote;
    struct pd *pd;
};

static int setup(void **state, enum sim_vendor vendor)
{
    static struct scene s;
    s.f = fixture_open(2, vendor);
    s.cpu = s.f->k->cpu[0];
    s.pd = fixture_pd(s.f, 1 << 20, PD);
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.remote = fixture_thread(s.f, 1, s.pd, 10, REMOTE);
    fixture_run(s.f, 0);
    fixture_run(s.f, 1);
    *state = &s;
    return 0;
}

static int setup_vmx(void **state)
{
    return setup(state, SIM_VMX);
}

static int setup_svm(void **state)
{
    return setup(state, SIM_SVM);
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

static u64 delegate(struct scene *s, u64 base, u64 target, u64 order_type)
{
    return fixture_call(s->f, s->a, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, base, target, order_type);
}

static bool mapped(struct space_mem *m, u64 page)
{
    u64 frame;
    u32 rights;
    return ptab_lookup(&m->ptab, page, &frame, &rights);
}

static void memory_arrives_with_fewer_rights(void **state)
{
    struct scene *s = *state;
    u64 frame;
    u32 rights;
    assert_int_equal(delegate(s, PAGE + 1, THERE, DELEGATE(2, RIGHT_R | RIGHT_X, SPACE_MEMORY, SPACE_MEMORY)), OK);
    assert_true(space_mem_lookup(&s->pd->memory, THERE + 1, &frame, &rights));
    assert_int_equal(frame, s->f->frame + 2);
    assert_int_equal(rights, RIGHT_R | RIGHT_X);
    assert_false(mapped(&s->pd->memory, THERE + 2));
    assert_int_equal(delegate(s, PAGE + 1, THERE + 1, DELEGATE(2, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)), STATUS_EXISTS);
    assert_false(mapped(&s->pd->memory, THERE + 2));
}

static void guest_memory(void **state)
{
    struct scene *s = *state;
    assert_int_equal(s->pd->guest.ptab.root, 0);
    assert_int_equal(delegate(s, PAGE, 0, DELEGATE(4, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST)), OK);
    assert_true(mapped(&s->pd->guest, 3));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_lookup, PD, SPACE_GUEST, 3), OK);
    assert_int_equal(s->a->resume.gpr[RDX], RIGHT_MEMORY);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, PD, 0, REVOKE(2, SPACE_GUEST), REVOKE_SELF), OK);
    assert_false(mapped(&s->pd->guest, 1));
    assert_true(mapped(&s->pd->guest, 2));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(4, SPACE_MEMORY), 0), OK);
    assert_false(mapped(&s->pd->guest, 2));
    assert_true(mapped(&s->f->pd->memory, PAGE));
}

static void guest_memory_without_quota(void **state)
{
    struct scene *s = *state;
    const u64 used = atomic_load(&s->pd->quota.used);
    for (u64 n = 1; n < 10; n++) {
        sim_unit_fail(s->f->sim, n);
        const u64 status = delegate(s, PAGE, 0, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_GUEST));
        sim_unit_fail(s->f->sim, 0);
        if (status == OK)
            break;
        assert_int_equal(status, STATUS_MEMORY);
        assert_true(!s->pd->guest.ptab.root || !mapped(&s->pd->guest, 0));
    }
    assert_true(mapped(&s->pd->guest, 0));
    assert_true(atomic_load(&s->pd->quota.used) > used);
}

/* The child's space is loaded on CPU 1: the revoke must not return before CPU 1 has dropped its translations. */
static void revoke_waits_for_other_cpus(void **state)
{
    struct scene *s = *state;
    assert_int_equal(delegate(s, PAGE, THERE, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)), OK);
    const u64 rip = s->a->resume.rip;
    fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(1, SPACE_MEMORY), 0);
    assert_int_equal(s->a->state, EC_WAIT_TLB);
    assert_null(s->cpu->current);
    assert_false(mapped(&s->pd->memory, THERE));
    fixture_interrupts(s->f);
    assert_ptr_equal(s->cpu->current, s->a);
    assert_int_equal(s->a->resume.rip, rip);   /* at its SYSCALL, with its arguments */
    assert_int_equal(s->a->resume.gpr[RDX], PAGE);
    s->a->resume.rip += 2;
    fixture_trap(s->f, 0, TRAP(TRAP_SYSCALL, 0), 0);
    assert_ptr_equal(s->cpu->current, s->a);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
}

/* The child drops the page itself and waits for CPU 1. Its parent's revoke finds nothing to take, but must wait as well. */
static void revoke_waits_for_a_shootdown_of_others(void **state)
{
    struct scene *s = *state;
    struct ec *b = fixture_thread(s->f, 0, s->f->pd, 20, 200);
    assert_int_equal(delegate(s, PAGE, THERE, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)), OK);
    fixture_run(s->f, 0);
    fixture_call(s->f, b, HYPERCALL_revoke, PD, THERE, REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
    assert_int_equal(b->state, EC_WAIT_TLB);
    assert_ptr_equal(s->cpu->current, s->a);
    fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(1, SPACE_MEMORY), 0);
    assert_int_equal(s->a->state, EC_WAIT_TLB);
    fixture_interrupts(s->f);
    assert_int_equal(s->a->state, EC_READY);
}

static void nothing_loaded_nothing_to_wait_for(void **state)
{
    struct scene *s = *state;
    fixture_trap(s->f, 1, TRAP(TRAP_EXCEPTION, 6), 0);   /* CPU 1 goes idle and leaves the space */
    assert_int_equal(delegate(s, PAGE, THERE, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(1, SPACE_MEMORY), 0), OK);
}

/* The waiting EC is killed, and destroyed before or after the acknowledgement comes. */
static void waiter_dies(struct scene *s, bool before)
{
    const u64 used = atomic_load(&s->f->pd->quota.used);
    struct ec *b = fixture_thread(s->f, 0, s->f->pd, 50, 200);
    fixture_run(s->f, 0);
    fixture_call(s->f, b, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, PAGE, THERE, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY));
    fixture_call(s->f, b, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(1, SPACE_MEMORY), 0);
    assert_int_equal(b->state, EC_WAIT_TLB);
    assert_ptr_equal(s->cpu->current, s->a);
    ec_kill(s->cpu, b);
    assert_int_equal(b->flags & EC_FLAG_AWAITED, EC_FLAG_AWAITED);
    if (!before)
        fixture_settle(s->f);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, 200, 2, true), OK);
    fixture_settle(s->f);
    assert_null(s->f->k->tlb_waiters);
    assert_int_equal(atomic_load(&s->f->pd->quota.used), used);
}

static void a_waiter_for_the_shootdown_dies(void **state)
{
    waiter_dies(*state, true);
}

static void a_dead_waiter_is_released_later(void **state)
{
    waiter_dies(*state, false);
}

static u32 perms_at(struct pd *pd, u64 selector)
{
    u32 type, perms = 0;
    return space_obj_peek(&pd->objects, selector, &type, &perms) ? perms : 0;
}

/* Runs a hypercall with an interrupt waiting at every execution, until it is done. */
static u32 preempted(struct scene *s, u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
    u64 *g = s->a->resume.gpr;
    const u64 rip = s->a->resume.rip;
    u32 executions = 0;
    g[RDI] = number, g[RSI] = a0, g[RDX] = a1, g[R8] = a2, g[R9] = a3, g[R10] = a4, g[RAX] = 0x7777;
    do {
        assert_true(++executions < 1000);
        s->a->resume.rip = rip + 2;
        apic_ipi(fixture_cpu(s->f, 0), s->cpu);
        fixture_trap(s->f, 0, TRAP(TRAP_SYSCALL, 0), 0);
        fixture_interrupts(s->f);
    } while (s->a->resume.rip == rip);
    return executions;
}

static void a_preempted_delegate_is_one_hypercall(void **state)
{
    struct scene *s = *state;
    u64 done;
    for (u32 i = 0; i < 300; i++)
        assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &s->f->pd->objects, 300 + i, 1, PERM_ALL, &done), OK);
    const u64 order = DELEGATE(300, PERM_EC_SC, 0, 0);
    const u32 n = preempted(s, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, 300, 1000, order);
    assert_true(n > 3);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(s->a->resume.gpr[RSI], FIXTURE_SEL_PD);
    assert_int_equal(s->a->resume.gpr[R8], 300);
    assert_int_equal(s->a->resume.gpr[R9], 1000);
    assert_int_equal(s->a->resume.gpr[R10], order);
    for (u32 i = 0; i < 300; i++)
        assert_int_equal(perms_at(s->pd, 1000 + i), PERM_EC_SC);
    assert_int_equal(perms_at(s->pd, 1300), 0);
    assert_true(preempted(s, HYPERCALL_revoke, FIXTURE_SEL_PD, 300, REVOKE(300, 0), REVOKE_SELF, 0) > 3);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    for (u32 i = 0; i < 300; i++)
        assert_int_equal(perms_at(s->pd, 1000 + i) | perms_at(s->f->pd, 300 + i), 0);
}

/* Nothing is there, but there might be: an interrupt need not wait, and the next time goes on behind. */
static void empty_slots_are_passed_in_steps(void **state)
{
    struct scene *s = *state;
    const u64 first = 5000, count = 5 * 512 + 1;
    struct cap_slot *slot;
    u64 done;
    assert_int_equal(space_obj_reserve(&s->f->pd->objects, first, &slot), OK);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &s->f->pd->objects, first + count - 1, 1, PERM_ALL, &done), OK);
    assert_int_equal(preempted(s, HYPERCALL_revoke, FIXTURE_SEL_PD, first, REVOKE(count, 0), REVOKE_SELF, 0), 41);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(s->a->resume.gpr[R9], REVOKE_SELF);
    assert_int_equal(perms_at(s->f->pd, first + count - 1), 0);
}

static void forged_progress_of_revoke_skips(void **state)
{
    struct scene *s = *state;
    const u64 first = 5000;
    u64 done;
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &s->f->pd->objects, first + i, 1, PERM_ALL, &done), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, first, REVOKE(2, 0), REVOKE_SELF | bit(63), 0, 1), OK);
    assert_int_equal(s->a->resume.gpr[R9], REVOKE_SELF);
    assert_true(perms_at(s->f->pd, first) && !perms_at(s->f->pd, first + 1) && perms_at(s->f->pd, first + 2));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, first, REVOKE(3, 0), REVOKE_SELF | bit(63), 0, ~0ul), OK);
    assert_true(perms_at(s->f->pd, first) && perms_at(s->f->pd, first + 2));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(1, SPACE_MEMORY), bit(63)), STATUS_ARG);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, SEL_COUNT - 1, REVOKE(2, 0), 0), STATUS_ARG);
    fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, first, REVOKE(3, 0), REVOKE_SELF);
}

/* Forged progress: units are skipped, nothing else; the flag does not stay. */
static void forged_progress_skips(void **state)
{
    struct scene *s = *state;
    const u64 order = DELEGATE(3, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, PAGE, THERE, bit(63) | order, 2), OK);
    assert_int_equal(s->a->resume.gpr[R10], order);
    assert_false(mapped(&s->pd->memory, THERE));
    assert_true(mapped(&s->pd->memory, THERE + 2));
    assert_false(mapped(&s->pd->memory, THERE + 3));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, PAGE, THERE, bit(63) | order, ~0ul), OK);
    assert_false(mapped(&s->pd->memory, THERE));
}

#define T(name, vendor) cmocka_unit_test_setup_teardown(name, setup_##vendor, teardown)
TEST_GROUP(hypercall_space, T(memory_arrives_with_fewer_rights, vmx), T(guest_memory, vmx), T(guest_memory, svm), T(guest_memory_without_quota, vmx),
           T(guest_memory_without_quota, svm), T(revoke_waits_for_other_cpus, vmx),
           T(revoke_waits_for_a_shootdown_of_others, vmx), T(nothing_loaded_nothing_to_wait_for, vmx),
           T(a_waiter_for_the_shootdown_dies, vmx), T(a_dead_waiter_is_released_later, vmx), T(a_preempted_delegate_is_one_hypercall, vmx), T(forged_progress_skips, vmx),
           T(empty_slots_are_passed_in_steps, vmx), T(forged_progress_of_revoke_skips, vmx));
