/* SPDX-License-Identifier: BSD-2-Clause */
/* Who runs on the current SC's time: from the SC's EC along calls (donation) and wishes to call (help) to an EC that can run.
 * There are no loops: a call goes to an idle EC only, and a wish that would close one is refused (ipc.c). Length: ECs of this CPU;
 * an interrupt is looked for every FOLLOW_STEP, and the time on the way is charged to the SC, so long chains hurt only who built them. */
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "ipc.h"
#include "sc.h"

#define FOLLOW_STEP 32u

/* One step: the next EC on the way; NULL: ec is the end. */
static struct ec *step(struct cpu *cpu, struct ec *ec)
{
    switch (ec->state) {
    case EC_READY:
        if (!(ec->flags & EC_FLAG_FAULTED))
            return NULL;
        ipc_fault(cpu, ec);   /* changes its state, or an interrupt is pending */
        return ec;
    case EC_CALLING:
        return ec->callee;
    case EC_HELPING:
        if (ec->callee->state == EC_IDLE) {
            ec_help_end(ec);   /* it is about to try again */
            return ec;
        }
        cpu->due |= DUE_FOLLOW;
        return ec->callee;
    default:
        return NULL;
    }
}

enum sched_follow sched_follow(struct cpu *cpu)
{
    struct ec *ec = cpu->current_sc->ec, *next;
    cpu->due &= ~DUE_FOLLOW;
    for (u32 steps = 1; (next = step(cpu, ec)); steps++) {
        ec = next;
        if (steps % FOLLOW_STEP == 0 && mach_preempt_pending())
            return FOLLOW_PREEMPTED;
    }
    if (ec->state == EC_READY) {
        cpu->current = ec;
        return FOLLOW_RUN;
    }
    if (ec->state == EC_WAIT_SM || ec->state == EC_WAIT_TLB)
        sched_wait(cpu, ec);
    else if (ec == cpu->current_sc->ec)
        cpu->current_sc = NULL;   /* dead */
    /* Else it died on the way, of an exception that nobody handles: whoever had called it goes on with the same time. */
    return FOLLOW_NONE;
}
