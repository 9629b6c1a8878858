/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest_fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include "kernel_fixture_sim.h"

static bool guest_slice(struct engine *e, struct sim_cpu *cpu, struct sim_guest *guest, u64 steps, struct engine_event *out)
{
    struct guest *const g = container_of(e, struct guest, engine);
    g->entries++;
    g->seen = *guest;
    if (g->before)
        g->before(g, guest);
    if (!g->keep_event)
        guest->event = 0;
    *out = g->next < g->count ? g->todo[g->next++] : (struct engine_event){ .kind = EVENT_HYPERCALL, .info = g->vendor == SIM_SVM };
    return true;
}

static void flush_counted(struct engine *e, struct sim_cpu *cpu)
{
    container_of(e, struct guest, engine)->flushes++;
}

struct guest *guest_open_cpus(u32 cpus, enum sim_vendor vendor)
{
    struct guest *g = calloc(1, sizeof(*g));
    g->vendor = vendor;
    g->f = fixture_open(cpus, vendor);
    g->engine = (struct engine){ .name = "script", .guest = guest_slice, .flush = flush_counted };
    guest_sim_engine(g->f->sim, &g->engine);
    g->ec = fixture_thread(g->f, 0, g->f->pd, 10, GUEST_SEL_EC);
    fixture_run(g->f, 0);
    struct space_mem *space;
    assert_int_equal(pd_guest(g->f->pd, &space), OK);   /* stays until the PD goes */
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, GUEST_SEL_VCPU, 0, GUEST_STATE), OK);
    struct object *o;
    assert_int_equal(space_obj_lookup(&g->f->pd->objects, GUEST_SEL_VCPU, OBJ_VCPU, 0, &o), OK);
    g->v = container_of(o, struct vcpu, object);
    g->s = g->v->state;
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_STARTUP);
    return g;
}

void guest_close(struct guest *g)
{
    fixture_close(g->f);
    free(g);
}

void guest_does(struct guest *g, struct engine_event e)
{
    assert_true(g->count < GUEST_EVENTS);
    g->todo[g->count++] = e;
}

bool guest_inside(const struct guest *g)
{
    return g->ec->vcpu != NULL;
}

u64 guest_enter(struct guest *g, u32 dirty)
{
    g->s->dirty = dirty;
    g->entries = 0;
    return fixture_call(g->f, g->ec, HYPERCALL_vcpu_run, GUEST_SEL_VCPU);
}

bool guest_step(struct guest *g)
{
    struct resume *const r = g->f->resumed[0];
    u64 info = 0;
    if (r->kind == RESUME_WINDOW) {
        guest_sim_window(g->f->sim, 0);
        const u32 vector = fixture_sim_interrupt(g->f->sim, 0);
        fixture_trap(g->f, 0, vector ? TRAP(TRAP_INTERRUPT, vector) : TRAP(TRAP_NONE, 0), 0);
        return true;
    }
    if (r->kind != RESUME_GUEST_VMX && r->kind != RESUME_GUEST_SVM)
        return false;
    const u64 trap = guest_sim_enter(g->f->sim, 0, r, &info);
    fixture_trap(g->f, 0, trap, info);
    return true;
}

u32 guest_run(struct guest *g, u32 dirty)
{
    guest_enter(g, dirty);
    for (u32 n = 0; guest_inside(g); n++) {
        assert_true(n < 100);
        assert_true(guest_step(g));
    }
    assert_ptr_equal(g->f->resumed[0], &g->ec->resume);
    assert_int_equal(g->ec->resume.gpr[RAX], OK);
    g->next = g->count = 0;
    return g->s->exit.reason;
}

void guest_fetch(struct guest *g, u32 groups)
{
    assert_int_equal(fixture_call(g->f, g->ec, HYPERCALL_vcpu_fetch, GUEST_SEL_VCPU, groups), OK);
}

void guest_register(struct unit_group *group, struct CMUnitTest *out, const struct guest_test *tests, u32 count)
{
    for (u64 vendor = SIM_VMX; vendor <= SIM_SVM; vendor++)
        for (u32 i = 0; i < count; i++) {
            char *text = malloc(80);
            snprintf(text, 80, "%s_%s", tests[i].name, vendor == SIM_VMX ? "vmx" : "svm");
            out[group->count++] = (struct CMUnitTest){ .name = text, .test_func = tests[i].test, .initial_state = (void *)vendor };
        }
    unit_register(group);
}
