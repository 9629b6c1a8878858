/* SPDX-License-Identifier: BSD-2-Clause */
/* Another instance of this program, in a PD of its own, by the start contract (program.h): this program's text and guest image, writable data
 * and memory of its own. What was in that memory before is gone.
 * What differs from a program that root starts: it has no capability of root's but PROGRAM_SEL_PARK, so that an exception stops its EC and
 * nobody hears of it; who starts it may give it more. Its .data begins as this program's stands at that moment. */
#pragma once
#include "abi/status.h"
#include "program.h"

struct spawn {
    const char *args;
    u64 selector;            /* + SPAWN_PD, SPAWN_EC, SPAWN_SC: empty; to destroy the instance, revoke all three */
    u64 quota_bytes;
    u32 pd_flags;
    u32 cpu, priority;       /* of its first EC */
    u64 address;             /* of spawn_bytes() of this program's memory, page-aligned, rights RWX: the instance's alone */
    u64 memory_bytes;        /* at its PROGRAM_MEMORY, a multiple of a page */
};
#define SPAWN_PD    0u
#define SPAWN_EC    1u
#define SPAWN_SC    2u
#define SPAWN_COUNT 3u

u64 spawn_bytes(const struct spawn *s);
/* Where this program sees the instance's PROGRAM_MEMORY. */
u64 spawn_memory(const struct spawn *s);

/* All but the time: capabilities that it is to find are given between the two. After a failure what was made so far stands at the selectors. */
must_check enum status spawn_prepare(const struct spawn *s);
must_check enum status spawn_start(const struct spawn *s);
