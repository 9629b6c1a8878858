/* SPDX-License-Identifier: BSD-2-Clause */
/* How objects end: what nobody names ends, what it needed may end with it, and whoever waited for it is told. The order makes no difference. */
#include <stdlib.h>
#include "model.h"

void m_wake(struct m_object *ec, enum status status)
{
    ec->state = M_READY;
    ec->callee = ec->sm = NULL;
    ec->woken_deadline = ec->deadline;
    ec->deadline = 0;
    ec->woken = true;
    ec->woken_status = status;
    ec->woken_mtr = ~0ul;
}

void m_sm_wake(struct m_object *sm, enum status status)
{
    struct m_object *const ec = sm->first;
    sm->first = ec->queue_next;
    ec->queue_next = NULL;
    m_wake(ec, status);
}

void m_sm_leave(struct m_object *ec)
{
    struct m_object **at = &ec->sm->first;
    while (*at != ec)
        at = &(*at)->queue_next;
    *at = ec->queue_next;
    ec->queue_next = ec->sm = NULL;
}

/* Two pages that the kernel has shown in a PD are taken back from whoever has them, unless something else stands there by now. */
static void unmap(struct m_object *o)
{
    for (u64 i = 0; i < 2; i++) {
        struct m_page *const p = m_page_at(&o->home->space[0], o->page + i);
        if (p && p->frame == o->frame + i)
            m_page_revoke(p, true);
    }
    o->home->users--;
}

static void ec_end(struct model *m, struct m_object *ec)
{
    if (ec->state == M_CALLING)
        ec->callee->caller = NULL;
    for (struct m_object *o = m->objects; o; o = o->next)
        if (o->type == OBJ_EC && o->state == M_HELPING && o->callee == ec) {   /* it calls again */
            o->state = M_READY;
            o->callee = NULL;
        }
    if (ec->state == M_WAITING)
        m_sm_leave(ec);
    if (ec->caller)
        m_wake(ec->caller, STATUS_ABORT);
    unmap(ec);
}

/* An original goes with all that was derived from it; of another capability what was derived lives on. */
static void slots_clear(struct m_object *pd)
{
    for (u64 s = 0; s < SEL_COUNT; s++) {
        struct m_slot *const slot = m_slot_at(pd, s);
        if (!slot)
            s |= M_LEAF_SLOTS - 1;
        else if (slot->object && slot->node.parent)
            m_slot_drop(slot);
        else if (slot->object)
            m_slot_revoke(slot, true);
    }
}

static void pd_end(struct m_object *pd)
{
    slots_clear(pd);
    for (u32 i = 0; i < 2; i++)
        for (u32 b = 0; b < M_BUCKETS; b++)
            while (pd->space[i].bucket[b])
                m_page_drop(pd->space[i].bucket[b]);
    for (u32 i = 0; i < M_LEAVES; i++)
        free(pd->leaf[i]);
    pd->pd->limit += pd->limit;
}

static void object_end(struct model *m, struct m_object *o)
{
    switch (o->type) {
    case OBJ_PD:
        pd_end(o);
        break;
    case OBJ_EC:
        ec_end(m, o);
        break;
    case OBJ_SC:
        o->ec->sc = NULL;
        o->ec->refs--;
        break;
    case OBJ_PORTAL:
        o->ec->refs--;
        break;
    case OBJ_SM:
        while (o->first)
            m_sm_wake(o, STATUS_ABORT);
        break;
    default:
        unmap(o);
    }
    if (o->pd)
        o->pd->users--;
}

/* A PD ends in two steps: nobody names it: its object space is emptied; nobody uses it: the rest goes. */
static bool disown(struct m_object *o)
{
    if (o->type != OBJ_PD || o->refs || o->disowned)
        return false;
    o->disowned = true;
    slots_clear(o);
    o->users--;
    return true;
}

void m_collect(struct model *m)
{
    for (bool any = true; any;) {
        any = false;
        for (struct m_object **at = &m->objects; *at;) {
            struct m_object *const o = *at;
            any |= disown(o);
            if (o->type == OBJ_PD ? o->users : o->refs) {
                at = &o->next;
                continue;
            }
            *at = o->next;
            object_end(m, o);
            free(o);
            any = true;
        }
    }
}
