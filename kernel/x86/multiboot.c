/* SPDX-License-Identifier: BSD-2-Clause */
/* The Multiboot 2 information structure (specification 2.0, section 3.6).
 * Untrusted: every length is checked against the structure that states it, and the structure against the direct map. */
#include "boot.h"

enum { MB2_END = 0, MB2_LINE = 1, MB2_MODULE = 3, MB2_MAP = 6, MB2_RSDP_OLD = 14, MB2_RSDP_NEW = 15 };

struct mb2_info {
    u32 bytes, reserved;
} __attribute__((packed));

struct mb2_tag {
    u32 type, bytes;   /* bytes: with this header; the next tag is aligned to 8 */
} __attribute__((packed));

struct mb2_module {
    struct mb2_tag tag;
    u32 start, end;
} __attribute__((packed));

struct mb2_map {
    struct mb2_tag tag;
    u32 entry_bytes, version;
} __attribute__((packed));

struct mb2_region {
    u64 base, bytes;
    u32 type, reserved;
} __attribute__((packed));

static const char *mb2_map(const struct mb2_tag *tag, struct boot_info *out)
{
    const struct mb2_map *const map = (const void *)tag;
    if (tag->bytes < sizeof(*map) || map->entry_bytes < sizeof(struct mb2_region))
        return "multiboot2: memory map too small";
    const u32 count = (tag->bytes - (u32)sizeof(*map)) / map->entry_bytes;
    if (count > BOOT_ENTRIES_MAX)
        return "multiboot2: memory map too long";
    for (u32 pass = 0; pass < BOOT_PASS_COUNT; pass++) {
        for (u32 i = 0; i < count; i++) {
            const struct mb2_region *const r = (const void *)((const u8 *)(map + 1) + (u64)i * map->entry_bytes);
            boot_range(out, pass, r->base, r->bytes, r->type);
        }
    }
    return NULL;
}

/* One tag that lies wholly inside the structure; phys is its address. */
static const char *mb2_tag(const struct mb2_tag *tag, u64 phys, struct boot_info *out)
{
    const struct mb2_module *const module = (const void *)tag;
    switch (tag->type) {
    case MB2_LINE:
        return boot_line(out, phys + sizeof(*tag), tag->bytes - sizeof(*tag));
    case MB2_MAP:
        return mb2_map(tag, out);
    case MB2_MODULE:
        if (tag->bytes < sizeof(*module))
            return "multiboot2: module tag too small";
        return out->bundle ? NULL : boot_bundle(out, module->start, module->end);
    case MB2_RSDP_OLD:
        if (!out->rsdp)
            out->rsdp = phys + sizeof(*tag);
        return NULL;
    case MB2_RSDP_NEW:
        out->rsdp = phys + sizeof(*tag);
        return NULL;
    default:
        return NULL;
    }
}

const char *multiboot2_parse(u64 phys, struct boot_info *out)
{
    const struct mb2_info *const info = boot_view(phys, sizeof(*info));
    if (!info || !boot_view(phys, info->bytes))
        return "multiboot2: information outside memory";
    u64 at = sizeof(*info);
    for (u32 i = 0; i < BOOT_ENTRIES_MAX; i++) {
        const struct mb2_tag *const tag = (const void *)((const u8 *)info + at);
        if (info->bytes < at + sizeof(*tag) || tag->bytes < sizeof(*tag) || info->bytes - at < tag->bytes)
            return "multiboot2: a tag leaves the structure";
        if (tag->type == MB2_END)
            return NULL;
        const char *const error = mb2_tag(tag, phys + at, out);
        if (error)
            return error;
        at = align_up(at + tag->bytes, 8);
    }
    return "multiboot2: too many tags";
}
