/* SPDX-License-Identifier: BSD-2-Clause */
/* A message is preempted amid its items: does it go on only as long as what the receiver is told of it is true? What if the sender changes its
 * items, gives up, or lies, if somebody else is served meanwhile, or if one side dies? */
#include "ipc.h"
#include "apic.h"
#include "kernel_fixture.h"

enum { A = 100, B = 102, H = 110, P = 111, OTHER = 112, NOTHING = 500, UNITS = 300 };
enum { SOURCE = 600, WINDOW = 2048, OTHER_WINDOW = 3072, CALLER_WINDOW = 4096 };
#define MESSAGE MTR(0, 2)

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *b, *h;
    u64 portal;   /* of h */
};

static int setup(void **state)
{
    static struct scene s;
    u64 done;
    s.f = fixture_open(1, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.b = fixture_thread(s.f, 0, s.f->pd, 10, B);
    s.h = fixture_handler(s.f, 0, s.f->pd, H);
    s.portal = P;
    s.h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ WINDOW, 1024 };
    s.a->utcb->window[SPACE_OBJECT] = (struct utcb_window){ CALLER_WINDOW, 1024 };
    for (u32 i = 0; i < UNITS; i++)
        assert_int_equal(space_obj_delegate(&s.f->pd->objects, A, &s.f->pd->objects, SOURCE + i, 1, PERM_ALL, &done), OK);
    fixture_run(s.f, 0);
    assert_ptr_equal(s.cpu->current, s.a);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    while (space_obj_revoke(s->cpu, &s->f->pd->objects, A, 20, true) == STATUS_RESTART)
        ;
    fixture_settle(s->f);
    assert_null(s->cpu->current);
    fixture_close(s->f);
    return 0;
}

static bool held(struct scene *s, u64 selector)
{
    u32 type, perms;
    return space_obj_peek(&s->f->pd->objects, selector, &type, &perms);
}

static void revoke(struct scene *s, u64 base)
{
    while (space_obj_revoke(s->cpu, &s->f->pd->objects, base, 1024, true) == STATUS_RESTART)
        ;
}

/* One unit, then UNITS of them. */
static void items(struct ec *ec)
{
    ec->utcb->item[0] = (struct utcb_item){ .base = A, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT, .status = 99 };
    ec->utcb->item[1] = (struct utcb_item){ .base = SOURCE, .count = UNITS, .rights = PERM_ALL, .type = SPACE_OBJECT, .status = 99 };
}

static u64 sent(struct scene *s, struct ec *ec, u64 mtr)
{
    return ec == s->h ? fixture_call(s->f, ec, HYPERCALL_reply, mtr) : fixture_call(s->f, ec, HYPERCALL_call, s->portal, mtr);
}

static u64 *mtr_of(struct scene *s, struct ec *ec)
{
    return &ec->resume.gpr[ec == s->h ? RSI : RDX];
}

/* ec's message until it is preempted amid the second item. */
static void begun(struct scene *s, struct ec *ec, u64 window)
{
    const u64 rip = ec->resume.rip;
    items(ec);
    for (u32 i = 0; i < 10 && !held(s, window + 1); i++) {
        apic_ipi(s->cpu, s->cpu);
        sent(s, ec, i ? *mtr_of(s, ec) : MESSAGE);
        assert_ptr_equal(s->cpu->current, ec);
        assert_int_equal(ec->resume.rip, rip);
        assert_true(*mtr_of(s, ec) == (MTR_PROGRESS | MESSAGE));
        fixture_interrupts(s->f);
    }
    assert_true(held(s, window) && held(s, window + 1) && !held(s, window + UNITS));
    assert_int_equal(ec->utcb->item[0].status, OK);
    assert_int_equal(ec->utcb->item[1].status, 99);
}

static void check_item(const struct ec *to, u32 number, u64 base, u64 count, u64 status)
{
    const struct utcb_item *const i = &to->utcb->item[number];
    assert_int_equal(i->status, status);
    assert_int_equal(i->count, count);
    if (status == OK)
        assert_int_equal(i->base, base);
}

static void goes_on_where_it_was(void **state)
{
    struct scene *s = *state;
    begun(s, s->a, WINDOW);
    sent(s, s->a, MTR_PROGRESS | MESSAGE);
    assert_ptr_equal(s->cpu->current, s->h);
    assert_int_equal(s->a->resume.gpr[RDX], MESSAGE);
    check_item(s->h, 0, WINDOW, 1, OK);
    check_item(s->h, 1, WINDOW + 1, UNITS, OK);
    assert_true(held(s, WINDOW + UNITS) && !held(s, WINDOW + UNITS + 1));
    begun(s, s->h, CALLER_WINDOW);
    sent(s, s->h, MTR_PROGRESS | MESSAGE);
    assert_ptr_equal(s->cpu->current, s->a);
    check_item(s->a, 1, CALLER_WINDOW + 1, UNITS, OK);
    assert_true(held(s, CALLER_WINDOW + UNITS) && !held(s, CALLER_WINDOW + UNITS + 1));
}

/* What arrives is the item as it stood at first; what was said of those before it stays true. */
static void items_changed_meanwhile(void **state)
{
    static const struct utcb_item lies[] = {
        { .base = 1, .count = UNITS, .rights = RIGHT_R, .type = SPACE_MEMORY },
        { .base = SOURCE, .count = 1024, .rights = PERM_ALL, .type = SPACE_OBJECT },
        { .base = NOTHING, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT },
        { .base = SOURCE, .count = UNITS, .rights = PERM_ALL, .type = 0xffff },
    };
    struct scene *s = *state;
    for (u32 i = 0; i < array_size(lies); i++) {
        begun(s, s->a, WINDOW);
        s->a->utcb->item[0] = s->a->utcb->item[1] = lies[i];
        s->h->utcb->window[SPACE_OBJECT].base = WINDOW + i;   /* for the next message */
        sent(s, s->a, MTR_PROGRESS | MESSAGE);
        assert_ptr_equal(s->cpu->current, s->h);
        check_item(s->h, 0, WINDOW, 1, OK);
        check_item(s->h, 1, WINDOW + 1, UNITS, OK);
        assert_int_equal(s->h->utcb->item[1].type, SPACE_OBJECT);
        assert_true(held(s, WINDOW + 1) && held(s, WINDOW + UNITS) && !held(s, WINDOW + UNITS + 1));
        revoke(s, WINDOW);
        s->h->utcb->window[SPACE_OBJECT].base = WINDOW;
        sent(s, s->h, 0);
    }
}

/* The handler served b in between and took everything out of its window: the message is whole or says what is missing. */
static void overtaken(void **state)
{
    struct scene *s = *state;
    for (u32 empty = 0; empty < 2; empty++) {
        begun(s, s->a, WINDOW);
        s->cpu->current_sc->left = 0;
        fixture_run(s->f, 0);
        assert_ptr_equal(s->cpu->current, s->b);
        sent(s, s->b, 0);
        assert_ptr_equal(s->cpu->current, s->h);
        if (empty)
            revoke(s, WINDOW);
        s->h->utcb->item[0] = (struct utcb_item){ .base = H, .count = 1 };   /* it may use them as it likes */
        sent(s, s->h, 0);
        s->cpu->current_sc->left = 0;
        fixture_run(s->f, 0);
        assert_ptr_equal(s->cpu->current, s->a);
        sent(s, s->a, MTR_PROGRESS | MESSAGE);
        assert_ptr_equal(s->cpu->current, s->h);
        check_item(s->h, 0, WINDOW, empty, empty ? OK : STATUS_EXISTS);
        check_item(s->h, 1, WINDOW + 1, empty ? UNITS : 0, empty ? OK : STATUS_EXISTS);
        revoke(s, WINDOW);
        sent(s, s->h, 0);
    }
}

/* Given up for another message, then claimed to go on: there is nothing to go on with. */
static void given_up(void **state)
{
    struct scene *s = *state;
    begun(s, s->a, WINDOW);
    sent(s, s->a, 0);
    revoke(s, WINDOW);
    begun(s, s->h, CALLER_WINDOW);
    sent(s, s->h, 0);
    assert_ptr_equal(s->cpu->current, s->a);
    items(s->a);
    s->a->utcb->item[0].base = s->a->utcb->item[1].base = NOTHING;
    sent(s, s->a, MTR_PROGRESS | MESSAGE);
    assert_ptr_equal(s->cpu->current, s->h);
    check_item(s->h, 0, 0, 0, STATUS_RANGE);
    check_item(s->h, 1, 0, 0, STATUS_RANGE);
    revoke(s, CALLER_WINDOW);
    items(s->h);
    s->h->utcb->item[0].base = s->h->utcb->item[1].base = NOTHING;
    sent(s, s->h, MTR_PROGRESS | MESSAGE);
    assert_ptr_equal(s->cpu->current, s->a);
    check_item(s->a, 0, 0, 0, STATUS_RANGE);
    check_item(s->a, 1, 0, 0, STATUS_RANGE);
}

/* The same message once more, without a claim, or another one with it, begins with the first item. */
static void anew(void **state)
{
    struct scene *s = *state;
    static const u64 mtr[] = { MESSAGE, MTR_PROGRESS | MTR(1, 2), MTR_PROGRESS | MTR(0, 1) };
    for (u32 i = 0; i < array_size(mtr); i++) {
        begun(s, s->a, WINDOW);
        sent(s, s->a, mtr[i]);
        assert_ptr_equal(s->cpu->current, s->h);
        check_item(s->h, 0, 0, 0, STATUS_EXISTS);
        revoke(s, WINDOW);
        sent(s, s->h, 0);
    }
}

/* What arrived at one handler says nothing of another, though the mark is still in both. */
static void two_receivers(void **state)
{
    struct scene *s = *state;
    struct ec *const first = s->h;
    begun(s, s->a, WINDOW);
    s->h = fixture_handler(s->f, 0, s->f->pd, OTHER);
    s->h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ OTHER_WINDOW, 1024 };
    s->portal = OTHER + 1;
    begun(s, s->a, OTHER_WINDOW);
    s->h = first;
    s->portal = P;
    sent(s, s->a, MTR_PROGRESS | MESSAGE);
    assert_ptr_equal(s->cpu->current, first);
    check_item(first, 0, 0, 0, STATUS_EXISTS);
    check_item(first, 1, 0, 0, STATUS_EXISTS);
}

/* The sender calls nobody yet: nothing ends for it. */
static void the_receiver_dies(void **state)
{
    struct scene *s = *state;
    begun(s, s->a, WINDOW);
    s->a->resume.gpr[RAX] = 0x77;
    ec_kill(s->cpu, s->h);
    assert_int_equal(s->a->resume.gpr[RAX], 0x77);
    assert_int_equal(sent(s, s->a, MTR_PROGRESS | MESSAGE), STATUS_ABORT);
}

/* What is left of the sender in its receiver is no link: nobody follows it. */
static void the_sender_dies(void **state)
{
    struct scene *s = *state;
    begun(s, s->a, WINDOW);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, A, 2, true), OK);
    fixture_run(s->f, 0);
    fixture_settle(s->f);
    assert_ptr_equal(s->cpu->current, s->b);
    sent(s, s->b, 0);
    sent(s, s->h, 0);
    assert_ptr_equal(s->cpu->current, s->b);
    ec_kill(s->cpu, s->h);
}

/* The handler dies amid its answer: the next one's answer is its own. */
static void the_answer_dies(void **state)
{
    struct scene *s = *state;
    sent(s, s->a, 0);
    begun(s, s->h, CALLER_WINDOW);
    assert_true(s->a->flags & EC_FLAG_PART);
    ec_kill(s->cpu, s->h);
    fixture_run(s->f, 0);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
    assert_false(s->a->flags & EC_FLAG_PART);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(ipc_progress, T(goes_on_where_it_was), T(items_changed_meanwhile), T(overtaken), T(given_up), T(anew), T(two_receivers),
           T(the_receiver_dies), T(the_sender_dies), T(the_answer_dies));
