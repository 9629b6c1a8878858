/* SPDX-License-Identifier: BSD-2-Clause */
/* The runner's command line. */
#pragma once
#include "sim.h"

enum runner_command { RUNNER_RUN, RUNNER_REPLAY, RUNNER_SELFTEST };

struct options {
    enum runner_command command;
    const char *bundle, *recording;    /* recording: replay only; file or folder */
    enum sim_vendor vendor;
    u32 cpus;
    u64 memory_bytes, seed, steps;
    const char *json, *trace, *counts; /* file names or NULL */
    const char *kernel;                /* its command line, or NULL */
    bool escape;                       /* print what is not printable as \xNN */
    bool interactive;
    bool go_on, kernel_only, load;     /* replay; go_on: --continue */
};

/* False: one line was printed on stderr. */
bool options_parse(int count, char **argument, struct options *o);
