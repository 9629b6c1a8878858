/* SPDX-License-Identifier: BSD-2-Clause */
/* Does each EC have its own FPU registers or none, and the processor's permission to use them, when a call, an exception or a reply has taken it there by the
 * short way or the ordinary one? */
#include "ipc.h"
#include "arch/x86.h"
#include "portal.h"
#include "sc.h"
#include "kernel_fixture.h"

enum { A = 100, H = 110, P = 111, EVENTS = 32, VECTOR = 3 };

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct ec *a, *h;
};

static struct scene open(u32 caller, u32 handler)
{
    struct scene s = { .f = fixture_open(1, SIM_VMX) };
    struct portal *portal;
    struct sc *sc;
    u64 done;
    s.cpu = fixture_cpu(s.f, 0);
    s.a = fixture_ec(s.f, 0, s.f->pd, EC_GLOBAL | caller, A);
    assert_int_equal(sc_create(s.cpu, s.f->pd, s.a, 10, FIXTURE_BUDGET, &sc), OK);
    assert_int_equal(space_obj_insert(&s.f->pd->objects, A + 1, &sc->object), OK);
    sc_start(s.cpu, sc);
    s.h = fixture_ec(s.f, 0, s.f->pd, EC_LOCAL | handler, H);
    assert_int_equal(portal_create(s.cpu, s.f->pd, s.h, 0x500000, 0, &portal), OK);
    assert_int_equal(space_obj_insert(&s.f->pd->objects, P, &portal->object), OK);
    assert_int_equal(space_obj_delegate(&s.f->pd->objects, P, &s.f->pd->objects, EVENTS + VECTOR, 1, PERM_ALL, &done), OK);
    fixture_run(s.f, 0);
    return s;
}

static void runs(const struct scene *s, const struct ec *ec)
{
    assert_ptr_equal(s->cpu->current, ec);
    assert_int_equal(!!(fixture_cpu(s->f, 0)->due & DUE_FPU), ec->fpu != NULL);
    assert_int_equal(mach_cr0_read() & CR0_TS, ec->fpu ? 0 : CR0_TS);
    if (ec->fpu)
        assert_ptr_equal(s->cpu->fpu_owner, ec->fpu);
}

/* There and back twice: the second time the registers may be there already. */
static void there_and_back(bool exception)
{
    static const u32 kind[][2] = { { 0, 0 }, { EC_FPU, 0 }, { 0, EC_FPU }, { EC_FPU, EC_FPU } };
    for (u32 i = 0; i < array_size(kind); i++) {
        const struct scene s = open(kind[i][0], kind[i][1]);
        runs(&s, s.a);
        for (u32 n = 0; n < 2; n++) {
            if (exception)
                fixture_trap(s.f, 0, TRAP(TRAP_EXCEPTION, VECTOR), 0);
            else
                fixture_call(s.f, s.a, HYPERCALL_call, P, 0);
            runs(&s, s.h);
            fixture_call(s.f, s.h, HYPERCALL_reply, 0);
            runs(&s, s.a);
        }
        fixture_close(s.f);
    }
}

static void registers_of_a_call(void **state)
{
    there_and_back(false);
}

static void registers_of_an_exception(void **state)
{
    there_and_back(true);
}

TEST_GROUP(fastpath, cmocka_unit_test(registers_of_a_call), cmocka_unit_test(registers_of_an_exception));
