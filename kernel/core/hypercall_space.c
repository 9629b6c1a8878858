/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls on spaces: delegate, revoke, lookup. Long ones are preempted: delegate then has DELEGATE_PROGRESS set in R10 and the number of
 * units done in RAX, which is no argument of it; so has revoke of capabilities, in R9; that of memory finds less to do each time. User level can forge the
 * progress: it only skips units. */
#include "cpu.h"
#include "hypercall.h"
#include "pd.h"

#define DELEGATE_PROGRESS bit(63)
#define REVOKE_PROGRESS   bit(63)

struct delegation {
    u64 base, target, count;
    u32 rights, from_type, to_type;
};

static enum status delegation_check(const struct delegation *d)
{
    const u32 legal = d->from_type == SPACE_OBJECT ? PERM_ALL : RIGHT_MEMORY;
    const bool types = d->from_type == d->to_type ? d->from_type <= SPACE_MEMORY : d->from_type == SPACE_MEMORY && d->to_type == SPACE_GUEST;
    if (!types || d->rights & ~legal || !d->count || d->count > DELEGATE_COUNT_MAX)
        return STATUS_ARG;
    if (d->base + d->count < d->base || d->target + d->count < d->target)
        return STATUS_ARG;
    return OK;
}

/* done: in and out. */
static enum status delegation_step(struct pd *from, struct pd *to, const struct delegation *d, u64 *done)
{
    const u64 base = d->base + *done, target = d->target + *done, count = d->count - *done;
    struct space_mem *memory = &to->memory;
    u64 step = 0;
    enum status s = OK;
    if (!count)
        return OK;
    if (d->to_type == SPACE_GUEST)
        s = pd_guest(to, &memory);
    if (s != OK)
        return s;
    if (d->from_type == SPACE_OBJECT) {
        s = space_obj_delegate(&from->objects, base, &to->objects, target, count, d->rights, &step);
    } else {
        struct mem_delegation m;
        m.from = &from->memory;
        m.to = memory;
        m.page = base;
        m.target = target;
        m.count = count;
        m.rights = d->rights;
        m.begun = *done > 0;
        s = space_mem_delegate_part(&m, &step);
    }
    *done += step;
    return s;
}

SYS(delegate)
{
    const bool begun = a->order_type & DELEGATE_PROGRESS;
    const u64 order_type = a->order_type & ~DELEGATE_PROGRESS;
    const struct delegation d = {
            .base = a->base,
            .target = a->target,
            .count = order_type >> 16,
            .rights = (u32)(order_type >> 8 & 0xff),
            .from_type = (u32)(order_type >> 4 & 0xf),
            .to_type = (u32)(order_type & 0xf),
    };
    struct pd *from, *to;
    ec->resume.gpr[R10] = order_type;
    enum status s = cap_pd(ec, a->from, PERM_PD_SPACE, &from);
    if (s != OK)
        return s;
    s = cap_pd(ec, a->to, PERM_PD_SPACE, &to);
    if (s == OK)
        s = delegation_check(&d);
    if (s != OK)
        return s;
    u64 done = begun ? min(ec->resume.gpr[RAX], d.count) : 0;
    s = delegation_step(from, to, &d, &done);
    if (s == STATUS_RESTART) {
        ec->resume.gpr[R10] = order_type | DELEGATE_PROGRESS;
        ec->resume.gpr[RAX] = done;
    }
    return s;
}

static enum status memory_revoke(struct cpu *cpu, struct ec *ec, struct space_mem *space, const struct sys_revoke_args *a)
{
    u64 generation = 0;
    if (!space)
        return OK;   /* a guest space that was never used */
    const enum status s = space_mem_revoke(cpu, space, a->base, a->count_type >> 4, a->flags & REVOKE_SELF, &generation);
    return s == OK && generation ? tlb_wait(cpu, ec, generation) : s;
}

SYS(revoke)
{
    struct pd *pd;
    const u64 count = a->count_type >> 4, type = a->count_type & 0xf;
    u64 done = 0;
    if (unlikely(a->flags & REVOKE_PROGRESS && type == SPACE_OBJECT)) {
        ec->resume.gpr[R9] &= ~REVOKE_PROGRESS;
        done = ec->resume.gpr[RAX];
    }
    enum status s = cap_pd(ec, a->pd, PERM_PD_SPACE, &pd);
    if (s != OK)
        return s;
    if (type > SPACE_GUEST || !count || count > DELEGATE_COUNT_MAX || a->base + count < a->base || a->flags & ~(u64)REVOKE_SELF)
        return STATUS_ARG;
    if (type != SPACE_OBJECT)
        return memory_revoke(cpu, ec, type == SPACE_GUEST ? pd_guest_made(pd) : &pd->memory, a);
    s = space_obj_revoke_rest(cpu, &pd->objects, a->base, count, a->flags & REVOKE_SELF, &done);
    if (unlikely(s == STATUS_RESTART)) {
        ec->resume.gpr[R9] |= REVOKE_PROGRESS;
        ec->resume.gpr[RAX] = done;
    }
    return s;
}

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
