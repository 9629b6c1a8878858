/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot 1 (specification 0.6.96, section 3.3) and Multiboot 2 (2.0, section 3.6) information structures.
 * Untrusted: every length is checked against the structure that states it, and the structure against the direct map. */
#include "boot.h"

#define MB1_FLAG_MODULES bit(3)
#define MB1_FLAG_MAP     bit(6)

struct mb1_info {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline;
    u32 module_count, modules;
    u32 symbols[4];
    u32 map_bytes, map;
} __attribute__((packed));

struct mb1_module {
    u32 start, end, string, reserved;
} __attribute__((packed));

struct mb1_region {
    u32 size;   /* of what follows: 20 or more */
    u64 base, bytes;
    u32 type;
} __attribute__((packed));

static const char *mb1_map(const struct mb1_info *info, enum boot_pass pass, struct boot_info *out)
{
    const u8 *const map = boot_view(info->map, info->map_bytes);
    u64 at = 0;
    if (!map)
        return "multiboot: memory map outside memory";
    for (u32 i = 0; i < BOOT_ENTRIES_MAX && at < info->map_bytes; i++) {
        const struct mb1_region *const r = (const void *)(map + at);
        if (info->map_bytes - at < sizeof(*r))
            return "multiboot: memory map ends inside an entry";
        if (r->size < sizeof(*r) - sizeof(r->size))
            return "multiboot: memory map entry too small";
        boot_range(out, pass, r->base, r->bytes, r->type);
        at += sizeof(r->size) + (u64)r->size;
    }
    return at < info->map_bytes ? "multiboot: memory map too long" : NULL;
}

const char *multiboot1_parse(u64 phys, struct boot_info *out)
{
    const struct mb1_info *const info = boot_view(phys, sizeof(*info));
    if (!info)
        return "multiboot: information outside memory";
    if (!(info->flags & MB1_FLAG_MAP))
        return "multiboot: no memory map";
    for (u32 pass = 0; pass < BOOT_PASS_COUNT; pass++) {
        const char *const error = mb1_map(info, pass, out);
        if (error)
            return error;
    }
    if (!(info->flags & MB1_FLAG_MODULES) || info->module_count == 0)
        return NULL;
    const struct mb1_module *const module = boot_view(info->modules, sizeof(*module));
    if (!module)
        return "multiboot: module list outside memory";
    return boot_bundle(out, module->start, module->end);
}

enum { MB2_END = 0, MB2_MODULE = 3, MB2_MAP = 6, MB2_RSDP_OLD = 14, MB2_RSDP_NEW = 15 };

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
