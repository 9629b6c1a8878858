/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of objects: is each released once, not before the last who uses it is done, and without anybody's help from outside? What must be gone at the
 * end, kernel_world_after counts. */
#include "kernel_world.h"
#include "kernel_world_check.h"

#define FIRST  SEL(0)   /* and the next selector */
#define ACTOR  SEL(1)
#define USER   SEL(2)
#define TARGET SEL(4)
#define QUOTA  (64 * PAGE_SIZE)

static u64 done[2], ran;

static void begin(void (*actor)(void *), void (*user)(void *))
{
    struct fixture *const f = kernel_world();
    kernel_world_thread(0, f->pd, 10, ACTOR, actor, NULL);
    kernel_world_thread(1, f->pd, 10, USER, user, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void revoke_one(void *arg)
{
    (void)hv_revoke(FIRST, 1);
    world_paid();
}

static void revoke_two(void *arg)
{
    (void)hv_revoke(FIRST, 2);
    world_paid();
}

/* ---- Two objects go, one behind the other, while another CPU takes traps of its own ---- */

/* Its end is a trap that sees the epoch; a hypercall that reschedules nothing does not look. */
static void take_trap(void *arg)
{
    world_paid();
}

static void two_setup(void)
{
    kernel_world_open(2);
    kernel_world_sm(0, FIRST);
    kernel_world_sm(0, FIRST + 1);
    begin(revoke_two, take_trap);
}

KERNEL_WORLD(object_two, .question = "Is all released when every CPU has left its trap, or does something wait for a trap that never comes?",
             .cpus = 2, .setup = two_setup);

/* ---- The last capability goes while the object is used ---- */

static void use(void *arg)
{
    done[0] = hv_up(FIRST);
    world_paid();
}

static void use_setup(void)
{
    kernel_world_open(2);
    kernel_world_sm(0, FIRST);
    begin(revoke_one, use);
}

static void use_end(void)
{
    world_assert(done[0] == OK || done[0] == STATUS_CAP, "up: %lu", done[0]);
}

KERNEL_WORLD(object_use, .question = "Is an object kept while a hypercall that has found it uses it?", .cpus = 2, .setup = use_setup, .end = use_end);

static void revived(void *arg)
{
    done[1]++;
}

/* ---- The same with a portal, which is freed as soon as its epoch is over ---- */

static void name(void *arg)
{
    done[0] = program_hypercall(HYPERCALL_portal_ctrl, FIRST + 1, 1, 0, 0, 0, 0);
    world_paid();
}

static void revoke_next(void *arg)
{
    (void)hv_revoke(FIRST + 1, 1);
    world_paid();
}

static void portal_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_handler(0, f->pd, FIRST, revived, NULL);
    begin(revoke_next, name);
}

KERNEL_WORLD(object_portal, .question = "Is a portal kept while a hypercall on another CPU that has found it uses it?", .cpus = 2,
             .setup = portal_setup, .end = use_end);

/* ---- A new reference while the last one goes: an SC for an EC, a portal for a handler ---- */

static void give_time(void *arg)
{
    done[0] = hv_sc_create(TARGET, FIRST, 20);
    world_paid();
}

static void time_setup(void)
{
    kernel_world_open(2);
    kernel_world_ec(0, FIRST, revived, NULL);
    begin(revoke_one, give_time);
}

static void time_end(void)
{
    world_assert(done[0] == OK || done[0] == STATUS_CAP, "sc_create: %lu", done[0]);
    world_assert(done[1] == (done[0] == OK), "sc_create: %lu, and the EC ran %lu times", done[0], done[1]);
}

KERNEL_WORLD(object_revive, .question = "A reference taken while the last one goes: does the object live on, with all it has?", .cpus = 2,
             .setup = time_setup, .end = time_end);

/* ---- Two CPUs give one EC time ---- */

static void bind(void *arg)
{
    const u64 n = (u64)arg;
    done[n] = hv_sc_create(TARGET + n, FIRST, 20);
    world_paid();
}

static void ran_once(void *arg)
{
    ran++;
}

static void bind_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_ec(0, FIRST, ran_once, NULL);
    kernel_world_thread(0, f->pd, 10, ACTOR, bind, (void *)0);
    kernel_world_thread(1, f->pd, 10, USER, bind, (void *)1);
    world_owe(2);
    kernel_world_ready();
}

static void bind_end(void)
{
    world_assert((done[0] == OK) + (done[1] == OK) == 1 && (done[0] == STATUS_BUSY) + (done[1] == STATUS_BUSY) == 1 && ran == 1,
                 "sc_create: %lu and %lu, the EC ran %lu times", done[0], done[1], ran);
}

KERNEL_WORLD(object_bind, .question = "Two CPUs give an EC time: does it get that of one?", .cpus = 2, .setup = bind_setup, .end = bind_end);

/* ---- An EC's capability goes on one CPU, the scheduling context that holds it on another ---- */

static void idler(void *arg)
{
}

static void twice_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_thread(0, f->pd, 5, FIRST, idler, NULL);
    begin(revoke_next, revoke_one);
}

KERNEL_WORLD(object_twice, .question = "Two CPUs drop the last two references: is the object released once?", .cpus = 2, .setup = twice_setup);

/* ---- Time is taken from an EC on its CPU, and given to it from another ---- */

static void give_again(void *arg)
{
    done[0] = hv_sc_create(TARGET, FIRST, 20);
    world_paid();
}

static void again_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_thread(0, f->pd, 5, FIRST, idler, NULL);
    begin(revoke_next, give_again);
}

static void again_end(void)
{
    world_assert(done[0] == OK || done[0] == STATUS_BUSY, "sc_create: %lu", done[0]);
}

KERNEL_WORLD(object_again, .question = "An EC loses its time and gets new: is it one scheduling context's at a time?", .cpus = 2,
             .setup = again_setup, .end = again_end);

/* ---- Two objects go on another CPU, one after the other ---- */

static void revoke_in_turn(void *arg)
{
    (void)hv_revoke(FIRST, 1);
    (void)hv_revoke(FIRST + 1, 1);
    world_paid();
}

static void home_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_handler(0, f->pd, FIRST, idler, NULL);
    kernel_world_thread(1, f->pd, 10, USER, revoke_in_turn, NULL);
    world_owe(1);
    kernel_world_ready();
}

KERNEL_WORLD(object_home, .question = "Objects go on another CPU, one after the other: is each released at home?", .cpus = 2,
             .setup = home_setup);

/* ---- Two CPUs make an object each, on one PD's account ---- */

static void make(void *arg)
{
    const u64 n = (u64)arg;
    done[n] = program_hypercall(HYPERCALL_sm_create, FIXTURE_SEL_PD, FIRST + n, 0, 0, 0, 0);
    world_paid();
}

static void make_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    kernel_world_thread(0, f->pd, 10, ACTOR, make, (void *)0);
    kernel_world_thread(1, f->pd, 10, USER, make, (void *)1);
    world_owe(2);
    kernel_world_ready();
}

static void make_end(void)
{
    for (u64 n = 0; n < 2; n++)
        world_assert(done[n] == OK && kernel_world_object(kernel_world(), FIRST + n), "sm_create %lu: %lu", n, done[n]);
}

KERNEL_WORLD(object_make, .question = "Two CPUs make objects in one PD: is each there, and paid for?", .cpus = 2, .setup = make_setup,
             .end = make_end);

/* ---- A child takes its quota while another CPU looks at the account ---- */

static void make_pd(void *arg)
{
    done[0] = program_hypercall(HYPERCALL_pd_create, FIXTURE_SEL_PD, TARGET, QUOTA, 0, 0, 0);
    world_paid();
}

static void look_at_account(void *arg)
{
    done[1] = program_hypercall(HYPERCALL_pd_info, FIXTURE_SEL_PD, 0, 0, 0, 0, 0);
    world_paid();
}

static void account_setup(void)
{
    kernel_world_open(2);
    begin(make_pd, look_at_account);
}

static void account_end(void)
{
    world_assert(done[0] == OK && done[1] == OK, "pd_create: %lu, pd_info: %lu", done[0], done[1]);
}

KERNEL_WORLD(object_account, .question = "May anybody look at an account that is being divided?", .cpus = 2, .setup = account_setup,
             .end = account_end);
