/* SPDX-License-Identifier: BSD-2-Clause */
/* The fewest decisions that still make a run fail in the same way. */
#pragma once
#include "strategy_replay.h"

/* Does the last run fail as the schedule says: the same end, and the same rule or the same message but for numbers? */
bool failure_same(const struct explore *x, const struct schedule *s);
/* The run of x->outcome, which failed, as a schedule with all its decisions. False: x->trouble says why it cannot be made again. */
must_check bool schedule_of(struct replay *r, struct schedule *s);
/* s in, s out: no decision can be left out, each is as late as it can be, the critical one is marked, hash and message are of that run.
 * False: x->trouble. */
must_check bool minimise(struct replay *r, struct schedule *s);
