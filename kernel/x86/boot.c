/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot input of any protocol: dispatch, bounded views, and the list of RAM ranges.
 * Invariant: ranges are page-aligned, sorted, disjoint and below PHYS_END. Everything read here is untrusted; nothing is read but through
 * boot_view. Boot CPU only, no lock. Not handled: more than BOOT_RANGES ranges; the rest of the RAM is then left unused. */
#include "boot.h"
#include "machine.h"
#include "protect.h"

#define PHYS_END        bit(52)   /* Intel SDM 3A 4.1.4: MAXPHYADDR is at most 52 */
#define RESERVED_RANGES 16u

const void *boot_view(u64 phys, u64 bytes)
{
    const u64 end = mach_direct_end();
    if (bytes > end || phys > end - bytes)
        return NULL;
    return mach_phys_to_virt(phys);
}

static void range_delete(struct boot_info *out, u32 index)
{
    out->range_count--;
    for (u32 i = index; i < out->range_count; i++)
        out->range[i] = out->range[i + 1];
}

/* In a full list the range is dropped: RAM that nobody knows of is not used. */
static void range_insert(struct boot_info *out, u32 index, u64 start, u64 end)
{
    if (out->range_count == BOOT_RANGES)
        return;
    for (u32 i = out->range_count; i > index; i--)
        out->range[i] = out->range[i - 1];
    out->range[index].start = start;
    out->range[index].end = end;
    out->range_count++;
}

/* Ranges that touch the new one are merged into it. */
static void range_add(struct boot_info *out, u64 start, u64 end)
{
    u32 i = 0;
    while (i < out->range_count && out->range[i].end < start)
        i++;
    while (i < out->range_count && out->range[i].start <= end) {
        start = min(start, out->range[i].start);
        end = max(end, out->range[i].end);
        range_delete(out, i);
    }
    range_insert(out, i, start, end);
}

static void range_remove(struct boot_info *out, u64 start, u64 end)
{
    u32 i = 0;
    while (i < out->range_count) {
        const struct boot_range old = out->range[i];
        if (old.end <= start || old.start >= end) {
            i++;
            continue;
        }
        range_delete(out, i);
        if (old.start < start)
            range_insert(out, i++, old.start, start);
        if (old.end > end)
            range_insert(out, i++, end, old.end);
    }
}

void boot_range(struct boot_info *out, enum boot_pass pass, u64 start, u64 bytes, u32 type)
{
    if (start >= PHYS_END || bytes == 0)
        return;
    const u64 end = bytes > PHYS_END - start ? PHYS_END : start + bytes;
    if (pass == BOOT_PASS_ADD && type == BOOT_TYPE_RAM) {
        const u64 first = align_up(start, PAGE_SIZE), last = align_down(end, PAGE_SIZE);
        if (first < last)
            range_add(out, first, last);
    }
    if (pass == BOOT_PASS_REMOVE && type != BOOT_TYPE_RAM)
        range_remove(out, align_down(start, PAGE_SIZE), align_up(end, PAGE_SIZE));
}

const char *boot_bundle(struct boot_info *out, u64 start, u64 end)
{
    if (start >= end || !boot_view(start, end - start))
        return "boot module: outside the memory the kernel can address";
    if (start & PAGE_MASK)
        return "boot module: not page-aligned";
    u64 from, to;
    for (u32 i = 0; i < RESERVED_RANGES && mach_reserved(i, &from, &to); i++)
        if (start < to && from < end)
            return "boot module: overlaps the kernel";
    out->bundle = start;
    out->bundle_bytes = end - start;
    return NULL;
}

const char *boot_parse(u32 magic, u64 info, struct boot_info *out)
{
    const char *error;
    mach_zero(out, sizeof(*out));
    out->protect = PROTECT_ALL;
    switch (magic) {
    case BOOT_MAGIC_MULTIBOOT2:
        error = multiboot2_parse(info, out);
        break;
    case BOOT_MAGIC_PVH:
        error = pvh_parse(info, out);
        break;
    default:
        return "boot: unknown boot protocol";
    }
    if (!error && out->range_count == 0)
        error = "boot: no usable memory";
    return error;
}
