/* SPDX-License-Identifier: BSD-2-Clause */
/* What do arguments just beyond an edge do, is a refusal free of traces, and do traps that are none of a thread's doing leave it alone? */
#include "apic.h"
#include "kernel_fixture.h"
#include "kernel_fixture_sim.h"

enum { EC = 100, HANDLER = 104, PORTAL = 105, IDLE = 106, PD = 120, NEW = 140, EVENTS = 32 };
#define UTCB 0x20000000ul

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *ec, *handler;
};

static int setup(void **state)
{
    static struct scene s;
    s.f = fixture_open(2, SIM_VMX);
    s.cpu = s.f->k->cpu[0];
    s.ec = fixture_thread(s.f, 0, s.f->pd, 10, EC);
    s.handler = fixture_handler(s.f, 0, s.f->pd, HANDLER);
    fixture_pd(s.f, 1 << 20, PD);
    fixture_run(s.f, 1);
    fixture_run(s.f, 0);
    assert_int_equal(fixture_call(s.f, s.ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, IDLE, UTCB, 0, 0, 0), OK);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    fixture_close(((struct scene *)*state)->f);
    return 0;
}

struct row {
    u64 number, args[6];
};

static u64 call(struct scene *s, const struct row *r)
{
    return fixture_call_(s->f, s->ec, r->number, r->args, 6);
}

/* Ids are no more than bits of a mask. */
static void cpus_beyond_the_mask(void **state)
{
    struct scene *s = *state;
    for (u64 cpu = 64; cpu < 256; cpu++)
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, NEW, UTCB + 0x10000, 0, 0, EC_CONFIG(cpu, 0, 0)), STATUS_CPU);
    static const u64 far[] = { 64, 65, 128, bit(32), bit(32) + 1, bit(63) };
    for (u32 i = 0; i < array_size(far); i++)
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, far[i], UTCB + 0x10000), STATUS_CPU);
}

static void a_cpu_that_is_not_online(void **state)
{
    struct scene *s = *state;
    atomic_and(&s->f->k->cpus_online, ~bit(1));
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, NEW, UTCB + 0x10000, 0, 0, EC_CONFIG(1, 0, 0)), STATUS_CPU);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, NEW, 1, UTCB + 0x10000), STATUS_CPU);
}

/* Its portals say where it enters. */
static void the_ip_of_a_local_thread_is_ignored(void **state)
{
    struct scene *s = *state;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, NEW, UTCB + 0x10000, ~0ul, 0, EC_CONFIG(0, EC_LOCAL, 0)), OK);
}

/* The last of what is allowed. */
static void just_inside(void **state)
{
    struct scene *s = *state;
    u64 n = NEW;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, n++, USER_END - UTCB_PAGES * PAGE_SIZE, USER_END - 1, 0, 0), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, n++, UTCB + 0x20000, 0, 0, EC_CONFIG(0, EC_FPU,
            SEL_COUNT - EC_EVENTS)), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_ec_create, FIXTURE_SEL_PD, n++, UTCB + 0x30000, USER_END, 0, EC_CONFIG(0, EC_FPU, 0)),
            STATUS_ARG);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_portal_create, FIXTURE_SEL_PD, n++, NEW + 1, 0, 0), STATUS_ARG);   /* global, with an FPU */
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_portal_create, FIXTURE_SEL_PD, n++, HANDLER, USER_END - 1, 0), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sc_create, FIXTURE_SEL_PD, n++, IDLE, 0, 1), OK);
    for (u64 flags = 0; flags < 4; flags++)
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_pd_create, FIXTURE_SEL_PD, n++, 1 << 16, flags), OK);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_console, 0, 0, 0, 0, 32), OK);
    s->f->pd->flags = PD_FLAG_SHUTDOWN;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_console, 0, 0, 0, 0, 1), STATUS_PERM);
    s->f->pd->flags = PD_FLAG_CONSOLE;
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_shutdown, 0), STATUS_PERM);
}

/* The selector is taken: nothing is made that would have to be destroyed. */
static void a_taken_selector_leaves_no_trace(void **state)
{
    struct scene *s = *state;
    static const struct row rows[] = {
        { HYPERCALL_pd_create, { FIXTURE_SEL_PD, EC, 1 << 16, 0 } },
        { HYPERCALL_ec_create, { FIXTURE_SEL_PD, EC, UTCB + 0x10000, 0, 0, 0 } },
        { HYPERCALL_sc_create, { FIXTURE_SEL_PD, EC, IDLE, 1, 1000 } },
        { HYPERCALL_portal_create, { FIXTURE_SEL_PD, EC, HANDLER, 0, 0 } },
        { HYPERCALL_sm_create, { FIXTURE_SEL_PD, EC, 0 } },
        { HYPERCALL_vcpu_create, { FIXTURE_SEL_PD, EC, 0, UTCB + 0x10000 } },
    };
    const struct fixture_books before = fixture_books(s->f);
    fixture_cpu(s->f, 0);
    for (u32 i = 0; i < array_size(rows); i++) {
        s->cpu->due &= ~DUE_CHOICE;
        assert_int_equal(call(s, &rows[i]), STATUS_EXISTS);
        assert_int_equal(mem_free_bytes(s->f->k->mem), before.free);
        assert_null(s->cpu->epoch.first);
    }
}

static void types_that_do_not_fit(void **state)
{
    struct scene *s = *state;
    const u64 page = FIXTURE_MEMORY >> PAGE_BITS;
    for (u64 from = 0; from < 16; from++) {
        for (u64 to = 0; to < 16; to++) {
            if ((from == to && from <= SPACE_MEMORY) || (from == SPACE_MEMORY && to == SPACE_GUEST))
                continue;
            assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, page, 1, DELEGATE(1, RIGHT_R, from, to)), STATUS_ARG);
            assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, EC, 1, DELEGATE(1, RIGHT_R, from, to)), STATUS_ARG);
        }
    }
}

static void selectors_far_behind_the_end(void **state)
{
    struct scene *s = *state;
    static const u64 far[] = { SEL_COUNT, SEL_COUNT + 1, SEL_COUNT + 64, bit(32), bit(32) + EC, bit(63) + EC };
    for (u32 i = 0; i < array_size(far); i++) {
        const u64 page = (USER_END >> PAGE_BITS) + far[i];
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_sm_up, far[i]), STATUS_CAP);
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_lookup, FIXTURE_SEL_PD, SPACE_OBJECT, far[i]), STATUS_ARG);
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, far[i], 0, DELEGATE(1, 1, 0, 0)), STATUS_ARG);
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_delegate, FIXTURE_SEL_PD, PD, EC, far[i], DELEGATE(1, 1, 0, 0)), STATUS_ARG);
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_revoke, PD, far[i], REVOKE(1, 0), REVOKE_SELF), STATUS_ARG);
        assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_revoke, PD, page, REVOKE(1, 1), REVOKE_SELF), STATUS_ARG);
    }
}

/* ---- What leaves the machine ---- */

static char text[64];
static u32 text_bytes;
static void console(void *arg, const char *bytes, u32 count)
{
    assert_true(text_bytes + count <= sizeof(text));
    for (u32 i = 0; i < count; i++)
        text[text_bytes++] = bytes[i];
}

static void the_console_prints(void **state)
{
    struct scene *s = *state;
    text_bytes = 0;
    fixture_sim_console(s->f->sim, console);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_console, 0x3736353433323130, 0x4645444342413938, 0x4e4d4c4b4a494847, 0x565554535251504f,
            31), OK);
    assert_int_equal(text_bytes, 31);
    assert_memory_equal(text, "0123456789ABCDEFGHIJKLMNOPQRSTUV", 31);
    assert_int_equal(fixture_call(s->f, s->ec, HYPERCALL_console, 0, 0, 0, 0, 0), OK);
    assert_int_equal(text_bytes, 31);
}

/* ---- Traps ---- */

static void fault(struct scene *s, u64 address, u32 vector, u64 error)
{
    fixture_cpu(s->f, 0);
    mach_cr2_write(address);
    fixture_trap(s->f, 0, TRAP(TRAP_EXCEPTION, vector), error);
}

/* Only a page fault can be about a stale translation; and only where something is mapped. */
static void exceptions_that_are_delivered(void **state)
{
    struct scene *s = *state;
    u64 done;
    static const struct { u64 address; u32 vector; u64 error; } rows[] = {
        { FIXTURE_MEMORY, 13, 5 }, { FIXTURE_MEMORY, 10, 7 }, { FIXTURE_MEMORY - PAGE_SIZE, 14, 5 }, { USER_END, 14, 5 }, { 0xffff800000000000,
                14, 5 },
        { ~0ul, 14, 7 },
    };
    for (u32 v = 0; v < EC_EVENTS; v++)
        assert_int_equal(space_obj_delegate(&s->f->pd->objects, PORTAL, &s->f->pd->objects, EVENTS + v, 1, PERM_ALL, &done), OK);
    for (u32 i = 0; i < array_size(rows); i++) {
        fault(s, rows[i].address, rows[i].vector, rows[i].error);
        assert_ptr_equal(s->cpu->current, s->handler);
        fixture_call(s->f, s->handler, HYPERCALL_reply, 0);
        assert_ptr_equal(s->cpu->current, s->ec);
    }
}

/* A spurious interrupt is not in service: an end of interrupt would end another one. */
static void a_spurious_interrupt_is_not_ended(void **state)
{
    struct scene *s = *state;
    apic_ipi(fixture_cpu(s->f, 0), s->cpu);
    assert_int_equal(fixture_sim_interrupt(s->f->sim, 0), VECTOR_IPI);   /* in service now */
    fixture_trap(s->f, 0, TRAP(TRAP_INTERRUPT, VECTOR_SPURIOUS), 0);
    assert_true(fixture_sim_in_service(s->f->sim, 0, VECTOR_IPI));
    fixture_trap(s->f, 0, TRAP(TRAP_INTERRUPT, VECTOR_IPI), 0);
    assert_false(fixture_sim_in_service(s->f->sim, 0, VECTOR_IPI));
}

/* The boot CPU alone starts root, whoever is interrupted while it waits for the others. */
static void others_do_not_start_root(void **state)
{
    struct scene *s = *state;
    s->f->k->boot_deadline = 1;
    fixture_trap(s->f, 1, TRAP(TRAP_INTERRUPT, VECTOR_IPI), 0);
    assert_int_equal(s->f->k->boot_deadline, 1);
    s->f->k->boot_deadline = 0;
}

/* Many threads are dead, their time is not gone yet: an interrupt is taken before all of it was looked at. */
static void time_of_the_dead_is_preempted(void **state)
{
    struct scene *s = *state;
    for (u32 i = 0; i < 80; i++)
        ec_kill(fixture_cpu(s->f, 0), fixture_thread(s->f, 0, s->f->pd, 50, 200 + 2 * i));
    apic_ipi(fixture_cpu(s->f, 0), s->cpu);
    fixture_run(s->f, 0);
    assert_int_equal(s->f->resumed[0]->kind, RESUME_WINDOW);
    assert_null(s->cpu->current);
    fixture_interrupts(s->f);
    assert_ptr_equal(s->cpu->current, s->ec);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_GROUP(hypercall_edge, T(cpus_beyond_the_mask), T(a_cpu_that_is_not_online), T(the_ip_of_a_local_thread_is_ignored),
           T(just_inside), T(a_taken_selector_leaves_no_trace), T(types_that_do_not_fit), T(selectors_far_behind_the_end), T(the_console_prints),
           T(exceptions_that_are_delivered), T(a_spurious_interrupt_is_not_ended), T(others_do_not_start_root), T(time_of_the_dead_is_preempted));
