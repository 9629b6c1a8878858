/* SPDX-License-Identifier: BSD-2-Clause */
/* The UTCBs of a message: what user level writes before it, what another CPU writes in the middle of it, what must stand there afterwards.
 * A word that was rewritten had one of two values for the kernel: for the whole of the message the same. */
#include <string.h>
#include "run.h"
#include "vcpu.h"
#include "view.h"

#define UNTOUCHED 0x5aa5

static struct utcb *utcb_of(const struct m_object *ec)
{
    return ((struct ec *)ec->kernel)->utcb;
}

/* Words that are looked at, of those there are. */
static const u32 word_at[] = { 0, 1, 2, 7, 63, 511 };

static u64 pattern(const struct fuzz *z, u32 i)
{
    return (z->number + 1) * 0x9e3779b97f4a7c15ul + i;
}

static u64 mtr_of(const struct m_call *c)
{
    return c->a[c->op->number == HYPERCALL_call];
}

static u32 items_of(const struct m_call *c)
{
    return (u32)MTR_ITEMS(mtr_of(c));
}

void message_prepare(struct fuzz *z, struct m_call *c)
{
    struct m_object *const receiver = m_receiver(c);
    struct utcb *const from = utcb_of(c->ec);
    for (u32 i = 0; i < UTCB_ITEMS; i++) {
        from->item[i] = i < c->op->items ? c->op->item[i] : (struct utcb_item){ 0 };
        from->item[i].status = UNTOUCHED;
    }
    for (u32 i = 0; i < array_size(word_at); i++)
        from->word[word_at[i]] = pattern(z, i);
    if (!receiver)
        return;
    struct utcb *const to = utcb_of(receiver);
    memcpy(to->window, c->op->window, sizeof(to->window));
    memset(to->item, 0xa5, sizeof(to->item));
    for (u32 i = 0; i < array_size(word_at); i++)
        to->word[word_at[i]] = ~pattern(z, i);
}

static void rewrite_item(struct utcb_item *item, const struct op_rewrite *r)
{
    switch (r->where) {
    case WORD_BASE:
        item->base = r->value;
        break;
    case WORD_COUNT:
        item->count = r->value;
        break;
    case WORD_RIGHTS:
        item->rights = (u32)r->value;
        break;
    case WORD_TYPE:
        item->type = (u16)r->value;
        break;
    default:
        break;
    }
}

static void rewrite_windows(struct utcb_window window[2], const struct op *op)
{
    struct utcb_window *const w = &window[op->item[0].type == SPACE_MEMORY];
    if (op->rewrite.where == WORD_WINDOW_BASE)
        w->base = op->rewrite.value;
    if (op->rewrite.where == WORD_WINDOW_COUNT)
        w->count = op->rewrite.value;
}

/* From either place the same would arrive, and only the tree would tell from which. */
static bool is_same(const struct m_call *c)
{
    const struct m_object *const pd = c->ec->home;
    const u64 old = c->op->item[0].base, new = c->op->rewrite.value;
    if (c->op->item[0].type == SPACE_OBJECT)
        return m_slot_held(pd, old) && m_slot_held(pd, new) && m_slot_at(pd, old)->object == m_slot_at(pd, new)->object;
    const struct m_page *const a = m_page_at(&pd->space[0], old), *const b = m_page_at(&pd->space[0], new);
    return a && b && a->frame == b->frame;
}

void message_rewrite(struct fuzz *z, struct m_call *c)
{
    const struct op_rewrite *const r = &c->op->rewrite;
    struct m_object *const receiver = m_receiver(c);
    const bool vcpu = c->object && c->object->type == OBJ_VCPU && c->object->kernel;
    if (vcpu && r->where >= WORD_STATE) {
        ((u64 *)((struct vcpu *)c->object->kernel)->state)[(r->where - WORD_STATE) % (VCPU_STATE_PAGES * PAGE_SIZE / 8)] = r->value;
        return;
    }
    if (vcpu || (r->where == WORD_BASE && is_same(c)))
        return;
    rewrite_item(&utcb_of(c->ec)->item[0], r);
    if (receiver)
        rewrite_windows(utcb_of(receiver)->window, c->op);
    if (r->where == WORD_MESSAGE)
        utcb_of(c->ec)->word[0] = r->value;
}

/* ---- Afterwards ---- */

struct message {
    struct m_object *from, *to;
    struct utcb_window window[2];
    u64 used[2];
};

/* What becomes of an item, with nothing changed. */
static enum status item_status(struct m_call *c, const struct message *m, const struct utcb_item *item, struct m_units *u)
{
    *u = (struct m_units){ 0 };
    c->charges = 0;
    if (item->type > SPACE_MEMORY || !item->count || item->base + item->count < item->base)
        return STATUS_ARG;
    if (item->rights & ~(item->type == SPACE_OBJECT ? PERM_ALL : RIGHT_MEMORY))
        return STATUS_ARG;
    const struct utcb_window *const w = &m->window[item->type];
    const u64 used = m->used[item->type];
    if (used > w->count || item->count > w->count - used || w->base + w->count < w->base)
        return STATUS_ARG;
    *u = (struct m_units){ m->from->home, m->to->home, item->base, w->base + used, item->count, item->rights, item->type, item->type };
    return m_units_status(c, u);
}

/* Is the first unit in the kernel the one that the model would move? */
static bool arrived(const struct m_units *u)
{
    struct pd *const to = u->to->kernel;
    u64 frame;
    u32 rights;
    if (u->from_type == SPACE_OBJECT) {
        const struct m_slot *const slot = m_slot_at(u->from, u->base);
        return view_slot(to, u->target, &rights) == slot->object->kernel && rights == (slot->perms & u->rights);
    }
    const struct m_page *const page = m_page_at(&u->from->space[0], u->base);
    return view_page(&to->memory, u->target, &frame, &rights) && frame == page->frame && rights == (page->rights & u->rights);
}

/* Does what the receiver was told, and got, follow from this item? Then it is done in the model. */
static bool item_fits(struct fuzz *z, struct m_call *c, struct message *m, const struct utcb_item *item, const struct utcb_item *told)
{
    struct m_units u;
    const enum status predicted = item_status(c, m, item, &u), seen = told->status;
    if (!fuzz_status_allowed(z, c, predicted, seen))
        return false;
    if (told->base != u.target || told->count != (seen == OK ? item->count : 0) || told->rights != item->rights || told->type != item->type)
        return false;
    if (seen != OK)
        return true;
    if (!arrived(&u))
        return false;
    m_units_move(&u);
    m->used[item->type] += item->count;
    return true;
}

static void items_compare(struct fuzz *z, struct m_call *c, struct message *m)
{
    const struct utcb_item *const told = utcb_of(m->to)->item, *const sent = utcb_of(m->from)->item;
    for (u32 i = 0; i < items_of(c); i++) {
        struct utcb_item item = i < c->op->items ? c->op->item[i] : (struct utcb_item){ 0 };
        struct message other = *m;
        if (sent[i].status != told[i].status)
            fuzz_fail(z, "item %u: status %u at the sender, %u at the receiver", i, sent[i].status, told[i].status);
        if (item_fits(z, c, m, &item, &told[i]))
            continue;
        if (z->rewritten && i == 0) {
            if (c->op->rewrite.where != WORD_BASE || !is_same(c))
                rewrite_item(&item, &c->op->rewrite);
            rewrite_windows(other.window, c->op);
            *m = other;
        }
        if (!z->rewritten || i || !item_fits(z, c, m, &item, &told[i])) {
            struct m_units u;
            fuzz_fail(z, "item %u: status %u, base %#lx, count %#lx, rights %#x, type %u; expected status %u, base %#lx", i, told[i].status, told[i].base,
                      told[i].count, told[i].rights, told[i].type, item_status(c, m, &item, &u), u.target);
        }
        z->tally->rewritten_seen++;
    }
}

void message_compare(struct fuzz *z, struct m_call *c)
{
    struct m_object *const receiver = m_receiver(c);
    struct message m = { .from = c->ec, .to = receiver };
    if (!receiver)
        return;
    memcpy(m.window, c->op->window, sizeof(m.window));
    items_compare(z, c, &m);
    for (u32 i = 0; i < array_size(word_at); i++) {
        const u64 got = utcb_of(receiver)->word[word_at[i]];
        const bool moved = word_at[i] < MTR_WORDS(mtr_of(c)), other = z->rewritten && c->op->rewrite.where == WORD_MESSAGE && !i && moved;
        if (got != (moved ? pattern(z, i) : ~pattern(z, i)) && !(other && got == c->op->rewrite.value))
            fuzz_fail(z, "message word %u is %#lx", word_at[i], got);
    }
    if (c->op->number != HYPERCALL_call)
        return;
    const u64 *const gpr = ((struct ec *)receiver->kernel)->resume.gpr;
    if (((struct ec *)receiver->kernel)->resume.rip != c->object->ip || gpr[RSP] != receiver->stack || gpr[RDI] != c->object->id ||
        gpr[RSI] != (u32)mtr_of(c))
        fuzz_fail(z, "the handler was entered with ip %#lx, sp %#lx, id %#lx, mtr %#lx", ((struct ec *)receiver->kernel)->resume.rip, gpr[RSP], gpr[RDI],
                  gpr[RSI]);
}
