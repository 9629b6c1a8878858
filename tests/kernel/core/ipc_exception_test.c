/* SPDX-License-Identifier: BSD-2-Clause */
/* Does an exception reach its handler with all registers, and can a reply bring registers back that user mode must not have? */
#include "ipc.h"
#include <string.h>
#include "kernel_fixture.h"

enum { A = 100, B = 102, H = 110, P = 111, EVENTS = 32 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *b, *h;
    struct utcb_exception *message;
};

static int setup(void **state)
{
    static struct scene s;
    u64 done;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.b = fixture_thread(s.f, 0, s.f->pd, 10, B);
    s.h = fixture_handler(s.f, 0, s.f->pd, H);
    s.message = (struct utcb_exception *)s.h->utcb->word;
    for (u32 v = 0; v < EC_EVENTS; v++)
        if (space_obj_delegate(&s.f->pd->objects, P, &s.f->pd->objects, EVENTS + v, 1, PERM_ALL, &done) != OK)
            return -1;
    fixture_run(s.f, 0);
    for (u32 r = 0; r < 16; r++)
        s.a->resume.gpr[r] = 0x100 + r;
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

static void raise(struct scene *s, u32 vector, u64 error)
{
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, vector), error);
}

static void the_message_has_everything(void **state)
{
    struct scene *s = *state;
    fixture_cpu(s->f, 0);
    mach_cr2_write(0xdead000);
    s->a->resume.rip = 0x401234;
    s->a->resume.rflags = 0x246;
    raise(s, 14, 6);
    assert_ptr_equal(s->cpu->current, s->h);
    assert_int_equal(s->h->resume.gpr[RSI], MTR(EXCEPTION_WORDS, 0));
    assert_int_equal(s->message->vector, 14);
    assert_int_equal(s->message->error, 6);
    assert_int_equal(s->message->address, 0xdead000);
    assert_int_equal(s->message->ip, 0x401234);
    assert_int_equal(s->message->flags, 0x246);
    for (u32 r = 0; r < 16; r++)
        assert_int_equal(s->message->gpr[r], 0x100 + r);
}

static void the_reply_sets_registers(void **state)
{
    struct scene *s = *state;
    raise(s, 13, 0);
    s->message->ip = 0x7000;
    s->message->flags = ~0ul;
    for (u32 r = 0; r < 16; r++)
        s->message->gpr[r] = 0x900 + r;
    s->a->utcb->word[0] = 0x5555;
    fixture_call(s->f, s->h, HYPERCALL_reply, MTR(EXCEPTION_WORDS, 0));
    assert_ptr_equal(s->cpu->current, s->a);
    assert_int_equal(s->a->resume.rip, 0x7000);
    assert_int_equal(s->a->resume.rflags, 0x250fd7);   /* no IOPL, NT, VM, VIF, VIP */
    for (u32 r = 0; r < 16; r++)
        assert_int_equal(s->a->resume.gpr[r], 0x900 + r);
    assert_int_equal(s->a->utcb->word[0], 0x5555);     /* its own message is not touched */
    assert_int_equal(s->a->flags & (EC_FLAG_IN_FAULT | EC_FLAG_FAULTED), 0);
}

static void a_short_reply_changes_nothing(void **state)
{
    struct scene *s = *state;
    const struct resume before = s->a->resume;
    raise(s, 13, 0);
    memset(s->message, 0xff, sizeof(*s->message));
    fixture_call(s->f, s->h, HYPERCALL_reply, MTR(EXCEPTION_WORDS - 1, 0));
    assert_ptr_equal(s->cpu->current, s->a);
    assert_memory_equal(&before, &s->a->resume, sizeof(before));
}

static void a_rip_outside_user_memory_kills(void **state)
{
    struct scene *s = *state;
    static const u64 rip[] = { USER_END, 1ul << 47, ~0ul };
    for (u32 i = 0; i < array_size(rip); i++) {
        struct ec *ec = s->cpu->current;
        raise(s, 13, 0);
        s->message->ip = rip[i];
        fixture_call(s->f, s->h, HYPERCALL_reply, MTR(EXCEPTION_WORDS, 0));
        assert_int_equal(ec->state, EC_DEAD);
        assert_int_equal(s->h->state, EC_IDLE);
        fixture_thread(s->f, 0, s->f->pd, 10, 200 + 2 * i);
        fixture_run(s->f, 0);
    }
}

static void the_last_legal_rip(void **state)
{
    struct scene *s = *state;
    raise(s, 13, 0);
    s->message->ip = USER_END - 1;
    fixture_call(s->f, s->h, HYPERCALL_reply, MTR(EXCEPTION_WORDS, 0));
    assert_int_equal(s->a->state, EC_READY);
    assert_int_equal(s->a->resume.rip, USER_END - 1);
}

static void without_a_portal_it_dies(void **state)
{
    struct scene *s = *state;
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, EVENTS + 6, 1, true), OK);
    raise(s, 6, 0);
    assert_int_equal(s->a->state, EC_DEAD);
    assert_ptr_equal(s->cpu->current, s->b);
}

static void no_permission_to_call_is_no_portal(void **state)
{
    struct scene *s = *state;
    u64 done;
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, EVENTS + 6, 1, true), OK);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, P, &s->f->pd->objects, EVENTS + 6, 1, PERM_PORTAL_CTRL, &done), OK);
    raise(s, 6, 0);
    assert_int_equal(s->a->state, EC_DEAD);
}

static void a_handler_elsewhere_is_no_handler(void **state)
{
    struct scene *s = *state;
    u64 done;
    fixture_handler(s->f, 1, s->f->pd, 120);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, EVENTS + 6, 1, true), OK);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, 121, &s->f->pd->objects, EVENTS + 6, 1, PERM_ALL, &done), OK);
    raise(s, 6, 0);
    assert_int_equal(s->a->state, EC_DEAD);
}

/* INT3 is not executed again: its message must wait in the kernel until the handler is free. */
static void a_trap_waits_for_a_busy_handler(void **state)
{
    struct scene *s = *state;
    raise(s, 13, 0);                       /* a is served */
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(s->cpu->current, s->b);
    s->b->resume.rip = 0x400801;
    raise(s, 3, 0);                        /* b helps */
    assert_ptr_equal(s->cpu->current, s->h);
    assert_int_equal(s->b->state, EC_HELPING);
    assert_int_equal(s->b->resume.rip, 0x400801);
    fixture_call(s->f, s->h, HYPERCALL_reply, 0);
    assert_ptr_equal(s->h->caller, s->b);  /* at once: b's time goes on */
    assert_ptr_equal(s->cpu->current, s->h);
    assert_int_equal(s->message->vector, 3);
    assert_int_equal(s->message->ip, 0x400801);
    assert_int_equal(s->a->state, EC_READY);
}

/* A server faults; whoever handles that dies, and nobody else does: so the server dies, on its client's time. The client goes on with it. */
static void a_client_outlives_a_server_that_faults(void **state)
{
    struct scene *s = *state;
    struct ec *server = fixture_handler(s->f, 0, s->f->pd, 200);
    fixture_call(s->f, s->a, HYPERCALL_call, 201, 0);
    assert_ptr_equal(s->cpu->current, server);
    raise(s, 6, 0);
    assert_ptr_equal(s->cpu->current, s->h);
    fixture_cpu(s->f, 0);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, H, 2, true), OK);   /* handler and portals */
    fixture_settle(s->f);
    assert_int_equal(server->state, EC_DEAD);
    assert_int_equal(s->a->state, EC_READY);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
    assert_ptr_equal(s->cpu->current, s->a);
}

/* Its handler dies before it answers: the next one hears of the same exception. */
static void an_exception_outlives_its_handler(void **state)
{
    struct scene *s = *state;
    struct ec *const other = fixture_handler(s->f, 0, s->f->pd, 120);
    u64 done;
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, EVENTS + 14, 1, true), OK);
    fixture_cpu(s->f, 0);
    mach_cr2_write(0xdead000);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, P, &s->f->pd->objects, EVENTS + 14, 1, PERM_ALL, &done), OK);
    raise(s, 14, 6);
    assert_ptr_equal(s->a->callee, s->h);
    assert_int_equal(space_obj_revoke(s->cpu, &s->f->pd->objects, EVENTS + 14, 1, true), OK);
    assert_int_equal(space_obj_delegate(&s->f->pd->objects, 121, &s->f->pd->objects, EVENTS + 14, 1, PERM_ALL, &done), OK);
    ec_kill(s->cpu, s->h);
    fixture_run(s->f, 0);
    assert_ptr_equal(s->a->callee, other);
    const struct utcb_exception *const m = (const struct utcb_exception *)other->utcb->word;
    assert_int_equal(m->vector, 14);
    assert_int_equal(m->error, 6);
    assert_int_equal(m->address, 0xdead000);
}

static void a_handler_that_faults_into_itself_dies(void **state)
{
    struct scene *s = *state;
    raise(s, 13, 0);
    raise(s, 14, 4);                       /* h has the same event base: its own portal */
    assert_int_equal(s->h->state, EC_DEAD);
    assert_int_equal(s->a->state, EC_DEAD);   /* delivered again, to nobody */
    assert_ptr_equal(s->cpu->current, s->b);
}

static void a_stale_translation_is_no_fault(void **state)
{
    struct scene *s = *state;
    fixture_cpu(s->f, 0);
    mach_cr2_write(FIXTURE_MEMORY + 0x123);
    raise(s, 14, 7);                       /* present, write, user: but the table allows it */
    assert_ptr_equal(s->cpu->current, s->a);
    raise(s, 14, 0x15);                    /* fetch: the page is entered RW */
    assert_ptr_equal(s->cpu->current, s->h);
}

static void faults_that_are_none_of_the_tables(void **state)
{
    struct scene *s = *state;
    static const u64 errors[] = { 4, 3, 0xd, 0x25, 0x8007 };   /* not present, not by user mode, reserved bit, protection key, SGX */
    for (u32 i = 0; i < array_size(errors); i++) {
        fixture_cpu(s->f, 0);
        mach_cr2_write(FIXTURE_MEMORY);
        raise(s, 14, errors[i]);
        assert_ptr_equal(s->cpu->current, s->h);
        fixture_call(s->f, s->h, HYPERCALL_reply, 0);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(ipc_exception, T(the_message_has_everything), T(the_reply_sets_registers), T(a_short_reply_changes_nothing),
           T(a_rip_outside_user_memory_kills), T(the_last_legal_rip), T(without_a_portal_it_dies), T(no_permission_to_call_is_no_portal),
           T(a_handler_elsewhere_is_no_handler), T(a_trap_waits_for_a_busy_handler), T(an_exception_outlives_its_handler),
           T(a_handler_that_faults_into_itself_dies), T(a_client_outlives_a_server_that_faults),
           T(a_stale_translation_is_no_fault), T(faults_that_are_none_of_the_tables));
