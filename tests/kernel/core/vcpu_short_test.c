/* SPDX-License-Identifier: BSD-2-Clause */
/* The short way into a guest and out of it: is each thing that forbids it seen, if it is the only one? Each test runs on the simulated VMX and on the
 * simulated SVM. */
#include "arch/x86.h"
#include "fpu.h"
#include "guest_fixture.h"
#include "protect.h"
#include "vcpu.h"

/* It has run with the host's XCR0: nothing is left to do before its next entry. */
static struct guest *open_quiet(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_fetch(g, VCPU_GROUP_FPU);
    g->s->xcr0 = mach_xgetbv();
    assert_int_equal(guest_run(g, VCPU_GROUP_FPU), VCPU_EXIT_HYPERCALL);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    assert_false(fpu_lends(cpu, g->v->fpu, g->v->xcr0));
    assert_true(atomic_load(&g->v->space->cpus) & bit(0));
    return g;
}

static void its_image_is_not_loaded(void **state)
{
    struct guest *g = open_quiet(state);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    fpu_forget(cpu, g->v->fpu);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_ptr_equal(cpu->fpu_owner, g->v->fpu);
    guest_close(g);
}

static void the_fpu_is_on(void **state)
{
    struct guest *g = open_quiet(state);
    fpu_switch(fixture_cpu(g->f, 0), g->v->fpu);
    assert_int_equal(mach_cr0_read() & CR0_TS, 0);
    guest_enter(g, 0);
    assert_int_equal(mach_cr0_read() & CR0_TS, CR0_TS);
    guest_close(g);
}

static void xcr0_is_another_ones(void **state)
{
    struct guest *g = open_quiet(state);
    g->s->xcr0 = 1;
    guest_run(g, VCPU_GROUP_FPU);
    assert_int_equal(g->seen.xcr0, 1);
    g->v->xcr0 = fixture_cpu(g->f, 0)->xcr0;
    guest_run(g, 0);
    assert_int_equal(g->seen.xcr0, g->v->xcr0);
    guest_close(g);
}

static void its_memory_is_not_announced(void **state)
{
    struct guest *g = open_quiet(state);
    atomic_store(&g->v->space->cpus, bit(5));
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_int_equal(atomic_load(&g->v->space->cpus), bit(5) | bit(0));
    guest_close(g);
}

static void a_flush_is_asked_for(void **state)
{
    struct guest *g = open_quiet(state);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    atomic_store(&cpu->tlb.requested, atomic_fetch_add(&g->f->k->tlb_generation, 1) + 1);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_int_equal(atomic_load(&cpu->tlb.done), atomic_load(&cpu->tlb.requested));
    guest_close(g);
}

static void it_is_kicked(void **state)
{
    struct guest *g = open_quiet(state);
    vcpu_kick(fixture_cpu(g->f, 0), g->v);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    assert_int_equal(g->entries, 0);
    guest_close(g);
}

/* Somebody more important became ready in the same hypercall's time: he runs, then the guest. */
static void another_ec_is_wanted(void **state)
{
    struct guest *g = open_quiet(state);
    struct ec *const other = fixture_thread(g->f, 0, g->f->pd, 20, 320);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_ptr_equal(g->f->resumed[0], &other->resume);
    guest_close(g);
}

/* The same while the guest runs. */
static struct ec *woken;
static void wake(struct guest *g, struct sim_guest *guest)
{
    woken = fixture_thread(g->f, 0, g->f->pd, 20, 320);
}

static void another_ec_is_wanted_at_the_exit(void **state)
{
    struct guest *g = open_quiet(state);
    g->before = wake;
    guest_enter(g, 0);
    assert_true(guest_step(g));
    assert_false(guest_inside(g));
    assert_ptr_equal(g->f->resumed[0], &woken->resume);
    guest_close(g);
}

/* Then it is back with its own registers. */
static void the_vmm_has_an_fpu(void **state)
{
    struct guest *g = open_quiet(state);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    void *p;
    assert_int_equal(mem_alloc(g->f->k->mem, &g->f->k->quota, fpu_image_bytes(), &p), OK);
    fpu_image_init(p);
    g->ec->fpu = p;
    for (u32 i = 0; i < 2; i++) {
        guest_enter(g, 0);
        assert_ptr_equal(cpu->fpu_owner, g->v->fpu);
        assert_int_equal(mach_cr0_read() & CR0_TS, CR0_TS);
        assert_true(guest_step(g));
        assert_false(guest_inside(g));
        assert_ptr_equal(cpu->fpu_owner, p);
        assert_int_equal(mach_cr0_read() & CR0_TS, 0);
    }
    fpu_forget(cpu, p);
    g->ec->fpu = NULL;
    mem_free(g->f->k->mem, &g->f->k->quota, p, fpu_image_bytes());
    guest_close(g);
}

/* Displaced by an EC with an FPU, then kicked: it is back without another entry, and sees nothing of those registers. */
static void kicked_after_another_ones_fpu(void **state)
{
    struct guest *g = open_quiet(state);
    struct cpu *const cpu = fixture_cpu(g->f, 0);
    void *p;
    assert_int_equal(mem_alloc(g->f->k->mem, &g->f->k->quota, fpu_image_bytes(), &p), OK);
    fpu_image_init(p);
    guest_enter(g, 0);
    fpu_switch(cpu, p);
    vcpu_kick(cpu, g->v);
    fixture_run(g->f, 0);
    assert_false(guest_inside(g));
    assert_int_equal(g->s->exit.reason, VCPU_EXIT_KICKED);
    assert_int_equal(mach_cr0_read() & CR0_TS, CR0_TS);
    fpu_forget(cpu, p);
    mem_free(g->f->k->mem, &g->f->k->quota, p, fpu_image_bytes());
    guest_close(g);
}

/* ---- Every test on both vendors ---- */

GUEST_GROUP(vcpu_short, GUEST_TEST(its_image_is_not_loaded), GUEST_TEST(the_fpu_is_on), GUEST_TEST(xcr0_is_another_ones),
            GUEST_TEST(its_memory_is_not_announced), GUEST_TEST(a_flush_is_asked_for), GUEST_TEST(it_is_kicked), GUEST_TEST(another_ec_is_wanted),
            GUEST_TEST(another_ec_is_wanted_at_the_exit), GUEST_TEST(the_vmm_has_an_fpu),
            GUEST_TEST(kicked_after_another_ones_fpu));
