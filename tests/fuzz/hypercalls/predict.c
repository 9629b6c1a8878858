/* SPDX-License-Identifier: BSD-2-Clause */
/* Predictions: permission flags of the caller, capabilities in argument order, then values, then what has to be free, then memory. */
#include "predict.h"
#include "abi/vcpu.h"
#include "view.h"

#define MAPPING (8 * PAGE_SIZE)   /* page tables for two pages, at most */

enum status m_cap(struct m_call *c, u64 selector, enum object_type type, u32 perms, struct m_object **out)
{
    const struct m_slot *const slot = m_slot_at(c->ec->home, selector);
    if (!slot || !slot->object || slot->object->type != type)
        return STATUS_CAP;
    if (perms & ~slot->perms)
        return STATUS_PERM;
    *out = slot->object;
    return OK;
}

void m_charge(struct m_call *c, struct m_object *pd, u64 min, u64 max)
{
    c->charge[c->charges++] = (struct m_charge){ pd, min, max };
}

/* What all that create an object begin with. */
static enum status begin(struct m_call *c)
{
    if (c->ec->home->disowned)
        return STATUS_ABORT;
    const enum status s = m_cap(c, c->a[0], OBJ_PD, PERM_PD_CREATE, &c->pd);
    if (s != OK)
        return s;
    return c->a[1] < SEL_COUNT ? OK : STATUS_ARG;
}

/* The slot must be empty; the leaf that it needs stays, whatever happens then. */
static enum status slot(struct m_call *c)
{
    if (!m_slot_at(c->ec->home, c->a[1]))
        m_charge(c, c->ec->home, PAGE_SIZE, PAGE_SIZE);
    return m_slot_held(c->ec->home, c->a[1]) ? STATUS_EXISTS : OK;
}

static bool address_legal(u64 address)
{
    return !(address & PAGE_MASK) && address < USER_END && USER_END - address >= 2 * PAGE_SIZE;
}

static u64 object_bytes(const struct m_call *c, enum object_type type)
{
    return view_bytes(type, type == OBJ_EC && c->a[5] >> 8 & EC_FPU);
}

static u64 saturated(u64 a, u64 b)
{
    return a + b < a ? ~0ul : a + b;
}

static enum status create_pd(struct m_call *c)
{
    enum status s = begin(c);
    if (s != OK)
        return s;
    if (c->a[3] & ~(u64)(PD_FLAG_CONSOLE | PD_FLAG_SHUTDOWN))
        return STATUS_ARG;
    if (c->a[3] & ~(u64)c->ec->home->flags)
        return STATUS_PERM;
    s = slot(c);
    if (s != OK)
        return s;
    const u64 bytes = saturated(object_bytes(c, OBJ_PD), c->a[2]);
    m_charge(c, c->pd, bytes, bytes);
    return c->a[2] < 2 * PAGE_SIZE ? STATUS_QUOTA : OK;   /* its own tables */
}

static enum status create_ec(struct m_call *c)
{
    enum status s = begin(c);
    const u64 cpu = c->a[5] & 0xff, kind = c->a[5] >> 8 & 0xff, event = c->a[5] >> 16;
    if (s != OK)
        return s;
    if (kind & ~(u64)(EC_LOCAL | EC_FPU) || event > SEL_COUNT - EC_EVENTS)
        return STATUS_ARG;
    if (!address_legal(c->a[2]) || (!(kind & EC_LOCAL) && c->a[3] >= USER_END))
        return STATUS_ARG;
    if (cpu >= c->m->cpus)
        return STATUS_CPU;
    s = slot(c);
    if (s != OK)
        return s;
    m_charge(c, c->pd, object_bytes(c, OBJ_EC) + view_range_bytes(), object_bytes(c, OBJ_EC) + view_range_bytes() + MAPPING);
    return m_pages_any(&c->pd->space[0], c->a[2] >> PAGE_BITS, 2) ? STATUS_EXISTS : OK;
}

static enum status create_sc(struct m_call *c)
{
    enum status s = begin(c);
    if (s == OK)
        s = m_cap(c, c->a[2], OBJ_EC, PERM_EC_SC, &c->object);
    if (s != OK)
        return s;
    if (c->object->local || c->a[3] >= PRIORITY_COUNT || !c->a[4])
        return STATUS_ARG;
    s = slot(c);
    if (s != OK)
        return s;
    m_charge(c, c->pd, object_bytes(c, OBJ_SC), object_bytes(c, OBJ_SC));
    return c->object->sc ? STATUS_BUSY : OK;
}

static enum status create_portal(struct m_call *c)
{
    enum status s = begin(c);
    if (s == OK)
        s = m_cap(c, c->a[2], OBJ_EC, PERM_EC_PORTAL, &c->object);
    if (s != OK)
        return s;
    if (!c->object->local || c->a[3] >= USER_END)
        return STATUS_ARG;
    m_charge(c, c->pd, object_bytes(c, OBJ_PORTAL), object_bytes(c, OBJ_PORTAL));
    return slot(c);
}

static enum status create_sm(struct m_call *c)
{
    const enum status s = begin(c);
    if (s != OK)
        return s;
    m_charge(c, c->pd, object_bytes(c, OBJ_SM), object_bytes(c, OBJ_SM));
    return slot(c);
}

static enum status create_vcpu(struct m_call *c)
{
    enum status s = begin(c);
    if (s != OK)
        return s;
    if (!address_legal(c->a[3]))
        return STATUS_ARG;
    if (c->a[2] >= c->m->cpus)
        return STATUS_CPU;
    if (!c->m->virt)
        return STATUS_FEATURE;
    s = slot(c);
    if (s != OK)
        return s;
    if (!c->pd->space[1].made)
        m_charge(c, c->pd, PAGE_SIZE, PAGE_SIZE);
    m_charge(c, c->pd, object_bytes(c, OBJ_VCPU), object_bytes(c, OBJ_VCPU));
    m_charge(c, c->ec->home, view_range_bytes(), view_range_bytes() + MAPPING);
    return m_pages_any(&c->ec->home->space[0], c->a[3] >> PAGE_BITS, 2) ? STATUS_EXISTS : OK;
}

static enum status sm_up(struct m_call *c)
{
    const enum status s = m_cap(c, c->a[0], OBJ_SM, PERM_SM_UP, &c->object);
    if (s != OK)
        return s;
    return c->object->count == ~0ul ? STATUS_BUSY : OK;
}

static enum status sm_down(struct m_call *c)
{
    const enum status s = m_cap(c, c->a[0], OBJ_SM, PERM_SM_DOWN, &c->object);
    if (s != OK)
        return s;
    if (c->a[1] & ~(u64)SM_DOWN_ZERO)
        return STATUS_ARG;
    if (c->object->count)
        return OK;
    return c->a[2] && c->a[2] <= c->now ? STATUS_TIMEOUT : STATUS_BLOCKED;
}

static enum status vcpu_call(struct m_call *c)
{
    const bool run = c->op->number == HYPERCALL_vcpu_run;
    const u32 groups = VCPU_GROUP_ALL & ~(c->m->groups_missing);
    const enum status s = m_cap(c, c->a[0], OBJ_VCPU, c->op->number == HYPERCALL_vcpu_kick ? PERM_VCPU_KICK : PERM_VCPU_RUN, &c->object);
    if (s != OK || c->op->number == HYPERCALL_vcpu_kick)
        return s;
    if (!run && c->a[1] & ~(u64)VCPU_GROUP_ALL)
        return STATUS_ARG;
    if (c->object->cpu != c->ec->cpu)
        return STATUS_CPU;
    if (run ? c->ec->caller || c->donated : !c->object->started)
        return STATUS_BUSY;
    return (run ? (u32)c->op->dirty : c->a[1]) & ~(u64)groups ? STATUS_FEATURE : OK;
}

static enum status trace(struct m_call *c)
{
    const enum status s = m_cap(c, c->a[0], OBJ_VCPU, PERM_VCPU_RUN, &c->object);
    const u64 kind = c->a[1] >> 8, bytes = c->a[1] & 0xff;
    if (s != OK)
        return s;
    return kind >= 1 && kind <= 8 && bytes <= 24 ? OK : STATUS_ARG;
}

static enum status info(struct m_call *c)
{
    if (c->op->number == HYPERCALL_pd_info) {
        c->has_result[1] = true;
        const enum status s = m_cap(c, c->a[0], OBJ_PD, PERM_PD_CREATE, &c->pd);
        c->has_result[1] = s == OK;
        c->result[1] = s == OK ? c->pd->limit : 0;
        return s;
    }
    if (c->op->number == HYPERCALL_portal_ctrl)
        return m_cap(c, c->a[0], OBJ_PORTAL, PERM_PORTAL_CTRL, &c->object);
    const enum status s = m_cap(c, c->a[0], OBJ_SC, PERM_SC_CTRL, &c->object);
    return s == OK && c->object->cpu != c->ec->cpu ? STATUS_CPU : s;
}

static enum status flags(struct m_call *c)
{
    const bool console = c->op->number == HYPERCALL_console;
    if (!(c->ec->home->flags & (console ? PD_FLAG_CONSOLE : PD_FLAG_SHUTDOWN)))
        return STATUS_PERM;
    return console && c->a[4] > 32 ? STATUS_ARG : OK;
}

static enum status null(struct m_call *c)
{
    return OK;
}

static enum status (*const status_of[HYPERCALL_COUNT])(struct m_call *c) = {
    [HYPERCALL_null] = null, [HYPERCALL_call] = m_ipc_call, [HYPERCALL_reply] = m_ipc_reply, [HYPERCALL_pd_create] = create_pd,
    [HYPERCALL_ec_create] = create_ec, [HYPERCALL_sc_create] = create_sc, [HYPERCALL_portal_create] = create_portal, [HYPERCALL_sm_create] = create_sm,
    [HYPERCALL_vcpu_create] = create_vcpu, [HYPERCALL_delegate] = m_delegate, [HYPERCALL_revoke] = m_revoke, [HYPERCALL_lookup] = m_lookup,
    [HYPERCALL_sm_up] = sm_up, [HYPERCALL_sm_down] = sm_down, [HYPERCALL_vcpu_run] = vcpu_call, [HYPERCALL_vcpu_kick] = vcpu_call,
    [HYPERCALL_vcpu_fetch] = vcpu_call, [HYPERCALL_portal_ctrl] = info, [HYPERCALL_pd_info] = info, [HYPERCALL_console] = flags,
    [HYPERCALL_shutdown] = flags, [HYPERCALL_sc_info] = info, [HYPERCALL_clock] = null, [HYPERCALL_trace] = trace,
};

void m_predict(struct m_call *c)
{
    c->status = c->op->number < HYPERCALL_COUNT ? status_of[c->op->number](c) : STATUS_HYPERCALL;
}
