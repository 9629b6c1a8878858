/* SPDX-License-Identifier: BSD-2-Clause */
/* A replay: the kernel and the VMM run for real, the guest is a recording. What the files replay*.c share. */
#pragma once
#include "recording.h"
#include "runner.h"
#include "vcpu_field.h"

#define REPLAY_PATIENCE 20000u   /* slices to wait for what the recording says comes next */

struct replay_vcpu {
    u32 entries, exits;    /* seen live; exits: STARTUP included, so entries == exits inside the guest */
    bool skip_entry;       /* the next live entry follows a kick that the recording does not have */
    u32 presented;         /* 1 + number of the exit that was presented, 0: none */
    u32 patience;          /* slices waited since its last exit */
    u64 context;           /* sim_cpu_context of its CPU, 0: not bound yet */
};

struct replay {
    struct engine engine, *executes;   /* recorded exits; the engine that executes instructions */
    struct recording recording;
    struct runner runner;
    const struct options *options;
    struct replay_vcpu vcpu[RECORDING_VCPUS];
    u32 last_entry[64];    /* by CPU: 1 + vCPU of its newest entry */
    u64 strays;            /* exits that the executed guest did not reach */
    bool differs;
    char difference[256];
};

void replay_differ(struct replay *r, u32 exit, u32 vcpu, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Live records, replay_compare.c. */
void replay_record(void *arg, const struct trace_header *h);
/* Engine 3, replay_engine.c. */
bool replay_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out);
/* The neutral event that makes this exit, replay_event.c. False: there is none. */
bool replay_event(const struct trace_exit *x, struct sim_guest *g, struct engine_event *out);
bool replay_agrees(const struct trace_exit *x, const struct sim_guest *g, const struct engine_event *e);   /* is this event that exit? */
void replay_load(const struct trace_exit *x, enum sim_vendor vendor, struct sim_guest *g);
