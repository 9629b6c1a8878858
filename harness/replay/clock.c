/* SPDX-License-Identifier: BSD-2-Clause */
/* The recorded time for whoever asks the kernel for it: the n-th clock hypercall of a CPU gets the n-th time that was noted there, behind the kernel's
 * back: an engine between the kernel and the one that runs user mode. */
#include <string.h>
#include "abi/hypercall.h"
#include "replay/replay.h"

static bool is_time(const struct trace_item *e)
{
    return e->raw->id == TRACE_value && ((const struct trace_value *)e->raw)->kind == TRACE_VALUE_clock;
}

bool replay_has_times(const struct course *c)
{
    for (u64 i = 0; i < c->trace->count; i++)
        if (is_time(&c->trace->event[i]))
            return true;
    return false;
}

/* False: the trace has no more; the live one stays. */
static bool next_time(struct replay *r, u32 cpu, u64 *time)
{
    const struct trace *t = r->course->trace;
    u64 *const next = &r->time[cpu].next;
    while (*next < t->count && !(t->event[*next].cpu == cpu && is_time(&t->event[*next])))
        ++*next;
    if (*next == t->count)
        return false;
    const struct trace_tail tail = trace_tail(t->event[(*next)++].raw);
    *time = 0;
    memcpy(time, tail.data, min(tail.bytes, (u32)sizeof(*time)));
    return true;
}

bool replay_user(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    struct replay *const r = container_of(e, struct replay, clock);
    const u32 id = sim_cpu_id(cpu) % REPLAY_CPUS;
    if (r->time[id].context == sim_cpu_context(cpu)) {
        r->time[id].context = 0;
        (void)next_time(r, id, &regs->gpr[RSI]);
    }
    if (!r->executes->user(r->executes, cpu, regs, steps, out))
        return false;
    if (out->kind == EVENT_SYSCALL && regs->gpr[RDI] == HYPERCALL_clock)
        r->time[id].context = sim_cpu_context(cpu);
    return true;
}

void replay_flush(struct engine *e, struct sim_cpu *cpu)
{
    struct engine *const executes = container_of(e, struct replay, clock)->executes;
    if (executes->flush)
        executes->flush(executes, cpu);
}
