/* SPDX-License-Identifier: BSD-2-Clause */
/* lifecycle: what its files share.
 *
 *   coordinator (first EC, CPU 0)   workers (WORKERS on each CPU)      all in the program's own PD; they outlive every cell
 *   owner: a PD made for one cell, with this program's text and data   its maker thread makes the objects of the scene in the owner's selectors O_*
 *
 * A scene brings objects into a state, with partners (workers) that call, wait and run guests. A target is one of the scene's objects, or the owner itself,
 * and what its end does. A cell is scene x target x who ends it: an actor on the scene's CPU (home), or on another.
 * Data is shared by the program and all owners; what more than one thread touches is in struct life, atomic. */
#pragma once
#include "abi/vcpu.h"
#include "atomic.h"
#include "client.h"
#include "hv.h"

#define CPUS       4u
#define PARTNERS   3u
#define UTCB_AT(n) (PROGRAM_UTCB + (n) * PROGRAM_UTCB_STEP)
#define PAGE_OF(a) ((a) >> PAGE_BITS)

/* The program's selectors: two leaves, which persistent objects keep. */
enum {
    SEL_SLEEP = 4096, SEL_READY, SEL_HOLD, SEL_NEVER, SEL_WORK = 4104, SEL_WORKER = 4124, SEL_SERVER = 4164,
    SEL_OWNER = 4176, SEL_MAKER_EC, SEL_MAKER_SC, SEL_COPY = 4180 /* + O_*: capabilities derived from the owner's */, SEL_FREE = 4212, SEL_END = 4224,
};
#define SEL_EVENT_OF(cpu)  (SEL_SERVER + 8 + (cpu))
#define SEL_PORTAL_OF(cpu) (SEL_SERVER + 4 + (cpu))

/* The owner's: one leaf. */
enum {
    O_SERVER = 6, O_READY, O_EC = 10, O_SC, O_SM, O_HANDLER, O_PORTAL, O_VCPU, O_EC2, O_SC2, O_PD, O_PD_EC, O_PD_SC, O_CPU /* EC and SC for each CPU */,
    O_TEMPORARY = O_CPU + 2 * CPUS, O_EVENTS = 32, O_NO_EVENTS = 64, O_END = 32,
};
enum { U_MAKER, U_EC, U_EC2, U_HANDLER, U_CPU, U_STATE = 20, U_CODE, U_PAGE, U_PAGE2, U_INNER };   /* addresses there: UTCB_AT */

enum { PRIORITY_WITNESS = 1, PRIORITY_OWNER = 10, PRIORITY_PARTNER = 20, PRIORITY_HOG = 30, PRIORITY_ACTOR = 40, PRIORITY_MAKER = 45 };   /* the coordinator: 50 */
enum worker { WITNESS, PARTNER, PARTNER2, HOG, ACTOR, WORKERS };

enum serve { SERVE_ANSWER, SERVE_SPIN, SERVE_WAIT };   /* word 0 of a call to the program's own handlers */

/* PROGRAM_MEMORY: the guest's code, and the page its word is on, which the owner has at U_CODE and U_PAGE; then pages of the cycles, one per CPU. */
#define LIFE_MEMORY_WORD ((atomic_u32 *)(PROGRAM_MEMORY + PAGE_SIZE))
#define LIFE_CYCLE_PAGE  2u

/* What has come about in this cell. */
struct life {
    u32 home, other;
    atomic_u64 release;      /* loops of the program's own end */
    atomic_u64 count;        /* grows while what the scene keeps going goes on */
    atomic_u64 holds;        /* handlers of the program's that wait at SEL_HOLD */
    atomic_u64 hogs;
    atomic_u64 told;         /* the owner's thread: status + 1 of what it waited in */
};
extern struct life life;
extern struct thread self;

/* ---- crew.c ---- */

struct job {
    u64 (*work)(const struct thread *worker, u64 arg);   /* result: a status */
    u64 arg;
};
void crew_make(void);
void crew_start(u32 cpu, enum worker w, struct job job);
must_check bool crew_done(u32 cpu, enum worker w, u64 *result);   /* of its last job */
u64 crew_wait(u32 cpu, enum worker w);                            /* its result; fails if it never ends */
u64 crew_do(u32 cpu, enum worker w, struct job job);
void crew_settle(u32 cpu);                                        /* returns when all there that is above the witness waits */
void crew_home(u32 cpu);                                          /* lets its handler go, and brings it home */
void check(enum status s, const char *what);
void life_fail(const char *what, u64 value) __attribute__((noreturn));   /* in the current cell */
extern const char *life_what[3];                                  /* names the current cell */
void pause_us(u64 us);
#define WAIT_US   200u
#define WAITS     40000u
#define EVENTUALLY(condition, what)                        \
    do {                                                   \
        for (u32 w_ = 0; !(condition); w_++) {             \
            if (w_ == WAITS)                               \
                life_fail(what, 0);                        \
            pause_us(WAIT_US);                             \
        }                                                  \
    } while (0)

struct account {
    u64 used, limit;
};
struct account account(u64 pd);
void account_await(const struct account *before);   /* the program's own: everything has come back */

/* ---- owner.c ---- */

u64 image_pages(void);
void image_give(u64 pd);                  /* this program's text and data; caller: its PROGRAM_SEL_PD */
void owner_make(void (*make)(void));      /* returns when its maker has done that */
void owner_end(void);
void owner_copy(u64 selector);            /* the program gets it at SEL_COPY + selector, if it is there */

/* ---- scenes.c and its sisters: what a maker calls ---- */

struct step {
    u8 worker;
    bool elsewhere;
    struct job job;
};

/* Told: 0: still waits. */
#define TOLD(status) ((u8)((status) + 1))
#define TOLD_GONE    100u   /* ABORT or CAP, as it was in the hypercall or not */

enum life_type { LIFE_PD, LIFE_EC, LIFE_SC, LIFE_PORTAL, LIFE_SM, LIFE_VCPU, LIFE_MEMORY, LIFE_TYPES };

struct target {
    enum life_type type;
    const char *name;
    u8 first, count;          /* O_*; 0, 0: the owner itself; memory: the page U_PAGE (first 0), or the guest's (first 1) */
    bool stops;               /* `count` stands still after it */
    u8 told[PARTNERS];        /* partner n ends its wait with */
    u8 thread;                /* the owner's thread does */
};

#define SCENE_COUNTS 0x1u     /* `count` grows */
#define SCENE_BUSY   0x2u     /* it grows until partner 0 comes */
#define SCENE_HOG    0x4u     /* a hog has its CPU while it is made */
#define SCENE_FIRST  0x8u     /* partner 0 comes before the maker */
#define SCENE_EARLY  0x10u    /* partner 0 is done before the end */
#define SCENE_VIRT   0x20u
struct scene {
    const char *name;
    void (*make)(void);       /* in the maker */
    struct step step[PARTNERS];
    const struct target *target;
    u32 targets, flags;
    u8 told[PARTNERS];        /* at the latest when all is dismantled */
};
extern const struct scene thread_scenes[], handler_scenes[], passive_scenes[], space_scenes[];
extern const u32 thread_scene_count, handler_scene_count, passive_scene_count, space_scene_count;
#define TARGETS(...) .target = (const struct target[]){ __VA_ARGS__ }, .targets = sizeof((const struct target[]){ __VA_ARGS__ }) / sizeof(struct target)
#define AIM(what, text, at, units) .type = what, .name = text, .first = at, .count = units
#define OWNER_ENDS   AIM(LIFE_PD, "its domain", 0, 0)

/* An EC of the owner and its time. */
void owner_thread(u32 utcb, u64 ec, u32 cpu, u64 event_base, void (*entry)(void *), void *arg);
void owner_handler(void (*entry)(u64 id, u64 mtr));   /* O_HANDLER, O_PORTAL */
void owner_vcpu(u64 rip, bool started);               /* O_VCPU; the caller runs it once */
void owner_must(enum status s);
void owner_tell(enum status s) __attribute__((noreturn));   /* the thread's wait is over */
u64 *owner_utcb_word(u32 utcb);
/* Jobs of partners. */
u64 job_call(const struct thread *t, u64 portal);
u64 job_call_wait(const struct thread *t, u64 portal);   /* SERVE_WAIT */
u64 job_call_loop(const struct thread *t, u64 portal);
u64 job_down(const struct thread *t, u64 sm);
u64 job_down_until(const struct thread *t, u64 sm);
u64 job_down_loop(const struct thread *t, u64 sm);
u64 job_up_loop(const struct thread *t, u64 sm);
u64 job_run(const struct thread *t, u64 vcpu);
u64 job_run_loop(const struct thread *t, u64 vcpu);
u64 job_kick_loop(const struct thread *t, u64 vcpu);
u64 job_end_second(const struct thread *t, u64 arg);     /* O_EC2 and its time are gone */

/* ---- cells.c, cycles.c, quota.c: the three parts ---- */

void cells_run(void);
void cycles_run(u64 lives);
void quota_run(void);
