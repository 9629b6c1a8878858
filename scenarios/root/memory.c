/* SPDX-License-Identifier: BSD-2-Clause */
/* User memory: root owns all of it (info.range) and hands pages out in ascending order. Never given back: programs live as
 * long as the machine. */
#include "hv.h"
#include "mem.h"
#include "root.h"

u64 memory_take(u64 pages)
{
    const struct info *info = root.info;
    for (; root.range < info->range_count && root.range < INFO_RANGES; root.range++, root.taken = 0) {
        const u64 left = info->range[root.range].bytes - root.taken;
        if (pages > left >> PAGE_BITS)
            continue;   /* the rest of this range is wasted: few ranges, one large */
        const u64 address = ROOT_MEMORY + info->range[root.range].base + root.taken;
        root.taken += pages << PAGE_BITS;
        memset((void *)address, 0, pages << PAGE_BITS);
        return address;
    }
    return 0;
}

enum status memory_give(u64 pd, u64 address, u64 pages, u64 page, u32 rights)
{
    return hv_delegate(ROOT_SEL_PD, pd, address >> PAGE_BITS, page, DELEGATE(pages, rights, SPACE_MEMORY, SPACE_MEMORY));
}
