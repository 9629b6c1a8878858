/* SPDX-License-Identifier: BSD-2-Clause */
/* The arguments of orrery-explore: docs/exploration.md. What a test or strategy says itself is not repeated here: an option that is not given takes it. */
#pragma once
#include "explore.h"

enum explore_verb { VERB_LIST = 1, VERB_RUN = 2, VERB_REPLAY = 4, VERB_MINIMISE = 8, VERB_SELFTEST = 16 };   /* bits: sets of them */
enum replay_mode { REPLAY_STRICT, REPLAY_TOLERANT, REPLAY_CONTINUE };

#define SPLIT_MAX 32u
#define STOP_NEVER (~0u)

struct command {
    enum explore_verb verb;
    int arguments;                       /* as given, for the line that does it again */
    char **argument;
    const struct world_test *test;       /* run */
    const struct strategy *strategy;     /* run */
    struct explore_options explore;      /* prefix: command_free */
    const char *model, *schedule;        /* "sc", "tso", NULL; the file to replay or minimise */
    const char *output, *events;         /* files to write; NULL: none */
    enum replay_mode mode;
    u32 split;                           /* 0: do not */
    u32 stop_at;
    bool json, progress, raw;
};

/* False: one line on stderr says what is wrong. --help ends the process. */
must_check bool command_parse(struct command *c, int count, char **argument);
void command_free(struct command *c);
struct explore_bound command_bound(const struct world_test *t);   /* of a test that is explored without options */
const char *model_name(bool sc);
