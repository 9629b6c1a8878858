/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: for each row x of abi/hypercall.h a structure sys_x_args with its arguments by name, and a function sys_x that checks everything
 * in a fixed order (permission flags of the caller, capabilities in argument order, then values) and then does it.
 * A status from STATUS_INTERNAL_FIRST on never reaches a register. */
#pragma once
#include "abi/hypercall.h"
#include "ec.h"
#include "object.h"

struct cpu;
struct pd;
struct sc;
struct portal;
struct sm;
struct vcpu;

#define SYS_NAMES(...)          __VA_ARGS__
#define SYS_MEMBER(index, name) u64 name;
#define SYS_DECLARE(number, name, arguments, results, summary)                                     \
    struct sys_##name##_args {                                                                     \
        HC_EACH(SYS_MEMBER, SYS_NAMES arguments)                                                   \
    };                                                                                             \
    must_check enum status sys_##name(struct cpu *cpu, struct ec *ec, const struct sys_##name##_args *a);
HYPERCALL_LIST(SYS_DECLARE)
#undef SYS_DECLARE

/* The hypercall that ec, which is current, asks for. */
void hypercall(struct cpu *cpu, struct ec *ec);

/* Capability lookups of the caller: STATUS_CAP, STATUS_PERM. Valid until the end of the trap. */
must_check enum status cap_pd(const struct ec *ec, u64 selector, u32 perms, struct pd **out);
must_check enum status cap_ec(const struct ec *ec, u64 selector, u32 perms, struct ec **out);
must_check enum status cap_sc(const struct ec *ec, u64 selector, u32 perms, struct sc **out);
must_check enum status cap_portal(const struct ec *ec, u64 selector, u32 perms, struct portal **out);
must_check enum status cap_sm(const struct ec *ec, u64 selector, u32 perms, struct sm **out);
must_check enum status cap_vcpu(const struct ec *ec, u64 selector, u32 perms, struct vcpu **out);

static inline void sys_result(struct ec *ec, u64 first, u64 second)
{
    ec->resume.gpr[RSI] = first;
    ec->resume.gpr[RDX] = second;
}
