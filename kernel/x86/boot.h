/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parsers of boot input share: bounded views of physical memory and the list of RAM ranges. */
#pragma once
#include "boot_info.h"

#define BOOT_ENTRIES_MAX 256u   /* of any list a boot loader hands over: more makes no sense */

/* Bytes at phys, or NULL if they do not all lie in the direct map. The only way boot input is read. */
const void *boot_view(u64 phys, u64 bytes);

/* Memory maps are walked twice: RAM is added first, then whatever else overlaps it is taken out, so that order does not matter. */
enum boot_pass { BOOT_PASS_ADD, BOOT_PASS_REMOVE, BOOT_PASS_COUNT };
#define BOOT_TYPE_RAM 1u   /* type of usable RAM in multiboot, multiboot2 and PVH alike */
void boot_range(struct boot_info *out, enum boot_pass pass, u64 start, u64 bytes, u32 type);

/* Takes the first boot module as the bundle. NULL, or what is wrong with it. */
const char *boot_bundle(struct boot_info *out, u64 start, u64 end);

/* The kernel's command line: bytes at phys, ends with a NUL before. NULL, or what is wrong with it. */
const char *boot_line(struct boot_info *out, u64 phys, u64 bytes);

const char *multiboot2_parse(u64 info, struct boot_info *out);
const char *pvh_parse(u64 info, struct boot_info *out);
