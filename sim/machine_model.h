/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated machine as the files of sim/ see it. One machine is current per thread (`sim_here`); mach_* and atomics act on its current CPU. */
#pragma once
#include <setjmp.h>
#include <stdio.h>
#include "cpu.h"
#include "event.h"
#include "rule.h"
#include "sim.h"
#include "sim_mem.h"
#include "upcall.h"

#define SIM_CPUS_MAX     64u
#define SIM_TSC_KHZ      1000000ul   /* the clock counts nanoseconds */
#define SIM_APIC_DIVIDER 10ul        /* clock ticks per APIC timer tick at divider 1: no mix-up of the two goes unseen */
#define SIM_APIC_BASE    0xfee00000ul
#define SIM_PHYS_BITS    40u         /* MAXPHYADDR */
#define SIM_HOLE_START   (3ul << 30) /* physical addresses of devices: no RAM from here ... */
#define SIM_HOLE_END     (4ul << 30) /* ... to here; what is more than 3 GiB of RAM follows */

struct virt_model;

/* An answer of the MMU, and what it was read from: mmu.c. */
struct sim_memo {
    u64 key, cr0, cr3, cr4, efer, states;
    u64 *slot[4], word[4];
    u32 words;                       /* 0: empty */
    struct sim_translation answer;
};
#define SIM_MEMOS 8u                 /* per CPU */

/* What these CPUs have; set by sim_create, tests may change it before the first run. */
struct sim_profile {
    bool xsave, x2apic, tsc_deadline, nx, page_1g, smep, smap, umip;
    bool ibpb, md_clear, l1d_flush, rtm, arch_cap;   /* commands against speculation; none by default */
    u64 arch_capabilities;
};

struct sim {
    struct sim_config config;
    struct sim_profile profile;
    const struct virt_model *virt;   /* NULL: neither VMX nor SVM */
    struct sim_upcall upcall;        /* the linked kernel, or a test's own */

    /* Memory: one mapping: guard, RAM, guard, then a guarded stack per CPU. */
    u8 *map, *ram;
    u64 map_bytes, ram_bytes;        /* ram_bytes: where physical RAM ends, the hole included */
    u8 *shadow;                      /* enum mem_state of each 64 bytes of RAM */
    u64 states;                      /* changes of it so far */
    bool forbidden;                  /* the sanitizer was told of RAM that nobody may touch */
    u8 *tables;                      /* bitmap of pages that a walker has read as page tables */
    struct translations *translations;   /* what CPUs may have cached; NULL: not recorded */
    struct exposed *exposed;         /* what user level sees of the kernel */
    void *kern;                      /* mach_kern_set */
    u64 boot_root, boot_info;        /* physical: top-level table, multiboot2 structure */

    /* CPUs. The masks hold a bit per CPU. */
    struct sim_cpu *cpu;
    struct sim_memo *memo;
    u32 cpu_count;
    struct sim_cpu *current;
    struct fiber main;               /* whoever called sim_run */
    u64 steppable;                   /* CPUs that can step */
    u64 spinning;                    /* CPUs asleep in mach_relax until what they read changes */
    u64 awake;                       /* of those, whose words have changed, but who are to wait for all others (await_last) */
    u64 buffered;                    /* CPUs whose store buffer holds something: their flushers can step */
    struct sim_agents agents;        /* of the STEP question being asked */

    /* Time. */
    u64 clock, timer_next;           /* timer_next: earliest expiry, ~0: none armed */
    u64 steps_end;                   /* budget of this sim_run */
    u64 writes;                      /* atomic writes that changed something */

    struct sim_counts counts;
    struct sim_result result;
    bool ended, in_run;
    bool quiet;                      /* this run has no chooser and is no world: nobody looks at its steps, no store waits */
    bool booted;                  /* the boot CPU was started */
    bool stopped;                    /* sim_stop */
    bool shutdown;                   /* mach_shutdown: ends at the next resume */
    char message[256];
    enum sim_rule broken;            /* the rule of the end that is being made; RULE_NONE: no rule */

    /* Worlds: what is explored (world.c). */
    struct world *world;             /* NULL: an ordinary machine */
    struct snapshot *snapshot;       /* NULL: no mark */
    struct sim_event *events;        /* EVENTS_MAX of them */
    u8 *step_agent;                  /* who made each step; EVENTS_MAX of them */
    u32 event_count, step;
    u32 awaits;                      /* CPUs that fell asleep in mach_relax */
    bool await_last;                 /* a spinner whose words changed goes on only when nobody else can */
    struct race *race;               /* NULL: races are not judged */

    /* Unit tests. */
    bool unit;
    u64 fail_in;
    void (*hook)(void *arg);
    void *hook_arg;
    bool in_hook;
    jmp_buf *expected;               /* sim_unit_expect_panic */
    u64 relaxes;                     /* in a row without a write */

    /* What the tsan build counts. */
    u64 plain_reads, plain_writes;
};

extern _Thread_local struct sim *sim_here;

/* ---- Steps: sched.c ---- */
void sim_step(struct sim_cpu *cpu);                    /* a schedule point of the CPU that is stepping; cpu->pending says what it is about to do */
void sim_due(struct sim_cpu *cpu);                     /* a timer expires, the budget of steps is used up, an NMI came */
void sim_yield(struct sim_cpu *cpu);                   /* the same, but by default the others go first */
void sim_wait(struct sim_cpu *cpu);                    /* this CPU can do nothing: returns when its bit in steppable was set and it was chosen */
void sim_drain(struct sim_cpu *cpu);                   /* returns when the CPU's store buffer is empty */
void sim_rouse(struct sim *s, u64 object);             /* CPUs that spin on it; OBJECT_NONE: on anything */
void sim_time(struct sim_cpu *cpu, u64 ticks);         /* the CPU spent time: an engine's slice */
void sim_wake(struct sim_cpu *cpu);                    /* it can step again */
bool sim_alone(const struct sim_cpu *cpu);             /* no other agent can step, or nobody chooses */
void sim_pass(struct sim_cpu *cpu);                    /* the CPU waits for time alone: some passes, never beyond a timer */

/* ---- What was done: event.c ---- */
void sim_note(struct sim_cpu *cpu, enum sim_op op, enum sim_effect effect, u64 object, u64 before, u64 after);
void sim_flushed(struct sim_cpu *cpu, const struct sim_pending *p, u64 before, u64 after);   /* its flusher did */
void sim_ordered(struct sim *s, enum sim_op op, enum sim_effect effect, u64 object);   /* this step did, and no spin loop waits for it */
const void *sim_object_memory(const struct sim *s, u64 object);   /* where a memory object is; NULL: it is none */
u64 sim_object(const struct sim *s, const void *address);

/* ---- Ends ---- */
void sim_end(struct sim *s, enum sim_end end, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
/* A rule was broken (rule.h): ends the current machine, whose message becomes "[NAME] what, where". */
void sim_broken(enum sim_rule rule, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

void unit_end(struct sim *s) __attribute__((noreturn));   /* the end of a machine that nobody runs: unit.c */

/* ---- Events: docs/machine.md says which, in which order. FNV-1a, 64 bits, a word at a time: each step is a bijection, so one word that differs
 * always shows. No word in it comes from a host address. ---- */
enum hash_event { HASH_TRAP = 1, HASH_RESUME, HASH_IPI, HASH_CONSOLE, HASH_SHUTDOWN };
#define FNV_BASIS 0xcbf29ce484222325ul
#define FNV_PRIME 0x100000001b3ul

static inline void sim_hash_event(struct sim *s, enum hash_event event, u64 a, u64 b, u64 c, u64 d)
{
    u64 hash = (s->result.event_hash ^ event) * FNV_PRIME;
    hash = (hash ^ a) * FNV_PRIME;
    hash = (hash ^ b) * FNV_PRIME;
    hash = (hash ^ c) * FNV_PRIME;
    s->result.event_hash = (hash ^ d) * FNV_PRIME;
}

/* The current CPU; the machine's own functions use it where no CPU is passed. */
static inline struct sim_cpu *sim_this(void)
{
    return sim_here->current;
}

static inline void sim_count(enum sim_count what)
{
    sim_here->counts.of[what]++;
}

/* ---- Steps, the short way ---- */

/* A step of a quiet machine: it goes on where it is, unless something is due. */
static inline void sim_tick(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    s->result.steps++;
    s->clock++;
    if (unlikely((s->clock >= s->timer_next) | (s->result.steps >= s->steps_end) | cpu->nmi))
        sim_due(cpu);
}

/* A schedule point in worlds too. */
static inline void sim_point(struct sim_cpu *cpu, enum sim_op op, u64 object, u32 bytes, const void *site)
{
    cpu->pending = (struct sim_pending){ object, (u64)site, bytes, (u8)op };
    if (likely(cpu->sim->quiet))
        sim_tick(cpu);
    else
        sim_step(cpu);
}

/* Nobody will ask what this CPU's turn has read or written: no event is recorded, and a turn that has looked outside never sleeps. */
static inline bool sim_unnoted(const struct sim_cpu *cpu)
{
    return cpu->sim->quiet & cpu->turn_outside;
}

static inline void sim_did(struct sim_cpu *cpu, enum sim_op op, enum sim_effect effect, u64 object, u64 before, u64 after)
{
    if (!likely(sim_unnoted(cpu)))
        sim_note(cpu, op, effect, object, before, after);
}

/* This object changed. */
static inline void sim_wrote(struct sim *s, u64 object)
{
    s->writes++;
    s->relaxes = 0;
    if (unlikely(s->spinning != 0))
        sim_rouse(s, object);
}
