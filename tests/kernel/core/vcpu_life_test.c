/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a vCPU whole from its creation to its end: never half of one, nothing left of it, kicked by whoever may, and silent when it does not run? */
#include "vcpu.h"
#include "apic.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "kernel_fixture_sim.h"

enum { PD = 300, VMM = 310, NEW = 320, PORTALS = 330 };
#define STATE 0x30000000ul

#define VCPU(name, vendor) { #name "_" #vendor, name, NULL, NULL, (void *)(u64)SIM_##vendor }
#define BOTH(name)         VCPU(name, VMX), VCPU(name, SVM)

static enum sim_vendor vendor_of(void **state)
{
    return (enum sim_vendor)(u64)*state;
}

static struct vcpu *vcpu_at(struct fixture *f, u64 selector)
{
    struct object *o;
    assert_int_equal(space_obj_lookup(&f->pd->objects, selector, OBJ_VCPU, 0, &o), OK);
    return container_of(o, struct vcpu, object);
}

/* Whatever allocation fails: the status says so, or all parts are there. */
static void half_a_vcpu(void **state)
{
    struct fixture *f = fixture_open(1, vendor_of(state));
    struct ec *const ec = fixture_thread(f, 0, f->pd, 10, 100);
    u64 status = STATUS_MEMORY;
    fixture_run(f, 0);
    for (u64 n = 1; status != OK; n++) {
        assert_true(n < 20);
        sim_unit_fail(f->sim, n);
        status = fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, 0, STATE);
        sim_unit_fail(f->sim, 0);
        assert_true(status == OK || status == STATUS_MEMORY);
        assert_true(status == STATUS_MEMORY || n > 5);   /* guest space, vCPU, two state areas, FPU image, VMCS or VMCB */
    }
    const struct vcpu *const v = vcpu_at(f, NEW);
    assert_true(v->hw && v->state && v->copy && v->fpu);
    assert_ptr_equal(v->space, &f->pd->guest);
    assert_int_not_equal(f->pd->guest.ptab.root, 0);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW + 1, 0, STATE + 4 * PAGE_SIZE), OK);
    assert_int_not_equal(v->id, vcpu_at(f, NEW + 1)->id);
    fixture_close(f);
}

static void a_cpu_that_cannot(void **state)
{
    struct fixture *f = fixture_open(2, vendor_of(state));
    struct ec *const ec = fixture_thread(f, 0, f->pd, 10, 100);
    fixture_run(f, 0);
    f->k->cpu[1]->virt.region = 0;
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, 1, STATE), STATUS_FEATURE);
    atomic_and(&f->k->cpus_online, ~bit(1));
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, 1, STATE), STATUS_CPU);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, bit(32), STATE), STATUS_CPU);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, 64, STATE), STATUS_CPU);
    fixture_close(f);
}

static void before_the_first_run(void **state)
{
    struct fixture *f = fixture_open(1, vendor_of(state));
    struct ec *const ec = fixture_thread(f, 0, f->pd, 10, 100);
    fixture_run(f, 0);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, 0, STATE), OK);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_fetch, NEW, VCPU_GROUP_RIP), STATUS_BUSY);
    fixture_close(f);
}

static void groups_nobody_has(void **state)
{
    struct guest *g = guest_open(SIM_SVM);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, VCPU_GROUP_PDPTE), STATUS_FEATURE);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, VCPU_GROUP_ALL + 1), STATUS_ARG);
    guest_close(g);
}

static void the_fpu_begins_in_its_reset_state(void **state)
{
    struct guest *g = guest_open(vendor_of(state));
    guest_fetch(g, VCPU_GROUP_FPU);
    assert_int_equal(*(const u16 *)g->s->fpu, 0x37f);             /* FCW */
    assert_int_equal(*(const u32 *)(g->s->fpu + 24), 0x1f80);     /* MXCSR */
    assert_int_equal(g->s->xcr0, 1);
    guest_close(g);
}

/* A VMM in a domain of its own: when the vCPU is gone, so is the domain. */
static void nothing_holds_the_vmm(void **state)
{
    struct fixture *f = fixture_open(1, vendor_of(state));
    struct fixture_books before = fixture_books(f);
    struct pd *const vmm = fixture_pd(f, 2 << 20, VMM);
    struct ec *const ec = fixture_thread(f, 0, vmm, 10, VMM + 2);
    u64 done;
    assert_int_equal(space_obj_delegate(&f->pd->objects, VMM, &vmm->objects, 1, 1, PERM_ALL, &done), OK);
    fixture_run(f, 0);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_pd_create, 1, 2, 1 << 20, 0), OK);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_create, 2, 3, 0, STATE), OK);
    assert_int_equal(fixture_call(f, ec, HYPERCALL_vcpu_run, 3), OK);
    assert_int_equal(space_obj_revoke(fixture_cpu(f, 0), &f->pd->objects, VMM, 4, true), OK);
    fixture_balanced(f, before);
    fixture_close(f);
}

/* The result of the hypercall is written, whatever stood in the register. */
static void the_result_of_a_run(void **state)
{
    struct guest *g = guest_open(vendor_of(state));
    g->ec->resume.gpr[RAX] = 0x77;
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->ec->resume.gpr[RAX], OK);
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_kick, GUEST_SEL_VCPU), OK);
    g->ec->resume.gpr[RAX] = 0x77;
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

/* Kicks of another CPU: one interrupt for many, none if nothing runs. */
static void kicks_interrupt_who_runs_only(void **state)
{
    struct guest *g = guest_open_cpus(2, vendor_of(state));
    struct cpu *const other = g->f->k->cpu[1];
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    fixture_interrupts(g->f);
    vcpu_kick(fixture_cpu(g->f, 1), g->v);
    assert_int_equal(fixture_sim_interrupt(g->f->sim, 0), 0);
    fixture_cpu(g->f, 0);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    fixture_cpu(g->f, 0);
    guest_enter(g, 0);
    vcpu_kick(fixture_cpu(g->f, 1), g->v);
    assert_int_equal(fixture_sim_interrupt(g->f->sim, 0), VECTOR_IPI);
    apic_eoi(fixture_cpu(g->f, 0));
    vcpu_kick(fixture_cpu(g->f, 1), g->v);
    vcpu_kick(other, g->v);
    assert_int_equal(fixture_sim_interrupt(g->f->sim, 0), 0);
    fixture_trap(g->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_false(guest_inside(g));
    assert_int_equal(g->s->exit.reason, VCPU_EXIT_KICKED);
    guest_close(g);
}

/* Its guest would run for ever, and nobody is left who may kick it. */
static void the_end_of_a_vcpu_ends_its_run(void **state)
{
    struct guest *g = guest_open(vendor_of(state));
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_int_equal(space_obj_revoke(fixture_cpu(g->f, 0), &g->f->pd->objects, GUEST_SEL_VCPU, 1, true), OK);
    fixture_settle(g->f);
    assert_false(guest_inside(g));
    assert_int_equal(g->ec->resume.gpr[RAX], STATUS_ABORT);
    assert_ptr_equal(g->f->resumed[0], &g->ec->resume);
    guest_close(g);
}

/* The guest goes on, then its EC is killed: what the next one writes counts, though it stood in the state page before. */
static void goes_on(struct guest *g, struct sim_guest *guest)
{
    guest->gpr[RSP] = 0x5000;
    guest->rflags |= RFLAGS_IF;
}

static void the_next_ec_writes(void **state)
{
    struct guest *g = guest_open(vendor_of(state));
    guest_fetch(g, VCPU_GROUP_GPR | VCPU_GROUP_RIP);
    g->s->gpr[RSP] = 0x4000;
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR), VCPU_EXIT_HYPERCALL);
    g->before = goes_on;
    guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 0, .gpr = RAX } });   /* handled by the kernel */
    guest_enter(g, 0);
    assert_true(guest_step(g));
    assert_true(guest_inside(g));
    ec_kill(fixture_cpu(g->f, 0), g->ec);
    g->ec = fixture_thread(g->f, 0, g->f->pd, 10, NEW);
    fixture_run(g->f, 0);
    g->before = NULL;
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR | VCPU_GROUP_RIP), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.gpr[RSP], 0x4000);
    assert_int_equal(g->seen.rflags & RFLAGS_IF, 0);
    guest_close(g);
}

/* It is killed before an exception that goes back to the guest is there: that is not lost. The next run delivers it, or says that it could not. */
static void what_is_pending_outlives_the_ec(void **state)
{
    for (u32 refused = 0; refused < 2; refused++) {
        struct guest *g = guest_open(vendor_of(state));
        guest_does(g, (struct engine_event){ .kind = EVENT_EXCEPTION, .vector = VECTOR_AC });
        guest_enter(g, 0);
        assert_true(guest_step(g));
        assert_true(guest_inside(g));
        const u64 event = g->v->inject;
        assert_int_equal(event & 0xffffffff & ~VCPU_EVENT_ERROR, VCPU_EVENT_EXCEPTION(VECTOR_AC));
        ec_kill(fixture_cpu(g->f, 0), g->ec);
        g->ec = fixture_thread(g->f, 0, g->f->pd, 10, NEW);
        fixture_run(g->f, 0);
        guest_fetch(g, VCPU_GROUP_CR);
        g->s->cr8 = refused ? 16 : g->s->cr8;
        assert_int_equal(guest_run(g, VCPU_GROUP_CR), refused ? VCPU_EXIT_ENTRY_FAILED : VCPU_EXIT_HYPERCALL);
        assert_int_equal(refused ? g->s->pending : g->seen.event, event);
        g->s->cr8 = 0;
        assert_int_equal(guest_run(g, VCPU_GROUP_CR), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.event, 0);   /* once */
        assert_int_equal(g->s->pending, 0);
        guest_close(g);
    }
}

/* Another CPU runs on the same guest memory: this one is announced all the same before it enters. */
static void two_cpus_on_one_memory(void **state)
{
    struct guest *g = guest_open(vendor_of(state));
    atomic_store(&g->v->space->cpus, bit(5));
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    assert_int_equal(atomic_load(&g->v->space->cpus), bit(5) | bit(0));
    guest_close(g);
}

/* A thread of the VMM on CPU 1 may translate to the state pages: every epoch is over, and they stay until it cannot any more. */
static void state_pages_wait_for_the_flush(void **state)
{
    struct guest *g = guest_open_cpus(2, vendor_of(state));
    g->f->by_hand = true;
    struct fixture *const f = g->f;
    fixture_thread(f, 1, f->pd, 10, NEW);
    fixture_run(f, 1);
    /* A neighbour: the table above stays, which else would wait for the flush itself, at the head of the queue. */
    assert_int_equal(space_mem_insert(&f->pd->memory, (GUEST_STATE >> PAGE_BITS) + 16, f->frame + FIXTURE_PAGES, 1, RIGHT_R), OK);
    assert_int_equal(space_obj_revoke(fixture_cpu(f, 0), &f->pd->objects, GUEST_SEL_VCPU, 1, true), OK);
    for (u32 i = 0; i < 10; i++)
        for (u32 n = 0; n < 2; n++)
            epoch_quiesce(fixture_cpu(f, n));
    assert_true(atomic_load(&f->k->cpu[1]->tlb.requested) > atomic_load(&f->k->cpu[1]->tlb.done));
    const u64 used = atomic_load(&f->pd->quota.used);
    tlb_handle(fixture_cpu(f, 1));
    epoch_quiesce(fixture_cpu(f, 0));
    assert_true(atomic_load(&f->pd->quota.used) <= used - sizeof(struct vcpu) - 2 * sizeof(struct vcpu_state));
    guest_close(g);
}

/* What is to be released does not wait for the end of a guest that exits and exits. */
static u32 released;
static void release(struct cpu *cpu, struct epoch_item *item)
{
    released++;
}

static struct epoch_item item;
static void defer(struct guest *g, struct sim_guest *guest)
{
    item = (struct epoch_item){ .release = release };
    if (!g->arg++)
        epoch_defer(fixture_cpu(g->f, 0), &item, 0);
}

static void an_exit_ends_an_epoch(void **state)
{
    struct guest *g = guest_open(vendor_of(state));
    released = 0;
    g->before = defer;
    guest_enter(g, 0);
    assert_true(guest_step(g));
    assert_int_equal(released, 1);
    g->before = NULL;
    guest_close(g);
}

TEST_GROUP(vcpu_life, BOTH(half_a_vcpu), BOTH(a_cpu_that_cannot), BOTH(before_the_first_run), VCPU(groups_nobody_has, SVM),
           BOTH(the_fpu_begins_in_its_reset_state), BOTH(nothing_holds_the_vmm), BOTH(the_result_of_a_run), BOTH(kicks_interrupt_who_runs_only),
           BOTH(an_exit_ends_an_epoch), BOTH(the_end_of_a_vcpu_ends_its_run), BOTH(the_next_ec_writes),
           BOTH(what_is_pending_outlives_the_ec),
           BOTH(two_cpus_on_one_memory), BOTH(state_pages_wait_for_the_flush));
