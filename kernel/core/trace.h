/* SPDX-License-Identifier: BSD-2-Clause */
/* The tracer: exit and entry records into a ring per CPU, drained through mach_trace_write. Off: one predictable branch (cpu.trace NULL).
 * Invariant: records of one CPU are in order; a full ring counts what it drops and says so in a LOST record. */
#pragma once
#include "abi/trace.h"

struct cpu;
struct vcpu;
struct trace_ring;

void trace_init(struct cpu *cpu);                        /* allocates the ring if mach_trace_wanted(); CPU 0 writes struct trace_file, so it is the first */
void trace_exit(struct cpu *cpu, struct vcpu *v);        /* vcpu_run completed: what stands in the state page and TRACE_EXIT_GROUPS; uses v->copy */
void trace_entry(struct cpu *cpu, const struct vcpu *v, const struct vcpu_state *copy, u32 dirty, u32 want);
void trace_drain(struct cpu *cpu);                       /* at the end of a trap: writes out when half full */
void trace_end(struct cpu *cpu);                         /* at shutdown, any one CPU: all rings, then TRACE_END; later records are dropped */
