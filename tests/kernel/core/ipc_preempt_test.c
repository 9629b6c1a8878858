/* SPDX-License-Identifier: BSD-2-Clause */
/* What if an interrupt waits while a message, a reply or the way to a busy handler is still long, and if the handler itself waits? */
#include "ipc.h"
#include "apic.h"
#include "kernel_fixture.h"

enum { A = 100, B = 102, REMOTE = 104, H = 110, P = 111, EVENTS = 32, CHAIN = 200, SOURCE = 600, WINDOW = 2048, UNITS = 300, LENGTH = 40 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *b, *remote, *h;
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    for (u64 i = 0; i < UNITS + OBJ_LEAF_SLOTS; i += OBJ_LEAF_SLOTS)
        assert_int_equal(space_obj_reserve(&s.f->pd->objects, SOURCE + i, &(struct cap_slot *){ NULL }), OK);
    s.before = fixture_books(s.f);
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.b = fixture_thread(s.f, 0, s.f->pd, 10, B);
    s.remote = fixture_thread(s.f, 1, s.f->pd, 10, REMOTE);
    s.h = fixture_handler(s.f, 0, s.f->pd, H);
    fixture_run(s.f, 0);
    fixture_run(s.f, 1);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    while (space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, A, 300, true) == STATUS_RESTART)
        ;
    fixture_settle(s->f);
    assert_null(s->cpu->current);
    fixture_close(s->f);
    return 0;
}

/* UNITS capabilities of a at SOURCE, which a message is to carry. */
static void fill_source(struct scene *s)
{
    u64 done;
    for (u32 i = 0; i < UNITS; i++)
        assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &s->f->pd->objects, SOURCE + i, 1, PERM_ALL, &done), OK);
}

static bool held(struct scene *s, u64 selector)
{
    u32 type, perms;
    return space_obj_peek(&s->f->pd->objects, selector, &type, &perms);
}

/* Executes the hypercall in ec's registers until something else is current; an interrupt waits all the time. Returns the restarts. */
static u32 repeat(struct scene *s, struct ec *ec, u64 number, u64 arg0, u64 arg1)
{
    const u64 rip = ec->resume.rip;
    u32 restarts = 0;
    ec->resume.gpr[RSI] = arg0;
    ec->resume.gpr[RDX] = arg1;
    for (; restarts < 100; restarts++) {
        ec->resume.gpr[RDI] = number;
        ec->resume.rip = rip + 2;
        apic_ipi(fixture_cpu(s->f, 0), s->cpu);
        fixture_trap(s->f, 0, TRAP(TRAP_SYSCALL, 0), 0);
        if (s->cpu->current != ec)
            break;
        assert_int_equal(ec->resume.rip, rip);
    }
    return restarts;
}

/* a calls the first of LENGTH handlers, each calls the next. The last of them is current. */
static struct ec *build_chain(struct scene *s)
{
    struct ec *last = s->a;
    for (u32 i = 0; i < LENGTH; i++) {
        struct ec *h = fixture_handler(s->f, 0, s->f->pd, CHAIN + 2 * i);
        fixture_call(s->f, last, HYPERCALL_call, CHAIN + 1 + 2 * i, 0);
        last = h;
    }
    assert_ptr_equal(s->cpu->current, last);
    return last;
}

static void run_b(struct scene *s)
{
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, s->b);
}

/* The caller is not woken by a piece of the reply, and the answer is not given before all of it has arrived. */
static void a_reply_in_pieces(void **state)
{
    struct scene *s = *state;
    fill_source(s);
    s->a->utcb->window[SPACE_OBJECT] = (struct utcb_window){ WINDOW, 1024 };
    fixture_call(s->f, s->a, HYPERCALL_call, P, 0);
    s->a->resume.gpr[RAX] = 0x77;
    s->h->utcb->item[0] = (struct utcb_item){ .base = SOURCE, .count = UNITS, .rights = PERM_ALL, .type = SPACE_OBJECT };
    assert_true(repeat(s, s->h, HYPERCALL_reply, MTR(0, 1), 0) > 2);
    assert_ptr_equal(s->cpu->current, s->a);
    assert_int_equal(s->h->state, EC_IDLE);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(s->a->resume.gpr[RSI], MTR(0, 1));
    assert_int_equal(s->a->utcb->item[0].count, UNITS);
    assert_true(held(s, WINDOW) && held(s, WINDOW + UNITS - 1) && !held(s, WINDOW + UNITS));
}

static void an_item_that_failed_takes_no_window(void **state)
{
    struct scene *s = *state;
    fill_source(s);
    s->h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ WINDOW, 1024 };
    s->a->utcb->item[0] = (struct utcb_item){ .base = 500, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };   /* nothing there */
    s->a->utcb->item[1] = (struct utcb_item){ .base = SOURCE, .count = UNITS, .rights = PERM_ALL, .type = SPACE_OBJECT };
    assert_true(repeat(s, s->a, HYPERCALL_call, P, MTR(0, 2)) > 2);
    assert_int_equal(s->a->utcb->item[0].status, STATUS_RANGE);
    assert_int_equal(s->a->utcb->item[1].status, OK);
    assert_int_equal(s->h->utcb->item[1].base, WINDOW);
    assert_true(held(s, WINDOW) && held(s, WINDOW + UNITS - 1) && !held(s, WINDOW + UNITS));
}

/* Memory that arrived before the interrupt keeps its place in the window; no item but those of the message is looked at. */
static void items_of_both_types(void **state)
{
    struct scene *s = *state;
    const u64 from = FIXTURE_MEMORY >> PAGE_BITS, window = 0x30000;
    u64 frame;
    u32 rights;
    fill_source(s);
    s->h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ WINDOW, 1024 };
    s->h->utcb->window[SPACE_MEMORY] = (struct utcb_window){ window, 16 };
    s->a->utcb->item[0] = (struct utcb_item){ .base = from, .count = 3, .rights = RIGHT_R, .type = SPACE_MEMORY };
    s->a->utcb->item[1] = (struct utcb_item){ .base = SOURCE, .count = UNITS, .rights = PERM_ALL, .type = SPACE_OBJECT };
    s->a->utcb->item[2] = (struct utcb_item){ .base = from + 9, .count = 2, .rights = RIGHT_R, .type = SPACE_MEMORY };
    s->a->utcb->item[3] = (struct utcb_item){ .base = A, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT, .status = 99 };
    assert_true(repeat(s, s->a, HYPERCALL_call, P, MTR(0, 3)) > 2);
    assert_int_equal(s->h->utcb->item[1].base, WINDOW);
    assert_int_equal(s->h->utcb->item[2].base, window + 3);
    assert_true(space_mem_lookup(&s->f->pd->memory, window + 4, &frame, &rights));
    assert_int_equal(frame, s->f->frame + 10);
    assert_int_equal(s->a->utcb->item[3].status, 99);
    assert_true(held(s, WINDOW + UNITS - 1) && !held(s, WINDOW + UNITS));
    assert_int_equal(space_mem_revoke(fixture_cpu(s->f, 0), &s->f->pd->memory, window, 16, true, &frame), OK);
}

static void as_many_items_as_there_are(void **state)
{
    struct scene *s = *state;
    s->h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ WINDOW, UTCB_ITEMS };
    for (u32 i = 0; i < UTCB_ITEMS; i++)
        s->a->utcb->item[i] = (struct utcb_item){ .base = A, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    fixture_call(s->f, s->a, HYPERCALL_call, P, MTR(UTCB_WORDS, UTCB_ITEMS));
    assert_ptr_equal(s->cpu->current, s->h);
    assert_true(held(s, WINDOW + UTCB_ITEMS - 1));
    assert_int_equal(fixture_call(s->f, s->h, HYPERCALL_reply, MTR(0, UTCB_ITEMS + 1)), STATUS_ARG);
}

static void a_wish_is_preempted(void **state)
{
    struct scene *s = *state;
    struct ec *last = build_chain(s);
    run_b(s);
    const u64 rip = s->b->resume.rip;
    apic_ipi(fixture_cpu(s->f, 0), s->cpu);
    fixture_call(s->f, s->b, HYPERCALL_call, CHAIN + 1, MTR(1, 0));
    assert_int_equal(s->b->state, EC_READY);
    assert_null(s->b->callee);
    assert_int_equal(s->b->resume.rip, rip);
    assert_int_equal(s->b->resume.gpr[RDX], MTR(1, 0));
    fixture_interrupts(s->f);
    fixture_call(s->f, s->b, HYPERCALL_call, CHAIN + 1, MTR(1, 0));
    assert_int_equal(s->b->state, EC_HELPING);
    assert_ptr_equal(s->cpu->current, last);
}

/* It neither dies of it, nor runs on as if nothing had happened. */
static void an_exception_is_preempted(void **state)
{
    struct scene *s = *state;
    u64 done;
    struct ec *last = build_chain(s);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, CHAIN + 1, &s->f->pd->objects, EVENTS + 3, 1, PERM_ALL, &done), OK);
    run_b(s);
    apic_ipi(fixture_cpu(s->f, 0), s->cpu);
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
    assert_int_equal(s->f->resumed[0]->kind, RESUME_WINDOW);
    assert_int_equal(s->b->state, EC_READY);
    assert_true(s->b->flags & EC_FLAG_FAULTED);
    fixture_interrupts(s->f);
    assert_int_equal(s->b->state, EC_HELPING);
    assert_ptr_equal(s->cpu->current, last);
}

/* An exception that is delivered again finds a handler that serves somebody else: who answers it runs on b's time, not for b. */
static void an_exception_again_helps(void **state)
{
    struct scene *s = *state;
    u64 done;
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, P, &s->f->pd->objects, EVENTS + 3, 1, PERM_ALL, &done), OK);
    fixture_call(s->f, s->a, HYPERCALL_call, P, 0);
    run_b(s);
    s->b->flags |= EC_FLAG_FAULTED;   /* as when its first handler died */
    s->b->fault.vector = 3;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, s->h);
    assert_int_equal(s->b->state, EC_HELPING);
    assert_true(s->cpu->due & DUE_FOLLOW);
    fixture_call(s->f, s->h, HYPERCALL_reply, 0);
    assert_ptr_equal(s->h->caller, s->b);
    assert_ptr_equal(s->cpu->current, s->h);
}

/* A handler that waits for a shootdown: whoever calls it meanwhile waits with it and is not forgotten. */
static void a_handler_in_a_shootdown(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P, 0);
    fixture_call(s->f, s->h, HYPERCALL_revoke, FIXTURE_SEL_PD, FIXTURE_MEMORY >> PAGE_BITS, REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
    assert_int_equal(s->h->state, EC_WAIT_TLB);
    assert_ptr_equal(s->cpu->current, s->b);
    struct sc *sc = s->cpu->current_sc;
    fixture_call(s->f, s->b, HYPERCALL_call, P, 0);
    assert_null(s->cpu->current);
    assert_ptr_equal(sc->waits, s->h);
    fixture_interrupts(s->f);
    assert_int_equal(s->h->state, EC_READY);
    assert_ptr_equal(s->cpu->current, s->h);
    assert_null(sc->waits);
    assert_true(sc->queued || s->cpu->current_sc == sc);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(ipc_preempt, T(a_reply_in_pieces), T(an_item_that_failed_takes_no_window), T(items_of_both_types), T(as_many_items_as_there_are),
           T(a_wish_is_preempted),
           T(an_exception_is_preempted), T(an_exception_again_helps), T(a_handler_in_a_shootdown));
