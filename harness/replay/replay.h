/* SPDX-License-Identifier: BSD-2-Clause */
/* A replay: kernel and VMM run for real, the guest is a trace. Nothing of the guest is executed: before each exit its recorded state is loaded, and
 * what the VMM will read of its memory is put there.
 *
 *   struct replay r;
 *   replay_open(&r, &course, &(struct replay_options){ .vendor = SIM_VMX }, user);
 *   config.guest = &r.engine, config.user = r.user, config.trace = MACH_TRACE_LIVE, config.trace_sink = a function that calls replay_packet
 *   r.sim = sim_create(&config); sim_run(...)
 *
 * Without Unicorn, and without printing. */
#pragma once
#include "replay/compare.h"
#include "replay/course.h"

#define REPLAY_PATIENCE 20000u   /* slices to wait for what the trace says comes next */
#define REPLAY_CPUS     64u

struct replay_options {
    enum sim_vendor vendor;      /* of the model */
    bool go_on;                  /* differences are reported and counted; the trace counts from there on */
    void (*differs)(void *arg, const struct difference *d, u32 exit, u32 vcpu);   /* each one */
    void *arg;
};

/* Of a vCPU. Its turn is cursor.turn: the one whose exit comes next, or is handled by the VMM. */
struct replay_vcpu {
    struct course_cursor cursor;
    struct trace_words live;
    u64 context;                 /* sim_cpu_context of its CPU, 0: not bound yet */
    u32 patience;                /* slices waited since something happened */
    u32 values;                  /* noted by the live VMM since the exit */
    u64 answered;                /* sequence of the recorded entry before this turn */
    bool inside;                 /* the live VMM has an exit */
    bool resumed;                /* the model was seen as the last entry left it */
    bool loaded;                 /* this turn's exit stands in the cursor's words */
    bool presented;              /* and was given to the model */
    bool stray;                  /* the live exit is a kick that the trace does not have: it and its entry are passed over */
};

struct replay {
    struct engine engine;        /* the guest engine */
    struct engine *user;         /* what runs user mode: the caller's, or `clock`, which hands recorded times to it */
    struct engine clock;
    struct engine *executes;
    struct sim *sim;             /* set by the caller before it runs */
    const struct course *course;
    struct replay_options options;
    struct compare_machines machines;
    struct replay_vcpu vcpu[COURSE_VCPUS];
    u32 last_entry[REPLAY_CPUS]; /* by CPU: 1 + vCPU of its newest entry */
    struct {
        u64 context;             /* whose clock hypercall is under way; 0: none */
        u64 next;                /* event from which on the next recorded time is looked for */
    } time[REPLAY_CPUS];
    u64 exits, differences, passed;   /* seen; found; turns that this vendor does without an exit */
    bool stopped;                /* at the first difference */
};

void replay_open(struct replay *r, const struct course *c, const struct replay_options *o, struct engine *user);
/* NULL: the trace can be replayed with its VMM; else what it lacks. */
const char *replay_refuses(const struct course *c);
/* A packet of the running machine's tracer, whole. False: nothing more is wanted, stop the machine. */
bool replay_packet(struct replay *r, const void *bytes, u32 count);

/* ---- Between the files ---- */

bool replay_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out);
bool replay_has_times(const struct course *c);
bool replay_user(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out);
void replay_flush(struct engine *e, struct sim_cpu *cpu);
void replay_differs(struct replay *r, const struct difference *d, u32 exit, u32 vcpu);
void replay_next(struct replay *r, u32 vcpu);                       /* its entry has come, or is passed over: the next turn */
bool replay_turn(const struct replay *r, u32 vcpu, struct course_turn *turn);  /* false: none is left */
/* Must another vCPU do something before what has this sequence? */
bool replay_others_first(const struct replay *r, u32 vcpu, u64 sequence);
/* What the VMM read of guest memory in this turn, into memory that is mapped. */
void replay_memory(struct replay *r, struct sim_cpu *cpu, const struct sim_guest *g, u32 vcpu);
void replay_value(struct replay *r, const struct trace_value *got);   /* of the live VMM: is it the recorded one? */
void replay_values_end(struct replay *r, u32 vcpu);                  /* and were these all? */
