/* SPDX-License-Identifier: BSD-2-Clause */
/* A filter of frames: see linked.h. The three maps stand one behind the other. */
#include <stdlib.h>
#include "arch/x86.h"
#include "linked.h"

static u64 index_of(const struct linked *l, u64 frame, u32 level)
{
    const u64 base[] = { 0, l->frames, l->frames + (l->frames >> 9) + 1 };
    return base[level] + (frame >> 9 * level);
}

bool linked_create(struct linked *l, u64 ram_bytes)
{
    l->frames = ram_bytes / PAGE_SIZE;
    l->bits = calloc(index_of(l, l->frames, 2) / 8 + 1, 1);
    return l->bits;
}

void linked_destroy(struct linked *l)
{
    free(l->bits);
}

void linked_add(struct linked *l, u64 word)
{
    const u64 frame = (word & PTE_PHYS_MASK) >> PAGE_BITS;
    if (!(word & 7) || !frame || frame >= l->frames)
        return;   /* absent in all formats; or a small number: the first MiB is the machine's own and never mapped */
    l->globals = l->globals || (word & (PTE_P | PTE_G)) == (PTE_P | PTE_G);
    for (u32 level = 0; level < 3; level++) {
        if (level && (!(word & PTE_PS) || frame & ((1ul << 9 * level) - 2)))
            continue;   /* no large page, or a reserved bit; the lowest one is PAT */
        const u64 i = index_of(l, frame, level);
        l->bits[i / 8] |= (u8)(1u << i % 8);
    }
}

/* It may have been freed: what it holds counts all the same. */
__attribute__((no_sanitize_address)) void linked_scan(struct linked *l, const u64 *page)
{
    for (u32 i = 0; page && i < PAGE_SIZE / 8; i++)
        linked_add(l, page[i]);
}

bool linked_any(const struct linked *l, u64 phys, u64 end)
{
    for (u64 frame = phys >> PAGE_BITS; frame << PAGE_BITS < end; frame++)
        for (u32 level = 0; level < 3; level++) {
            const u64 i = index_of(l, frame, level);
            if (l->bits[i / 8] >> i % 8 & 1)
                return true;
        }
    return false;
}
