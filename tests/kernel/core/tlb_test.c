/* SPDX-License-Identifier: BSD-2-Clause */
/* Can a CPU acknowledge a shootdown that it has not done, or an acknowledgement pass a waiter by? */
#include "tlb.h"
#include "ec.h"
#include "core_fixture.h"
#include "tlb_cached.h"

struct fixture {
    struct core *w;
    struct space_mem host, guest;
    struct virt_ops virt;
    struct ec *ec[2];
    /* What a hook does. */
    u32 at, points;
    bool acted;
};

static u32 guest_flushes[CORE_CPUS];

static void count_flush(struct cpu *cpu)
{
    guest_flushes[cpu->id]++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    core_setup((void **)&f->w);
    f->host.ptab.format = &ptab_host;
    f->guest.ptab.format = &ptab_ept;
    f->virt.flush = count_flush;
    f->w->kern->virt = &f->virt;
    for (u32 i = 0; i < CORE_CPUS; i++)
        guest_flushes[i] = 0;
    for (u32 i = 0; i < 2; i++) {
        f->ec[i] = sim_phys(f->w->sim, 0xd00000 + i * PAGE_SIZE, PAGE_SIZE);
        f->ec[i]->resume.rip = 0x1002;
    }
    f->w->cpu->current = f->ec[0];
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct core *w = f->w;
    assert_null(w->kern->tlb_waiters);
    free(f);
    return core_teardown((void **)&w);
}

static void cache(struct fixture *f, u32 n)
{
    tlb_cache(f->w->sim, n);
}

static bool cached(struct fixture *f, u32 n)
{
    return tlb_cached(f->w->sim, n);
}

static void handle(struct fixture *f, u32 n)
{
    struct sim_cpu *const was = f->w->sim->current;
    tlb_handle(core_cpu(f->w, n));
    f->w->sim->current = was;
}

static void nobody_to_ask_is_complete_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tlb_request(f->w->cpu, &f->host), 0);
    assert_true(tlb_complete(0));
    assert_int_equal(atomic_load(&f->w->kern->tlb_generation), 0);
}

static void the_own_cpu_is_flushed_at_once(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = bit(0);
    cache(f, 0);
    const u64 g = tlb_request(f->w->cpu, &f->host);
    assert_int_not_equal(g, 0);
    assert_true(tlb_complete(g));
    assert_false(cached(f, 0));
    for (u32 i = 0; i < CORE_CPUS; i++)
        assert_false(core_ipi(f->w, i));
}

static void only_cpus_that_may_hold_it_are_asked(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = bit(1) | bit(3);
    for (u32 i = 0; i < CORE_CPUS; i++)
        cache(f, i);
    const u64 g = tlb_request(f->w->cpu, &f->host);
    assert_true(cached(f, 0) && cached(f, 1) && cached(f, 3));
    for (u32 i = 0; i < CORE_CPUS; i++)
        assert_int_equal(core_ipi(f->w, i), i == 1 || i == 3);
    assert_false(tlb_complete(g));
    handle(f, 2);   /* was not asked: does nothing */
    assert_true(cached(f, 2));
    handle(f, 1);
    assert_false(cached(f, 1));
    assert_false(tlb_complete(g));
    handle(f, 3);
    assert_true(tlb_complete(g));
    assert_false(cached(f, 3));
}

static void guest_and_host_flush_what_is_theirs(void **state)
{
    struct fixture *f = *state;
    f->guest.cpus.v = bit(0) | bit(2);
    cache(f, 0);
    cache(f, 2);
    const u64 g = tlb_request(f->w->cpu, &f->guest);
    handle(f, 2);
    assert_true(tlb_complete(g));
    assert_int_equal(guest_flushes[0], 1);
    assert_int_equal(guest_flushes[2], 1);
    assert_int_equal(guest_flushes[1], 0);
    assert_true(cached(f, 0) && cached(f, 2));
    f->host.cpus.v = bit(2);
    (void)tlb_request(f->w->cpu, &f->host);
    handle(f, 2);
    assert_int_equal(guest_flushes[2], 1);
    assert_false(cached(f, 2));
}

static void a_batch_is_one_generation(void **state)
{
    struct fixture *f = *state;
    struct tlb_batch b = { 0 };
    f->host.cpus.v = bit(1);
    f->guest.cpus.v = bit(1) | bit(2);
    tlb_batch_add(&b, &f->host);
    tlb_batch_add(&b, &f->guest);
    cache(f, 1);
    cache(f, 2);
    assert_int_equal(tlb_batch_request(f->w->cpu, &b), 1);
    handle(f, 1);
    handle(f, 2);
    assert_true(tlb_complete(1));
    assert_false(cached(f, 1));
    assert_true(cached(f, 2));
    assert_int_equal(guest_flushes[1] + guest_flushes[2], 2);
}

static void one_acknowledgement_completes_all_older_requests(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = bit(1);
    const u64 a = tlb_request(f->w->cpu, &f->host), b = tlb_request(f->w->cpu, &f->host);
    assert_true(b > a);
    assert_false(tlb_complete(a));
    handle(f, 1);
    assert_true(tlb_complete(a) && tlb_complete(b));
    const u64 c = tlb_request(f->w->cpu, &f->host);
    assert_true(tlb_complete(b));   /* what was acknowledged stays so */
    assert_false(tlb_complete(c));
    handle(f, 1);
}

static void two_initiators_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = bit(0) | bit(1);
    const u64 a = tlb_request(f->w->cpu, &f->host);
    const u64 b = tlb_request(core_cpu(f->w, 1), &f->host);
    assert_false(tlb_complete(a) || tlb_complete(b));
    handle(f, 0);
    handle(f, 1);
    assert_true(tlb_complete(a) && tlb_complete(b));
}

/* CPU 1 asks for guest translations and CPU 2 acknowledges, at each point of CPU 0's request for host translations. */
static void overtake_hook(void *arg)
{
    struct fixture *f = arg;
    if (++f->points != f->at)
        return;
    f->acted = true;
    (void)tlb_request(core_cpu(f->w, 1), &f->guest);
    tlb_handle(core_cpu(f->w, 2));
}

static void a_later_generation_does_not_cover_for_an_earlier(void **state)
{
    struct fixture *f = *state;
    u32 complete = 0;
    f->host.cpus.v = f->guest.cpus.v = bit(2);
    for (f->at = 1, f->acted = true; f->acted; f->at++) {
        f->points = 0;
        f->acted = false;
        cache(f, 2);
        sim_unit_hook(f->w->sim, overtake_hook, f);
        const u64 g = tlb_request(f->w->cpu, &f->host);
        sim_unit_hook(f->w->sim, NULL, NULL);
        if (tlb_complete(g)) {
            assert_false(cached(f, 2));
            complete++;
        }
        handle(f, 2);
        assert_true(tlb_complete(g));
        assert_false(cached(f, 2));
    }
    assert_true(f->at > 5 && complete);
}

/* CPU 0 asks for host translations at each point of CPU 2's handling of an older request for guest translations, and looks at every point. */
struct handling {
    struct fixture *f;
    u64 generation;
};

static void request_hook(void *arg)
{
    struct handling *h = arg;
    struct fixture *f = h->f;
    if (++f->points == f->at) {
        f->acted = true;
        h->generation = tlb_request(core_cpu(f->w, 0), &f->host);
    }
    if (h->generation && tlb_complete(h->generation))
        assert_false(cached(f, 2));
}

static void an_acknowledgement_is_never_ahead_of_the_flush(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = f->guest.cpus.v = bit(2);
    for (f->at = 1, f->acted = true; f->acted; f->at++) {
        struct handling h = { .f = f };
        f->points = 0;
        f->acted = false;
        cache(f, 2);
        (void)tlb_request(core_cpu(f->w, 1), &f->guest);
        core_cpu(f->w, 2);
        sim_unit_hook(f->w->sim, request_hook, &h);
        tlb_handle(f->w->kern->cpu[2]);
        /* And a request that was there from the start. */
        tlb_handle(f->w->kern->cpu[2]);
        sim_unit_hook(f->w->sim, NULL, NULL);
        if (f->acted)
            assert_false(tlb_complete(h.generation) && cached(f, 2));
        handle(f, 2);
        assert_true(tlb_complete(h.generation));
        assert_int_equal(f->acted, !cached(f, 2));
        core_cpu(f->w, 0);
    }
    assert_true(f->at > 5);
}

static void wait_of_a_complete_generation_goes_on(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tlb_wait(f->w->cpu, f->ec[0], 0), OK);
    assert_int_equal(f->ec[0]->state, EC_READY);
    assert_int_equal(f->ec[0]->resume.rip, 0x1002);
    assert_false(f->w->cpu->due & DUE_CHOICE);
}

static void the_last_acknowledgement_wakes_the_waiter(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = bit(1) | bit(2);
    const u64 g = tlb_request(f->w->cpu, &f->host);
    assert_int_equal(tlb_wait(f->w->cpu, f->ec[0], g), STATUS_BLOCKED);
    assert_int_equal(f->ec[0]->state, EC_WAIT_TLB);
    assert_true(f->w->cpu->due & DUE_CHOICE);
    handle(f, 2);
    assert_null((void *)atomic_load(&f->w->cpu->inbox));
    handle(f, 1);
    assert_ptr_equal((void *)atomic_load(&f->w->cpu->inbox), f->ec[0]);
    assert_true(core_ipi(f->w, 0));
    sched_inbox(f->w->cpu);
    assert_int_equal(f->ec[0]->state, EC_READY);
    assert_int_equal(f->ec[0]->resume.rip, 0x1000);   /* SYSCALL again */
}

/* What was taken away earlier may be what the later one is about: its frame passed on, or taken from another space. */
static void a_generation_includes_the_earlier_ones(void **state)
{
    struct fixture *f = *state;
    f->host.cpus.v = bit(1);
    const u64 a = tlb_request(f->w->cpu, &f->host);
    f->host.cpus.v = bit(2);
    const u64 b = tlb_request(f->w->cpu, &f->host);
    assert_int_equal(tlb_owed(), b);
    assert_int_equal(tlb_wait(f->w->cpu, f->ec[0], a), STATUS_BLOCKED);
    assert_int_equal(tlb_wait(f->w->cpu, f->ec[1], b), STATUS_BLOCKED);
    handle(f, 2);
    assert_int_equal(atomic_load(&f->ec[1]->inbox_reason), 0);
    handle(f, 1);
    assert_int_equal(tlb_owed(), 0);
    assert_int_equal(atomic_load(&f->ec[0]->inbox_reason), EC_INBOX_WAKE);
    assert_int_equal(atomic_load(&f->ec[1]->inbox_reason), EC_INBOX_WAKE);
    sched_inbox(f->w->cpu);
}

static void acknowledge_hook(void *arg)
{
    struct fixture *f = arg;
    if (++f->points < f->at || f->acted || !core_unlocked(f->w))
        return;
    f->acted = true;
    tlb_handle(core_cpu(f->w, 1));
}

static void an_acknowledgement_at_any_moment_is_not_lost(void **state)
{
    struct fixture *f = *state;
    u32 went_on = 0, blocked = 0;
    f->host.cpus.v = bit(1);
    for (f->at = 1; f->at < 40; f->at++) {
        const u64 g = tlb_request(f->w->cpu, &f->host);
        f->points = 0;
        f->acted = false;
        f->ec[0]->resume.rip = 0x1002;
        sim_unit_hook(f->w->sim, acknowledge_hook, f);
        const enum status s = tlb_wait(f->w->cpu, f->ec[0], g);
        sim_unit_hook(f->w->sim, NULL, NULL);
        handle(f, 1);
        sched_inbox(f->w->cpu);
        assert_int_equal(f->ec[0]->state, EC_READY);
        assert_int_equal(f->ec[0]->resume.rip, s == OK ? 0x1002 : 0x1000);
        assert_null(f->w->kern->tlb_waiters);
        went_on += s == OK;
        blocked += s == STATUS_BLOCKED;
    }
    assert_true(went_on >= 2 && blocked >= 2);
}

static void handling_nothing_does_nothing(void **state)
{
    struct fixture *f = *state;
    cache(f, 0);
    handle(f, 0);
    assert_true(cached(f, 0));
    assert_int_equal(guest_flushes[0], 0);
}

static void loading_a_space_says_so_first_and_leaves_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct space_mem other = { .ptab = { .format = &ptab_host, .root = 0xe00000 } };
    f->host.ptab.root = 0xe01000;
    tlb_load(f->w->cpu, &f->host);
    assert_int_equal(f->host.cpus.v, bit(0));
    assert_int_equal(mach_cr3_read(), 0xe01000);
    cache(f, 0);
    tlb_load(f->w->cpu, &f->host);
    assert_true(cached(f, 0));   /* is loaded already */
    tlb_load(f->w->cpu, &other);
    assert_false(cached(f, 0));
    assert_int_equal(f->host.cpus.v, 0);
    assert_int_equal(other.cpus.v, bit(0));
    tlb_load(f->w->cpu, NULL);
    assert_int_equal(other.cpus.v, 0);
    assert_int_equal(mach_cr3_read(), mach_boot_root());
}

static void announced_hook(void *arg)
{
    struct fixture *f = arg;
    const u64 cr3 = f->w->sim->cpu[0].cr3;
    f->points++;
    if (cr3 == 0xe01000)
        assert_int_equal(f->host.cpus.v, bit(0));
}

/* A requester that changes a word and then reads `cpus` must find every CPU that may have walked the old word. */
static void a_cpu_is_announced_whenever_it_may_walk(void **state)
{
    struct fixture *f = *state;
    f->host.ptab.root = 0xe01000;
    sim_unit_hook(f->w->sim, announced_hook, f);
    tlb_load(f->w->cpu, &f->host);
    tlb_load(f->w->cpu, NULL);
    sim_unit_hook(f->w->sim, NULL, NULL);
    assert_true(f->points >= 4);
    assert_int_equal(f->host.cpus.v, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

TEST_GROUP(tlb, T(nobody_to_ask_is_complete_at_once), T(the_own_cpu_is_flushed_at_once), T(only_cpus_that_may_hold_it_are_asked),
           T(guest_and_host_flush_what_is_theirs), T(a_batch_is_one_generation), T(one_acknowledgement_completes_all_older_requests),
           T(two_initiators_do_not_wait_for_each_other), T(a_later_generation_does_not_cover_for_an_earlier),
           T(an_acknowledgement_is_never_ahead_of_the_flush), T(wait_of_a_complete_generation_goes_on), T(the_last_acknowledgement_wakes_the_waiter), T(a_generation_includes_the_earlier_ones),
           T(an_acknowledgement_at_any_moment_is_not_lost), T(handling_nothing_does_nothing),
           T(loading_a_space_says_so_first_and_leaves_the_old_one), T(a_cpu_is_announced_whenever_it_may_walk));
