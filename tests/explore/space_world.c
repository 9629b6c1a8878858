/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that goes while others use it: after the hypercall has returned nobody can use the right, and kernel memory that was mapped is freed only
 * after every flush. Beside mem_world.c: both CPUs revoke, partial revocations, delegation at the same time, UTCBs. */
#include "kernel_world.h"
#include "machine_model.h"
#include "pd.h"
#include "translations.h"

#define CHILD  SEL(0)
#define ACTOR  SEL(1)
#define USER   SEL(2)
#define VICTIM SEL(3)
#define PAGE   (FIXTURE_MEMORY >> PAGE_BITS)
#define EXTRA  (PAGE + FIXTURE_PAGES)     /* pages behind the fixture's own, in the same table */
#define PAGES  4ul


static struct pd *child;
static u64 utcb, done;

static u64 frame(u64 n)
{
    return kernel_world()->frame + FIXTURE_PAGES + n;
}

static u64 revoke(u64 page, u64 count, u64 flags)
{
    return program_hypercall(HYPERCALL_revoke, FIXTURE_SEL_PD, page, count << 4 | SPACE_MEMORY, flags, 0, 0);
}

/* ---- Two revoke at once, each a page of the space that both have loaded ---- */

static void revoke_own(void *arg)
{
    const u64 n = (u64)arg;
    u32 cpu;
    u64 address;
    world_assert(revoke(EXTRA + n, 1, REVOKE_SELF) == OK, "revoke fails");
    if (translations_reach(kernel_world()->sim, frame(n) << PAGE_BITS, PAGE_SIZE, RIGHT_MEMORY, &cpu, &address))
        world_fail("revoke has returned, and CPU %u may still translate 0x%lx", cpu, address);
    world_paid();
}

static void two_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    for (u64 n = 0; n < 2; n++)
        world_assert(space_mem_insert(&f->pd->memory, EXTRA + n, frame(n), 1, RIGHT_R) == OK, "no page");
    kernel_world_thread(0, f->pd, 10, ACTOR, revoke_own, (void *)0);
    kernel_world_thread(1, f->pd, 10, USER, revoke_own, (void *)1);
    world_owe(2);
    kernel_world_ready();
}

KERNEL_WORLD(space_two, .question = "Two CPUs revoke from the space they share: do both return, and when all is flushed?", .cpus = 2,
             .setup = two_setup);

/* ---- Part of what was delegated is revoked while all of it is used ---- */

static void revoke_part(void *arg)
{
    world_assert(revoke(PAGE + 1, 1, 0) == OK, "revoke fails");
    done = 1;
    world_paid();
}

/* A fault would be the end of this thread, and it would owe something for ever. */
static void use_rest(void *arg)
{
    for (u64 n = 0; n < PAGES; n++)
        if (n != 1)
            (void)user_load64((EXTRA + n) << PAGE_BITS);
    (void)hv_null();
    (void)user_load64(EXTRA << PAGE_BITS);
    world_paid();
}

static void delegate_to_child(void)
{
    u64 pages;
    child = kernel_world_pd(CHILD);
    world_assert(space_mem_delegate(&kernel_world()->pd->memory, PAGE, &child->memory, EXTRA, PAGES, RIGHT_R, &pages) == OK, "no pages");
}

static void part_setup(void)
{
    done = 0;
    kernel_world_open(2);
    delegate_to_child();
    kernel_world_thread(0, kernel_world()->pd, 10, ACTOR, revoke_part, NULL);
    kernel_world_thread(1, child, 10, USER, use_rest, NULL);
    world_owe(2);
    kernel_world_ready();
}

KERNEL_WORLD(space_part, .question = "A part is revoked: does the rest stay, at every moment?", .cpus = 2, .setup = part_setup);

static void use_part(void *arg)
{
    for (u32 i = 0; i < 2; i++) {
        const u64 late = world_peek(&done);
        (void)user_load64((EXTRA + 1) << PAGE_BITS);
        world_assert(!late, "a page is read after its revocation has returned");
        (void)hv_null();
    }
}

static void part_gone_setup(void)
{
    done = 0;
    kernel_world_open(2);
    delegate_to_child();
    kernel_world_thread(0, kernel_world()->pd, 10, ACTOR, revoke_part, NULL);
    kernel_world_thread(1, child, 10, USER, use_part, NULL);
    world_owe(1);
    kernel_world_ready();
}

KERNEL_WORLD(space_part_gone, .question = "Can a page be read after the revocation of just this part has returned?", .cpus = 2,
             .setup = part_gone_setup);

/* ---- Delegated and revoked at once: what is mapped is what is held ---- */

static void delegate(void *arg)
{
    const u64 s = program_hypercall(HYPERCALL_delegate, FIXTURE_SEL_PD, CHILD, PAGE, EXTRA,
                                    PAGES << 16 | RIGHT_R << 8 | SPACE_MEMORY << 4 | SPACE_MEMORY, 0);
    world_assert(s == OK, "delegate: %lu", s);
    world_paid();
}

static void revoke_all(void *arg)
{
    world_assert(revoke(PAGE, PAGES, 0) == OK, "revoke fails");
    world_paid();
}

static void race_setup(void)
{
    kernel_world_open(2);
    child = kernel_world_pd(CHILD);
    kernel_world_thread(0, kernel_world()->pd, 10, ACTOR, delegate, NULL);
    kernel_world_thread(1, kernel_world()->pd, 10, USER, revoke_all, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void race_after(void)
{
    for (u64 n = 0; n < PAGES; n++) {
        u64 held = 0, mapped = 0;
        u32 rights;
        const bool h = space_mem_lookup(&child->memory, EXTRA + n, &held, &rights), m = ptab_lookup(&child->memory.ptab, EXTRA + n, &mapped, &rights);
        world_assert(h == m && held == mapped, "page %lu: frame 0x%lx is held, 0x%lx is mapped", n, held, mapped);
    }
    kernel_world_after();
}

WORLD_TEST(space_race, .question = "Delegated and revoked at once: is what is mapped what is held?", .cpus = 2, .ram_bytes = FIXTURE_RAM,
           .setup = race_setup, .after = race_after, .program = { kernel_world_cpu, kernel_world_cpu });

/* ---- The source goes while it is delegated ---- */

static void delegate_going(void *arg)
{
    const u64 s = program_hypercall(HYPERCALL_delegate, FIXTURE_SEL_PD, CHILD, EXTRA, EXTRA,
                                    PAGES << 16 | RIGHT_R << 8 | SPACE_MEMORY << 4 | SPACE_MEMORY, 0);
    world_assert(s == OK || s == STATUS_RANGE, "delegate: %lu", s);
    world_paid();
}

static void revoke_source(void *arg)
{
    world_assert(revoke(EXTRA, PAGES, REVOKE_SELF) == OK, "revoke fails");
    world_paid();
}

static void source_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    child = kernel_world_pd(CHILD);
    world_assert(space_mem_insert(&f->pd->memory, EXTRA, frame(0), PAGES, RIGHT_R) == OK, "no pages");
    kernel_world_thread(0, f->pd, 10, ACTOR, delegate_going, NULL);
    kernel_world_thread(1, f->pd, 10, USER, revoke_source, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void source_after(void)
{
    u64 at;
    u32 rights;
    for (u64 n = 0; n < PAGES; n++)
        world_assert(!space_mem_lookup(&child->memory, EXTRA + n, &at, &rights) && !ptab_lookup(&child->memory.ptab, EXTRA + n, &at, &rights),
                     "page %lu outlives its source", n);
    kernel_world_after();
}

WORLD_TEST(space_source, .question = "The source goes while it is delegated: does what was delegated go too?", .cpus = 2, .ram_bytes = FIXTURE_RAM,
           .setup = source_setup, .after = source_after, .program = { kernel_world_cpu, kernel_world_cpu });

/* ---- The UTCB of an EC that goes ---- */

static void destroy_victim(void *arg)
{
    world_assert(hv_revoke(VICTIM, 1) == OK, "revoke fails");
    world_paid();
}

static void read_utcb(void *arg)
{
    for (u32 i = 0; i < 2; i++) {
        (void)user_load64(utcb);
        (void)hv_null();
    }
}

static void utcb_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    child = kernel_world_pd(CHILD);
    kernel_world_thread(1, child, 10, USER, read_utcb, NULL);
    utcb = f->utcb_next;
    fixture_ec(f, 0, child, EC_GLOBAL, VICTIM);
    kernel_world_thread(0, f->pd, 10, ACTOR, destroy_victim, NULL);
    world_owe(1);
    kernel_world_ready();
}

KERNEL_WORLD(space_utcb, .question = "Is the memory of a UTCB freed only after no CPU can translate to it?", .cpus = 2, .setup = utcb_setup);
