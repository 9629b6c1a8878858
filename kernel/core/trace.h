/* SPDX-License-Identifier: BSD-2-Clause */
/* The tracer: events of abi/trace.h into a ring per CPU, drained through mach_trace_write. Off: one predictable branch per trap (cpu.trace NULL); the
 * functions below are called only if it is not, but for trace_init.
 * Invariant: events of one CPU are in order; what finds no room is counted in `discarded`, and no delta refers to words that were lost. */
#pragma once
#include "abi/trace.h"
#include "machine.h"

struct cpu;
struct vcpu;
struct trace_ring;

void trace_init(struct cpu *cpu);                  /* allocates the ring if mach_trace_wanted(); CPU 0 writes `machine`, so it is the first */
void trace_end(struct cpu *cpu, u32 code);         /* at shutdown, any one CPU: all rings, then `end`; later events are dropped */

/* One trap, but a guest's exit: notes what it is, has it handled, notes what came of it, and writes out when half full. */
struct resume *trace_trap(struct cpu *cpu, u64 trap, u64 info, struct resume *(*handle)(struct cpu *cpu, u64 trap, u64 info));
void trace_outcome(struct cpu *cpu);               /* the same trap, before anybody else goes on: what came of a hypercall or an exception */
void trace_shootdown(struct cpu *cpu, u64 generation, u64 cpus);
void trace_flushed(struct cpu *cpu, u64 generation);
void trace_value(struct cpu *cpu, u32 vcpu, u32 kind, u64 address, const void *data, u32 bytes);

/* trace_vcpu.c. Home CPU. */
void trace_exit(struct cpu *cpu, struct vcpu *v);  /* vcpu_run completed: what stands in the state page and TRACE_EXIT_GROUPS; uses v->copy */
void trace_entry(struct cpu *cpu, struct vcpu *v, u32 dirty);   /* dirty groups in v->copy */
