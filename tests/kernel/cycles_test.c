/* SPDX-License-Identifier: BSD-2-Clause */
/* Does anything grow, or run out, when objects of each kind come and go for long? CYCLES cycles each (environment; 100 else): the books after the first
 * hundredth are those at the end, to the byte. vCPUs run each time: there are fewer VPIDs and ASIDs than cycles, so these must be used again. */
#include "guest_fixture.h"
#include <stdlib.h>
#include "kernel_fixture_sim.h"

enum { PD = 300, EC, SC, HANDLER, PORTAL, SM, VCPU, COPY, IDLE };
#define UTCB  0x40000000ul
#define STATE 0x50000000ul
#define PAGE  (FIXTURE_MEMORY >> PAGE_BITS)

static u64 cycles(void)
{
    const char *const text = getenv("CYCLES");
    return text ? strtoul(text, NULL, 0) : 100;
}

#define DO(g, ...) assert_int_equal(fixture_call((g)->f, (g)->ec, __VA_ARGS__), OK)

static void end(struct guest *g, u64 first, u64 count)
{
    DO(g, HYPERCALL_revoke, FIXTURE_SEL_PD, first, REVOKE(count, SPACE_OBJECT), REVOKE_SELF);
}

static void thread(struct guest *g)
{
    DO(g, HYPERCALL_ec_create, FIXTURE_SEL_PD, EC, UTCB, 0, 0, EC_CONFIG(0, EC_GLOBAL | EC_FPU, 0));
    DO(g, HYPERCALL_sc_create, FIXTURE_SEL_PD, SC, EC, 1, 1000);
    end(g, EC, 2);
}

static void thread_elsewhere(struct guest *g)
{
    DO(g, HYPERCALL_ec_create, FIXTURE_SEL_PD, EC, UTCB, 0, 0, EC_CONFIG(1, EC_GLOBAL, 0));
    DO(g, HYPERCALL_sc_create, FIXTURE_SEL_PD, SC, EC, 1, 1000);
    end(g, EC, 2);
    fixture_interrupts(g->f);
}

static void time(struct guest *g)
{
    DO(g, HYPERCALL_sc_create, FIXTURE_SEL_PD, SC, IDLE, 1, 1000);
    end(g, SC, 1);
}

static void handler(struct guest *g)
{
    DO(g, HYPERCALL_ec_create, FIXTURE_SEL_PD, HANDLER, UTCB, 0, 0, EC_CONFIG(0, EC_LOCAL, 0));
    DO(g, HYPERCALL_portal_create, FIXTURE_SEL_PD, PORTAL, HANDLER, 0x1000, 1);
    end(g, HANDLER, 2);
}

static void semaphore(struct guest *g)
{
    DO(g, HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 1);
    end(g, SM, 1);
}

static void capability(struct guest *g)
{
    DO(g, HYPERCALL_delegate, FIXTURE_SEL_PD, FIXTURE_SEL_PD, GUEST_SEL_EC, COPY, DELEGATE(1, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT));
    end(g, COPY, 1);
}

static void memory(struct guest *g)
{
    DO(g, HYPERCALL_delegate, FIXTURE_SEL_PD, FIXTURE_SEL_PD, PAGE, 0x12345, DELEGATE(3, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY));
    DO(g, HYPERCALL_delegate, FIXTURE_SEL_PD, FIXTURE_SEL_PD, 0x12345, 7, DELEGATE(2, RIGHT_R, SPACE_MEMORY, SPACE_GUEST));
    DO(g, HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, REVOKE(3, SPACE_MEMORY), 0);
}

/* The lives before this one have used up all tags so many times. */
static void tag_check(struct guest *g)
{
    struct object *o;
    const struct virt_cpu *const c = &g->f->k->cpu[0]->virt;
    assert_int_equal(space_obj_lookup(&g->f->pd->objects, VCPU, OBJ_VCPU, 0, &o), OK);
    assert_in_range(container_of(o, struct vcpu, object)->tag, 1, c->tag_limit);
    assert_true(c->tag_epoch > g->arg++ / c->tag_limit);
}

/* Made, run to its first exit, gone. */
static void vcpu(struct guest *g)
{
    DO(g, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, VCPU, 0, STATE);
    DO(g, HYPERCALL_vcpu_run, VCPU);
    fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, VCPU);
    assert_true(guest_step(g));
    assert_false(guest_inside(g));
    tag_check(g);
    end(g, VCPU, 1);
}

/* A domain that ends with all it has. */
static void domain(struct guest *g)
{
    DO(g, HYPERCALL_pd_create, FIXTURE_SEL_PD, PD, 1 << 18, 0);
    DO(g, HYPERCALL_ec_create, PD, EC, UTCB, 0, 0, EC_CONFIG(0, EC_GLOBAL, 0));
    DO(g, HYPERCALL_sc_create, PD, SC, EC, 1, 1000);
    DO(g, HYPERCALL_sm_create, PD, SM, 1);
    DO(g, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, PAGE, 0x12345, DELEGATE(2, RIGHT_R, SPACE_MEMORY, SPACE_GUEST));
    DO(g, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, GUEST_SEL_EC, 5, DELEGATE(1, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT));
    end(g, PD, SM - PD + 1);
}

static void flat(enum sim_vendor vendor, void (*cycle)(struct guest *g))
{
    struct guest *const g = guest_open_cpus(2, vendor);
    const u64 count = cycles();
    struct fixture_books early = { 0 };
    if (count > 1000)
        fixture_sim_unwatched(g->f->sim);   /* its histories would grow and grow */
    fixture_ec(g->f, 0, g->f->pd, EC_GLOBAL, IDLE);
    fixture_run(g->f, 0);
    for (u64 i = 0; i < count; i++) {
        if (i == count / 100)
            early = fixture_books(g->f);
        cycle(g);
        fixture_settle(g->f);
    }
    fixture_balanced(g->f, early);
    guest_close(g);
}

#define KIND(what)                          \
    static void what##_cycles(void **state) \
    {                                       \
        flat(VENDOR(state), what);          \
    }
KIND(domain)
KIND(thread)
KIND(thread_elsewhere)
KIND(time)
KIND(handler)
KIND(semaphore)
KIND(capability)
KIND(memory)
KIND(vcpu)

#define T(what, vendor) { #what, what##_cycles, NULL, NULL, (void *)(u64)SIM_##vendor }
#define ALL(vendor)                                                                                                                      \
    T(domain, vendor), T(thread, vendor), T(thread_elsewhere, vendor), T(time, vendor), T(handler, vendor), T(semaphore, vendor),         \
            T(capability, vendor), T(memory, vendor), T(vcpu, vendor)
TEST_GROUP(cycles_svm, ALL(SVM));
TEST_GROUP(cycles_vmx, ALL(VMX));
