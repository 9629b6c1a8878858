/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair groups with bounded latency: borrowed virtual time (Duda and Cheriton, SOSP 1999) over four groups, as in Genode since 25.08. A structure of
 * its own: it knows groups, ticks and which groups have work, no SC and no machine. This CPU only.
 *
 *   group        weight  warp    warp limit      A group's virtual time grows by 10 / weight units for each tick it runs: 1, 2, 2, 10, exact.
 *   driver           10  4.5 ms       50 ms      Who has the least virtual time less warp runs; the warp, times 10, is 45, 40, 20, 0 ms of units.
 *   multimedia        5  4.0 ms       50 ms      Ties: who has just got work; else the first in this table.
 *   default           5  2.0 ms       50 ms
 *   background        1  0              0
 *
 * Minimum: who runs goes on until it is 5 ms of its own running ahead of the next one (both less warp). Only a group that has just got work, and is
 * not ahead of who runs, ends that early.
 * Catch-up: a group that had no work for more than 5 ms comes back with at least the virtual time of the least group that has work. One that comes
 * back earlier keeps what it is behind, up to 50 ms of units.
 * Warp limit: a group that has run for 50 ms since it last got work has no warp until it gets work again: the unwarp time of BVT is 0, any time
 * without work will do. The warp moves a group in time and changes no share, so whoever pauses to keep it gains nothing in the long run.
 *
 * Shares: groups that always have work run in proportion to their weights; none is ever further off than its longest turn, 5 ms + 50 ms / (10 / weight).
 * Latency: group i has just got work. Each other group j runs at most
 *     5 ms + (E_i - V_j + W_j) / (10 / weight_j)      and not at all where V_j - W_j is greater than E_i
 * before i does; V virtual time, W whole warp, E = V less the warp it has, at that moment. If it is not ahead and no other group is behind that is
 *     driver 0 ms, multimedia 10 ms, default 45 ms, background 90 ms
 * in all, and for each other group that came back within 5 ms at most 50, 28, 25, 8 ms more.
 *
 * Nothing wraps: virtual times are relative to the least of the groups that have work. That one is 0 after each choice, those without work are not
 * kept further behind than 50 ms, and what one choice can add is bounded. */
#pragma once
#include "abi/hypercall.h"
#include "base.h"

#define FAIR_MINIMUM_MS 5u
#define FAIR_NONE SC_GROUP_COUNT       /* no group */

struct fair_group {
    s64 vtime;                         /* virtual time: TSC ticks * 10 / weight */
    u64 warped;                        /* ticks for which it still has its warp */
    u64 left;                          /* TSC when it had no work any more */
};

struct fair {
    struct fair_group group[SC_GROUP_COUNT];
    u64 minimum;                       /* TSC ticks of 5 ms, at least one; all else is zero at first */
    u32 ready;                         /* groups with work at the last choice: bitmap */
};

/* group ran that long. */
void fair_account(struct fair *f, u32 group, u64 ticks);
/* Who runs now, all time until now is accounted. ready: groups with work, that of current among them; current: who ran and can go on, or FAIR_NONE.
 * FAIR_NONE: nobody is ready. slice: ticks after which to choose again at the latest. */
u32 fair_choose(struct fair *f, u32 ready, u32 current, u64 now, u64 *slice);
