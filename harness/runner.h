/* SPDX-License-Identifier: BSD-2-Clause */
/* A run of the machine as the runner makes it: the same for run and replay. */
#pragma once
#include <stdio.h>
#include "input.h"
#include "options.h"
#include "sim.h"
#include "abi/trace_words.h"

struct runner {
    const struct options *options;
    struct input bundle;
    struct sim_config config;
    FILE *trace, *counts;              /* NULL: not wanted */
    u64 reason[TRACE_NO_VCPU + 1];        /* by vCPU: word 0 of its last exit */
    u64 exits[VCPU_EXIT_COUNT], lost[64];
    struct sim *machine;               /* while it runs */
    /* For who reads along; NULL: nobody. A packet of the machine's trace, whole; false: stop it. The machine, before it runs. */
    bool (*packet)(void *arg, const void *bytes, u32 count);
    void (*made)(void *arg, struct sim *machine);
    void *packet_arg;
};

bool runner_open(struct runner *r, const struct options *o);   /* reads and checks the bundle; false: one line on stderr, exit status 2 */
void runner_close(struct runner *r);
/* Run to the end; the machine is gone afterwards. False: it could not be made, one line on stderr. message has room for 256 bytes. */
bool runner_run(struct runner *r, struct sim_result *result, char *message);
void runner_stop(struct runner *r);                            /* from a callback */
bool runner_json(const struct runner *r, const struct sim_result *result);
void runner_json_string(FILE *f, const char *text);            /* quoted */
const char *runner_end_name(enum sim_end end);

int command_replay(const struct options *o);                   /* exit status */
