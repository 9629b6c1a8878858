/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls by which user level takes something from outside so that a trace knows it: the clock, and what a VMM says that it took. */
#include "hypercall.h"
#include "cpu.h"
#include "vcpu.h"

SYS(clock)
{
    const u64 now = mach_tsc_read();
    ec->resume.gpr[RSI] = now;
    if (cpu->trace)
        trace_value(cpu, TRACE_NO_VCPU, TRACE_VALUE_clock, 0, &now, sizeof(now));
    return OK;
}

/* From any CPU, about what any of them took. */
SYS(trace)
{
    const u64 kind = a->kind_bytes >> 8, bytes = a->kind_bytes & 0xff;
    struct object *o;
    const enum status s = space_obj_lookup(&ec->pd->objects, a->vcpu, OBJ_VCPU, PERM_VCPU_RUN, &o);   /* seldom: not inline */
    if (s != OK)
        return s;
    if (!kind || kind >= TRACE_VALUE_COUNT || bytes > TRACE_VALUE_BYTES)
        return STATUS_ARG;
    const u64 words[TRACE_VALUE_BYTES / 8] = { a->word0, a->word1, a->word2 };
    if (cpu->trace)
        trace_value(cpu, container_of(o, struct vcpu, object)->id, (u32)kind, a->address, words, (u32)bytes);
    return OK;
}
