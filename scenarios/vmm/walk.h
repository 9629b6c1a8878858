/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest-linear to guest-physical: the guest's own page tables as its CPU would read them, through a function that reads guest memory.
 * No state: also built for tests. Not handled: access rights, 5-level paging; accessed bits are not set. */
#pragma once
#include "abi/vcpu.h"

/* Read bytes (4 or 8) at a guest-physical address; false: no RAM there. */
typedef bool (*walk_read)(void *arg, u64 gpa, u32 bytes, u64 *value);

/* Groups of the state it needs: CR, EFER. */
#define WALK_GROUPS (VCPU_GROUP_CR | VCPU_GROUP_EFER)

/* false: not mapped, or its tables are not in RAM. */
bool walk(const struct vcpu_state *s, u64 linear, walk_read read, void *arg, u64 *gpa);
