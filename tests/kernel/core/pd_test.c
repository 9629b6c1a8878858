/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a protection domain gone without a trace once nobody names it: with threads of it running, waiting, calling, on all CPUs? */
#include "pd.h"
#include "apic.h"
#include "kernel_fixture.h"
#include "sm.h"

enum { A = 100, PD = 120, INNER = 300 };
#define PAGE (FIXTURE_MEMORY >> PAGE_BITS)

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a;
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    fixture_run(s.f, 0);
    s.before = fixture_books(s.f);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    fixture_cpu(s->f, 0);
    while (space_obj_revoke(s->cpu, &s->f->pd->objects, PD, 600, true) == STATUS_RESTART)
        ;
    fixture_balanced(s->f, s->before);
    fixture_close(s->f);
    return 0;
}

static u64 limit(struct pd *pd)
{
    return atomic_load(&pd->quota.limit) - atomic_load(&pd->quota.used);
}

static void quota_goes_and_comes_back(void **state)
{
    struct scene *s = *state;
    const u64 before = limit(s->f->pd);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_create, FIXTURE_SEL_PD, PD, 1 << 20, 0), OK);
    assert_int_equal(limit(s->f->pd), before - (1 << 20) - mem_charge(sizeof(struct pd)));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_int_equal(limit(s->f->pd), before);
}

static void with_threads_in_every_state(void **state)
{
    struct scene *s = *state;
    struct pd *pd = fixture_pd(s->f, 2 << 20, PD);
    u64 done;
    fixture_cpu(s->f, 0);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE, &pd->memory, 0x1000, 8, RIGHT_MEMORY, &done), OK);
    struct ec *caller = fixture_thread(s->f, 0, pd, 40, INNER), *waiter = fixture_thread(s->f, 0, pd, 50, INNER + 2);
    struct ec *remote = fixture_thread(s->f, 1, pd, 10, INNER + 4), *handler = fixture_handler(s->f, 0, pd, INNER + 6);
    u64 unused;
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, INNER + 7, &pd->objects, 7, 1, PERM_ALL, &unused), OK);
    struct sm *sm;
    assert_int_equal(sm_create(s->cpu, pd, 0, &sm), OK);
    assert_int_equal(space_obj_insert(&pd->objects, 9, &sm->object), OK);
    fixture_run(s->f, 1);
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, waiter);
    fixture_call(s->f, waiter, HYPERCALL_sm_down, 9, 0, mach_tsc_read() + 1000000000);
    fixture_call(s->f, caller, HYPERCALL_call, 7, 0);
    assert_ptr_equal(s->cpu->current, handler);
    assert_ptr_equal(s->f->k->cpu[1]->current, remote);
    /* Named from within only: the semaphore in its own PD, the handler by its portal. It ends all the same. */
    while (space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, INNER, 10, true) == STATUS_RESTART)
        ;
    fixture_settle(s->f);
    assert_ptr_equal(s->cpu->current, s->a);
    assert_null(s->f->k->cpu[1]->current);
}

/* A PD whose threads were made by itself, with capabilities nowhere else, on both CPUs: its last name goes, and all of it. */
static void a_domain_that_names_itself(void **state)
{
    struct scene *s = *state;
    u64 done;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    struct ec *first = fixture_thread(s->f, 0, pd, 20, INNER);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, PD, &pd->objects, 1, 1, PERM_ALL, &done), OK);
    fixture_run(s->f, 0);
    assert_int_equal(fixture_call(s->f, first, HYPERCALL_ec_create, 1, 10, 0x30000000, 0x1000, 0, EC_CONFIG(0, 0, 0)), OK);
    assert_int_equal(fixture_call(s->f, first, HYPERCALL_sc_create, 1, 11, 10, 30, 1000000), OK);
    struct ec *second = s->cpu->current;
    assert_int_equal(fixture_call(s->f, second, HYPERCALL_sm_create, 1, 12, 0), OK);
    assert_int_equal(fixture_call(s->f, second, HYPERCALL_ec_create, 1, 13, 0x30010000, 0x1000, 0, EC_CONFIG(1, 0, 0)), OK);
    assert_int_equal(fixture_call(s->f, second, HYPERCALL_sc_create, 1, 14, 13, 30, 1000000), OK);
    assert_int_equal(fixture_call(s->f, second, HYPERCALL_pd_create, 1, 15, 256 << 10, 0), OK);
    fixture_interrupts(s->f);
    assert_non_null(s->f->k->cpu[1]->current);
    fixture_call(s->f, second, HYPERCALL_sm_down, 12, 0, 0);
    fixture_cpu(s->f, 0);
    while (space_obj_revoke(s->cpu, &s->f->pd->objects, INNER, 2, true) == STATUS_RESTART)
        ;
    fixture_settle(s->f);
    assert_non_null(s->f->k->cpu[1]->current);   /* still named: still there */
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_balanced(s->f, s->before);
    assert_null(s->f->k->cpu[1]->current);
}

/* What a dying PD was given only: it lives on with the giver. What it made and passed on: it goes. */
static void originals_go_with_their_maker(void **state)
{
    struct scene *s = *state;
    u64 done;
    u32 type, perms;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD), *other = fixture_pd(s->f, 1 << 20, PD + 1);
    struct sm *sm;
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &pd->objects, 5, 1, PERM_ALL, &done), OK);
    assert_int_equal(space_obj_delegate(&pd->objects, 5, &other->objects, 5, 1, PERM_ALL, &done), OK);
    assert_int_equal(sm_create(s->cpu, s->f->pd, 0, &sm), OK);
    assert_int_equal(space_obj_insert(&pd->objects, 6, &sm->object), OK);
    assert_int_equal(space_obj_delegate(&pd->objects, 6, &other->objects, 6, 1, PERM_ALL, &done), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_true(space_obj_peek(&other->objects, 5, &type, &perms));
    assert_false(space_obj_peek(&other->objects, 6, &type, &perms));
    /* Still derived from the giver's. */
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, A, 1, false), OK);
    assert_false(space_obj_peek(&other->objects, 5, &type, &perms));
}

/* A handler outlives its PD's name while somebody else holds its portal: what is delegated to it then goes with the last user. */
static void gifts_to_a_nameless_domain(void **state)
{
    struct scene *s = *state;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    struct ec *h = fixture_handler(s->f, 0, pd, INNER);
    h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ 40, 4 };
    fixture_cpu(s->f, 0);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    s->a->utcb->item[0] = (struct utcb_item){ .base = A, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    fixture_call(s->f, s->a, HYPERCALL_call, INNER + 1, MTR(0, 1));
    assert_ptr_equal(s->cpu->current, h);
    assert_int_equal(s->a->utcb->item[0].status, OK);
    fixture_call(s->f, h, HYPERCALL_reply, 0);
    assert_ptr_equal(s->cpu->current, s->a);
    const u64 refs = atomic_load(&s->a->object.refs);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, INNER, REVOKE(2, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_int_equal(atomic_load(&s->a->object.refs), refs - 1);
}

static void guest_memory_goes_too(void **state)
{
    struct scene *s = *state;
    u64 done;
    struct space_mem *guest;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    fixture_cpu(s->f, 0);
    assert_int_equal(pd_guest(pd, &guest), OK);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE, guest, 0x1000, 8, RIGHT_MEMORY, &done), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
}

/* CPU 1 has not acknowledged yet that a UTCB page was taken away; meanwhile the EC dies: its frames must wait for that, too. */
static void a_utcb_under_a_shootdown(void **state)
{
    struct scene *s = *state;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    struct ec *other = fixture_thread(s->f, 1, pd, 1, INNER + 4), *ec = fixture_thread(s->f, 0, pd, 1, INNER);
    fixture_run(s->f, 1);
    assert_ptr_equal(s->f->k->cpu[1]->current, other);
    const u64 used = atomic_load(&pd->quota.used), pages = mem_charge(sizeof(struct utcb));
    fixture_cpu(s->f, 0);
    fixture_call(s->f, s->a, HYPERCALL_revoke, PD, ec->utcb_page, REVOKE(2, 1), REVOKE_SELF);
    assert_int_equal(s->a->state, EC_WAIT_TLB);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, INNER, 2, true), OK);
    for (u32 i = 0; i < 10; i++) {
        epoch_quiesce(fixture_cpu(s->f, 1));   /* its epochs pass, but it handles no request */
        epoch_quiesce(fixture_cpu(s->f, 0));
    }
    assert_true(atomic_load(&pd->quota.used) > used - pages);
    fixture_settle(s->f);
    assert_true(atomic_load(&pd->quota.used) <= used - pages);
}

static void the_fpu_forgets_the_dead(void **state)
{
    struct scene *s = *state;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_ec_create, PD, INNER, 0x30000000, 0, 0, EC_CONFIG(0, EC_FPU, 0)), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sc_create, PD, INNER + 1, INNER, 90, 1000000), OK);
    assert_non_null(s->cpu->current->fpu);
    assert_ptr_equal(s->cpu->current->pd, pd);
    assert_ptr_equal(s->cpu->fpu_owner, s->cpu->current->fpu);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, INNER, 2, true), OK);
    fixture_settle(s->f);
    assert_ptr_equal(s->cpu->current, s->a);
    assert_null(s->cpu->fpu_owner);
}

/* One CPU that makes short hypercalls only: what it has destroyed is released all the same. */
static void short_hypercalls_release(void **state)
{
    struct scene *s = *state;
    struct fixture *f = fixture_open(1, SIM_VMX);
    struct ec *a = fixture_thread(f, 0, f->pd, 10, A);
    fixture_run(f, 0);
    const u64 used = atomic_load(&f->pd->quota.used);
    assert_int_equal(fixture_call(f, a, HYPERCALL_sm_create, FIXTURE_SEL_PD, PD, 0), OK);
    assert_int_equal(fixture_call(f, a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    for (u32 i = 0; i < 4; i++)
        assert_int_equal(fixture_call(f, a, HYPERCALL_null), OK);
    assert_int_equal(atomic_load(&f->pd->quota.used), used);
    fixture_close(f);
    fixture_cpu(s->f, 0);
}

static void a_family_of_domains(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_create, FIXTURE_SEL_PD, PD, 1 << 20, 0), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_create, PD, PD + 1, 512 << 10, 0), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_create, PD + 1, PD + 2, 128 << 10, 0), OK);
    /* The eldest first: it stays until its children are gone, as they are charged to it. */
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_true(atomic_load(&s->f->pd->quota.used) > s->before.used);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD + 1, REVOKE(2, 0), REVOKE_SELF), OK);
}

static void memory_passed_on_lives_on(void **state)
{
    struct scene *s = *state;
    u64 done, frame;
    u32 rights;
    struct pd *middle = fixture_pd(s->f, 1 << 20, PD), *last = fixture_pd(s->f, 1 << 20, PD + 1);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE, &middle->memory, 0x1000, 1, RIGHT_MEMORY, &done), OK);
    assert_int_equal(space_mem_delegate(&middle->memory, 0x1000, &last->memory, 0x2000, 1, RIGHT_R, &done), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_true(space_mem_lookup(&last->memory, 0x2000, &frame, &rights));
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(1, 1), 0), OK);
    assert_false(space_mem_lookup(&last->memory, 0x2000, &frame, &rights));
}

/* The owner revokes one UTCB page, maps something else there, and only then the EC dies: what is not the EC's stays. */
static void a_utcb_page_that_was_replaced(void **state)
{
    struct scene *s = *state;
    u64 frame, done;
    u32 rights;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    struct ec *ec = fixture_thread(s->f, 0, pd, 1, INNER);
    const u64 page = ec->utcb_page;
    fixture_cpu(s->f, 0);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, PD, page, REVOKE(1, 1), REVOKE_SELF), OK);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE, &pd->memory, page, 1, RIGHT_MEMORY, &done), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, INNER, REVOKE(2, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_true(space_mem_lookup(&pd->memory, page, &frame, &rights));
    assert_int_equal(frame, s->f->frame);
    assert_false(space_mem_lookup(&pd->memory, page + 1, &frame, &rights));
}

/* A UTCB that was passed on is taken back from everybody before its frames are used again. */
static void a_utcb_that_was_passed_on(void **state)
{
    struct scene *s = *state;
    u64 frame, done;
    u32 rights;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD), *other = fixture_pd(s->f, 1 << 20, PD + 1);
    struct ec *ec = fixture_thread(s->f, 0, pd, 1, INNER);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_mem_delegate(&pd->memory, ec->utcb_page, &other->memory, 0x5000, 2, RIGHT_R | RIGHT_W, &done), OK);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, INNER, REVOKE(2, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_false(space_mem_lookup(&other->memory, 0x5000, &frame, &rights));
    assert_false(space_mem_lookup(&other->memory, 0x5001, &frame, &rights));
}

/* A high-priority thread ends with its domain; whoever runs next stands at the end of a chain of calls so long that the way there is interrupted,
 * again and again, while the domain goes. */
static void the_way_to_the_next_thread_is_long(void **state)
{
    struct scene *s = *state;
    enum { CHAIN = 40 };
    struct ec *ec = s->a;
    for (u32 i = 0; i < CHAIN; i++) {
        struct ec *handler = fixture_handler(s->f, 0, s->f->pd, INNER + 2 * i);
        fixture_call(s->f, ec, HYPERCALL_call, INNER + 2 * i + 1, 0);
        ec = handler;
    }
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    fixture_thread(s->f, 0, pd, 50, PD + 1);
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current->pd, pd);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, PD, 3, true), OK);
    u32 windows = 0;
    for (u32 i = 0; i < 40; i++) {
        apic_ipi(fixture_cpu(s->f, 0), s->cpu);
        windows += fixture_trap(s->f, 0, TRAP(TRAP_NONE, 0), 0)->kind == RESUME_WINDOW;
        fixture_trap(s->f, 1, TRAP(TRAP_NONE, 0), 0);
    }
    assert_true(windows > 10);
    fixture_interrupts(s->f);
    assert_ptr_equal(s->cpu->current, ec);
}

/* Tables without a page in them, after a delegation that found no memory: a CPU that has run a guest on the space may walk through them out of
 * its caches, and a later guest whose top-level table is the same page would go on with them. */
static void empty_guest_tables_are_flushed(void **state)
{
    struct scene *s = *state;
    u64 done;
    struct space_mem *guest;
    struct pd *pd = fixture_pd(s->f, 1 << 20, PD);
    fixture_cpu(s->f, 0);
    assert_int_equal(pd_guest(pd, &guest), OK);
    assert_int_equal(ptab_reserve(&guest->ptab, 0x1000, 1, 1, &done), OK);
    atomic_or(&guest->cpus, bit(1));
    const u64 generation = atomic_load(&s->f->k->tlb_generation);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(1, 0), REVOKE_SELF), OK);
    fixture_settle(s->f);
    assert_true(atomic_load(&s->f->k->tlb_generation) > generation);
}

static void create_and_destroy_a_hundred(void **state)
{
    struct scene *s = *state;
    for (u32 i = 0; i < 100; i++) {
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_pd_create, FIXTURE_SEL_PD, PD, 1 << 20, 0), OK);
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_ec_create, PD, INNER, 0x30000000, 0, 0, EC_CONFIG(i % 2, EC_FPU, 0)), OK);
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sc_create, PD, INNER + 1, INNER, 5, 1000000), OK);
        fixture_interrupts(s->f);
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_revoke, FIXTURE_SEL_PD, PD, REVOKE(200, 0), REVOKE_SELF), OK);
        fixture_settle(s->f);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(pd, T(quota_goes_and_comes_back), T(with_threads_in_every_state), T(a_domain_that_names_itself), T(originals_go_with_their_maker), T(gifts_to_a_nameless_domain), T(a_family_of_domains), T(guest_memory_goes_too),
           T(a_utcb_under_a_shootdown), T(the_fpu_forgets_the_dead), T(short_hypercalls_release), T(memory_passed_on_lives_on),
           T(a_utcb_page_that_was_replaced), T(a_utcb_that_was_passed_on), T(the_way_to_the_next_thread_is_long),
           T(empty_guest_tables_are_flushed), T(create_and_destroy_a_hundred));
