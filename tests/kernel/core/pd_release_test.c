/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the end of a domain, of threads and of their UTCBs the same if interrupts cut it into pieces, and if several end at once, elsewhere? */
#include "apic.h"
#include "kernel_fixture.h"
#include "pd.h"

enum { A = 100, PD = 120, OTHER = 121, EC = 300, SLOTS = 300, PIECES = 12 };
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
    while (space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, PD, 600, true) == STATUS_RESTART)
        ;
    fixture_balanced(s->f, s->before);
    fixture_close(s->f);
    return 0;
}

/* Traps on both CPUs; in each an interrupt waits. */
static void settle_interrupted(struct scene *s, u32 traps)
{
    for (u32 i = 0; i < traps; i++) {
        for (u32 n = 0; n < 2; n++) {
            struct cpu *const cpu = fixture_cpu(s->f, n);
            apic_ipi(cpu, cpu);
            fixture_trap(s->f, n, TRAP(TRAP_NONE, 0), 0);
        }
    }
}

static void revoke_self(struct scene *s, u64 selector, u64 count)
{
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, selector, count, true), OK);
}

static bool mapped(struct pd *pd, u64 page)
{
    u64 frame;
    u32 rights;
    return space_mem_lookup(&pd->memory, page, &frame, &rights);
}

/* Capabilities, host memory in many pieces, guest memory: each more than one step. */
static void a_full_domain_in_pieces(void **state)
{
    struct scene *s = *state;
    struct pd *const pd = fixture_pd(s->f, 2 << 20, PD);
    struct space_mem *guest;
    u64 done;
    fixture_cpu(s->f, 0);
    const u64 refs = atomic_load(&s->a->object.refs);
    for (u64 i = 0; i < SLOTS; i++)
        assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &pd->objects, 10 + i, 1, PERM_ALL, &done), OK);
    for (u64 i = 0; i < PIECES; i++)
        assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE + 2 * i, &pd->memory, 0x1000 + 3 * i, 1, RIGHT_R, &done), OK);
    assert_int_equal(pd_guest(pd, &guest), OK);
    assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE, guest, 0x10, 1, RIGHT_R, &done), OK);
    revoke_self(s, PD, 1);
    settle_interrupted(s, 60);
    fixture_settle(s->f);
    assert_int_equal(atomic_load(&s->a->object.refs), refs);
}

static void count(void *arg)
{
    ++*(u64 *)arg;
}

/* Steps from the end of a domain with one capability, there, and memory in pieces, until it is gone. */
static u64 steps_to_end(struct scene *s, u64 selector)
{
    struct pd *const pd = fixture_pd(s->f, 2 << 20, PD);
    u64 done, steps = 0;
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &pd->objects, selector, 1, PERM_ALL, &done), OK);
    for (u64 i = 0; i < PIECES; i++)
        assert_int_equal(space_mem_delegate(&s->f->pd->memory, PAGE + 2 * i, &pd->memory, 0x1000 + 3 * i, 1, RIGHT_R, &done), OK);
    revoke_self(s, PD, 1);
    sim_unit_hook(s->f->sim, count, &steps);
    settle_interrupted(s, 300);
    sim_unit_hook(s->f->sim, NULL, NULL);
    fixture_settle(s->f);
    return steps;
}

/* However often its memory is interrupted, a domain's leaves are passed when nobody names it, when nobody is in it, and when it is freed. */
static void leaves_are_passed_three_times(void **state)
{
    struct scene *s = *state;
    const u64 few = steps_to_end(s, 0), many = steps_to_end(s, SEL_COUNT - 1);
    assert_true(many - few < 3 * 5 * SEL_COUNT / OBJ_LEAF_SLOTS);   /* five steps a leaf, restarts among them */
}

/* A UTCB page is passed on to more places than one step takes back: the frames stay until the last one has lost it. */
static void a_utcb_in_many_places(void **state)
{
    struct scene *s = *state;
    struct pd *const pd = fixture_pd(s->f, 1 << 20, PD), *const other = fixture_pd(s->f, 1 << 20, OTHER);
    struct ec *const ec = fixture_thread(s->f, 0, pd, 1, EC);
    u64 done;
    fixture_cpu(s->f, 0);
    for (u64 i = 0; i < PIECES; i++)
        assert_int_equal(space_mem_delegate(&pd->memory, ec->utcb_page, &other->memory, 0x5000 + 3 * i, 2, RIGHT_R, &done), OK);
    const u64 page = ec->utcb_page;
    revoke_self(s, EC, 2);
    settle_interrupted(s, 40);
    fixture_settle(s->f);
    for (u64 i = 0; i < PIECES; i++)
        assert_false(mapped(other, 0x5000 + 3 * i) || mapped(other, 0x5001 + 3 * i));
    assert_false(mapped(pd, page) || mapped(pd, page + 1));
}

/* UTCBs that lie side by side, in the domain and in memory: each ends alone. */
static void utcbs_side_by_side(void **state)
{
    struct scene *s = *state;
    struct pd *const pd = fixture_pd(s->f, 2 << 20, PD);
    enum { COUNT = 16 };
    u64 frame[COUNT];
    bool alive[COUNT];
    u32 pairs = 0, rights;
    for (u32 i = 0; i < COUNT; i++) {
        alive[i] = true;
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_ec_create, PD, EC + i, 0x30000000 + i * UTCB_PAGES * PAGE_SIZE, 0, 0, 0), OK);
        assert_true(space_mem_lookup(&pd->memory, 0x30000 + i * UTCB_PAGES, &frame[i], &rights));
    }
    for (u32 i = 0; i + 1 < COUNT; i++) {
        if (frame[i + 1] != frame[i] + UTCB_PAGES || !alive[i])
            continue;
        pairs++;
        alive[i] = false;
        revoke_self(s, EC + i, 1);
        fixture_settle(s->f);
        for (u32 n = 0; n < COUNT; n++)
            assert_int_equal(mapped(pd, 0x30000 + n * UTCB_PAGES), alive[n]);
    }
    assert_true(pairs > 1);
}

/* All threads of CPU 1 end by one hypercall on CPU 0, while CPU 1 has something to release itself. */
static void several_end_elsewhere(void **state)
{
    struct scene *s = *state;
    fixture_pd(s->f, 2 << 20, PD);
    for (u32 i = 0; i < 6; i++)
        assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_ec_create, PD, EC + i, 0x30000000 + i * 0x10000, 0, 0, EC_CONFIG(1, 0, 0)), OK);
    const u64 used = atomic_load(&s->f->pd->quota.used);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_sm_create, FIXTURE_SEL_PD, EC + 10, 0), OK);
    revoke_self(s, EC, 6);
    for (u32 i = 0; i < 4; i++) {   /* CPU 1 has not looked yet */
        epoch_quiesce(fixture_cpu(s->f, 0));
        if (!atomic_load(&s->f->k->cpu[1]->released))
            epoch_quiesce(fixture_cpu(s->f, 1));
    }
    assert_int_not_equal(atomic_load(&s->f->k->cpu[1]->released), 0);
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 1), &s->f->pd->objects, EC + 10, 1, true), OK);
    assert_non_null(s->f->k->cpu[1]->epoch.first);
    fixture_settle(s->f);
    assert_int_equal(atomic_load(&s->f->pd->quota.used), used);
    struct object *o;
    assert_int_equal(space_obj_lookup(&s->f->pd->objects, PD, OBJ_PD, 0, &o), OK);
    assert_int_equal(atomic_load(&container_of(o, struct pd, object)->users), 1);
}

/* CPU 1, where a guest of the domain ran, has passed every epoch, but not yet dropped what it cached of the guest's tables. */
static void tables_wait_for_the_flush(void **state)
{
    struct scene *s = *state;
    struct pd *const pd = fixture_pd(s->f, 2 << 20, PD);
    struct cpu *const other = s->f->k->cpu[1];
    struct space_mem *guest;
    const u64 limit = atomic_load(&s->f->pd->quota.limit);
    assert_int_equal(pd_guest(pd, &guest), OK);
    atomic_or(&guest->cpus, bit(1));
    revoke_self(s, PD, 1);
    for (u32 i = 0; i < 10; i++)
        for (u32 n = 0; n < 2; n++)
            epoch_quiesce(fixture_cpu(s->f, n));
    assert_true(atomic_load(&other->tlb.requested) > atomic_load(&other->tlb.done));
    assert_int_equal(atomic_load(&s->f->pd->quota.limit), limit);
    tlb_handle(fixture_cpu(s->f, 1));
    epoch_quiesce(fixture_cpu(s->f, 0));
    assert_int_equal(atomic_load(&s->f->pd->quota.limit), limit + (2 << 20));
}

/* Whatever allocation fails: it says so, or the domain has all its parts. */
static void half_a_domain(void **state)
{
    struct scene *s = *state;
    struct pd *pd;
    enum status st = STATUS_MEMORY;
    for (u64 n = 1; st != OK; n++) {
        assert_true(n < 10);
        sim_unit_fail(s->f->sim, n);
        st = pd_create(fixture_cpu(s->f, 0), s->f->pd, 1 << 20, 0, &pd);
        sim_unit_fail(s->f->sim, 0);
    }
    assert_non_null(pd->objects.leaf);
    assert_int_not_equal(pd->memory.ptab.root, 0);
    object_unref(s->cpu, &pd->object);
}

/* Nobody names a domain any more, but a thread of it still runs, and is given capabilities. What it made with them only it could name: a portal into
 * itself would keep it, and so the domain, for ever. */
static void at_its_end_nothing_is_made(void **state)
{
    struct scene *s = *state;
    struct pd *const pd = fixture_pd(s->f, 2 << 20, PD);
    struct ec *const ec = fixture_handler(s->f, 0, pd, EC);
    u64 done;
    revoke_self(s, PD, 1);
    fixture_settle(s->f);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, FIXTURE_SEL_PD, &pd->objects, 1, 1, PERM_ALL, &done), OK);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, EC, &pd->objects, 2, 1, PERM_ALL, &done), OK);
    fixture_call(s->f, s->a, HYPERCALL_call, EC + 1, 0);
    assert_ptr_equal(s->cpu->current, ec);
    assert_int_equal(fixture_call(s->f, ec, HYPERCALL_portal_create, 1, 3, 2, 0x500000, 0), STATUS_ABORT);
    assert_int_equal(fixture_call(s->f, ec, HYPERCALL_vcpu_create, 1, 3, 0, 0x30000000), STATUS_ABORT);
    assert_int_equal(fixture_call(s->f, ec, HYPERCALL_sm_create, 1, 3, 0), STATUS_ABORT);
    fixture_call(s->f, ec, HYPERCALL_reply, 0);
    assert_ptr_equal(s->cpu->current, s->a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(pd_release, T(a_full_domain_in_pieces), T(leaves_are_passed_three_times), T(a_utcb_in_many_places), T(utcbs_side_by_side), T(several_end_elsewhere),
           T(tables_wait_for_the_flush), T(half_a_domain), T(at_its_end_nothing_is_made));
