/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel_world.h"
#include "kernel_rest.h"
#include "portal.h"

#define THREADS     16u
#define CHILD_QUOTA (1ul << 20)
#define SOON        1000000ul   /* far above what the steps of a run take, far below a budget */

/* Set in setup; constant in runs. */
static struct fixture *world_fixture;
static struct engine *world_user;
static struct fixture_books books;
static struct program_arg { void (*run)(void *); void *arg; u32 cpu; } program_arg[THREADS];
static u32 programs;

/* Guests do nothing until an interrupt comes. */
static bool guest_waits(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    g->event = 0;   /* delivered */
    out->kind = EVENT_WAIT;
    return true;
}

static void guest_flush(struct engine *e, struct sim_cpu *cpu)
{
}

static struct engine guest = { .name = "waits", .guest = guest_waits, .flush = guest_flush };

struct fixture *kernel_world(void)
{
    return world_fixture;
}

static void program_of_thread(void *arg)
{
    const struct program_arg *a = arg;
    a->run(a->arg);
    for (;;)
        (void)hv_down(SEL_PARK(a->cpu), 0);
}

static void program_of_handler(void *arg)
{
    const struct program_arg *a = arg;
    a->run(a->arg);
    for (;;)
        (void)program_hypercall(HYPERCALL_reply, 0, 0, 0, 0, 0, 0);
}

static u64 entry_of(u32 cpu, void (*program)(void *), void (*run)(void *), void *arg)
{
    world_assert(programs < THREADS, "the world has too many threads");
    struct program_arg *a = &program_arg[programs++];
    *a = (struct program_arg){ run, arg, cpu };
    return program_entry(world_user, program, a);
}

struct fixture *kernel_world_open(u32 cpus)
{
    u64 bytes;
    programs = 0;
    world_user = program_engine();
    world_assert(world_user, "no memory");
    world_engine(world_user, &guest);
    void *const state = program_replay(world_user, &bytes);
    world_region(state, bytes);
    world_fixture = fixture_open_on(world_sim(), cpus);
    struct space_mem *space;   /* a guest space stays until its PD goes */
    world_assert(!world_fixture->k->virt || pd_guest(world_fixture->pd, &space) == OK, "no guest space");
    books = fixture_books(world_fixture);
    for (u32 i = 0; i < cpus; i++)
        kernel_world_sm(0, SEL_PARK(i));
    return world_fixture;
}

struct ec *kernel_world_thread(u32 cpu, struct pd *pd, u32 priority, u64 selector, void (*run)(void *), void *arg)
{
    struct ec *const ec = fixture_thread(world_fixture, cpu, pd, priority, selector);
    ec->wake_status = STATUS_BUSY;   /* as an earlier wake-up may have left it: seen, it is wrong */
    ec->resume.rip = entry_of(cpu, program_of_thread, run, arg);
    return ec;
}

void kernel_world_unlimited(struct ec *ec)
{
    struct sc *const sc = (struct sc *)ec->own.v;
    sc->budget = sc->left = ~0ul;
}

struct ec *kernel_world_handler(u32 cpu, struct pd *pd, u64 selector, void (*run)(void *), void *arg)
{
    struct ec *const ec = fixture_handler(world_fixture, cpu, pd, selector);
    struct object *o;
    world_assert(space_obj_lookup(&world_fixture->pd->objects, selector + 1, OBJ_PORTAL, 0, &o) == OK, "no portal");
    container_of(o, struct portal, object)->ip = entry_of(cpu, program_of_handler, run, arg);
    return ec;
}

struct sm *kernel_world_sm(u64 count, u64 selector)
{
    struct sm *sm;
    world_assert(sm_create(fixture_cpu(world_fixture, 0), world_fixture->pd, count, &sm) == OK, "no semaphore");
    world_assert(space_obj_insert(&world_fixture->pd->objects, selector, &sm->object) == OK, "selector %lu is taken", selector);
    return sm;
}

struct ec *kernel_world_ec(u32 cpu, u64 selector, void (*run)(void *), void *arg)
{
    struct ec *const ec = fixture_ec(world_fixture, cpu, world_fixture->pd, EC_GLOBAL, selector);
    ec->resume.rip = entry_of(cpu, program_of_thread, run, arg);
    return ec;
}

struct pd *kernel_world_pd(u64 selector)
{
    struct pd *const pd = fixture_pd(world_fixture, CHILD_QUOTA, selector);
    struct space_obj *const from = &world_fixture->pd->objects;
    u64 done;
    world_assert(space_obj_delegate(from, selector, &pd->objects, FIXTURE_SEL_PD, 1, PERM_ALL, &done) == OK &&
                 space_obj_delegate(from, SEL_PARK(0), &pd->objects, SEL_PARK(0), world_fixture->k->cpu_count, PERM_ALL, &done) == OK,
                 "no capabilities for a child");
    return pd;
}

static struct object *object_at(u64 selector)
{
    struct object *const o = kernel_rest_object(world_fixture, selector);
    world_assert(o, "nothing at selector %lu", selector);
    return o;
}

void kernel_world_give(u64 pd, u64 selector, u64 count)
{
    struct fixture *const f = world_fixture;
    struct pd *const child = container_of(object_at(pd), struct pd, object);
    for (u64 s = selector; s < selector + count; s++) {
        struct object *const o = object_at(s);
        object_ref(o);
        world_assert(space_obj_reserve(&child->objects, s, &(struct cap_slot *){ NULL }) == OK && space_obj_insert(&child->objects, s, o) == OK, "selector %lu is taken", s);
        u64 done;
        world_assert(space_obj_revoke(fixture_cpu(f, 0), &f->pd->objects, s, 1, true) == OK &&
                     space_obj_delegate(&child->objects, s, &f->pd->objects, s, 1, PERM_ALL, &done) == OK, "selector %lu stays", s);
    }
}

u64 kernel_world_soon(u64 order)
{
    return mach_tsc_read() + order * SOON;
}

void kernel_world_ready(void)
{
    fixture_settle(world_fixture);
    for (u32 i = 0; i < world_fixture->k->cpu_count; i++)
        fixture_run(world_fixture, i);
    fixture_cpu(world_fixture, 0);
}

void kernel_world_cpu(void)
{
    world_run(world_fixture->resumed[world_id()]);
}

/* Takes apart what the world made, and its threads. */
static void dismantle(struct fixture *f)
{
    for (u64 s = FIXTURE_SEL_PD + 1; s < FIXTURE_SEL_FREE; s++)
        while (kernel_rest_object(f, s) && space_obj_revoke(fixture_cpu(f, 0), &f->pd->objects, s, 1, true) != OK)
            fixture_settle(f);
}

void kernel_world_after(void)
{
    struct fixture *const f = world_fixture;
    kernel_rest_check(f, world_fail);
    dismantle(f);
    const struct fixture_books now = fixture_books(f);
    world_assert(now.used == books.used, "%ld bytes are still charged to the PD after all it had was revoked", now.used - books.used);
    world_assert(now.kernel_used == books.kernel_used, "%ld bytes are still charged to the kernel", now.kernel_used - books.kernel_used);
    world_assert(now.free == books.free, "%ld bytes of kernel memory leaked", books.free - now.free);
}
