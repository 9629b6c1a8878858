/* SPDX-License-Identifier: BSD-2-Clause */
/* Deadlines of one CPU: blocked ECs sorted by deadline, and what the timer is armed for. This CPU only. */
#pragma once
#include "base.h"

struct cpu;
struct ec;

struct timeouts {
    struct ec *first;              /* ascending deadline, linked by timeout_next */
    u64 armed;                     /* TSC the timer is set to, 0: not. May be earlier than needed: to look too early costs less than to set it anew */
};

void timeout_add(struct cpu *cpu, struct ec *ec);        /* ec.deadline != 0 */
void timeout_remove(struct cpu *cpu, struct ec *ec);     /* clears ec.deadline; nothing if it is 0 */
void timeout_expire(struct cpu *cpu, u64 now);           /* wakes every EC whose deadline passed */
void timeout_arm(struct cpu *cpu, u64 budget_end);       /* timer to the earlier of budget_end (0: none) and the first deadline */
