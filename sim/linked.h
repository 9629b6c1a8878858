/* SPDX-License-Identifier: BSD-2-Clause */
/* A filter: which frames did any word ever look like a pointer to? What no word pointed to, no walk leads to. Bits are only ever set, and may be
 * set without need. A bit per frame, per 2 MiB and per 1 GiB: the reach of a pointer depends on the level of its word, which is not known here. */
#pragma once
#include "base.h"

struct linked {
    u8 *bits;
    u64 frames;
    bool globals;   /* some word looked like a global page */
};

bool linked_create(struct linked *l, u64 ram_bytes);
void linked_destroy(struct linked *l);
void linked_add(struct linked *l, u64 word);
void linked_scan(struct linked *l, const u64 *page);   /* all words of a page, if there is one */
bool linked_any(const struct linked *l, u64 phys, u64 end);
