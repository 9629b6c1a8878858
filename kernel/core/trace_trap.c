/* SPDX-License-Identifier: BSD-2-Clause */
/* Traps, but guest exits (trace_vcpu.c), as a trace tells them with trace=all: what came, what came of it, who goes on. All of it around the handling of
 * the trap, so that no path of the kernel does more than it did. What a hypercall has come to is seen from the state of its EC, before sched_resume
 * lets others go on with it.
 * Not seen: an exception that is delivered only once its handler is free. */
#include "abi/hypercall.h"
#include "ec.h"
#include "trace_ring.h"

/* Exits of guests do not come by here: who goes on after one is told at the next trap. */
static void schedule(struct cpu *cpu)
{
    struct trace_ring *const r = cpu->trace;
    const u64 current = trace_address(cpu->current);
    if (current != r->current) {
        r->current = current;
        TRACE_NOTE(cpu, schedule, current);
    }
}

static void before(struct cpu *cpu, u64 trap, u64 info)
{
    struct trace_ring *const r = cpu->trace;
    struct ec *const ec = cpu->current;
    schedule(cpu);
    r->exception = TRAP_KIND(trap) == TRAP_EXCEPTION;
    r->ec = r->exception || TRAP_KIND(trap) == TRAP_SYSCALL ? ec : NULL;
    if (TRAP_KIND(trap) == TRAP_INTERRUPT)
        TRACE_NOTE(cpu, interrupt, (u8)TRAP_VECTOR(trap));
    if (!r->ec)
        return;
    if (r->exception)
        TRACE_NOTE(cpu, exception, (u8)TRAP_VECTOR(trap), trace_address(ec), info, ec->resume.rip);
    r->caller = ec->caller;
    r->number = ec->resume.gpr[RDI];
    r->argument[0] = ec->resume.gpr[RSI];
    r->argument[1] = ec->resume.gpr[RDX];
    r->rip = ec->resume.rip;
}

static u32 status(const struct trace_ring *r, const struct ec *ec)
{
    if (ec->resume.rip != r->rip)
        return TRACE_STATUS_AGAIN;
    return ec->state == EC_READY && !ec->vcpu ? (u8)ec->resume.gpr[RAX] : TRACE_STATUS_WAITS;
}

static void message(struct cpu *cpu, const struct trace_ring *r, const struct ec *ec)
{
    if (ec->state == EC_CALLING)
        TRACE_NOTE(cpu, ipc, r->exception ? TRACE_IPC_exception : TRACE_IPC_call, trace_address(ec), trace_address(ec->callee));
    else if (ec->state == EC_IDLE && r->caller)
        TRACE_NOTE(cpu, ipc, TRACE_IPC_reply, trace_address(ec), trace_address(r->caller));
}

/* A value, an entry or an exit says that it was. */
static bool tells_itself(u64 number)
{
    return number == HYPERCALL_vcpu_run || number == HYPERCALL_clock || number == HYPERCALL_trace;
}

void trace_outcome(struct cpu *cpu)
{
    struct trace_ring *const r = cpu->trace;
    const struct ec *const ec = r->ec;
    if (!ec)
        return;
    r->ec = NULL;
    const u32 s = status(r, ec);
    if (!r->exception && (!tells_itself(r->number) || (s != OK && s != TRACE_STATUS_WAITS)))
        TRACE_NOTE(cpu, hypercall, (u8)r->number, (u8)s, trace_address(ec), r->argument[0], r->argument[1]);
    message(cpu, r, ec);
}

static void after(struct cpu *cpu)
{
    trace_outcome(cpu);
    schedule(cpu);
}

struct resume *trace_trap(struct cpu *cpu, u64 trap, u64 info, struct resume *(*handle)(struct cpu *cpu, u64 trap, u64 info))
{
    struct trace_ring *const r = cpu->trace;
    if (r->all)
        before(cpu, trap, info);
    struct resume *const next = handle(cpu, trap, info);
    if (r->all)
        after(cpu);
    lock_take(&r->lock);
    trace_drain(r, false);
    lock_drop(&r->lock);
    return next;
}
