/* SPDX-License-Identifier: BSD-2-Clause */
/* Message transfer between two UTCBs: typed items first, as they can be preempted, then words.
 * Both UTCBs can be written by user level on other CPUs at any time: each word is read once, and nothing read is trusted. An item fails
 * alone: its status goes to the sender's item, the message goes on.
 * A preempted transfer is marked in its receiver, and goes on only while the mark stands: the receiver has not run since, what it was told of
 * the items is still true. Else the message begins anew. */
#include "ec.h"
#include "ipc.h"
#include "pd.h"

bool mtr_legal(u64 mtr)
{
    return MTR_WORDS(mtr) <= UTCB_WORDS && MTR_ITEMS(mtr) <= UTCB_ITEMS && !((mtr & ~MTR_PROGRESS) >> 32);
}

/* The rest of the item. */
static enum status delegate(struct pd *from, struct pd *to, struct ec_transfer *t, u64 target)
{
    const struct utcb_item *const item = &t->item;
    const u64 base = item->base + t->done, count = item->count - t->done;
    u64 step = 0;
    enum status s;
    if (!count)
        return OK;
    target += t->done;
    if (item->type == SPACE_OBJECT) {
        s = space_obj_delegate(&from->objects, base, &to->objects, target, count, item->rights, &step);
    } else {
        struct mem_delegation m = { &from->memory, &to->memory, base, target, count, item->rights, .begun = t->done > 0 };
        s = space_mem_delegate_part(&m, &step);
    }
    t->done += step;
    return s;
}

static enum status item_check(const struct ec_transfer *t)
{
    const struct utcb_item *const item = &t->item;
    if (item->type > SPACE_MEMORY || !item->count || item->base + item->count < item->base)
        return STATUS_ARG;
    if (item->rights & ~(item->type == SPACE_OBJECT ? PERM_ALL : RIGHT_MEMORY))
        return STATUS_ARG;
    const struct utcb_window *const w = &t->window[item->type];
    const u64 used = t->used[item->type];
    if (used > w->count || item->count > w->count - used || w->base + w->count < w->base)
        return STATUS_ARG;
    return OK;
}

static enum status item_move(struct ec *from, struct ec *to)
{
    struct ec_transfer *const t = &from->transfer;
    struct utcb_item *const source = &from->utcb->item[t->number], *const item = &t->item;
    if (!t->done)
        mach_copy(item, source, sizeof(*item));
    u64 target = 0;
    enum status s = item_check(t);
    if (s == OK) {
        target = t->window[item->type].base + t->used[item->type];
        s = delegate(from->pd, to->pd, t, target);
    }
    if (s == STATUS_RESTART)
        return s;
    source->status = (u16)s;
    if (s == OK)
        t->used[item->type] += item->count;
    to->utcb->item[t->number] =
            (struct utcb_item){.base = target, .count = s == OK ? item->count : 0, .rights = item->rights, .type = item->type, .status = (u16)s};
    return OK;
}

/* The mark of a handler is its caller: whoever calls it writes his own. That of a caller goes when its call ends (ipc_reply, ec_unlink). */
static void transfer_mark(struct ec *from, struct ec *to)
{
    if (to->state == EC_IDLE)
        to->caller = from;
    else
        to->flags |= EC_FLAG_PART;
}

static bool transfer_continues(const struct ec *from, const struct ec *to, u64 mtr)
{
    const struct ec_transfer *const t = &from->transfer;
    if (!(mtr & MTR_PROGRESS) || t->to != to || t->mtr != MTR_PLAIN(mtr))
        return false;
    return to->state == EC_IDLE ? to->caller == from : to->flags & EC_FLAG_PART;
}

static seldom enum status items_move(struct ec *from, struct ec *to, u64 mtr, u32 mtr_register)
{
    struct ec_transfer *const t = &from->transfer;
    if (!transfer_continues(from, to, mtr)) {
        *t = (struct ec_transfer){.to = to, .mtr = MTR_PLAIN(mtr)};
        mach_copy(t->window, to->utcb->window, sizeof(t->window));
    }
    while (t->number < MTR_ITEMS(mtr)) {
        const enum status s = item_move(from, to);
        if (s == OK) {
            t->number++;
            t->done = 0;
        }
        if (s == STATUS_RESTART || (t->number < MTR_ITEMS(mtr) && mach_preempt_pending())) {
            transfer_mark(from, to);
            from->resume.gpr[mtr_register] = mtr | MTR_PROGRESS;
            return STATUS_RESTART;
        }
    }
    return OK;
}

enum status ipc_transfer(struct ec *from, struct ec *to, u64 mtr, u32 mtr_register, bool words, u64 *got)
{
    if (unlikely(MTR_ITEMS(mtr))) {
        const enum status s = items_move(from, to, mtr, mtr_register);
        if (s != OK)
            return s;
    }
    if (words && MTR_WORDS(mtr))
        mach_copy(to->utcb->word, from->utcb->word, MTR_WORDS(mtr) * sizeof(u64));
    from->resume.gpr[mtr_register] = MTR_PLAIN(mtr);
    *got = MTR_PLAIN(mtr);
    return OK;
}
