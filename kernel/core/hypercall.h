/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: for each row x of abi/hypercall.h a structure sys_x_args, and a function sys_x that checks everything in a fixed order (permission
 * flags of the caller, capabilities in argument order, then values) and then does it.
 * The structure is the caller's saved registers, with its arguments by name: what sys_x writes there (results) it no longer reads.
 * A status from STATUS_INTERNAL_FIRST on never reaches a register. */
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
    must_check out_of_line enum status sys_##name(struct cpu *cpu, struct ec *ec, const struct sys_##name##_args *a);
HYPERCALL_LIST(SYS_DECLARE)
#undef SYS_DECLARE

/* The hypercall that ec, which is current, asks for. */
must_check enum status hypercall(struct cpu *cpu, struct ec *ec);

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
