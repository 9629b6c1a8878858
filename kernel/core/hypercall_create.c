/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls that create an object: check, reserve the slot in the caller's object space, create, insert.
 * A failing one changes nothing; but a leaf of the caller's object space that was allocated for the slot stays, charged to the caller. */
#include "cpu.h"
#include "hypercall.h"
#include "pd.h"
#include "portal.h"
#include "sc.h"
#include "sm.h"
#include "vcpu.h"

/* The slot was reserved; another CPU may have taken it since. */
static enum status insert(struct cpu *cpu, struct cap_slot *slot, struct object *o)
{
    const enum status s = space_obj_fill(slot, o);
    if (s != OK)
        object_unref(cpu, o);
    return s;
}

/* The checks all of them begin with. A thread may outlive the capabilities to its PD. What it made then, only it could name, and as it may be kept by
 * what it made, nobody could ever take it back. The PD's object space is emptied in a later epoch than this trap's. */
static enum status begin(struct ec *ec, u64 pd_selector, u64 selector, struct pd **pd)
{
    if (object_is_dead(&ec->pd->object))
        return STATUS_ABORT;
    const enum status s = cap_pd(ec, pd_selector, PERM_PD_CREATE, pd);
    if (s != OK)
        return s;
    return selector < SEL_COUNT ? OK : STATUS_ARG;
}

static bool cpu_online(struct cpu *cpu, u64 id)
{
    return id < CPU_MAX && atomic_load(&cpu->kern->cpus_online) & bit(id);
}

static bool pages_legal(u64 address, u64 pages)
{
    return !(address & PAGE_MASK) && address < USER_END && USER_END - address >= pages * PAGE_SIZE;
}

SYS(pd_create)
{
    struct cap_slot *slot;
    struct pd *parent, *pd;
    enum status s = begin(ec, a->pd, a->selector, &parent);
    if (s != OK)
        return s;
    if (a->flags & ~(u64)(PD_FLAG_CONSOLE | PD_FLAG_SHUTDOWN))
        return STATUS_ARG;
    if (a->flags & ~(u64)ec->pd->flags)
        return STATUS_PERM;
    s = space_obj_reserve(&ec->pd->objects, a->selector, &slot);
    if (s == OK)
        s = pd_create(cpu, parent, a->quota_bytes, (u32)a->flags, &pd);
    return s == OK ? insert(cpu, slot, &pd->object) : s;
}

SYS(ec_create)
{
    struct cap_slot *slot;
    struct pd *pd;
    struct ec *new;
    const struct ec_config config = {
            .utcb = a->utcb,
            .ip = a->ip,
            .sp = a->sp,
            .cpu = (u32)(a->config & 0xff),
            .flags = (u32)(a->config >> 8 & 0xff),
            .event_base = a->config >> 16,
    };
    enum status s = begin(ec, a->pd, a->selector, &pd);
    if (s != OK)
        return s;
    if (config.flags & ~(EC_LOCAL | EC_FPU) || config.event_base > SEL_COUNT - EC_EVENTS)
        return STATUS_ARG;
    if (!pages_legal(a->utcb, UTCB_PAGES) || (!(config.flags & EC_LOCAL) && a->ip >= USER_END))
        return STATUS_ARG;
    if (!cpu_online(cpu, config.cpu))
        return STATUS_CPU;
    s = space_obj_reserve(&ec->pd->objects, a->selector, &slot);
    if (s == OK)
        s = ec_create(cpu, pd, &config, &new);
    return s == OK ? insert(cpu, slot, &new->object) : s;
}

SYS(sc_create)
{
    struct cap_slot *slot;
    struct pd *pd;
    struct ec *target;
    struct sc *sc;
    enum status s = begin(ec, a->pd, a->selector, &pd);
    if (s != OK)
        return s;
    s = cap_ec(ec, a->ec, PERM_EC_SC, &target);
    if (s != OK)
        return s;
    if (target->kind & EC_LOCAL || a->priority >= cpu->kern->cpu[target->object.cpu]->sched.queues || !a->budget_tsc)
        return STATUS_ARG;
    s = space_obj_reserve(&ec->pd->objects, a->selector, &slot);
    if (s == OK)
        s = sc_create(cpu, pd, target, (u32)a->priority, a->budget_tsc, &sc);
    if (s == OK)
        s = insert(cpu, slot, &sc->object);
    if (s == OK)
        sc_start(cpu, sc);
    return s;
}

SYS(portal_create)
{
    struct cap_slot *slot;
    struct pd *pd;
    struct ec *handler;
    struct portal *portal;
    enum status s = begin(ec, a->pd, a->selector, &pd);
    if (s != OK)
        return s;
    s = cap_ec(ec, a->ec, PERM_EC_PORTAL, &handler);
    if (s != OK)
        return s;
    if (!(handler->kind & EC_LOCAL) || a->ip >= USER_END)
        return STATUS_ARG;
    s = space_obj_reserve(&ec->pd->objects, a->selector, &slot);
    if (s == OK)
        s = portal_create(cpu, pd, handler, a->ip, a->id, &portal);
    return s == OK ? insert(cpu, slot, &portal->object) : s;
}

SYS(sm_create)
{
    struct cap_slot *slot;
    struct pd *pd;
    struct sm *sm;
    enum status s = begin(ec, a->pd, a->selector, &pd);
    if (s != OK)
        return s;
    s = space_obj_reserve(&ec->pd->objects, a->selector, &slot);
    if (s == OK)
        s = sm_create(cpu, pd, a->count, &sm);
    return s == OK ? insert(cpu, slot, &sm->object) : s;
}

SYS(vcpu_create)
{
    struct cap_slot *slot;
    struct pd *pd;
    struct vcpu *vcpu;
    enum status s = begin(ec, a->pd, a->selector, &pd);
    if (s != OK)
        return s;
    if (!pages_legal(a->state, VCPU_STATE_PAGES))
        return STATUS_ARG;
    if (!cpu_online(cpu, a->cpu))
        return STATUS_CPU;
    if (!cpu->kern->virt)
        return STATUS_FEATURE;
    s = space_obj_reserve(&ec->pd->objects, a->selector, &slot);
    if (s == OK)
        s = vcpu_create(cpu, pd, (u32)a->cpu, a->state >> PAGE_BITS, &vcpu);
    return s == OK ? insert(cpu, slot, &vcpu->object) : s;
}
