/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel on a unit machine, for tests of what is above the spaces: CPUs are up, a first PD holds all quota and some memory; ECs are driven by
 * hand: fixture_call puts arguments into their registers and traps. Nothing runs by itself; interrupts arrive when the test says so.
 *
 *   struct fixture *f = fixture_open(2, SIM_VMX);
 *   struct ec *ec = fixture_thread(f, 0, f->pd, 10, 100);      EC at selector 100, SC at 101, budget 1 M ticks
 *   fixture_run(f, 0);                                         CPU 0 chooses: f->cpu(0)->current == ec
 *   assert_int_equal(fixture_call(f, ec, HYPERCALL_null), OK);
 *   fixture_close(f);
 *
 * Root's own capability: FIXTURE_SEL_PD. Selectors below FIXTURE_SEL_FREE are taken, or exist empty so that no leaf has to be made for them. */
#pragma once
#include "cpu.h"
#include "ec.h"
#include "pd.h"
#include "sc.h"
#include "sm.h"
#include "sim.h"
#include "unit.h"

#define FIXTURE_SEL_PD   1u
#define FIXTURE_SEL_FREE 1024u
#define FIXTURE_MEMORY   ROOT_MEMORY      /* FIXTURE_PAGES pages of user memory, RWX */
#define FIXTURE_PAGES    64ul
#define FIXTURE_UTCB     0x10010000ul     /* of the first EC; not the first page of its tables */
#define FIXTURE_BUDGET   1000000000ul
#define FIXTURE_QUOTA    (8ul << 20)
#define FIXTURE_RAM      (64ul << 20)

struct fixture {
    struct sim *sim;
    struct kern *k;
    struct pd *pd;
    struct resume *resumed[4];   /* by CPU: what its last trap returned */
    u64 frame;                   /* first frame of FIXTURE_MEMORY */
    u64 utcb_next;
    u64 root_paid;               /* at the beginning */
    bool by_hand;                /* the test destroys or writes what only the kernel may: no leak count at the end */
};

struct fixture *fixture_open(u32 cpus, enum sim_vendor vendor);
struct fixture *fixture_open_on(struct sim *s, u32 cpus);   /* on a machine that exists: FIXTURE_RAM bytes; fixture_close destroys it */
void fixture_close(struct fixture *f);   /* takes all back that root has: nothing may be missing then */
struct cpu *fixture_cpu(struct fixture *f, u32 cpu);      /* and makes it the machine's current one */

/* An EC, capability at selector; EC_* flags. */
struct ec *fixture_ec(struct fixture *f, u32 cpu, struct pd *pd, u32 flags, u64 selector);
/* A global EC with an SC, capabilities at selector and selector + 1 of f->pd; not yet chosen. */
struct ec *fixture_thread(struct fixture *f, u32 cpu, struct pd *pd, u32 priority, u64 selector);
/* A local EC, capability at selector; and a portal into it, at selector + 1, id = selector. */
struct ec *fixture_handler(struct fixture *f, u32 cpu, struct pd *pd, u64 selector);
/* A child PD, capability at selector. */
struct pd *fixture_pd(struct fixture *f, u64 quota, u64 selector);

/* What the hypercalls do with a semaphore. */
enum status fixture_sm_up(struct cpu *cpu, struct sm *sm);
enum status fixture_sm_down(struct cpu *cpu, struct ec *ec, struct sm *sm, bool zero, u64 deadline);

struct resume *fixture_trap(struct fixture *f, u32 cpu, u64 trap, u64 info);
void fixture_run(struct fixture *f, u32 cpu);             /* a trap without meaning: the CPU chooses */
void fixture_tick(struct fixture *f, u32 cpu);            /* a timer interrupt */
void fixture_interrupts(struct fixture *f);               /* all that wait, on all CPUs, until none does */
void fixture_settle(struct fixture *f);                   /* so many traps that every epoch is over */
void fixture_later(struct fixture *f, u64 ticks);         /* time passes */

/* Up to six arguments in table order. The EC must be current on its CPU. Returns its RAX: the status, unless it blocked or switched. */
u64 fixture_call_(struct fixture *f, struct ec *ec, u64 number, const u64 *args, u32 count);
#define fixture_call(f, ec, ...) FIXTURE_CALL(f, ec, __VA_ARGS__, 0)
#define FIXTURE_CALL(f, ec, number, ...) \
    fixture_call_(f, ec, number, (const u64[]){ __VA_ARGS__ }, sizeof((const u64[]){ __VA_ARGS__ }) / sizeof(u64) - 1)

/* What must be equal before something and after it was undone. */
struct fixture_books {
    u64 free, used, kernel_used;
};
struct fixture_books fixture_books(struct fixture *f);
void fixture_balanced(struct fixture *f, struct fixture_books before);   /* settles, then asserts equality */
