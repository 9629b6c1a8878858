/* SPDX-License-Identifier: BSD-2-Clause */
/* Who runs after a call, a reply, a call to a busy handler, the death of either side; and does a loop of calls end? */
#include "ipc.h"
#include "apic.h"
#include "kernel_fixture.h"

enum { A = 100, B = 102, H1 = 110, P1 = 111, H2 = 112, P2 = 113, H3 = 114, P3 = 115, SM = 120, PD = 121, NEW = 140 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *b, *h1, *h2;   /* a, b: global, same priority; h1, h2: local */
    struct fixture_books before;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(1, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.before = fixture_books(s.f);
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.h1 = fixture_handler(s.f, 0, s.f->pd, H1);
    s.h2 = fixture_handler(s.f, 0, s.f->pd, H2);
    s.b = fixture_thread(s.f, 0, s.f->pd, 10, B);
    fixture_run(s.f, 0);
    *state = &s;
    return 0;
}

/* Every test ends with all of it revoked: whatever state the ECs are in, nothing stays. */
static int teardown(void **state)
{
    struct scene *s = *state;
    struct space_obj *o = &s->f->pd->objects;
    enum status st;
    while ((st = space_obj_revoke(fixture_cpu(s->f, 0), o, A, 100, true)) == STATUS_RESTART)
        ;
    assert_int_equal(st, OK);
    fixture_balanced(s->f, s->before);
    fixture_close(s->f);
    return 0;
}

static struct ec *current(struct scene *s)
{
    return s->cpu->current;
}

static void call_enters_the_portal(void **state)
{
    struct scene *s = *state;
    struct sc *sc = s->cpu->current_sc;
    s->a->utcb->word[0] = 11;
    s->a->utcb->word[2] = 33;
    s->h1->utcb->word[3] = 77;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, MTR(3, 0));
    assert_ptr_equal(current(s), s->h1);
    assert_ptr_equal(s->f->resumed[0], &s->h1->resume);
    assert_ptr_equal(s->cpu->current_sc, sc);
    assert_int_equal(s->h1->resume.rip, 0x500000);
    assert_int_equal(s->h1->resume.gpr[RDI], H1);
    assert_int_equal(s->h1->resume.gpr[RSI], MTR(3, 0));
    assert_int_equal(s->h1->resume.gpr[RSP], 0x7fff0000);
    assert_int_equal(s->h1->utcb->word[0], 11);
    assert_int_equal(s->h1->utcb->word[2], 33);
    assert_int_equal(s->h1->utcb->word[3], 77);   /* no more than asked for */
    assert_int_equal(s->a->state, EC_CALLING);
    assert_ptr_equal(s->a->callee, s->h1);
    assert_ptr_equal(s->h1->caller, s->a);
}

static void reply_returns_to_the_caller(void **state)
{
    struct scene *s = *state;
    const u64 rip = s->a->resume.rip;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, MTR(1, 0));
    s->h1->utcb->word[0] = 5;
    s->h1->utcb->word[1] = 6;
    s->h1->resume.gpr[RSP] = 0x666;   /* wherever it stood: the next call begins anew */
    s->h1->resume.rflags = 0x2d7;
    fixture_call(s->f, s->h1, HYPERCALL_reply, MTR(2, 0));
    assert_ptr_equal(current(s), s->a);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(s->a->resume.gpr[RSI], MTR(2, 0));
    assert_int_equal(s->a->resume.rip, rip + 2);
    assert_int_equal(s->a->utcb->word[1], 6);
    assert_int_equal(s->h1->state, EC_IDLE);
    assert_null(s->h1->caller);
    assert_null(s->a->callee);
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    assert_int_equal(s->h1->resume.gpr[RSP], 0x7fff0000);
    assert_int_equal(s->h1->resume.rflags, 0x202);
}

static void full_message_both_ways(void **state)
{
    struct scene *s = *state;
    for (u32 i = 0; i < UTCB_WORDS; i++)
        s->a->utcb->word[i] = i * 3;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, MTR(UTCB_WORDS, 0));
    assert_memory_equal(s->a->utcb->word, s->h1->utcb->word, sizeof(s->a->utcb->word));
    for (u32 i = 0; i < UTCB_WORDS; i++)
        s->h1->utcb->word[i] = i * 5;
    fixture_call(s->f, s->h1, HYPERCALL_reply, MTR(UTCB_WORDS, 0));
    assert_memory_equal(s->a->utcb->word, s->h1->utcb->word, sizeof(s->a->utcb->word));
}

static void reply_without_a_caller_waits(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    s->h1->state = EC_READY;   /* as if started without a call */
    s->cpu->current = s->h1;
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    assert_int_equal(s->h1->state, EC_IDLE);
    assert_ptr_equal(current(s), s->a);
}

static void bad_reply_mtr_keeps_the_caller(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    assert_int_equal(fixture_call(s->f, s->h1, HYPERCALL_reply, MTR(UTCB_WORDS + 1, 0)), STATUS_ARG);
    assert_ptr_equal(current(s), s->h1);
    assert_ptr_equal(s->h1->caller, s->a);
}

static void nested_calls(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    fixture_call(s->f, s->h1, HYPERCALL_call, P2, 0);
    assert_ptr_equal(current(s), s->h2);
    fixture_call(s->f, s->h2, HYPERCALL_reply, 0);
    assert_ptr_equal(current(s), s->h1);
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    assert_ptr_equal(current(s), s->a);
}

/* A call of oneself, of one's caller, of one's caller's caller: refused, and the caller goes on. */
static void loops_are_refused(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    assert_int_equal(fixture_call(s->f, s->h1, HYPERCALL_call, P1, 0), STATUS_BUSY);
    fixture_call(s->f, s->h1, HYPERCALL_call, P2, 0);
    assert_int_equal(fixture_call(s->f, s->h2, HYPERCALL_call, P1, 0), STATUS_BUSY);
    assert_int_equal(fixture_call(s->f, s->h2, HYPERCALL_call, P2, 0), STATUS_BUSY);
    assert_ptr_equal(current(s), s->h2);
}

/* Two chains that wish to call into each other: the second wish would close the loop. */
static void a_loop_through_help_is_refused(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);      /* a -> h1 */
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    fixture_call(s->f, s->b, HYPERCALL_call, P2, 0);      /* b -> h2 */
    fixture_call(s->f, s->h2, HYPERCALL_call, P1, 0);     /* h2 wishes h1: helps it */
    assert_int_equal(s->h2->state, EC_HELPING);
    assert_ptr_equal(current(s), s->h1);
    assert_int_equal(fixture_call(s->f, s->h1, HYPERCALL_call, P2, 0), STATUS_BUSY);
    assert_ptr_equal(current(s), s->h1);
}

/* b's time runs h1, which serves a; when h1 is free, b's call is executed again. */
static void helping_runs_the_handler(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(current(s), s->b);
    const u64 rip = s->b->resume.rip;
    struct sc *sc = s->cpu->current_sc;
    fixture_call(s->f, s->b, HYPERCALL_call, P1, MTR(1, 0));
    assert_ptr_equal(current(s), s->h1);
    assert_ptr_equal(s->cpu->current_sc, sc);
    assert_int_equal(s->b->state, EC_HELPING);
    assert_int_equal(s->b->resume.rip, rip);              /* at its SYSCALL */
    assert_int_equal(s->b->resume.gpr[RDX], MTR(1, 0));   /* arguments as they were */
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    assert_int_equal(s->a->state, EC_READY);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_ptr_equal(current(s), s->b);                   /* its own time: it goes on, not a */
    assert_int_equal(s->b->state, EC_READY);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, MTR(1, 0));
    assert_ptr_equal(s->h1->caller, s->b);
}

static void helping_ends_when_the_owner_gets_there_first(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, 0);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);                                 /* a's SC again: runs h1 */
    assert_false(s->cpu->due & DUE_FOLLOW);
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    assert_ptr_equal(current(s), s->a);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(current(s), s->b);
    assert_int_equal(s->b->state, EC_READY);
}

/* The handler sleeps: callers' time waits with it, others run, and all of it is back when it is woken. */
static void handler_blocked_in_a_semaphore(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0);
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    fixture_call(s->f, s->h1, HYPERCALL_sm_down, SM, 0, 0);
    assert_ptr_equal(current(s), s->b);
    struct ec *c = fixture_thread(s->f, 0, s->f->pd, 10, 130);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, 0);      /* busy and asleep: b's time waits too */
    assert_ptr_equal(current(s), c);
    u32 waiting = 0;
    for (struct sc *sc = s->h1->helpers; sc; sc = sc->next)
        waiting++;
    assert_int_equal(waiting, 2);
    fixture_call(s->f, c, HYPERCALL_sm_up, SM);
    assert_null(s->h1->helpers);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(current(s), s->h1);
    assert_int_equal(s->h1->resume.gpr[RAX], OK);
}

static void dead_handler_aborts_its_caller(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, 13), 0);   /* h1 has no portal for it */
    assert_int_equal(s->h1->state, EC_DEAD);
    assert_ptr_equal(current(s), s->a);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
    assert_int_equal(fixture_call(s->f, s->a, HYPERCALL_call, P1, 0), STATUS_ABORT);
}

static void death_in_a_chain_aborts_the_next_only(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    fixture_call(s->f, s->h1, HYPERCALL_call, P2, 0);
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, 6), 0);
    assert_ptr_equal(current(s), s->h1);
    assert_int_equal(s->h1->resume.gpr[RAX], STATUS_ABORT);
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    assert_ptr_equal(current(s), s->a);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
}

static void destroy(struct scene *s, u64 selector)
{
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, selector, 1, true), OK);
}

/* The middle of a chain is destroyed while its end sleeps: the caller gets its time back. */
static void destroyed_handler_gives_time_back(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0);
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    fixture_call(s->f, s->h1, HYPERCALL_call, P2, 0);
    fixture_call(s->f, s->h2, HYPERCALL_sm_down, SM, 0, 0);
    assert_ptr_equal(current(s), s->b);
    destroy(s, H1);
    destroy(s, P1);
    fixture_settle(s->f);
    assert_null(s->h2->helpers);
    assert_null(s->h2->caller);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    assert_ptr_equal(current(s), s->a);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
}

static void destroyed_caller_leaves_the_handler_alone(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    destroy(s, A);
    destroy(s, A + 1);
    fixture_settle(s->f);
    assert_null(s->h1->caller);
    assert_ptr_equal(current(s), s->b);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, 0);      /* busy for nobody: b's time finishes it */
    assert_ptr_equal(current(s), s->h1);
    fixture_call(s->f, s->h1, HYPERCALL_reply, 0);
    assert_ptr_equal(current(s), s->b);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, 0);
    assert_ptr_equal(s->h1->caller, s->b);
}

static void helper_of_a_dying_handler_is_aborted(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, 0);
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, 13), 0);
    assert_ptr_equal(current(s), s->b);
    assert_int_equal(fixture_call(s->f, s->b, HYPERCALL_call, P1, 0), STATUS_ABORT);
}

/* Who wants it does not keep it. */
static void a_wanted_handler_can_be_destroyed(void **state)
{
    struct scene *s = *state;
    const u64 refs = atomic_load(&s->h1->object.refs);
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    fixture_call(s->f, s->b, HYPERCALL_call, P1, 0);
    assert_int_equal(s->b->state, EC_HELPING);
    assert_int_equal(atomic_load(&s->h1->object.refs), refs);
    ec_kill(s->cpu, s->h1);
    assert_int_equal(s->b->state, EC_READY);
    assert_int_equal(s->a->resume.gpr[RAX], STATUS_ABORT);
}

static void handler_in_a_guest_is_busy(void **state)
{
    struct scene *s = *state;
    fixture_call(s->f, s->a, HYPERCALL_call, P1, 0);
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    s->h1->vcpu = (void *)64;
    assert_int_equal(fixture_call(s->f, s->b, HYPERCALL_call, P1, 0), STATUS_BUSY);
    s->h1->vcpu = NULL;
}

/* A chain of 100 calls, a helper at its end: found again after the chain's end has gone to sleep and woken. */
static void long_chains(void **state)
{
    struct scene *s = *state;
    struct ec *chain[40];
    struct ec *last = s->a;
    for (u32 i = 0; i < 40; i++) {
        chain[i] = fixture_handler(s->f, 0, s->f->pd, 200 + 2 * i);
        fixture_call(s->f, last, HYPERCALL_call, 201 + 2 * i, 0);
        last = chain[i];
    }
    s->cpu->current_sc->left = 0;
    fixture_run(s->f, 0);
    fixture_call(s->f, s->b, HYPERCALL_call, 201, 0);
    assert_ptr_equal(current(s), last);
    assert_int_equal(fixture_call(s->f, last, HYPERCALL_call, 201, 0), STATUS_BUSY);
    for (u32 i = 40; i-- > 0;)
        fixture_call(s->f, chain[i], HYPERCALL_reply, 0);
    assert_ptr_equal(current(s), s->b);
    assert_int_equal(s->a->resume.gpr[RAX], OK);
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, 200, 80, true), OK);
}

/* Deep chain and an interrupt that waits: the way is not walked on before it is taken. */
static void long_chains_are_preempted(void **state)
{
    struct scene *s = *state;
    struct ec *last = s->a;
    for (u32 i = 0; i < 40; i++) {
        struct ec *h = fixture_handler(s->f, 0, s->f->pd, 200 + 2 * i);
        fixture_call(s->f, last, HYPERCALL_call, 201 + 2 * i, 0);
        last = h;
    }
    apic_ipi(fixture_cpu(s->f, 0), s->cpu);
    fixture_run(s->f, 0);
    assert_int_equal(s->f->resumed[0]->kind, RESUME_WINDOW);
    fixture_interrupts(s->f);
    assert_ptr_equal(current(s), last);
    assert_int_equal(space_obj_revoke(fixture_cpu(s->f, 0), &s->f->pd->objects, 200, 80, true), OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(ipc, T(call_enters_the_portal), T(reply_returns_to_the_caller), T(full_message_both_ways), T(reply_without_a_caller_waits),
           T(bad_reply_mtr_keeps_the_caller), T(nested_calls), T(loops_are_refused), T(a_loop_through_help_is_refused), T(helping_runs_the_handler),
           T(helping_ends_when_the_owner_gets_there_first), T(handler_blocked_in_a_semaphore), T(dead_handler_aborts_its_caller),
           T(death_in_a_chain_aborts_the_next_only), T(destroyed_handler_gives_time_back), T(destroyed_caller_leaves_the_handler_alone),
           T(helper_of_a_dying_handler_is_aborted), T(a_wanted_handler_can_be_destroyed), T(handler_in_a_guest_is_busy), T(long_chains), T(long_chains_are_preempted));
