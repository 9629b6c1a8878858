/* SPDX-License-Identifier: BSD-2-Clause */
/* Several threads wait for shootdowns on different CPUs, which answer in any order: is each woken when its own is done, and is the list
 * whole and locked? */
#include "kernel_fixture.h"
#include "tlb.h"

enum { A = 100, REMOTE = 110, PD = 120, WAITERS = 3 };
#define THERE 0x40000ul

struct scene {
    struct fixture *f;
    struct ec *ec[WAITERS];
    const struct ec *head;
    u32 changes;
};

/* Waiter i revokes memory of a domain that runs on CPU i + 1. */
static void open_scene(struct scene *s)
{
    u64 done;
    *s = (struct scene){ .f = fixture_open(WAITERS + 1, SIM_VMX) };
    for (u32 i = 0; i < WAITERS; i++) {
        s->ec[i] = fixture_thread(s->f, 0, s->f->pd, 10, A + 2 * i);
        struct pd *const pd = fixture_pd(s->f, 1 << 20, PD + i);
        assert_int_equal(space_mem_delegate(&s->f->pd->memory, FIXTURE_MEMORY >> PAGE_BITS, &pd->memory, THERE, 1, RIGHT_R, &done), OK);
        fixture_thread(s->f, i + 1, pd, 10, REMOTE + 2 * i);
        fixture_run(s->f, i + 1);
    }
    fixture_run(s->f, 0);
}

static void wait_all(struct scene *s)
{
    for (u32 i = 0; i < WAITERS; i++) {
        assert_ptr_equal(s->f->k->cpu[0]->current, s->ec[i]);
        fixture_call(s->f, s->ec[i], HYPERCALL_revoke, PD + i, THERE, REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
        assert_int_equal(s->ec[i]->state, EC_WAIT_TLB);
    }
}

/* The list is whole in both directions and holds exactly those whose generation is not complete; the others run. */
static void assert_list(struct scene *s)
{
    const struct ec *prev = NULL;
    u32 count = 0, open = 0;
    for (const struct ec *ec = s->f->k->tlb_waiters; ec; prev = ec, ec = ec->queue_next, count++) {
        assert_ptr_equal(ec->queue_prev, prev);
        assert_false(tlb_complete(ec->tlb_generation));
    }
    sched_inbox(fixture_cpu(s->f, 0));
    for (u32 i = 0; i < WAITERS; i++) {
        open += !tlb_complete(s->ec[i]->tlb_generation);
        assert_int_equal(s->ec[i]->state, tlb_complete(s->ec[i]->tlb_generation) ? EC_READY : EC_WAIT_TLB);
    }
    assert_int_equal(count, open);
}

static void answers_in_any_order(void **state)
{
    static const u32 order[][WAITERS] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    for (u32 o = 0; o < array_size(order); o++) {
        struct scene s;
        open_scene(&s);
        wait_all(&s);
        assert_list(&s);
        for (u32 i = 0; i < WAITERS; i++) {
            tlb_handle(fixture_cpu(s.f, order[o][i] + 1));
            assert_list(&s);
        }
        assert_null(s.f->k->tlb_waiters);
        fixture_close(s.f);
    }
}

/* CPU 3 has answered all but the newest request, which came at that moment; with the answer of CPU 2 two waiters go on at once, one of them from
 * the middle of the list. */
static void two_go_on_at_once(void **state)
{
    struct scene s;
    open_scene(&s);
    s.f->by_hand = true;
    wait_all(&s);
    atomic_store(&s.f->k->cpu[1]->tlb.done, s.ec[0]->tlb_generation);
    atomic_store(&s.f->k->cpu[3]->tlb.done, s.ec[1]->tlb_generation);
    assert_int_equal(s.ec[0]->state, EC_WAIT_TLB);
    tlb_handle(fixture_cpu(s.f, 2));
    assert_list(&s);
    assert_ptr_equal(s.f->k->tlb_waiters, s.ec[2]);
    assert_null(s.ec[2]->queue_next);
    assert_int_equal(s.ec[0]->state, EC_READY);
    fixture_close(s.f);
}

/* Two spaces of each kind in one batch: every CPU of each is asked, for its own kind. */
static void a_batch_of_several_spaces(void **state)
{
    struct scene s;
    struct tlb_batch b = { 0 };
    open_scene(&s);
    struct space_mem host[2] = { 0 }, guest[2] = { 0 };
    for (u32 i = 0; i < 2; i++) {
        host[i].ptab.format = &ptab_host;
        guest[i].ptab.format = &ptab_ept;
        atomic_store(&host[i].cpus, bit(1 + i));
        atomic_store(&guest[i].cpus, bit(2 + i));
        tlb_batch_add(&b, &host[i]);
        tlb_batch_add(&b, &guest[i]);
    }
    const u64 generation = tlb_batch_request(fixture_cpu(s.f, 0), &b);
    static const u64 kinds[] = { 0, TLB_KIND_HOST, TLB_KIND_HOST | TLB_KIND_GUEST, TLB_KIND_GUEST };
    for (u32 i = 0; i < array_size(kinds); i++) {
        assert_int_equal(atomic_load(&s.f->k->cpu[i]->tlb.kinds), kinds[i]);
        assert_int_equal(atomic_load(&s.f->k->cpu[i]->tlb.requested), kinds[i] ? generation : 0);
    }
    fixture_close(s.f);
}

/* Before each operation of the machine: if the list has changed since the last one, its lock is held. */
static void guard(void *arg)
{
    struct scene *const s = arg;
    if (s->head == s->f->k->tlb_waiters)
        return;
    s->changes++;
    assert_int_equal(atomic_load32(&s->f->k->tlb_lock.held), 1);
    s->head = s->f->k->tlb_waiters;
}

static void the_list_changes_under_its_lock(void **state)
{
    struct scene s;
    open_scene(&s);
    sim_unit_hook(s.f->sim, guard, &s);
    wait_all(&s);
    assert_int_equal(s.changes, WAITERS);
    for (u32 i = WAITERS; i-- > 0;)
        tlb_handle(fixture_cpu(s.f, i + 1));
    sim_unit_hook(s.f->sim, NULL, NULL);
    assert_int_equal(s.changes, 2 * WAITERS);
    fixture_close(s.f);
}

TEST_GROUP(tlb_waiters, cmocka_unit_test(answers_in_any_order), cmocka_unit_test(two_go_on_at_once), cmocka_unit_test(a_batch_of_several_spaces),
           cmocka_unit_test(the_list_changes_under_its_lock));
