/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls on spaces: delegate, revoke, lookup. Long ones are preempted: then PROGRESS is set in the last argument's register and the number of
 * units done is in RAX, which is no argument; but a revoke of memory just finds less to do each time. User level can forge the progress: it only skips
 * units. Checks are in the function of the hypercall, the work in one of its own for each kind of space: on the way there no register is saved. */
#include "cpu.h"
#include "hypercall.h"
#include "pd.h"

#define PROGRESS bit(63)

/* Units done; the argument is then as it was. */
static inline u64 progress_take(struct ec *ec, u32 last_argument)
{
    if (likely(!(ec->resume.gpr[last_argument] & PROGRESS)))
        return 0;
    ec->resume.gpr[last_argument] &= ~PROGRESS;
    return ec->resume.gpr[RAX];
}

static struct resume *end(struct cpu *cpu, struct ec *ec, enum status s, u32 last_argument, u64 done)
{
    if (unlikely(s == STATUS_RESTART)) {
        ec->resume.gpr[last_argument] |= PROGRESS;
        ec->resume.gpr[RAX] = done;
    }
    return hypercall_end(cpu, ec, s);
}

/* ---- Delegate ---- */

#define ORDER_COUNT(order)  ((order) >> 16)
#define ORDER_RIGHTS(order) ((u32)((order) >> 8 & 0xff))
#define ORDER_FROM(order)   ((u32)((order) >> 4 & 0xf))
#define ORDER_TO(order)     ((u32)((order)&0xf))

static inline bool delegation_legal(const struct sys_delegate_args *a)
{
    const u64 order = a->order_type, count = ORDER_COUNT(order);
    const u32 from = ORDER_FROM(order), to = ORDER_TO(order);
    const bool types = from == to ? from <= SPACE_MEMORY : from == SPACE_MEMORY && to == SPACE_GUEST;
    return types && !(ORDER_RIGHTS(order) & ~(from == SPACE_OBJECT ? PERM_ALL : RIGHT_MEMORY)) && count && count <= DELEGATE_COUNT_MAX &&
           a->base + count >= a->base && a->target + count >= a->target;
}

static out_of_line struct resume *delegate_objects(struct cpu *cpu, struct ec *ec, struct pd *from, struct pd *to, u64 done)
{
    const struct sys_delegate_args *const a = SYS_ARGS(delegate, ec);
    const u64 count = ORDER_COUNT(a->order_type) - done;
    u64 step = 0;
    const enum status s = space_obj_delegate(&from->objects, a->base + done, &to->objects, a->target + done, count, ORDER_RIGHTS(a->order_type), &step);
    return end(cpu, ec, s, R10, done + step);
}

static out_of_line struct resume *delegate_memory(struct cpu *cpu, struct ec *ec, struct pd *from, struct pd *to, u64 done)
{
    const struct sys_delegate_args *const a = SYS_ARGS(delegate, ec);
    const u64 order = a->order_type;
    struct mem_delegation m;
    u64 step = 0;
    enum status s = OK;
    m.from = &from->memory;
    m.to = &to->memory;
    m.page = a->base + done;
    m.target = a->target + done;
    m.count = ORDER_COUNT(order) - done;
    m.rights = ORDER_RIGHTS(order);
    m.begun = done > 0;
    if (ORDER_TO(order) == SPACE_GUEST)
        s = pd_guest(to, &m.to);
    if (s == OK)
        s = space_mem_delegate_part(&m, &step);
    return end(cpu, ec, s, R10, done + step);
}

struct resume *sys_delegate(struct cpu *cpu, struct ec *ec)
{
    const struct sys_delegate_args *const a = SYS_ARGS(delegate, ec);
    const u64 done = progress_take(ec, R10);
    struct pd *from, *to;
    enum status s = cap_pd(ec, a->from, PERM_PD_SPACE, &from);
    if (likely(s == OK))
        s = cap_pd(ec, a->to, PERM_PD_SPACE, &to);
    if (unlikely(s != OK))
        return hypercall_end(cpu, ec, s);
    if (unlikely(!delegation_legal(a)))
        return hypercall_end(cpu, ec, STATUS_ARG);
    if (unlikely(done >= ORDER_COUNT(a->order_type)))
        return hypercall_end(cpu, ec, OK);
    if (ORDER_FROM(a->order_type) == SPACE_OBJECT)
        return delegate_objects(cpu, ec, from, to, done);
    return delegate_memory(cpu, ec, from, to, done);
}

/* ---- Revoke ---- */

static out_of_line struct resume *revoke_objects(struct cpu *cpu, struct ec *ec, struct space_obj *space, u64 done)
{
    const struct sys_revoke_args *const a = SYS_ARGS(revoke, ec);
    const enum status s = space_obj_revoke_rest(cpu, space, a->base, a->count_type >> 4, a->flags & REVOKE_SELF, &done);
    return end(cpu, ec, s, R9, done);
}

static out_of_line struct resume *revoke_memory(struct cpu *cpu, struct ec *ec, struct space_mem *space)
{
    const struct sys_revoke_args *const a = SYS_ARGS(revoke, ec);
    u64 generation;
    enum status s = space_mem_revoke(cpu, space, a->base, a->count_type >> 4, a->flags & REVOKE_SELF, &generation);
    if (unlikely(s == OK && generation))
        s = tlb_wait(cpu, ec, generation);
    return hypercall_end(cpu, ec, s);
}

/* One that was never used holds nothing. */
static seldom struct resume *revoke_guest(struct cpu *cpu, struct ec *ec, struct pd *pd)
{
    struct space_mem *const space = pd_guest_made(pd);
    return space ? revoke_memory(cpu, ec, space) : hypercall_end(cpu, ec, OK);
}

struct resume *sys_revoke(struct cpu *cpu, struct ec *ec)
{
    const struct sys_revoke_args *const a = SYS_ARGS(revoke, ec);
    const u64 count = a->count_type >> 4, type = a->count_type & 0xf, done = type == SPACE_OBJECT ? progress_take(ec, R9) : 0;
    struct pd *pd;
    const enum status s = cap_pd(ec, a->pd, PERM_PD_SPACE, &pd);
    if (unlikely(s != OK))
        return hypercall_end(cpu, ec, s);
    if (unlikely(type > SPACE_GUEST || !count || count > DELEGATE_COUNT_MAX || a->base + count < a->base || a->flags & ~(u64)REVOKE_SELF))
        return hypercall_end(cpu, ec, STATUS_ARG);
    if (type == SPACE_OBJECT)
        return revoke_objects(cpu, ec, &pd->objects, done);
    return likely(type == SPACE_MEMORY) ? revoke_memory(cpu, ec, &pd->memory) : revoke_guest(cpu, ec, pd);
}

/* ---- Lookup ---- */

/* Results: the unit asked for and the rights or permissions held, 0: none. Not which frame: that is nobody's business. */
SYS(lookup)
{
    struct pd *pd;
    u64 frame;
    u32 type, rights = 0;
    const enum status s = cap_pd(ec, a->pd, PERM_PD_SPACE, &pd);
    if (s != OK)
        return s;
    if (a->type > SPACE_GUEST || (a->type == SPACE_OBJECT && a->base >= SEL_COUNT))
        return STATUS_ARG;
    struct space_mem *const space = a->type == SPACE_GUEST ? pd_guest_made(pd) : &pd->memory;
    const bool held = a->type == SPACE_OBJECT ? space_obj_peek(&pd->objects, a->base, &type, &rights)
                                              : space && space_mem_lookup(space, a->base, &frame, &rights);
    sys_result(ec, a->base, held ? rights : 0);
    return OK;
}
