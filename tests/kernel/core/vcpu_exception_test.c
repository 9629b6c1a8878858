/* SPDX-License-Identifier: BSD-2-Clause */
/* #AC and #DB always exit, because their delivery can raise them again without end. Does a guest whose VMM did not ask for them see what it would
 * see without an exit, does the VMM see nothing, and does the host get its interrupts? Each test runs on the simulated VMX and on the simulated
 * SVM. */
#include "vcpu.h"
#include "abi/vcpu_groups.h"
#include "apic.h"
#include "arch/x86.h"
#include "guest_fixture.h"
#include "kernel_fixture_sim.h"
#include "virt_x86.h"

#define RIP           0x1000ul
#define AC_EVENT      (VCPU_EVENT_EXCEPTION(VECTOR_AC) | VCPU_EVENT_ERROR)
#define DB_EVENT      VCPU_EVENT_EXCEPTION(VECTOR_DB)
#define GROUPS        (VCPU_GROUP_RIP | VCPU_GROUP_CR | VCPU_GROUP_DR | VCPU_GROUP_ACTIVITY | VCPU_GROUP_INJECT)

static const struct engine_event ac = { .kind = EVENT_EXCEPTION, .vector = VECTOR_AC, .error_valid = true };
static const struct engine_event db = { .kind = EVENT_EXCEPTION, .vector = VECTOR_DB, .info = DR6_BS | 1 };

/* Protected mode, interruptible, nothing injected. */
static void prepare(struct guest *g)
{
    guest_fetch(g, VCPU_GROUP_ALL & ~VCPU_GROUP_PDPTE);
    g->s->rflags = RFLAGS_ONE | RFLAGS_IF;
    g->s->rip = RIP;
    g->s->cr0 = CR0_ET | CR0_PE | CR0_NE;
    g->s->interruptibility = 0;
    g->s->inject = 0;
    g->s->windows = 0;
}

/* ---- What the guest sees ---- */

static void alignment_check_is_given_back(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    prepare(g);
    g->s->interruptibility = VCPU_BLOCKED_STI;
    g->s->rflags |= RFLAGS_TF;   /* with blocking by STI and no pending single step an entry would be refused (26.3.1.5) */
    g->s->pending_debug = g->vendor == SIM_VMX ? DR6_BS : 0;
    g->s->inject = VCPU_EVENT_EXCEPTION(VECTOR_UD);   /* ends that pending step */
    guest_does(g, ac);
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->entries, 2);
    assert_int_equal(g->seen.event, AC_EVENT);   /* error code 0 */
    assert_int_equal(g->seen.rip, RIP);
    assert_int_equal(g->seen.rflags & RFLAGS_RF, RFLAGS_RF);   /* a fault */
    assert_int_equal(g->seen.interruptibility, 0);
    assert_int_equal(g->s->pending, 0);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, 0);   /* once */
    guest_close(g);
}

static void real_mode_has_no_error_code(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    struct engine_event e = ac;
    e.error_valid = false;
    guest_does(g, e);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, VCPU_EVENT_EXCEPTION(VECTOR_AC));
    guest_close(g);
}

static const struct {
    u64 before, cause, after;
} dr6_rows[] = {
    { DR6_INIT, DR6_BS, DR6_INIT | DR6_BS },
    { DR6_INIT | DR6_BD | 6, DR6_BS | 1, DR6_INIT | DR6_BD | DR6_BS | 1 },   /* B0 to B3 are of the last one, the rest stays */
    { DR6_INIT | DR6_BS, DR6_BD, DR6_INIT | DR6_BD | DR6_BS },
};

/* What the simulated processors do not have: causes that DR6 shows as 0, of which RTM is about the last exception only. */
static void causes_that_show_as_0(void **state)
{
    assert_int_equal(virt_dr6(DR6_INIT, DR6_RTM | 2), (DR6_INIT & ~DR6_RTM) | 2);
    assert_int_equal(virt_dr6((DR6_INIT & ~DR6_RTM) | 2, DR6_BS), DR6_INIT | DR6_BS);
    assert_int_equal(virt_dr6(DR6_INIT, DR6_BLD), DR6_INIT & ~DR6_BLD);
    assert_int_equal(virt_dr6(DR6_INIT & ~DR6_BLD, DR6_BS), (DR6_INIT & ~DR6_BLD) | DR6_BS);
    assert_int_equal(virt_dr6(DR6_INIT, 1ul << 12 | 1), DR6_INIT | 1);   /* "enabled breakpoint" of pending debug exceptions is no bit of DR6 */
}

static void debug_exception_is_given_back(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < array_size(dr6_rows); i++) {
        struct engine_event e = db;
        prepare(g);
        g->s->dr6 = dr6_rows[i].before;
        g->s->dr7 = DR7_INIT | DR7_GD | 0x300;   /* LE and GE stay */
        e.info = dr6_rows[i].cause;
        guest_does(g, e);
        assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->entries, 2);
        assert_int_equal(g->seen.event, DB_EVENT);
        guest_fetch(g, VCPU_GROUP_DR);
        assert_int_equal(g->s->dr6, dr6_rows[i].after);
        assert_int_equal(g->seen.dr7, DR7_INIT | 0x300);
        assert_int_equal(g->seen.rflags & RFLAGS_RF, 0);
        assert_int_equal(g->seen.rip, RIP);
        assert_int_equal(g->s->pending, 0);
    }
    guest_close(g);
}

/* Then the handler looks: on VMX its first access exits and loads them. */
static void handler_reads_dr6(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    prepare(g);
    guest_does(g, db);
    for (u32 i = 0; i < 2; i++)
        guest_does(g, (struct engine_event){ .kind = EVENT_MOV_DR, .cr = { .number = 6, .gpr = RBX } });
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.gpr[RBX], DR6_INIT | DR6_BS | 1);
    guest_close(g);
}

/* A trap: RIP is behind it, and DR6 has no cause. */
static void int1_is_given_back(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    const struct engine_event e = { .kind = EVENT_EXCEPTION, .vector = VECTOR_DB, .insn_len = 1 };
    prepare(g);
    g->s->dr6 = DR6_INIT | 3;
    guest_does(g, e);
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, DB_EVENT);
    assert_int_equal(g->seen.rip, RIP + 1);
    guest_fetch(g, VCPU_GROUP_DR);
    assert_int_equal(g->s->dr6, DR6_INIT | 3);
    prepare(g);
    g->s->rip = 0xffffffff;
    guest_does(g, e);
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.rip, 0);   /* 32 bits */
    guest_close(g);
}

/* ---- What the VMM sees ---- */

static void asked_for_is_an_exit(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    const struct engine_event both[] = { ac, db };
    for (u32 i = 0; i < array_size(both); i++) {
        prepare(g);
        assert_int_equal(g->s->exceptions, 0);   /* what the kernel adds does not show */
        g->s->exceptions = 1u << both[i].vector;
        guest_does(g, both[i]);
        assert_int_equal(guest_run(g, GROUPS | VCPU_GROUP_CONTROL), VCPU_EXIT_EXCEPTION);
        assert_int_equal(g->entries, 1);
        assert_int_equal(g->s->exit.u.exception.vector, both[i].vector);
        assert_int_equal(g->s->pending, 0);
        guest_fetch(g, VCPU_GROUP_CONTROL);
        assert_int_equal(g->s->exceptions, 1u << both[i].vector);
        g->s->exceptions = 0;
        guest_does(g, both[i]);
        assert_int_equal(guest_run(g, VCPU_GROUP_CONTROL), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->entries, 2);
    }
    guest_close(g);
}

static void kick(struct guest *g, struct sim_guest *guest)
{
    if (!g->arg++)
        vcpu_kick(g->f->k->cpu[0], g->v);
}

/* The run ends between exit and delivery: rule 4. */
static void kick_finds_it_pending(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    prepare(g);
    g->before = kick;
    guest_does(g, ac);
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_KICKED);
    assert_int_equal(g->s->pending, AC_EVENT);
    g->s->inject = g->s->pending;
    assert_int_equal(guest_run(g, VCPU_GROUP_INJECT), VCPU_EXIT_HYPERCALL);
    assert_int_equal(g->seen.event, AC_EVENT);
    guest_close(g);
}

static void sti(struct guest *g, struct sim_guest *guest)
{
    if (g->entries >= 2)
        guest->rflags |= RFLAGS_IF;
}

/* The exception comes first, the window after it. */
static void window_is_not_forgotten(void **state)
{
    struct guest *g = guest_open(VENDOR(state));
    prepare(g);
    g->s->rflags = RFLAGS_ONE;
    g->s->windows = VCPU_WINDOW_INTR;
    g->before = sti;
    guest_does(g, db);
    guest_does(g, (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 });
    assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_INTR_WINDOW);
    assert_int_equal(g->seen.event, DB_EVENT);
    assert_int_equal(g->entries, 2);
    guest_close(g);
}

/* ---- While another event is delivered ---- */

static void first_event(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 1 && g->arg)
        guest->event = g->arg;
    g->keep_event = g->entries == 1;
}

/* Exceptions and instructions are raised again when the guest executes the instruction again. */
static void own_event_gives_way(void **state)
{
    static const u64 own[] = { VCPU_EVENT_VALID | 0x480, VCPU_EVENT_EXCEPTION(VECTOR_DE), VCPU_EVENT_EXCEPTION(VECTOR_PF) | VCPU_EVENT_ERROR, AC_EVENT };
    struct guest *g = guest_open(VENDOR(state));
    g->before = first_event;
    for (u32 i = 0; i < array_size(own); i++) {
        prepare(g);
        g->arg = own[i];
        guest_does(g, ac);
        assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->entries, 2);
        assert_int_equal(g->seen.event, AC_EVENT);
        assert_int_equal(g->seen.rip, RIP);
        assert_int_equal(g->s->pending, 0);
    }
    guest_close(g);
}

/* Nobody raises these again: only the VMM can say in which order they come. */
static void injected_event_is_not_lost(void **state)
{
    static const u64 events[] = { VCPU_EVENT_INTERRUPT(0x30), VCPU_EVENT_NMI, VCPU_EVENT_VALID | 0x480, VCPU_EVENT_VALID | 0x603 };
    struct guest *g = guest_open(VENDOR(state));
    g->before = first_event;
    for (u32 i = 0; i < array_size(events); i++) {
        prepare(g);
        g->s->inject = events[i];
        g->s->inject_insn_len = 2;
        g->s->want = VCPU_GROUP_ACTIVITY;
        guest_does(g, ac);
        assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_EXCEPTION);
        assert_int_equal(g->entries, 1);
        assert_int_equal(g->s->exit.u.exception.vector, VECTOR_AC);
        assert_int_equal(g->s->pending, events[i]);
        assert_int_equal(g->s->rip, RIP);
        assert_int_equal(g->s->interruptibility, 0);
    }
    guest_close(g);
}

/* ---- The host ---- */

static void host_interrupt(struct guest *g, struct sim_guest *guest)
{
    if (g->entries == 2)
        guest_sim_interrupt(g->f->sim, 0, VECTOR_IPI);
    if (g->entries == 3)
        g->arg = mach_preempt_pending() ? 2 : 1;
}

/* CVE-2015-5307, CVE-2015-8104: each delivery raises the next exception, no instruction is ever executed. */
static void endless_delivery_lets_interrupts_in(void **state)
{
    const struct engine_event both[] = { ac, db };
    struct guest *g = guest_open(VENDOR(state));
    for (u32 i = 0; i < array_size(both); i++) {
        prepare(g);
        g->before = host_interrupt;
        g->keep_event = both[i].vector == VECTOR_AC;   /* it breaks the delivery; data breakpoints come right behind it */
        g->arg = 0;
        for (u32 n = 0; n < GUEST_EVENTS - 1; n++)
            guest_does(g, both[i]);
        assert_int_equal(guest_run(g, GROUPS), VCPU_EXIT_HYPERCALL);
        assert_int_equal(g->entries, GUEST_EVENTS);
        assert_int_equal(g->arg, 1);   /* gone before the next delivery */
        fixture_interrupts(g->f);
    }
    guest_close(g);
}

GUEST_GROUP(vcpu_exception, GUEST_TEST(alignment_check_is_given_back), GUEST_TEST(real_mode_has_no_error_code),
            GUEST_TEST(debug_exception_is_given_back), GUEST_TEST(handler_reads_dr6), GUEST_TEST(causes_that_show_as_0),
            GUEST_TEST(int1_is_given_back), GUEST_TEST(asked_for_is_an_exit), GUEST_TEST(kick_finds_it_pending),
            GUEST_TEST(window_is_not_forgotten), GUEST_TEST(own_event_gives_way), GUEST_TEST(injected_event_is_not_lost),
            GUEST_TEST(endless_delivery_lets_interrupts_in));
