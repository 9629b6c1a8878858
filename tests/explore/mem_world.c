/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory between two CPUs: a child PD on CPU 0 uses a page that CPU 1 takes back. Not here: what each walk may see (the machine judges that). */
#include "kernel_world.h"

#define CHILD SEL(0)
#define ACTOR SEL(1)
#define USER  SEL(2)
#define KILLER SEL(3)
#define PAGE  (FIXTURE_MEMORY >> PAGE_BITS)

static u64 revoked;     /* the revocation has returned */

static void take_back_doomed(void *arg)
{
    const u64 s = program_hypercall(HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, 1ul << 4 | SPACE_MEMORY, 0, 0, 0);
    world_assert(s == OK, "revoke: %lu", s);
    revoked = 1;
}

static void take_back(void *arg)
{
    take_back_doomed(arg);
    world_paid();
}

/* A fault is the end of this thread: nobody handles it. */
static void use(void *arg)
{
    for (u32 i = 0; i < 2; i++) {
        const u64 late = world_peek(&revoked);
        (void)user_load64(FIXTURE_MEMORY);
        world_assert(!late, "a page is read after its revocation has returned");
        (void)hv_null();
    }
}

static void begin(void (*actor)(void *))
{
    struct fixture *const f = kernel_world_open(2);
    struct pd *const child = kernel_world_pd(CHILD);
    u64 done;
    /* Its neighbour: so the tables stay, and nobody has to look through all of one to find that it is empty. */
    world_assert(space_mem_delegate(&f->pd->memory, PAGE, &child->memory, PAGE, 1, RIGHT_R | RIGHT_W, &done) == OK &&
                 space_mem_delegate(&f->pd->memory, PAGE + 1, &child->memory, PAGE + 1, 1, RIGHT_R, &done) == OK, "no page");
    kernel_world_thread(1, f->pd, 10, ACTOR, actor, NULL);
    kernel_world_thread(0, child, 10, USER, use, NULL);
    world_owe(1);
}

static void revoke_setup(void)
{
    begin(take_back);
    kernel_world_ready();
}

KERNEL_WORLD(mem_revoke, .question = "Can a page be read after its revocation has returned?", .cpus = 2, .setup = revoke_setup);

/* ---- Who takes it back is killed while it waits for the other CPU ---- */

static void kill_actor(void *arg)
{
    (void)hv_revoke(ACTOR, 2);
    world_paid();
}

static void kill_setup(void)
{
    begin(take_back_doomed);
    kernel_world_thread(1, kernel_world()->pd, 5, KILLER, kill_actor, NULL);
    kernel_world_ready();
}

KERNEL_WORLD(mem_kill, .question = "An EC that waits for a shootdown is killed: is it released while the shootdown still knows it?", .cpus = 2,
             .setup = kill_setup);
