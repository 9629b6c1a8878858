/* SPDX-License-Identifier: BSD-2-Clause */
/* A run: a fresh machine, operations made up or given, everything taken apart. In a process of its own, as a kernel that is broken ends it. */
#pragma once
#include "run.h"

#define SEQUENCE_MAX 2000u

struct sequence {
    enum sim_vendor vendor;
    u32 cpus;
    u64 seed;
    u64 count, done;        /* operations there are; begun */
    struct tally tally;     /* of all runs */
    bool given;             /* else they are generated */
    bool found;             /* shrinking: it has failed once */
    struct op op[SEQUENCE_MAX];
};

struct sequence *sequence_new(void);   /* shared with the children */
/* True: clean. Else what the run wrote about it, in message. compare_every: see run.h. */
bool sequence_run(struct sequence *s, u64 compare_every, char *message, u64 bytes);
/* A failing sequence, all of which is given, becomes a shorter one that fails, too. */
void sequence_shrink(struct sequence *s);
void sequence_print(const struct sequence *s, FILE *out);
/* False: one line on stderr. */
bool sequence_read(struct sequence *s, const char *name);
