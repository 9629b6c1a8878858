/* SPDX-License-Identifier: BSD-2-Clause */
/* Call and reply. All ECs here live on this CPU.
 *
 *   caller --callee--> handler        caller EC_CALLING, handler EC_READY: handler runs on the SC that ran the caller
 *          <--caller--
 *   caller --callee--> handler        caller EC_HELPING: handler is busy with somebody else; caller's SC runs whatever handler waits for;
 *                                     once handler is idle, the caller's SYSCALL is executed again
 * Invariant: following callee never comes back: a call needs an idle handler (which has no callee), a wish is checked. */
#include "ipc.h"
#include "ipc_link.h"
#include "pd.h"

#define LOOP_STEP 32u

/* Would helping close a loop? STATUS_BUSY: yes. STATUS_RESTART: an interrupt is pending. */
static enum status loop_check(const struct ec *caller, const struct ec *handler)
{
    const struct ec *ec = handler;
    for (u32 steps = 1; ec != caller; steps++) {
        if (ec->state != EC_CALLING && ec->state != EC_HELPING)
            return OK;
        ec = ec->callee;
        if (steps % LOOP_STEP == 0 && mach_preempt_pending())
            return STATUS_RESTART;
    }
    return STATUS_BUSY;
}

/* The handler cannot take a message now: help it, or say why not. */
static enum status ipc_help(struct cpu *cpu, struct ec *caller, struct ec *handler)
{
    if (handler->state == EC_DEAD)
        return STATUS_ABORT;
    if (handler->vcpu)
        return STATUS_BUSY;
    const enum status s = loop_check(caller, handler);
    if (s != OK)
        return s;
    caller->callee = handler;
    caller->state = EC_HELPING;
    ec_list_push(&handler->wanted, caller);
    cpu->due |= DUE_CHOICE;
    return STATUS_SWITCH;
}

enum status ipc_call(struct cpu *cpu, struct ec *caller, struct portal *portal, u64 mtr)
{
    struct ec *const handler = portal->ec;
    if (!mtr_legal(mtr))
        return STATUS_ARG;
    if (handler->object.cpu != cpu->id)
        return STATUS_CPU;
    if (handler->state != EC_IDLE) {
        const enum status s = ipc_help(cpu, caller, handler);
        if (s == STATUS_SWITCH)
            ec_restart(caller);
        return s;
    }
    u64 got;
    const enum status s = ipc_transfer(caller, handler, mtr, RDX, true, &got);
    if (s != OK)
        return s;
    ipc_enter(cpu, caller, portal, got);
    return STATUS_SWITCH;
}

/* Nobody is served by ec any more: who runs now? */
static void next(struct cpu *cpu, struct ec *caller)
{
    if (caller && !(cpu->due & DUE_FOLLOW))
        cpu->current = caller;
    else
        cpu->due |= DUE_CHOICE;
}

/* Only local ECs have callers. */
enum status ipc_reply(struct cpu *cpu, struct ec *ec, u64 mtr)
{
    if (!(ec->kind & EC_LOCAL) || !mtr_legal(mtr))
        return STATUS_ARG;
    struct ec *const caller = ec->caller;
    if (!caller) {
        ec->state = EC_IDLE;
        next(cpu, NULL);
        return STATUS_SWITCH;
    }
    u64 got;
    const enum status s = ipc_transfer(ec, caller, mtr, RSI, !(caller->flags & EC_FLAG_IN_FAULT), &got);
    if (s != OK)
        return s;
    next(cpu, caller);
    if (caller->flags & EC_FLAG_IN_FAULT) {
        ipc_leave_fault(cpu, ec, caller, mtr);
        return STATUS_SWITCH;
    }
    caller->flags &= ~EC_FLAG_PART;
    caller->resume.gpr[RAX] = OK;
    caller->resume.gpr[RSI] = got;
    ipc_leave(ec, caller);
    return STATUS_SWITCH;
}

/* OK: handled, or an interrupt is pending. Anything else: nobody will ever handle it. */
static enum status fault_deliver(struct cpu *cpu, struct ec *ec)
{
    struct object *o;
    const enum status s = space_obj_lookup(&ec->pd->objects, ec->event_base + ec->fault.vector, OBJ_PORTAL, PERM_PORTAL_CALL, &o);
    if (s != OK)
        return s;
    struct portal *const portal = container_of(o, struct portal, object);
    if (portal->ec->object.cpu != cpu->id)
        return STATUS_CPU;
    if (portal->ec->state != EC_IDLE)
        return ipc_help(cpu, ec, portal->ec);
    exception_message(ec, portal->ec, ec->fault.vector, ec->fault.error, ec->fault.address);
    ec->flags = (ec->flags & ~EC_FLAG_FAULTED) | EC_FLAG_IN_FAULT;
    ipc_enter(cpu, ec, portal, MTR(EXCEPTION_WORDS, 0));
    return STATUS_SWITCH;
}

void ipc_fault(struct cpu *cpu, struct ec *ec)
{
    const enum status s = fault_deliver(cpu, ec);
    if (s == STATUS_RESTART)
        cpu->due |= DUE_CHOICE;
    else if (s != STATUS_SWITCH)
        ec_kill(cpu, ec);
}
