/* SPDX-License-Identifier: BSD-2-Clause */
/* The most frequent hypercalls, and exceptions, each with its short way: where nothing but the operation itself is due, all in one function that saves no register.
 * What is longer stands behind a call at the end. */
#include "hypercall.h"
#include "ipc.h"
#include "ipc_link.h"
#include "sched_enter.h"

static inline struct resume *done(struct cpu *cpu, struct ec *ec, enum status s)
{
    ec->resume.gpr[RAX] = s;
    return sched_stay(cpu, ec);
}

struct resume *sys_null(struct cpu *cpu, struct ec *ec)
{
    return done(cpu, ec, OK);
}

static seldom struct resume *call(struct cpu *cpu, struct ec *ec, struct portal *portal, u64 mtr)
{
    return hypercall_end(cpu, ec, ipc_call(cpu, ec, portal, mtr));
}

struct resume *sys_call(struct cpu *cpu, struct ec *ec)
{
    const struct sys_call_args *const a = SYS_ARGS(call, ec);
    const u64 mtr = a->mtr;
    struct portal *portal;
    const enum status s = cap_portal(ec, a->portal, PERM_PORTAL_CALL, &portal);
    if (unlikely(s != OK))
        return done(cpu, ec, s);
    struct ec *const handler = portal->ec;
    if (unlikely(cpu->due || mtr > UTCB_WORDS || handler->object.cpu != cpu->id || handler->state != EC_IDLE || handler->fpu))
        return call(cpu, ec, portal, mtr);
    ipc_words(ec, handler, mtr);
    ipc_enter(cpu, ec, portal, mtr);
    return sched_enter_bare(cpu, handler);
}

static seldom struct resume *reply(struct cpu *cpu, struct ec *ec, u64 mtr)
{
    return hypercall_end(cpu, ec, ipc_reply(cpu, ec, mtr));
}

static out_of_line struct resume *reply_fault(struct cpu *cpu, struct ec *ec, struct ec *caller, u64 mtr)
{
    cpu->current = caller;
    ipc_leave_fault(cpu, ec, caller, mtr);
    return sched_go_on(cpu);
}

struct resume *sys_reply(struct cpu *cpu, struct ec *ec)
{
    const u64 mtr = SYS_ARGS(reply, ec)->mtr;
    struct ec *const caller = ec->caller;
    if (unlikely(cpu->due || mtr > UTCB_WORDS || !caller || caller->fpu))
        return reply(cpu, ec, mtr);
    const u32 special = caller->flags & (EC_FLAG_IN_FAULT | EC_FLAG_PART);
    if (unlikely(special))
        return special & EC_FLAG_IN_FAULT ? reply_fault(cpu, ec, caller, mtr) : reply(cpu, ec, mtr);
    ipc_words(ec, caller, mtr);
    caller->resume.gpr[RAX] = OK;
    caller->resume.gpr[RSI] = mtr;
    ipc_leave(ec, caller);
    cpu->current = caller;
    return sched_enter_bare(cpu, caller);
}

static seldom struct resume *exception(struct cpu *cpu, struct ec *ec)
{
    ec->flags |= EC_FLAG_FAULTED;
    ipc_fault(cpu, ec);
    return sched_go_on(cpu);
}

struct resume *ipc_exception(struct cpu *cpu, struct ec *ec, u64 vector, u64 error, u64 address)
{
    struct object *o;
    ec->fault = (struct ec_fault){ .vector = vector, .error = error, .address = address };   /* its handler may die before it answers */
    if (unlikely(cpu->due || space_obj_find(&ec->pd->objects, ec->event_base + vector, OBJ_PORTAL, PERM_PORTAL_CALL, &o) != OK))
        return exception(cpu, ec);
    struct portal *const portal = container_of(o, struct portal, object);
    struct ec *const handler = portal->ec;
    if (unlikely(handler->object.cpu != cpu->id || handler->state != EC_IDLE || handler->fpu))
        return exception(cpu, ec);
    exception_message(ec, handler, vector, error, address);
    ec->flags |= EC_FLAG_IN_FAULT;
    ipc_enter(cpu, ec, portal, MTR(EXCEPTION_WORDS, 0));
    return sched_enter_bare(cpu, handler);
}

static out_of_line struct resume *wake(struct cpu *cpu, struct ec *ec, struct sm *sm)
{
    return hypercall_end(cpu, ec, sm_wake(cpu, sm));
}

struct resume *sys_sm_up(struct cpu *cpu, struct ec *ec)
{
    const struct sys_sm_up_args *const a = SYS_ARGS(sm_up, ec);
    struct sm *sm;
    const enum status s = cap_sm(ec, a->sm, PERM_SM_UP, &sm);
    if (unlikely(s != OK))
        return done(cpu, ec, s);
    if (unlikely(!sm_try_up(sm)))
        return wake(cpu, ec, sm);
    return done(cpu, ec, OK);
}

static out_of_line struct resume *wait(struct cpu *cpu, struct ec *ec, struct sm *sm, u64 deadline)
{
    return hypercall_end(cpu, ec, sm_wait(cpu, ec, sm, deadline));
}

struct resume *sys_sm_down(struct cpu *cpu, struct ec *ec)
{
    const struct sys_sm_down_args *const a = SYS_ARGS(sm_down, ec);
    const u64 flags = a->flags;
    struct sm *sm;
    const enum status s = cap_sm(ec, a->sm, PERM_SM_DOWN, &sm);
    if (unlikely(s != OK))
        return done(cpu, ec, s);
    if (unlikely(flags & ~(u64)SM_DOWN_ZERO))
        return done(cpu, ec, STATUS_ARG);
    if (unlikely(!sm_try_down(sm, flags)))
        return wait(cpu, ec, sm, a->deadline_tsc);
    return done(cpu, ec, OK);
}
