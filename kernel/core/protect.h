/* SPDX-License-Identifier: BSD-2-Clause */
/* What the processor itself does for the kernel against user level: no execution and no access of user pages by the kernel, no look at descriptor
 * tables by user level; and against speculation, where this processor suffers from it and the command line allows it. In kernel/x86.
 * Not handled: what the sibling of a hyper-threaded core does meanwhile; branch prediction between a guest and its VMM. */
#pragma once
#include "base.h"

struct cpu;
struct vcpu;

/* Names as on the command line: mitigations=off, auto, or a list of these. docs/security.md says what each is for. */
#define PROTECT_LIST(X) X(0, IBPB, "ibpb") X(1, VERW, "verw") X(2, L1D, "l1d")
enum protect {
#define PROTECT_ENUM(number, name, text) PROTECT_##name = 1u << number,
    PROTECT_LIST(PROTECT_ENUM)
#undef PROTECT_ENUM
    PROTECT_ALL = 0x7u,
};

/* Of a command line of so many bytes, or up to its first NUL. NULL, or what makes no sense. */
const char *protect_parse(const char *line, u64 bytes, u32 *protect);
/* This CPU, before it runs anything else. Panics without NX: rights could not be kept. */
void protect_cpu_init(struct cpu *cpu);
/* cpu->protect is not 0. Another PD's space was loaded. User level, or this vCPU if not NULL, is about to run. */
void protect_switch(const struct cpu *cpu);
void protect_enter(struct cpu *cpu, const struct vcpu *v);
