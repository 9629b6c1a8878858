/* SPDX-License-Identifier: BSD-2-Clause */
/* Call and reply. All ECs here live on this CPU.
 *
 *   caller --callee--> handler        caller EC_CALLING, handler EC_READY: handler runs on the SC that ran the caller
 *          <--caller--
 *   caller --callee--> handler        caller EC_HELPING: handler is busy with somebody else; caller's SC runs whatever handler waits for;
 *                                     once handler is idle, the caller's SYSCALL is executed again
 * Invariant: following callee never comes back: a call needs an idle handler (which has no callee), a wish is checked. */
#include "ipc.h"
#include "cpu.h"
#include "ec.h"
#include "pd.h"
#include "portal.h"

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
    object_ref(&handler->object);
    caller->callee = handler;
    caller->state = EC_HELPING;
    cpu->sched.wanted = true;
    return STATUS_SWITCH;
}

/* The handler begins to serve caller. */
static void ipc_enter(struct cpu *cpu, struct ec *caller, struct portal *portal, u64 mtr)
{
    struct ec *const handler = portal->ec;
    caller->callee = handler;
    caller->state = EC_CALLING;
    handler->caller = caller;
    handler->state = EC_READY;
    handler->resume.rip = portal->ip;
    handler->resume.rflags = 0x202;
    handler->resume.gpr[RSP] = handler->stack;
    handler->resume.gpr[RDI] = atomic_load(&portal->id);
    handler->resume.gpr[RSI] = mtr;
    cpu->current = handler;
}

/* A message of words alone: the receiver's mtr is the sender's. */
static void words_copy(const struct ec *from, struct ec *to, u64 words)
{
    if (words)
        mach_copy(to->utcb->word, from->utcb->word, words * sizeof(u64));
}

static out_of_line enum status call_slow(struct cpu *cpu, struct ec *caller, struct portal *portal, u64 mtr)
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

enum status ipc_call(struct cpu *cpu, struct ec *caller, struct portal *portal, u64 mtr)
{
    struct ec *const handler = portal->ec;
    if (unlikely(mtr > UTCB_WORDS || handler->object.cpu != cpu->id || handler->state != EC_IDLE))
        return call_slow(cpu, caller, portal, mtr);
    words_copy(caller, handler, mtr);
    ipc_enter(cpu, caller, portal, mtr);
    return STATUS_SWITCH;
}

/* Nobody is served by ec any more: it waits; who runs now? */
static void ipc_idle(struct cpu *cpu, struct ec *ec, struct ec *caller)
{
    ec->state = EC_IDLE;
    if (caller && !cpu->sched.helped)
        cpu->current = caller;
    else
        cpu->sched.wanted = true;
}

static void ipc_finish(struct cpu *cpu, struct ec *ec, struct ec *caller)
{
    ec->caller = NULL;
    caller->callee = NULL;
    caller->state = EC_READY;
    ipc_idle(cpu, ec, caller);
}

/* The answer to an exception: registers instead of message words. */
static void fault_reply(struct cpu *cpu, struct ec *ec, struct ec *caller, u64 mtr)
{
    caller->flags &= ~EC_FLAG_IN_FAULT;
    const bool legal = exception_restore(caller, ec, mtr);
    ipc_finish(cpu, ec, caller);
    if (!legal)
        ec_kill(cpu, caller);
}

static out_of_line enum status reply_slow(struct cpu *cpu, struct ec *ec, u64 mtr)
{
    if (!(ec->kind & EC_LOCAL) || !mtr_legal(mtr))
        return STATUS_ARG;
    struct ec *const caller = ec->caller;
    if (!caller) {
        ipc_idle(cpu, ec, NULL);
        return STATUS_SWITCH;
    }
    u64 got;
    const enum status s = ipc_transfer(ec, caller, mtr, RSI, !(caller->flags & EC_FLAG_IN_FAULT), &got);
    if (s != OK)
        return s;
    caller->flags &= ~EC_FLAG_PART;
    if (caller->flags & EC_FLAG_IN_FAULT) {
        fault_reply(cpu, ec, caller, mtr);
        return STATUS_SWITCH;
    }
    caller->resume.gpr[RAX] = OK;
    caller->resume.gpr[RSI] = got;
    ipc_finish(cpu, ec, caller);
    return STATUS_SWITCH;
}

/* Only local ECs have callers. */
enum status ipc_reply(struct cpu *cpu, struct ec *ec, u64 mtr)
{
    struct ec *const caller = ec->caller;
    if (unlikely(mtr > UTCB_WORDS || !caller || caller->flags & (EC_FLAG_IN_FAULT | EC_FLAG_PART)))
        return reply_slow(cpu, ec, mtr);
    words_copy(ec, caller, mtr);
    caller->resume.gpr[RAX] = OK;
    caller->resume.gpr[RSI] = mtr;
    ipc_finish(cpu, ec, caller);
    return STATUS_SWITCH;
}

void ipc_exception(struct cpu *cpu, struct ec *ec, u32 vector, u64 error)
{
    ec->fault = (struct ec_fault){.vector = vector, .error = error, .address = vector == 14 ? mach_cr2_read() : 0};
    ec->flags |= EC_FLAG_FAULTED;
    ipc_fault(cpu, ec);
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
    exception_message(ec, portal->ec);
    ec->flags = (ec->flags & ~EC_FLAG_FAULTED) | EC_FLAG_IN_FAULT;
    ipc_enter(cpu, ec, portal, MTR(EXCEPTION_WORDS, 0));
    return STATUS_SWITCH;
}

void ipc_fault(struct cpu *cpu, struct ec *ec)
{
    const enum status s = fault_deliver(cpu, ec);
    if (s == STATUS_RESTART)
        cpu->sched.wanted = true;
    else if (s != STATUS_SWITCH)
        ec_kill(cpu, ec);
}
