/* SPDX-License-Identifier: BSD-2-Clause */
/* Worlds as the machine sees them: what sched.c calls, and what the harness drives. */
#pragma once
#include "machine_model.h"
#include "world.h"

void world_step(struct sim *s);     /* before each decision: the test's check */
void world_chose(struct sim *s, u32 agent);   /* this agent steps now */
void world_catch_faults(void);        /* of this process, from now on: world_fault.c */
void world_quiet(struct sim *s);    /* nobody can step: the run's end, or returns if a timer is to be waited for */
