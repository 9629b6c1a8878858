/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs of orrery-explore that make runs, and what they print. Each returns the exit status. */
#pragma once
#include "explore_json.h"
#include "explore_options.h"
#include "schedule.h"
#include "symbols.h"

must_check int command_run(struct command *c);
must_check int command_split(struct command *c);      /* one line of JSON per prefix */
must_check int command_replay(struct command *c);
must_check int command_minimise(struct command *c);

/* What was explored, to stdout. s: the finding's schedule, or NULL. */
void result_print(const struct command *c, const struct explore *x, enum explore_status status, const struct schedule *s);
void json_bound(struct json *j, const char *key, struct explore_bound b);
void json_stats(struct json *j, const struct explore_stats *t);
/* The events of the last run, which was the schedule's, for the report. False: a line on stderr. */
must_check bool events_write(const struct command *c, const struct explore *x, const struct symbols *symbols, const struct schedule *s);
/* Name of the kernel mutant this binary is of; "-": none. Weak: a binary with a changed kernel has its own. */
extern const char world_mutant[];
