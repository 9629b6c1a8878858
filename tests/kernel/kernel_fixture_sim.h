/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the fixture that looks into the machine; apart, as machine and kernel use some names twice. */
#pragma once
#include "sim.h"

u32 fixture_sim_interrupt(struct sim *s, u32 cpu);     /* accepts what waits, 0: nothing; cpu is current then */
void fixture_sim_serve(struct sim *s, u32 cpu, u32 vector);   /* puts it in service, as accepting it would have */
void fixture_sim_later(struct sim *s, u64 ticks);
u64 fixture_sim_timer(struct sim *s, u32 cpu);         /* clock at which its timer will fire, 0: not armed */
bool fixture_sim_in_service(struct sim *s, u32 cpu, u32 vector);
void fixture_sim_console(struct sim *s, void (*console)(void *arg, const char *text, u32 bytes));
void fixture_sim_unwatched(struct sim *s);   /* translations are no longer recorded and judged: for long tests of something else */
