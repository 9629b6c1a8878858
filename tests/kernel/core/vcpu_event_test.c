/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of events, kicks and windows? Is anything lost, delivered twice, or left behind? Each test runs on the simulated VMX and
 * on the simulated SVM. */
#include "vcpu.h"
#include <string.h>
#include "abi/vcpu_groups.h"
#include "apic.h"
#include "arch/x86.h"
#include "fpu.h"
#include "guest_fixture.h"
#include "kernel_fixture_sim.h"

/* ---- Events ---- */

static void inject(struct guest *g, u64 event, u32 len)
{
    g->s->inject = event;
    g->s->inject_insn_len = len;
    g->s->windows = 0;
}

static const struct {
    u64 event;
    u32 len;
} events[] = {
    { VCPU_EVENT_INTERRUPT(0x30), 0 }, { VCPU_EVENT_NMI, 0 },           { VCPU_EVENT_EXCEPTION(VECTOR_UD), 0 },
    { VCPU_EVENT_EXCEPTION(VECTOR_GP) | VCPU_EVENT_ERROR | 0x12ul << 32, 0 }, { VCPU_EVENT_VALID | 0x480, 2 },
    { VCPU_EVENT_VALID | 0x603, 1 },   { VCPU_EVENT_VALID | 0x501, 1 },
};

/* An interrupt needs IF; an error code, protected mode. */
static void interruptible(struct guest *g)
{
    guest_fetch(g, VCPU_GROUP_ALL & ~VCPU_GROUP_PDPTE);
    g->s->rflags = 0x202;
    g->s->rip = 0x1000;
    g->s->cr0 = CR0_ET | CR0_PE | CR0_NE;
}
#define INTERRUPTIBLE (VCPU_GROUP_RIP | VCPU_GROUP_CR)

static void event_is_delivered(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < array_size(events); i++) {
        interruptible(g);
        inject(g, events[i].event, events[i].len);
        g->s->interruptibility = 0;
        assert_int_equal(guest_run(g, INTERRUPTIBLE | VCPU_GROUP_INJECT | VCPU_GROUP_ACTIVITY), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.event & 0xff, events[i].event & 0xff);
        assert_int_equal(g->seen.event >> 32, events[i].event >> 32);
        assert_int_equal(g->s->pending, 0);
        if ((events[i].event >> 8 & 7) == 4)
            assert_int_equal(g->seen.rip, 0x1000 + events[i].len);   /* what INT n pushes */
        assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->seen.event, 0);   /* once only */
    }
    guest_close(g);
}

/* Rule 4: a nested fault while it is delivered; pending is what was asked for, and RIP has not moved. */
static void undelivered_event_is_pending(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < array_size(events); i++) {
        interruptible(g);
        inject(g, events[i].event, events[i].len);
        g->s->interruptibility = 0;
        g->s->want = VCPU_GROUP_ACTIVITY;
        g->keep_event = true;
        guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_W });
        assert_int_equal(guest_run(g, INTERRUPTIBLE | VCPU_GROUP_INJECT | VCPU_GROUP_ACTIVITY), VCPU_EXIT_MMIO);
        assert_int_equal(g->s->interruptibility, 0);   /* an NMI that was not delivered blocks none */
        assert_int_equal(g->s->pending, events[i].event);
        assert_int_equal(g->s->rip, 0x1000);
        g->keep_event = false;
        inject(g, g->s->pending, events[i].len);   /* and again: now it goes through */
        assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->s->pending, 0);
    }
    guest_close(g);
}

/* The guest's own INT n that faults is executed again: RIP stands at it, nothing is pending. A fault of its own is. */
static void own_int_is_not_pending(struct guest *g, struct sim_guest *guest)
{
    guest->event = g->arg;
}

static void event_of_the_guest_itself(void **state)
{
    static const struct {
        u64 event, pending;
    } own[] = { { VCPU_EVENT_VALID | 0x480, 0 },
                { VCPU_EVENT_EXCEPTION(VECTOR_PF) | VCPU_EVENT_ERROR | 2ul << 32, VCPU_EVENT_EXCEPTION(VECTOR_PF) | VCPU_EVENT_ERROR | 2ul << 32 },
                { VCPU_EVENT_EXCEPTION(VECTOR_DE), VCPU_EVENT_EXCEPTION(VECTOR_DE) } };
    struct guest *g = guest_open(VENDOR(state));
    g->before = own_int_is_not_pending;
    g->keep_event = true;
    for (u32 i = 0; i < array_size(own); i++) {
        g->arg = own[i].event;
        guest_does(g, (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = 0x9000, .access = RIGHT_W });
        assert_int_equal(guest_run(g, 0), VCPU_EXIT_MMIO);
        assert_int_equal(g->s->pending, own[i].pending);
    }
    guest_close(g);
}

/* A host interrupt in the middle of a delivery: nobody but the kernel sees it, and the event is delivered after all. */
static void interrupt_during_delivery(struct guest *g, struct sim_guest *guest)
{
    g->keep_event = g->entries == 1;
    if (g->entries == 1)
        guest_sim_interrupt(g->f->sim, 0, VECTOR_IPI);
}

static void event_survives_a_host_interrupt(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    g->before = interrupt_during_delivery;
    for (u32 i = 0; i < array_size(events); i++) {
        interruptible(g);
        inject(g, events[i].event, events[i].len);
        g->s->interruptibility = 0;
        guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 0, .gpr = RAX } });   /* handled by the kernel */
        assert_int_equal(guest_run(g, INTERRUPTIBLE | VCPU_GROUP_INJECT | VCPU_GROUP_ACTIVITY), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->entries, 2);
        assert_int_equal(g->seen.event & 0xff, events[i].event & 0xff);   /* in the second entry again */
        assert_int_equal(g->seen.event >> 32, events[i].event >> 32);
        assert_int_equal(g->s->pending, 0);
        fixture_interrupts(g->f);
    }
    guest_close(g);
}

/* An interrupt of the host is taken by the host; the guest never notices. */
static void host_interrupt(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 1)
        guest_sim_interrupt(g->f->sim, 0, VECTOR_IPI);
}

static void host_interrupt_is_taken(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    g->before = host_interrupt;
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->entries, 2);
    assert_int_equal(fixture_sim_interrupt(g->f->sim, 0), 0);
    guest_close(g);
}

/* ---- Kicks ---- */

static u64 kick(struct guest *g)
{
    vcpu_kick(fixture_cpu(g->f, 0), g->v);
    return 0;
}

static void kick_before_a_run(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    interruptible(g);
    kick(g);
    kick(g);   /* coalesces */
    inject(g, VCPU_EVENT_INTERRUPT(0x40), 0);
    assert_int_equal(guest_run(g, INTERRUPTIBLE | VCPU_GROUP_INJECT), VCPU_EXIT_KICKED);
    assert_int_equal(g->entries, 0);
    assert_int_equal(g->s->pending, VCPU_EVENT_INTERRUPT(0x40));   /* not lost */
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, 0);
    guest_close(g);
}

static void kick_in_the_guest(struct guest *g, struct sim_guest *guest)
{
    g->before = NULL;
    vcpu_kick(g->f->k->cpu[0], g->v);
}

/* The run ends for another reason: the kick stays for the next one. */
static void kick_is_sticky(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    g->before = kick_in_the_guest;
    guest_does(g, (struct engine_event){ .kind = EVENT_CPUID });
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_CPUID);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    guest_close(g);
}

static void kick_from_another_cpu(void **state)
{
    struct guest *g = guest_open_cpus(2, VENDOR(state));
    struct cpu *other = fixture_cpu(g->f, 1);
    vcpu_kick(other, g->v);
    assert_int_equal(fixture_sim_interrupt(g->f->sim, 0), 0);   /* it does not run: no IPI */
    fixture_cpu(g->f, 0);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    guest_enter(g, 0);
    assert_true(guest_inside(g));
    vcpu_kick(fixture_cpu(g->f, 1), g->v);
    for (u32 n = 0; n < 10 && guest_inside(g); n++)
        guest_step(g);   /* the IPI is pending: exits before the first instruction */
    assert_false(guest_inside(g));
    assert_int_equal(g->entries, 0);
    assert_int_equal(g->s->exit.reason, VCPU_EXIT_KICKED);
    guest_close(g);
}

/* On the way into the guest, and out of it without an exit: its FPU registers are not the VMM's. */
static void kick_leaves_no_fpu(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    guest_enter(g, 0);
    assert_ptr_equal(g->f->k->cpu[0]->fpu_owner, g->v->fpu);
    assert_int_equal(mach_cr0_read() & CR0_TS, CR0_TS);   /* the guest has a CR0 of its own */
    kick(g);
    fixture_run(g->f, 0);
    assert_false(guest_inside(g));
    assert_int_equal(g->s->exit.reason, VCPU_EXIT_KICKED);
    assert_int_equal(mach_cr0_read() & CR0_TS, CR0_TS);
    guest_close(g);
}

/* ---- Windows ---- */

static void window_is_open_at_once(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    interruptible(g);
    inject(g, 0, 0);
    g->s->windows = VCPU_WINDOW_INTR;
    assert_int_equal(guest_run(g, INTERRUPTIBLE | VCPU_GROUP_INJECT), VCPU_EXIT_INTR_WINDOW);
    assert_int_equal(g->entries, 0);
    g->s->windows = VCPU_WINDOW_NMI;
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_NMI_WINDOW);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);   /* a level: not asked for again */
    guest_close(g);
}

static void sti(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 2)
        guest->rflags |= RFLAGS_IF;
}

static void window_opens_later(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    inject(g, 0, 0);
    g->s->windows = VCPU_WINDOW_INTR;
    g->before = sti;
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_INTR_WINDOW);
    assert_int_equal(g->entries, 2);
    guest_close(g);
}

/* NMIs are blocked from the injection to the IRET; the engine says when that is executed. */
static void iret(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 1)
        return;
    guest->interruptibility &= ~VCPU_BLOCKED_NMI;
    guest->rip = 0x2000 + g->entries;
}

static void nmi_window_after_iret(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    interruptible(g);
    inject(g, VCPU_EVENT_NMI, 0);
    g->s->windows = VCPU_WINDOW_NMI;
    g->before = iret;
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    if (g->vendor == SIM_SVM) {
        guest_does(g, (struct engine_event){ .kind = EVENT_OTHER_INSN, .info = 0xcf });
        guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 0, .gpr = RAX } });   /* any later exit */
    } else {
        guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    }
    assert_int_equal(guest_run(g, INTERRUPTIBLE | VCPU_GROUP_INJECT), VCPU_EXIT_NMI_WINDOW);
    assert_int_equal(g->s->interruptibility & VCPU_BLOCKED_NMI, 0);
    assert_true(g->entries >= 2);
    guest_close(g);
}

/* ---- Every test on both vendors ---- */

GUEST_GROUP(vcpu_event, GUEST_TEST(event_is_delivered), GUEST_TEST(undelivered_event_is_pending), GUEST_TEST(event_of_the_guest_itself),
            GUEST_TEST(event_survives_a_host_interrupt), GUEST_TEST(host_interrupt_is_taken), GUEST_TEST(kick_before_a_run),
            GUEST_TEST(kick_is_sticky), GUEST_TEST(kick_from_another_cpu), GUEST_TEST(kick_leaves_no_fpu),
            GUEST_TEST(window_is_open_at_once), GUEST_TEST(window_opens_later), GUEST_TEST(nmi_window_after_iret));
