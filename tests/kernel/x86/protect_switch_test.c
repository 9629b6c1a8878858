/* SPDX-License-Identifier: BSD-2-Clause */
/* What does each way out of the kernel cost in commands against speculation: is every one given that is needed, and none more? Each test runs on the
 * simulated VMX and on the simulated SVM. */
#include "protect.h"
#include "machine_model.h"
#include "guest_fixture.h"

#define SEL_OTHER_VCPU 310u
#define SEL_HANDLER    320u
#define SEL_PD         330u
#define SEL_FAR        340u
#define VECTOR         3u

struct cost {
    u64 barriers, clears, flushes;
};

static struct guest *open(enum sim_vendor vendor, u32 allowed)
{
    struct guest *const g = guest_open(vendor);
    struct sim_profile *const p = &g->f->sim->profile;
    p->ibpb = p->md_clear = p->l1d_flush = true;
    g->f->k->boot.protect = allowed;
    protect_cpu_init(fixture_cpu(g->f, 0));
    guest_fetch(g, VCPU_GROUP_FPU);   /* the host's XCR0: there is nothing to be done for it */
    g->s->xcr0 = mach_xgetbv();
    return g;
}

static struct cost cost_now(const struct guest *g)
{
    const struct sim_cpu *const c = &g->f->sim->cpu[0];
    return (struct cost){ c->barriers, c->buffer_clears, c->l1d_flushes };
}

/* Since the last look. */
static void costs(const struct guest *g, struct cost *last, u64 barriers, u64 clears, u64 flushes)
{
    const struct cost now = cost_now(g);
    assert_int_equal(now.barriers - last->barriers, barriers);
    assert_int_equal(now.clears - last->clears, clears);
    assert_int_equal(now.flushes - last->flushes, flushes);
    *last = now;
}

static void calls_and_exceptions(void **state)
{
    struct guest *const g = open(VENDOR(state), PROTECT_ALL);
    struct fixture *const f = g->f;
    struct pd *const other = fixture_pd(f, 1ul << 20, SEL_PD);
    struct ec *const near = fixture_handler(f, 0, f->pd, SEL_HANDLER), *const far = fixture_handler(f, 0, other, SEL_FAR);
    struct cost last = cost_now(g);
    fixture_call(f, g->ec, HYPERCALL_null);
    costs(g, &last, 0, 1, 0);
    fixture_call(f, g->ec, HYPERCALL_call, SEL_HANDLER + 1, 0);
    assert_ptr_equal(f->resumed[0], &near->resume);
    costs(g, &last, 0, 1, 0);
    fixture_call(f, near, HYPERCALL_reply, 0);
    costs(g, &last, 0, 1, 0);
    fixture_call(f, g->ec, HYPERCALL_call, SEL_FAR + 1, 0);
    assert_ptr_equal(f->resumed[0], &far->resume);
    costs(g, &last, 1, 1, 0);
    fixture_call(f, far, HYPERCALL_reply, 0);
    costs(g, &last, 1, 1, 0);
    u64 done;
    assert_int_equal(space_obj_delegate(&f->pd->objects, SEL_FAR + 1, &f->pd->objects, g->ec->event_base + VECTOR, 1, PERM_ALL, &done), OK);
    fixture_trap(f, 0, TRAP(TRAP_EXCEPTION, VECTOR), 0);
    assert_ptr_equal(f->resumed[0], &far->resume);
    costs(g, &last, 1, 1, 0);
    fixture_call(f, far, HYPERCALL_reply, 0);
    costs(g, &last, 1, 1, 0);
    guest_close(g);
}

static void guests(void **state)
{
    struct guest *const g = open(VENDOR(state), PROTECT_ALL);
    struct cost last = cost_now(g);
    guest_run(g, VCPU_GROUP_FPU);
    costs(g, &last, 1, 2, 1);   /* another one than before; into the guest, back to the VMM */
    guest_run(g, 0);
    costs(g, &last, 0, 2, 1);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, SEL_OTHER_VCPU, 0, GUEST_STATE + 0x10000), OK);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, SEL_OTHER_VCPU), OK);   /* started, not entered */
    costs(g, &last, 0, 2, 0);
    fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, SEL_OTHER_VCPU);
    assert_true(guest_inside(g));
    costs(g, &last, 1, 1, 1);
    while (guest_inside(g))
        guest_step(g);
    last = cost_now(g);
    guest_run(g, 0);
    costs(g, &last, 1, 2, 1);
    vcpu_kick(fixture_cpu(g->f, 0), g->v);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);   /* not entered either */
    costs(g, &last, 0, 1, 0);
    guest_close(g);
}

static void what_is_switched_off_is_not_done(void **state)
{
    for (u32 allowed = 0; allowed <= PROTECT_ALL; allowed++) {
        struct guest *const g = open(VENDOR(state), allowed);
        struct cost last = cost_now(g);
        guest_run(g, VCPU_GROUP_FPU);
        costs(g, &last, allowed & PROTECT_IBPB ? 1 : 0, allowed & PROTECT_VERW ? 2 : 0, allowed & PROTECT_L1D ? 1 : 0);
        guest_close(g);
    }
}

GUEST_GROUP(protect_switch, GUEST_TEST(calls_and_exceptions), GUEST_TEST(guests), GUEST_TEST(what_is_switched_off_is_not_done));
