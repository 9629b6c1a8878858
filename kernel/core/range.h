/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of physical address ranges at boot: what is free, less what is kept. */
#pragma once
#include "boot_info.h"

struct ranges {
    u32 count;
    struct boot_range range[BOOT_RANGES];
};

/* [start, end) is taken out. When the list is full the smaller rest of a split range is lost. */
void ranges_remove(struct ranges *r, u64 start, u64 end);
/* Shrinks every range to whole pages; drops empty ones. */
void ranges_align(struct ranges *r);
/* The top `bytes` (a multiple of the page size) of the largest range below `limit` are taken out; 0: no range is that large. */
u64 ranges_take(struct ranges *r, u64 bytes, u64 limit);
u64 ranges_largest(const struct ranges *r, u64 limit);   /* bytes of the largest range below limit */
