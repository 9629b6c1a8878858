/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: for each row x of abi/hypercall.h a structure sys_x_args, and a function sys_x that checks everything in a fixed order (permission
 * flags of the caller, capabilities in argument order, then values), then does it, then says who goes on.
 * The structure is the caller's saved registers, with its arguments by name: what sys_x writes there (results) it no longer reads.
 * SYS(x) { ... } defines one by what it does and the status it has for its caller, or one from STATUS_INTERNAL_FIRST on, which never reaches a
 * register. The most frequent ones have short ways: fastpath.c. */
#pragma once
#include "abi/hypercall.h"
#include "ec.h"
#include "pd.h"
#include "portal.h"
#include "sc.h"
#include "sm.h"
#include "vcpu.h"

struct cpu;

#define SYS_NAMES(...) __VA_ARGS__
/* Registers of arguments 0..5. */
#define SYS_REGISTER(index) ((index) == 0 ? RSI : (index) == 1 ? RDX : (index) == 2 ? R8 : (index) == 3 ? R9 : (index) == 4 ? R10 : RAX)
#define SYS_MEMBER(index, name)               \
    struct {                                  \
        u64 before_##name[SYS_REGISTER(index)]; \
        u64 name;                             \
    };
#define SYS_DECLARE(number, name, arguments, results, summary)                                     \
    struct sys_##name##_args {                                                                     \
        union {                                                                                    \
            u64 gpr[16];                                                                           \
            HC_EACH(SYS_MEMBER, SYS_NAMES arguments)                                               \
        };                                                                                         \
    };                                                                                             \
    struct resume *sys_##name(struct cpu *cpu, struct ec *ec);
HYPERCALL_LIST(SYS_DECLARE)
#undef SYS_DECLARE

/* The hypercall that ec, which is current, asks for. */
struct resume *hypercall(struct cpu *cpu, struct ec *ec);
/* What its status means; the last step of one. */
struct resume *hypercall_end(struct cpu *cpu, struct ec *ec, enum status s);

#define SYS_ARGS(name, ec) ((const struct sys_##name##_args *)(ec)->resume.gpr)
#define SYS(name)                                                                                                      \
    static enum status name##_do(struct cpu *cpu, struct ec *ec, const struct sys_##name##_args *a);                   \
    struct resume *sys_##name(struct cpu *cpu, struct ec *ec)                                                          \
    {                                                                                                                  \
        return hypercall_end(cpu, ec, name##_do(cpu, ec, SYS_ARGS(name, ec)));                                         \
    }                                                                                                                  \
    static enum status name##_do(struct cpu *cpu, struct ec *ec, const struct sys_##name##_args *a)

/* Capability lookups of the caller: STATUS_CAP, STATUS_PERM. Valid until the end of the trap. Inline where a path is short. */
#define CAP(name, upper, lookup)                                                                                       \
    must_check static inline enum status cap_##name(const struct ec *ec, u64 selector, u32 perms, struct name **out)   \
    {                                                                                                                  \
        struct object *o;                                                                                              \
        const enum status s = lookup(&ec->pd->objects, selector, OBJ_##upper, perms, &o);                              \
        if (likely(s == OK))                                                                                           \
            *out = container_of(o, struct name, object);                                                               \
        return s;                                                                                                      \
    }
CAP(pd, PD, space_obj_lookup)
CAP(ec, EC, space_obj_lookup)
CAP(sc, SC, space_obj_lookup)
CAP(portal, PORTAL, space_obj_find)
CAP(sm, SM, space_obj_find)
CAP(vcpu, VCPU, space_obj_find)
#undef CAP

static inline void sys_result(struct ec *ec, u64 first, u64 second)
{
    ec->resume.gpr[RSI] = first;
    ec->resume.gpr[RDX] = second;
}
