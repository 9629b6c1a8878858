/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads and invalidations of a CPU: see tlb_log.h. Rules of what drops what: Intel SDM 3A 4.10.4, 3C 29.4.3; AMD APM 2 15.16. A full log forgets
 * the older half of what is behind the mark. */
#include <string.h>
#include "tlb_log.h"

u32 tlb_log_load_at(const struct tlb_log *l, u32 i)
{
    while (l->event[i].what != TLB_LOAD)
        i--;
    return i;
}

static void shed(struct tlb_log *l)
{
    const u32 keep = l->mark + (l->count - l->mark) / 2;
    const u64 time = l->event[keep].time;
    struct tlb_event load = l->event[tlb_log_load_at(l, keep)];
    load.time = time;
    struct tlb_event *to = &l->event[l->mark];
    to[0] = load;
    to[1] = (struct tlb_event){ .what = TLB_FORGET, .any = true, .time = time };
    memmove(to + 2, &l->event[keep], (l->count - keep) * sizeof(*to));
    l->count -= keep - l->mark - 2;
}

struct tlb_event *tlb_log_add(struct tlb_log *l, u64 time, enum tlb_what what, const struct walk_root *root)
{
    if (l->count == TLB_EVENTS_MAX)
        shed(l);
    struct tlb_event *e = &l->event[l->count++];
    *e = (struct tlb_event){ .what = what, .time = time, .root = *root };
    return e;
}

void tlb_log_mark(struct tlb_log *l)
{
    l->mark = 0;
    if (l->count > TLB_EVENTS_MAX / 2)
        shed(l);
    l->mark = l->count;
}

void tlb_log_rollback(struct tlb_log *l)
{
    l->count = l->mark;
    l->memo.count = 0;
}

bool tlb_same_tag(const struct walk_root *a, const struct walk_root *b)
{
    return a->kind == b->kind && a->tag == b->tag;
}

bool tlb_drops(const struct tlb_event *e, const struct walk_root *root)
{
    if (e->what == TLB_LOAD || e->what == TLB_DROP_VPID || (e->what == TLB_DROP_FAULT && root->aliases))
        return false;
    return e->what == TLB_FORGET || (e->root.kind == root->kind && (e->any || e->root.tag == root->tag));
}

static bool other_root(const struct tlb_event *e, const struct walk_root *root)
{
    return e->what == TLB_LOAD && tlb_same_tag(&e->root, root) && e->root.root != root->root;
}

static bool drops_all(const struct tlb_event *e, const struct walk_root *root, bool globals)
{
    const bool all = e->what == TLB_DROP_ALL || e->what == TLB_FORGET || (e->what == TLB_DROP_NONGLOBAL && !globals);
    return all && tlb_drops(e, root);
}

u32 tlb_log_begin(struct tlb_log *l, const struct walk_root *root, bool globals, bool *single)
{
    const bool known = l->memo.count == l->count && tlb_same_tag(&l->memo.root, root) && l->memo.root.root == root->root;
    if (!known || l->memo.globals != globals) {
        u32 i = l->count - 1;
        bool one = true;
        for (; i && !drops_all(&l->event[i], root, globals); i--)
            one = one && !other_root(&l->event[i], root);
        l->memo.root = *root;
        l->memo.globals = globals;
        l->memo.count = l->count;
        l->memo.begin = i;
        l->memo.single = one && !other_root(&l->event[tlb_log_load_at(l, i)], root);
    }
    *single = l->memo.single;
    return l->memo.begin;
}

static bool same_page(u64 a, u64 b, u32 level)
{
    return (a ^ b) >> (PAGE_BITS + 9 * level) == 0;
}

u64 tlb_log_floor(const struct tlb_log *l, u32 begin, const struct walk_root *root, u64 address, u32 level, bool global)
{
    for (u32 i = l->count - 1; i > begin; i--) {
        const struct tlb_event *e = &l->event[i];
        if (!tlb_drops(e, root) || (e->what == TLB_DROP_NONGLOBAL && global))
            continue;
        if ((e->what != TLB_DROP_PAGE && e->what != TLB_DROP_FAULT) || same_page(e->address, address, level))
            return e->time;
    }
    return l->event[begin].time;
}

u64 tlb_log_cut(const struct tlb_log *l, u32 begin, const struct walk_root *root, u64 address, u32 level, u64 time)
{
    for (u32 i = begin + 1; i < l->count; i++) {
        const struct tlb_event *e = &l->event[i];
        if (e->time > time && tlb_drops(e, root) && (e->what != TLB_DROP_FAULT || same_page(e->address, address, level)))
            return e->time;
    }
    return ~0ul;
}

u64 tlb_log_when(const struct tlb_log *l, u32 begin, const struct walk_root *root, const u64 *only, u64 time)
{
    u32 i = tlb_log_load_at(l, begin);
    while (i < l->count) {
        const struct tlb_event *e = &l->event[i];
        while (++i < l->count && l->event[i].what != TLB_LOAD)
            ;
        const u64 end = i < l->count ? l->event[i].time : ~0ul;
        if (tlb_same_tag(&e->root, root) && (!only || *only == e->root.root) && time < end && e->time < end)
            return max(time, e->time);
    }
    return ~0ul;
}
