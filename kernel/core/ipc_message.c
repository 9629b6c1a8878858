/* SPDX-License-Identifier: BSD-2-Clause */
/* Message transfer between two UTCBs: typed items first, as they can be preempted, then words.
 * Both UTCBs can be written by user level on other CPUs at any time: each word is read once, and nothing read is trusted. An item fails
 * alone: its status goes to the sender's item, the message goes on. */
#include "ec.h"
#include "ipc.h"
#include "pd.h"

bool mtr_legal(u64 mtr)
{
    const u64 high = mtr >> 32;
    return MTR_WORDS(mtr) <= UTCB_WORDS && MTR_ITEMS(mtr) <= UTCB_ITEMS && (!high || mtr & MTR_PROGRESS);
}

struct transfer {
    struct ec *from, *to;
    struct utcb_window window[2];   /* the receiver's, as they stood at the beginning */
    u64 used[2];                    /* units of them that are taken */
};

/* done: units of this item that an earlier execution has delegated. */
static enum status delegate(const struct transfer *t, const struct utcb_item *item, u64 target, u64 *done)
{
    struct pd *const from = t->from->pd, *const to = t->to->pd;
    const u64 base = item->base + *done, count = item->count - *done;
    u64 step = 0;
    enum status s;
    if (!count)
        return OK;
    if (item->type == SPACE_OBJECT)
        s = space_obj_delegate(&from->objects, base, &to->objects, target + *done, count, item->rights, &step);
    else
        s = (*done ? space_mem_delegate_rest : space_mem_delegate)(&from->memory, base, &to->memory, target + *done, count, item->rights, &step);
    *done += step;
    return s;
}

static enum status item_check(const struct transfer *t, const struct utcb_item *item)
{
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

static enum status item_move(struct transfer *t, u32 number, u64 *done)
{
    struct utcb_item *const source = &t->from->utcb->item[number], *const sink = &t->to->utcb->item[number];
    struct utcb_item item;
    mach_copy(&item, source, sizeof(item));
    u64 target = 0;
    enum status s = item_check(t, &item);
    if (s == OK) {
        target = t->window[item.type].base + t->used[item.type];
        *done = min(*done, item.count);
        s = delegate(t, &item, target, done);
    }
    if (s == STATUS_RESTART)
        return s;
    source->status = (u16)s;
    if (s == OK)
        t->used[item.type] += item.count;
    *sink = (struct utcb_item){.base = target, .count = s == OK ? item.count : 0, .rights = item.rights, .type = item.type, .status = (u16)s};
    return OK;
}

/* After a restart: the windows' use follows from the items that were delivered. User level can forge them and so only misplace its own. */
static void transfer_skip(struct transfer *t, u32 items)
{
    for (u32 i = 0; i < items; i++) {
        struct utcb_item item;
        mach_copy(&item, &t->from->utcb->item[i], sizeof(item));
        if (item.type <= SPACE_MEMORY && item.status == OK && t->used[item.type] + item.count >= item.count)
            t->used[item.type] += item.count;
    }
}

static enum status items_move(struct ec *from, struct ec *to, u64 mtr, u32 mtr_register)
{
    struct transfer t = {.from = from, .to = to};
    const u32 items = (u32)MTR_ITEMS(mtr);
    u32 i = 0;
    u64 done = 0;
    mach_copy(t.window, to->utcb->window, sizeof(t.window));
    if (mtr & MTR_PROGRESS) {
        i = min(MTR_PROGRESS_ITEM(mtr), items);
        done = from->resume.gpr[RAX];
        transfer_skip(&t, i);
    }
    for (; i < items; i++, done = 0) {
        if (item_move(&t, i, &done) == STATUS_RESTART) {
            from->resume.gpr[mtr_register] = MTR_PROGRESS | (u64)i << 32 | MTR_PLAIN(mtr);
            from->resume.gpr[RAX] = done;
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
