/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds: tests that are explored. A world is a machine, a program for each of its CPUs, and what must hold; the explorer runs it again and
 * again from one snapshot, each time with another order of steps, another delay of stores, other stale translations, other faults.
 *
 *   static atomic_u64 *flag, *data;
 *   static void setup(void)    { flag = world_alloc(8); data = world_alloc(8); }
 *   static void writer(void)   { atomic_store(data, 42); atomic_store(flag, 1); }
 *   static void reader(void)   { while (!atomic_load(flag)) mach_relax(); world_assert(atomic_load(data) == 42, "data before flag"); }
 *   WORLD_TEST(message, .question = "Does the flag come after the data?", .cpus = 2, .setup = setup, .program = { writer, reader });
 *
 * Every atomic (atomic.h) and every mach_* (machine.h) of a program is a schedule point. Compile programs with -fsanitize=thread and link without
 * its runtime: then plain accesses are watched for races, and plain writes to globals are undone between runs. Programs must not call
 * malloc, use chance or the clock of the process; all they need they take from world_alloc in setup.
 * A wait is a loop with mach_relax(): a CPU whose turn of the loop changed nothing sleeps until something it read changes.
 * A run ends when every program has returned (world_run counts as that), all store buffers are empty, no interrupt is pending and nothing is owed. */
#pragma once
#include "atomic.h"
#include "machine.h"
#include "sim.h"

#define WORLD_CPUS 8u

struct world_test {
    const char *name;                       /* a-z, 0-9, '-' */
    const char *question;                   /* one line: what would the bug be? */
    u32 cpus;                               /* 1 .. WORLD_CPUS */
    enum sim_vendor vendor;                 /* SIM_NONE: no guests */
    u64 ram_bytes;                          /* 0: 16 MiB */
    void (*setup)(void);                    /* once, before the snapshot: CPU 0 alone, undisturbed. world_cpu() makes another one act */
    void (*program[WORLD_CPUS])(void);      /* CPU i, in kernel mode, interrupts off; NULL: it only takes interrupts */
    void (*interrupt)(u32 vector);          /* on a CPU that waits (world_wait, or its program has ended) and accepted one */
    void (*check)(void);                    /* after every step: looks at memory and changes nothing; no atomics, no mach_*: see world_peek */
    void (*end)(void);                      /* after the run: as check */
    void (*after)(void);                    /* after a run that ended well: CPU 0 alone, undisturbed, as in setup. May take apart what there is */
    u64 steps;                              /* a run longer than this is a finding (livelock); 0: 100,000 */
    u8 preemptions, delays, faults;         /* the bound the whole exploration of this test goes to; 0, 0, 0: 2, 2, 0 */
    bool unbounded;                         /* small enough for the search without bounds */
    bool sc;                                /* explored without store buffers by default */
};

void world_register(const struct world_test *t);
#define WORLD_TEST(id, ...)                                                                                            \
    static const struct world_test world_test_##id = { .name = #id, __VA_ARGS__ };                                     \
    __attribute__((constructor)) static void world_register_##id(void)                                                 \
    {                                                                                                                  \
        world_register(&world_test_##id);                                                                              \
    }                                                                                                                  \
    extern int world_needs_semicolon

const struct world_test *world_find(const char *name);   /* NULL: none */
const struct world_test *world_next(const struct world_test *t);   /* by name; NULL: the first */

/* ---- In setup ---- */
void *world_alloc(u64 bytes);                            /* zeroed RAM of the machine, 64-byte aligned; never freed. In setup only */
void world_cpu(u32 cpu);                                 /* this CPU acts now */
void world_label(const void *p, u64 bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));   /* its name in reports and schedules */
void world_region(void *p, u64 bytes);                   /* memory of the process to be put back before each run, where no sanitizer call watches it */
struct sim *world_sim(void);                             /* the machine, for sim.h and sim_mem.h */
void world_engine(struct engine *user, struct engine *guest);   /* who runs user mode, the world's from now on; who runs guests or NULL */
void world_owe(u32 things);                              /* so many are to be done in a run before it may end: see world_paid */

/* ---- In programs ---- */
u32 world_id(void);                                      /* the CPU this runs on */
struct sim_cpu *world_sim_cpu(void);                     /* the same, for sim_mem.h: memory through this CPU's page tables */
void world_wait(void);                                   /* halt until an interrupt comes; runs .interrupt for it */
bool world_poll(void);                                   /* runs .interrupt for one that is pending now */
void world_run(struct resume *r);                        /* from here on do what a CPU does: resume this, trap into the kernel, ...; no return */
u32 world_choose(u32 bound);                             /* 0 .. bound - 1: the test's own nondeterminism (an input byte) */

/* One of what world_owe announced. With something owed, a machine that does nothing waits for its next timer; without one it is deadlocked. */
void world_paid(void);

/* ---- In programs, check and end ---- */
#define world_assert(condition, ...) ((condition) ? (void)0 : world_fail(__VA_ARGS__))
void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
u64 world_peek(const void *word);                        /* 8 bytes as memory holds them now: no step */

/* ---- In main ---- */
int world_main(int argc, char **argv);   /* the command line of orrery-explore (docs/exploration.md), for the tests linked in: its exit status */
