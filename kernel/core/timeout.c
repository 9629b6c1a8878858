/* SPDX-License-Identifier: BSD-2-Clause */
/* Deadlines of one CPU: a sorted list. Invariant: an EC is in it iff its deadline is not 0; it is then in EC_WAIT_SM.
 * Not handled: thousands of ECs with deadlines on one CPU are slow to insert. */
#include "timeout.h"
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "sm.h"

void timeout_add(struct cpu *cpu, struct ec *ec)
{
    struct ec *prev = NULL, *next = cpu->timeouts.first;
    while (next && next->deadline <= ec->deadline) {   /* bound: ECs with a deadline on this CPU */
        prev = next;
        next = next->timeout_next;
    }
    ec->timeout_prev = prev;
    ec->timeout_next = next;
    if (prev)
        prev->timeout_next = ec;
    else
        cpu->timeouts.first = ec;
    if (next)
        next->timeout_prev = ec;
}

void timeout_remove(struct cpu *cpu, struct ec *ec)
{
    if (!ec->deadline)
        return;
    ec->deadline = 0;
    if (ec->timeout_prev)
        ec->timeout_prev->timeout_next = ec->timeout_next;
    else
        cpu->timeouts.first = ec->timeout_next;
    if (ec->timeout_next)
        ec->timeout_next->timeout_prev = ec->timeout_prev;
    ec->timeout_next = ec->timeout_prev = NULL;
}

void timeout_expire(struct cpu *cpu, u64 now)
{
    struct ec *ec;
    while ((ec = cpu->timeouts.first) && ec->deadline <= now) {   /* bound: each turn removes one */
        timeout_remove(cpu, ec);
        sm_timeout(cpu, ec);
    }
}

void timeout_arm(struct cpu *cpu, u64 budget_end)
{
    const struct ec *const first = cpu->timeouts.first;
    u64 deadline = budget_end;
    if (first && (!deadline || first->deadline < deadline))
        deadline = first->deadline;
    const u64 armed = cpu->timeouts.armed;
    if (armed == deadline || (armed && armed < deadline))
        return;
    cpu->timeouts.armed = deadline;
    apic_timer(cpu, deadline);
}
