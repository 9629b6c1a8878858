/* SPDX-License-Identifier: BSD-2-Clause */
/* The timers of the local APICs on the machine's clock. sim.timer_next is the earliest expiry of all. */
#pragma once
#include "machine_model.h"

void timer_fire(struct sim *s);              /* raise what is due */
void timer_update(struct sim_cpu *cpu);      /* a timer register changed: compute apic.expires anew */
u32 timer_count(const struct sim_cpu *cpu);  /* current-count register */
void timer_choose(struct sim_cpu *cpu);      /* before an engine's slice: may jump to the next expiry (CHOICE_TIMER) */
