/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges at boot. Invariant: start < end in each; ranges need not be sorted. Used by the boot CPU only. */
#include "range.h"

static void range_add(struct ranges *r, u64 start, u64 end)
{
    if (start < end && r->count < BOOT_RANGES)
        r->range[r->count++] = (struct boot_range){start, end};
}

static void range_drop(struct ranges *r, u32 i)
{
    r->range[i] = r->range[--r->count];
}

void ranges_remove(struct ranges *r, u64 start, u64 end)
{
    for (u32 i = r->count; start < end && i-- > 0;) {   /* downwards: what is added or moved was looked at */
        const struct boot_range old = r->range[i];
        if (old.end <= start || end <= old.start)
            continue;
        range_drop(r, i);
        const u64 below = old.start < start ? start - old.start : 0, above = end < old.end ? old.end - end : 0;
        if (below >= above && below)
            range_add(r, old.start, start);
        if (above)
            range_add(r, end, old.end);
        if (below < above && below)
            range_add(r, old.start, start);
    }
}

void ranges_align(struct ranges *r)
{
    for (u32 i = r->count; i-- > 0;) {
        struct boot_range *const range = &r->range[i];
        range->start = range->start > ~PAGE_MASK ? range->end : align_up(range->start, PAGE_SIZE);
        range->end = align_down(range->end, PAGE_SIZE);
        if (range->start >= range->end)
            range_drop(r, i);
    }
}

static u64 usable(const struct boot_range *range, u64 limit)
{
    const u64 end = min(range->end, limit);
    return range->start < end ? end - range->start : 0;
}

static u32 largest(const struct ranges *r, u64 limit)
{
    u32 best = 0;
    for (u32 i = 1; i < r->count; i++)
        if (usable(&r->range[i], limit) > usable(&r->range[best], limit))
            best = i;
    return best;
}

u64 ranges_largest(const struct ranges *r, u64 limit)
{
    return r->count ? usable(&r->range[largest(r, limit)], limit) : 0;
}

u64 ranges_take(struct ranges *r, u64 bytes, u64 limit)
{
    if (!bytes || ranges_largest(r, limit) < bytes)
        return 0;
    const u64 start = min(r->range[largest(r, limit)].end, limit) - bytes;
    ranges_remove(r, start, start + bytes);
    return start;
}
