/* SPDX-License-Identifier: BSD-2-Clause */
/* What arrives of the typed items of a message: with whose rights, in which window, and what if it is preempted or lied about? */
#include "ipc.h"
#include "apic.h"
#include "kernel_fixture.h"

enum { A = 100, H = 110, P = 111, PD = 120, WINDOW = 64 };
#define MEM_FROM   (FIXTURE_MEMORY >> PAGE_BITS)
#define MEM_WINDOW 0x30000ul

struct scene {
    struct fixture *f;
    struct ec *a, *h;
    struct pd *pd;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(1, SIM_VMX);
    s.pd = fixture_pd(s.f, 1 << 20, PD);
    s.a = fixture_thread(s.f, 0, s.f->pd, 10, A);
    s.h = fixture_handler(s.f, 0, s.pd, H);
    s.h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ WINDOW, 4 };
    s.h->utcb->window[SPACE_MEMORY] = (struct utcb_window){ MEM_WINDOW, 8 };
    fixture_run(s.f, 0);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

static void item(struct scene *s, u32 i, u32 type, u64 base, u64 count, u32 rights)
{
    s->a->utcb->item[i] = (struct utcb_item){ .base = base, .count = count, .rights = rights, .type = (u16)type, .status = 99 };
}

static void sent(struct scene *s, u32 items)
{
    fixture_call(s->f, s->a, HYPERCALL_call, P, MTR(0, items));
    assert_ptr_equal(s->f->k->cpu[0]->current, s->h);
    assert_int_equal(s->h->resume.gpr[RSI], MTR(0, items));
}

static u32 perms_at(struct pd *pd, u64 selector)
{
    u32 type, perms = 0;
    return space_obj_peek(&pd->objects, selector, &type, &perms) ? perms : 0;
}

static void object_items_fill_the_window(void **state)
{
    struct scene *s = *state;
    item(s, 0, SPACE_OBJECT, A, 1, PERM_EC_SC);
    item(s, 1, SPACE_OBJECT, H, 2, PERM_ALL);
    sent(s, 2);
    assert_int_equal(s->a->utcb->item[0].status, OK);
    assert_int_equal(s->a->utcb->item[1].status, OK);
    assert_int_equal(perms_at(s->pd, WINDOW), PERM_EC_SC);
    assert_int_equal(perms_at(s->pd, WINDOW + 1), PERM_ALL);
    assert_int_equal(perms_at(s->pd, WINDOW + 2), PERM_ALL);
    assert_int_equal(perms_at(s->pd, WINDOW + 3), 0);
    assert_int_equal(s->h->utcb->item[1].base, WINDOW + 1);
    assert_int_equal(s->h->utcb->item[1].count, 2);
    assert_int_equal(s->h->utcb->item[1].status, OK);
}

static void memory_items_carry_rights(void **state)
{
    struct scene *s = *state;
    u64 frame;
    u32 rights;
    item(s, 0, SPACE_MEMORY, MEM_FROM + 2, 3, RIGHT_R | RIGHT_W);
    item(s, 1, SPACE_MEMORY, MEM_FROM + 9, 1, RIGHT_R);
    sent(s, 2);
    assert_int_equal(s->a->utcb->item[0].status, OK);
    assert_true(space_mem_lookup(&s->pd->memory, MEM_WINDOW + 2, &frame, &rights));
    assert_int_equal(frame, s->f->frame + 4);
    assert_int_equal(rights, RIGHT_R | RIGHT_W);
    assert_true(space_mem_lookup(&s->pd->memory, MEM_WINDOW + 3, &frame, &rights));
    assert_int_equal(frame, s->f->frame + 9);
    assert_int_equal(rights, RIGHT_R);
    assert_false(space_mem_lookup(&s->pd->memory, MEM_WINDOW + 4, &frame, &rights));
}

/* A failing item fails alone: those before and after it arrive. */
static void items_fail_alone(void **state)
{
    struct scene *s = *state;
    item(s, 0, SPACE_OBJECT, A, 1, PERM_ALL);
    item(s, 1, SPACE_OBJECT, 500, 1, PERM_ALL);               /* nothing there */
    item(s, 2, 2, A, 1, PERM_ALL);                            /* no such type */
    item(s, 3, SPACE_OBJECT, A, 0, PERM_ALL);                 /* nothing asked */
    item(s, 4, SPACE_OBJECT, A, 1, 0x20);                     /* no such permission */
    item(s, 5, SPACE_OBJECT, ~0ul, 2, PERM_ALL);              /* wraps */
    item(s, 6, SPACE_OBJECT, A, 5, PERM_ALL);                 /* larger than the window */
    item(s, 7, SPACE_MEMORY, MEM_FROM, 1, RIGHT_R | 8);       /* no such right */
    item(s, 8, SPACE_MEMORY, 1, 1, RIGHT_R);                  /* nothing there */
    item(s, 9, SPACE_OBJECT, H, 1, PERM_ALL);
    static const u16 want[] = { OK, STATUS_RANGE, STATUS_ARG, STATUS_ARG, STATUS_ARG, STATUS_ARG, STATUS_ARG, STATUS_ARG, STATUS_RANGE, OK };
    sent(s, 10);
    for (u32 i = 0; i < array_size(want); i++) {
        assert_int_equal(s->a->utcb->item[i].status, want[i]);
        assert_int_equal(s->h->utcb->item[i].status, want[i]);
        assert_int_equal(s->h->utcb->item[i].count, want[i] == OK);
    }
    assert_int_equal(perms_at(s->pd, WINDOW + 1), PERM_ALL);
    assert_int_equal(perms_at(s->pd, WINDOW + 2), 0);
}

static void closed_window_takes_nothing(void **state)
{
    struct scene *s = *state;
    s->h->utcb->window[SPACE_OBJECT].count = 0;
    item(s, 0, SPACE_OBJECT, A, 1, PERM_ALL);
    sent(s, 1);
    assert_int_equal(s->a->utcb->item[0].status, STATUS_ARG);
    assert_int_equal(perms_at(s->pd, WINDOW), 0);
}

static void windows_without_sense(void **state)
{
    struct scene *s = *state;
    s->h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ ~0ul, 8 };
    s->h->utcb->window[SPACE_MEMORY] = (struct utcb_window){ USER_END >> PAGE_BITS, 8 };
    item(s, 0, SPACE_OBJECT, A, 1, PERM_ALL);
    item(s, 1, SPACE_MEMORY, MEM_FROM, 1, RIGHT_R);
    sent(s, 2);
    assert_int_equal(s->a->utcb->item[0].status, STATUS_ARG);
    assert_int_equal(s->a->utcb->item[1].status, STATUS_ARG);
}

static void occupied_window(void **state)
{
    struct scene *s = *state;
    item(s, 0, SPACE_OBJECT, A, 1, PERM_ALL);
    sent(s, 1);
    fixture_call(s->f, s->h, HYPERCALL_reply, 0);
    sent(s, 1);
    assert_int_equal(s->a->utcb->item[0].status, STATUS_EXISTS);
}

static void replies_deliver_into_the_callers_windows(void **state)
{
    struct scene *s = *state;
    s->a->utcb->window[SPACE_OBJECT] = (struct utcb_window){ 300, 1 };
    item(s, 0, SPACE_OBJECT, A, 1, PERM_EC_SC);
    sent(s, 1);
    s->h->utcb->item[0] = (struct utcb_item){ .base = WINDOW, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    fixture_call(s->f, s->h, HYPERCALL_reply, MTR(0, 1));
    assert_int_equal(s->h->utcb->item[0].status, OK);
    assert_int_equal(perms_at(s->f->pd, 300), PERM_EC_SC);    /* never more than held */
    assert_int_equal(s->a->resume.gpr[RSI], MTR(0, 1));
}

/* An interrupt waits all the time: the transfer is cut into pieces, and in the end it is what it would have been. */
static void preempted_transfers(void **state)
{
    struct scene *s = *state;
    struct cpu *cpu = s->f->k->cpu[0];
    u64 frame;
    u32 rights, restarts = 0;
    s->h->utcb->window[SPACE_OBJECT] = (struct utcb_window){ 2048, 1024 };
    item(s, 0, SPACE_OBJECT, A, 1, PERM_EC_SC);
    for (u32 i = 0; i < 300; i++) {
        u64 done;
        assert_int_equal(space_obj_delegate(&s->f->pd->objects, A, &s->f->pd->objects, 600 + i, 1, PERM_ALL, &done), OK);
    }
    item(s, 1, SPACE_OBJECT, 600, 300, PERM_ALL);
    item(s, 2, SPACE_MEMORY, MEM_FROM, 8, RIGHT_R);
    const u64 rip = s->a->resume.rip;
    while (cpu->current == s->a && restarts < 100) {
        if (restarts++)
            s->a->resume.rip = rip;
        else
            s->a->resume.gpr[RSI] = P, s->a->resume.gpr[RDX] = MTR(0, 3);
        s->a->resume.gpr[RDI] = HYPERCALL_call;
        s->a->resume.rip = rip + 2;
        apic_ipi(fixture_cpu(s->f, 0), cpu);
        fixture_trap(s->f, 0, TRAP(TRAP_SYSCALL, 0), 0);
        if (cpu->current == s->a)
            assert_int_equal(s->a->resume.rip, rip);
    }
    assert_true(restarts > 3);
    assert_ptr_equal(cpu->current, s->h);
    for (u32 i = 0; i < 3; i++)
        assert_int_equal(s->a->utcb->item[i].status, OK);
    assert_int_equal(s->h->resume.gpr[RSI], MTR(0, 3));
    assert_int_equal(s->a->resume.gpr[RDX], MTR(0, 3));
    assert_int_equal(perms_at(s->pd, 2048), PERM_EC_SC);
    for (u32 i = 0; i < 300; i++)
        assert_int_equal(perms_at(s->pd, 2049 + i), PERM_ALL);
    assert_int_equal(perms_at(s->pd, 2349), 0);
    assert_true(space_mem_lookup(&s->pd->memory, MEM_WINDOW + 7, &frame, &rights));
}

/* Whatever a sender's registers claim of a transfer that never was: each item is tried, and the receiver is told what became of it. */
static void forged_progress(void **state)
{
    struct scene *s = *state;
    const u64 mtr = MTR(0, 2);
    for (u64 done = 0; done < 3; done++) {
        item(s, 0, SPACE_OBJECT, 500, 1, PERM_ALL);   /* nothing there */
        item(s, 1, SPACE_OBJECT, 500, 2, PERM_ALL);
        s->a->utcb->item[0].status = OK;
        s->a->utcb->item[1].status = OK;
        fixture_call(s->f, s->a, HYPERCALL_call, P, MTR_PROGRESS | mtr, 0, 0, 0, done);
        assert_ptr_equal(s->f->k->cpu[0]->current, s->h);
        assert_int_equal(s->h->resume.gpr[RSI], mtr);
        for (u32 i = 0; i < 2; i++) {
            assert_int_equal(s->h->utcb->item[i].status, STATUS_RANGE);
            assert_int_equal(s->h->utcb->item[i].count, 0);
            assert_int_equal(s->a->utcb->item[i].status, STATUS_RANGE);
        }
        fixture_call(s->f, s->h, HYPERCALL_reply, 0);
    }
}

static void high_bits_are_refused(void **state)
{
    struct scene *s = *state;
    static const u64 high[] = { 1ul << 32, MTR_PROGRESS | 1ul << 32, 1ul << 62, ~0ul << 32 };
    for (u32 i = 0; i < array_size(high); i++) {
        fixture_call(s->f, s->a, HYPERCALL_call, P, high[i] | MTR(1, 0));
        assert_ptr_equal(s->f->k->cpu[0]->current, s->a);
        assert_int_equal(s->a->resume.gpr[RAX], STATUS_ARG);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(ipc_message, T(object_items_fill_the_window), T(memory_items_carry_rights), T(items_fail_alone), T(closed_window_takes_nothing),
           T(windows_without_sense), T(occupied_window), T(replies_deliver_into_the_callers_windows), T(preempted_transfers), T(forged_progress),
           T(high_bits_are_refused));
