/* SPDX-License-Identifier: BSD-2-Clause */
/* Replay without the VMM: kernel and machine model alone. A root program written in C takes the VMM's place and gives the recorded answers; so nothing of
 * a VMM, its devices or its guest's memory is needed, and an exit costs little more than the kernel's own work.
 *
 *   struct answer_result r;
 *   answer_run(&course, &(struct answer_options){ .vendor = SIM_VMX }, &r);
 *   status = r.end == ANSWER_DONE && !r.differences ? 0 : 1;
 *
 * Each vCPU has an EC of its own on the CPU that the trace names. vCPUs do not wait for each other: what one does to another, a kick, is in its own turns.
 * No memory is given to the guest, so nested faults are real on every machine, and which rights were present is not compared. Prints nothing. */
#pragma once
#include "replay/compare.h"
#include "replay/course.h"

enum answer_mode {
    ANSWER_STRICT,               /* the first difference ends it */
    ANSWER_CONTINUE,             /* differences are counted; goes on with what was recorded */
    ANSWER_LOAD,                 /* nothing is compared, as fast as it goes; turns without an entry are answered by skipping the instruction */
};

enum answer_end {
    ANSWER_DONE,                 /* all turns of all vCPUs */
    ANSWER_DIFFERS,              /* STRICT: at the first difference */
    ANSWER_FAILED,               /* the machine could not go on: message */
};

struct answer_options {
    enum sim_vendor vendor;
    enum answer_mode mode;
    bool fetch;                  /* the program fetches all groups after each exit, as a VMM may */
    void (*differs)(void *arg, const struct difference *d, u32 exit, u32 vcpu);   /* each one; NULL: only counted */
    void *arg;
};

struct answer_result {
    enum answer_end end;
    enum sim_end machine;        /* how the run ended */
    const char *rule;            /* the broken rule's name; NULL: none */
    u64 exits;                   /* recorded ones that the kernel reported */
    u64 skipped;                 /* recorded ones that no event of this machine makes */
    u64 differences;
    struct difference first;     /* where == NULL: none */
    u32 first_exit, first_vcpu;
    u64 event_hash;              /* of the run: the same for the same trace */
    char message[192];           /* FAILED: why */
};

void answer_run(const struct course *c, const struct answer_options *o, struct answer_result *r);
