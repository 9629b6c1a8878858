/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds of the whole kernel: its CPUs run kern_trap in the machine's normal loop, user level is C functions (program.h) that make hypercalls.
 *
 *   static void setup(void)
 *   {
 *       struct fixture *f = kernel_world_open(2);
 *       kernel_world_sm(0, SEL(0));
 *       kernel_world_thread(0, f->pd, 10, SEL(1), waiter, NULL);
 *       kernel_world_thread(1, f->pd, 10, SEL(2), waker, NULL);
 *       world_owe(1);
 *       kernel_world_ready();
 *   }
 *   KERNEL_WORLD(sm_wake, .question = "...", .cpus = 2, .setup = setup);
 *
 * A thread that returns waits for ever. What each thread learns it keeps in variables of its own: .end looks at them. After every run the kernel must
 * be at rest and sound (kernel_world_after), and give back all that the world took: no reference, no byte may be left.
 * User functions must not use atomics or mach_*: they run on stacks of their own. */
#pragma once
#include "abi/status.h"
#include "kernel_fixture.h"
#include "program.h"
#include "sm.h"
#include "world.h"

#define SEL(number)  (64u + 4u * (number))    /* for an object and what comes with it: SC of a thread, portal of a handler */
#define SEL_PARK(cpu) (1000u + (cpu))         /* semaphores nobody ups */

struct fixture *kernel_world_open(u32 cpus);          /* first in setup */
struct ec *kernel_world_thread(u32 cpu, struct pd *pd, u32 priority, u64 selector, void (*run)(void *), void *arg);
/* Its time never ends: no timer of its own comes to its rescue. */
void kernel_world_unlimited(struct ec *ec);
/* A portal at selector + 1; run returns: an empty reply. */
struct ec *kernel_world_handler(u32 cpu, struct pd *pd, u64 selector, void (*run)(void *), void *arg);
struct sm *kernel_world_sm(u64 count, u64 selector);
struct ec *kernel_world_ec(u32 cpu, u64 selector, void (*run)(void *), void *arg);   /* global, without time */
struct pd *kernel_world_pd(u64 selector);             /* a child; it holds itself at FIXTURE_SEL_PD */
void kernel_world_give(u64 pd, u64 selector, u64 count);   /* to a child, which lends them back */
u64 kernel_world_soon(u64 order);                     /* a deadline that comes by itself only when all else is done; a higher order, later */
void kernel_world_ready(void);                        /* last in setup */
struct fixture *kernel_world(void);

void kernel_world_cpu(void);                          /* the program of every CPU */
void kernel_world_after(void);

#define KERNEL_WORLD(id, ...)                                                                                          \
    WORLD_TEST(id, .ram_bytes = FIXTURE_RAM, .after = kernel_world_after,                                              \
               .program = { kernel_world_cpu, kernel_world_cpu, kernel_world_cpu, kernel_world_cpu }, __VA_ARGS__)

/* ---- Hypercalls of user functions: the status ---- */
static inline u64 hv_null(void)
{
    return program_hypercall(HYPERCALL_null, 0, 0, 0, 0, 0, 0);
}

static inline u64 hv_call(u64 portal)
{
    return program_hypercall(HYPERCALL_call, portal, 0, 0, 0, 0, 0);
}

static inline u64 hv_up(u64 sm)
{
    return program_hypercall(HYPERCALL_sm_up, sm, 0, 0, 0, 0, 0);
}

static inline u64 hv_down(u64 sm, u64 deadline)
{
    return program_hypercall(HYPERCALL_sm_down, sm, 0, deadline, 0, 0, 0);
}

static inline u64 hv_revoke_from(u64 pd, u64 selector, u64 count, u64 flags)
{
    return program_hypercall(HYPERCALL_revoke, pd, selector, count << 4 | SPACE_OBJECT, flags, 0, 0);
}

/* Capabilities of the own PD, and all derived from them. */
static inline u64 hv_revoke(u64 selector, u64 count)
{
    return hv_revoke_from(FIXTURE_SEL_PD, selector, count, REVOKE_SELF);
}

/* One capability with all permissions. */
static inline u64 hv_delegate(u64 from, u64 to, u64 selector, u64 target)
{
    return program_hypercall(HYPERCALL_delegate, from, to, selector, target, 1ul << 16 | PERM_ALL << 8 | SPACE_OBJECT << 4 | SPACE_OBJECT, 0);
}

static inline u64 hv_sc_create(u64 selector, u64 ec, u64 priority)
{
    return program_hypercall(HYPERCALL_sc_create, FIXTURE_SEL_PD, selector, ec, priority, FIXTURE_BUDGET, 0);
}
