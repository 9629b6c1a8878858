/* SPDX-License-Identifier: BSD-2-Clause */
/* Delegate, revoke and lookup. A range is checked as a whole; a delegation fails with nothing changed. */
#include "predict.h"
#include "view.h"

#define TABLES 8u   /* new page tables of one delegation or mapping, at most: two ends of a range, three levels, and the root of a guest space */

static bool slots_legal(u64 selector, u64 count)
{
    return selector < SEL_COUNT && count <= SEL_COUNT - selector;
}

static bool pages_legal(const struct m_space *s, u64 page, u64 count)
{
    return page < s->end && count <= s->end - page;
}

static enum status slots_status(struct m_call *c, const struct m_units *u)
{
    if (!slots_legal(u->base, u->count) || !slots_legal(u->target, u->count))
        return STATUS_ARG;
    for (u64 i = 0; i < u->count; i++) {
        if (!m_slot_held(u->from, u->base + i))
            return STATUS_RANGE;
        if (m_slot_held(u->to, u->target + i))
            return STATUS_EXISTS;
    }
    for (u64 i = 0; i < u->count; i++)
        if (!m_slot_at(u->to, u->target + i) && (!i || (u->target + i) % M_LEAF_SLOTS == 0))
            m_charge(c, u->to, PAGE_SIZE, PAGE_SIZE);
    return OK;
}

enum status m_units_status(struct m_call *c, const struct m_units *u)
{
    if (u->from_type == SPACE_OBJECT)
        return slots_status(c, u);
    struct m_space *const from = &u->from->space[0], *const to = &u->to->space[u->to_type == SPACE_GUEST];
    if (u->to_type == SPACE_GUEST && !c->m->virt)
        return STATUS_FEATURE;
    if (!to->made)
        m_charge(c, u->to, PAGE_SIZE, PAGE_SIZE);
    if (!pages_legal(from, u->base, u->count) || !pages_legal(to, u->target, u->count) || !(u->rights & RIGHT_R) || u->rights & ~RIGHT_MEMORY)
        return STATUS_ARG;
    if (m_pages_any(to, u->target, u->count))
        return STATUS_EXISTS;
    if (m_pages_run(from, u->base, u->count) < u->count)
        return STATUS_RANGE;
    /* In the worst case each page is a range. */
    m_charge(c, u->to, view_range_bytes(), TABLES * PAGE_SIZE + u->count * view_range_bytes());
    return OK;
}

void m_units_move(const struct m_units *u)
{
    if (u->to_type == SPACE_GUEST && u->count)
        u->to->space[1].made = true;
    for (u64 i = 0; i < u->count; i++) {
        if (u->from_type == SPACE_OBJECT) {
            struct m_slot *const from = m_slot_at(u->from, u->base + i);
            m_slot_fill(m_slot_make(u->to, u->target + i), from->object, from->perms & u->rights, from);
        } else {
            struct m_page *const from = m_page_at(&u->from->space[0], u->base + i);
            m_page_add(&u->to->space[u->to_type == SPACE_GUEST], u->target + i, from->frame, from->rights & u->rights, from);
        }
    }
}

/* Bit 63 of order_type, and then RAX, say that a preempted delegate goes on: so many units are skipped. */
static struct m_units units_of(const struct m_call *c)
{
    const u64 order = c->a[4] & ~bit(63), count = order >> 16;
    const u64 skip = c->a[4] & bit(63) ? min(c->a[5], count) : 0;
    return (struct m_units){
        .from = c->pd, .to = c->to, .base = c->a[2] + skip, .target = c->a[3] + skip, .count = count - skip,
        .rights = (u32)(order >> 8 & 0xff), .from_type = (u32)(order >> 4 & 0xf), .to_type = (u32)(order & 0xf),
    };
}

enum status m_delegate(struct m_call *c)
{
    enum status s = m_cap(c, c->a[0], OBJ_PD, PERM_PD_SPACE, &c->pd);
    if (s == OK)
        s = m_cap(c, c->a[1], OBJ_PD, PERM_PD_SPACE, &c->to);
    if (s != OK)
        return s;
    const struct m_units u = units_of(c);
    const u64 count = (c->a[4] & ~bit(63)) >> 16;
    const bool same = u.from_type == u.to_type && u.from_type <= SPACE_MEMORY;
    if (!same && !(u.from_type == SPACE_MEMORY && u.to_type == SPACE_GUEST))
        return STATUS_ARG;
    if (u.rights & ~(u.from_type == SPACE_OBJECT ? PERM_ALL : RIGHT_MEMORY) || !count || count > DELEGATE_COUNT_MAX)
        return STATUS_ARG;
    if (c->a[2] + count < count || c->a[3] + count < count)
        return STATUS_ARG;
    return u.count ? m_units_status(c, &u) : OK;
}

void m_delegate_apply(struct m_call *c)
{
    const struct m_units u = units_of(c);
    m_units_move(&u);
}

static u32 space_index(u64 type)
{
    return type == SPACE_GUEST;
}

/* Progress, forged: slots that are passed. */
static u64 revoke_skips(const struct m_call *c)
{
    return c->a[3] & bit(63) ? min(c->a[5], c->a[2] >> 4) : 0;
}

enum status m_revoke(struct m_call *c)
{
    const u64 count = c->a[2] >> 4, type = c->a[2] & 0xf, flags = type == SPACE_OBJECT ? c->a[3] & ~bit(63) : c->a[3];
    const enum status s = m_cap(c, c->a[0], OBJ_PD, PERM_PD_SPACE, &c->pd);
    if (s != OK)
        return s;
    if (type > SPACE_GUEST || !count || count > DELEGATE_COUNT_MAX || c->a[1] + count < count || flags & ~(u64)REVOKE_SELF)
        return STATUS_ARG;
    if (type == SPACE_OBJECT)
        return slots_legal(c->a[1], count) ? OK : STATUS_ARG;
    const struct m_space *const space = &c->pd->space[space_index(type)];
    return !space->made || pages_legal(space, c->a[1], count) ? OK : STATUS_ARG;
}

bool m_revoke_takes_own(const struct m_call *c)
{
    const struct m_slot *const own = m_slot_at(c->ec->home, c->a[0]);
    const u64 count = c->a[2] >> 4, end = min(c->a[1] + count, (u64)SEL_COUNT);
    if (c->status != OK || c->op->number != HYPERCALL_revoke || (c->a[2] & 0xf) != SPACE_OBJECT)
        return false;
    for (u64 i = c->a[1]; i < end; i++)
        for (const struct m_node *n = c->a[3] & REVOKE_SELF ? &own->node : own->node.parent; n; n = n->parent)
            if (m_slot_at(c->pd, i) && n == &m_slot_at(c->pd, i)->node)
                return true;
    return false;
}

void m_revoke_apply(struct m_call *c)
{
    const u64 count = c->a[2] >> 4, type = c->a[2] & 0xf;
    const bool self = c->a[3] & REVOKE_SELF;
    if (type == SPACE_OBJECT) {
        for (u64 i = revoke_skips(c); i < count; i++)
            if (m_slot_held(c->pd, c->a[1] + i))
                m_slot_revoke(m_slot_at(c->pd, c->a[1] + i), self);
        return;
    }
    struct m_space *const space = &c->pd->space[space_index(type)];
    for (u32 b = 0; b < M_BUCKETS; b++)
        for (struct m_page *p = space->bucket[b]; p;) {
            const bool takes = p->page >= c->a[1] && p->page - c->a[1] < count && (self || p->node.child);
            if (takes)
                m_page_revoke(p, self);
            p = takes ? space->bucket[b] : p->next;   /* others of this bucket may be gone, too */
        }
}

enum status m_lookup(struct m_call *c)
{
    const u64 type = c->a[1], base = c->a[2];
    const enum status s = m_cap(c, c->a[0], OBJ_PD, PERM_PD_SPACE, &c->pd);
    if (s != OK)
        return s;
    if (type > SPACE_GUEST || (type == SPACE_OBJECT && base >= SEL_COUNT))
        return STATUS_ARG;
    const struct m_page *const page = type == SPACE_OBJECT ? NULL : m_page_at(&c->pd->space[space_index(type)], base);
    c->has_result[0] = c->has_result[1] = true;
    c->result[0] = base;
    c->result[1] = type == SPACE_OBJECT ? (m_slot_held(c->pd, base) ? m_slot_at(c->pd, base)->perms : 0) : page ? page->rights : 0;
    return OK;
}
