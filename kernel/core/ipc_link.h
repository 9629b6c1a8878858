/* SPDX-License-Identifier: BSD-2-Clause */
/* What a call and its reply change once the message is there: the link of caller and handler, and who is current. The same on the ordinary way
 * (ipc.c) and on the short one (fastpath.c). */
#pragma once
#include "cpu.h"
#include "ec.h"
#include "ipc.h"
#include "portal.h"

/* The handler begins to serve caller. */
static inline void ipc_enter(struct cpu *cpu, struct ec *caller, const struct portal *portal, u64 mtr)
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

/* The handler is idle, caller can run. */
static inline void ipc_leave(struct ec *handler, struct ec *caller)
{
    handler->caller = NULL;
    handler->state = EC_IDLE;
    caller->callee = NULL;
    caller->state = EC_READY;
}

/* A message of words alone: the receiver's mtr is the sender's. */
static inline void ipc_words(const struct ec *from, struct ec *to, u64 words)
{
    if (words)
        mach_copy(to->utcb->word, from->utcb->word, words * sizeof(u64));
}

/* The answer to an exception: registers instead of message words. The caller is current, or dead. */
static inline void ipc_leave_fault(struct cpu *cpu, struct ec *handler, struct ec *caller, u64 mtr)
{
    caller->flags &= ~(EC_FLAG_IN_FAULT | EC_FLAG_PART);
    const bool legal = exception_restore(caller, handler, mtr);
    ipc_leave(handler, caller);
    if (unlikely(!legal))
        ec_kill(cpu, caller);
}
