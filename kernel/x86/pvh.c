/* SPDX-License-Identifier: BSD-2-Clause */
/* The PVH start information (Xen public interface, arch-x86/hvm/start_info.h, version 1), as QEMU hands it to an ELF64 kernel.
 * Untrusted: every list is checked against the direct map. */
#include "boot.h"
#include "machine.h"


struct pvh_info {
    u32 magic, version, flags, module_count;
    u64 modules, cmdline, rsdp;
    u64 map;         /* from version 1 on */
    u32 map_count, reserved;
} __attribute__((packed));

struct pvh_module {
    u64 start, bytes, cmdline, reserved;
} __attribute__((packed));

struct pvh_region {
    u64 base, bytes;
    u32 type, reserved;
} __attribute__((packed));

const char *pvh_parse(u64 phys, struct boot_info *out)
{
    const struct pvh_info *const info = boot_view(phys, sizeof(*info));
    if (!info || info->magic != BOOT_MAGIC_PVH)
        return "pvh: no start information";
    if (info->version < 1 || info->map_count == 0)
        return "pvh: no memory map";
    if (info->map_count > BOOT_ENTRIES_MAX)
        return "pvh: memory map too long";
    const struct pvh_region *const map = boot_view(info->map, info->map_count * sizeof(*map));
    if (!map)
        return "pvh: memory map outside memory";
    for (u32 pass = 0; pass < BOOT_PASS_COUNT; pass++)
        for (u32 i = 0; i < info->map_count; i++)
            boot_range(out, pass, map[i].base, map[i].bytes, map[i].type);
    const char *const error = info->cmdline ? boot_line(out, info->cmdline, PAGE_SIZE) : NULL;
    if (error)
        return error;
    out->rsdp = info->rsdp;
    if (info->module_count == 0)
        return NULL;
    const struct pvh_module *const module = boot_view(info->modules, sizeof(*module));
    if (!module)
        return "pvh: module list outside memory";
    return boot_bundle(out, module->start, module->start + module->bytes);   /* a sum that wraps is below start */
}
