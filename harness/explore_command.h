/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs of orrery-explore that make runs, and what they print. Each returns the exit status. */
#pragma once
#include "explore_json.h"
#include "explore_options.h"

must_check int command_run(struct command *c);
must_check int command_split(struct command *c);   /* one line of JSON per prefix */

/* What was explored, to stdout. schedule: text of the schedule file, or NULL. */
void result_print(const struct command *c, const struct explore *x, enum explore_status status, const char *schedule);
void json_bound(struct json *j, const char *key, struct explore_bound b);
const char *end_name(enum sim_end end);   /* as in schedule files: finding, panic, deadlock, livelock, shutdown */
