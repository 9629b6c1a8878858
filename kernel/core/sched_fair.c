/* SPDX-License-Identifier: BSD-2-Clause */
/* Fair groups: see sched_fair.h. Its times are multiples of 5 ms, and so are here: of `minimum` ticks, or of as many units. */
#include "sched_fair.h"

#define UNITS      10u                 /* of virtual time in a tick of weight 1 */
#define BEHIND     10u                 /* 50 ms of units */
#define WARP_LIMIT 10u                 /* 50 ms of ticks */
#define FAR        bit(40)             /* more ticks at once are a jump of the clock, or nobody waited */
#define NEVER      (s64)bit(56)        /* virtual time of nobody; who is alone has its slice until then */

static const struct {
    u8 weight, advance, warp;          /* advance: UNITS / weight; warp: of 5 ms of units */
} fixed[SC_GROUP_COUNT] = {{10, 1, 9}, {5, 2, 8}, {5, 2, 4}, {1, 10, 0}};

void fair_account(struct fair *f, u32 group, u64 ticks)
{
    struct fair_group *const g = &f->group[group];
    g->vtime += (s64)(min(ticks, FAR) * fixed[group].advance);
    g->warped -= min(ticks, g->warped);
}

/* Work has come to the group, or it has none any more. */
static void changed(struct fair *f, struct fair_group *g, bool ready, u64 now)
{
    if (!ready) {
        g->left = now;
        return;
    }
    g->warped = f->minimum * WARP_LIMIT;
    if (now - g->left > f->minimum)
        g->vtime = max(g->vtime, 0l);
}

/* Who of these has the least; of equals the first; FAIR_NONE has more than anybody. Out of line, as it is called three times. */
static __attribute__((noinline)) u32 least(const s64 *effective, u32 groups)
{
    u32 best = FAIR_NONE;
    for (u32 i = 0; i < SC_GROUP_COUNT; i++)
        if (groups & bit(i) && effective[i] < effective[best])
            best = i;
    return best;
}

/* All groups up to date, then their virtual times less warps; who has just got work a unit less: it wins ties. */
static void update(struct fair *f, u32 ready, u32 new, u64 now, s64 *effective)
{
    const s64 minimum = (s64)f->minimum;
    const u32 among = ready == new ? new : ready & ~new;
    s64 zero = among ? NEVER : 0;
    for (u32 i = 0; i < SC_GROUP_COUNT; i++)
        if (among & bit(i))
            zero = min(zero, f->group[i].vtime);
    effective[FAIR_NONE] = NEVER;
    for (u32 i = 0; i < SC_GROUP_COUNT; i++) {
        struct fair_group *const g = &f->group[i];
        g->vtime = max(g->vtime - zero, -(minimum * BEHIND));
        if ((ready ^ f->ready) & bit(i))
            changed(f, g, ready & bit(i), now);
        effective[i] = g->vtime - (g->warped ? minimum * fixed[i].warp : 0) - (new >> i & 1);
    }
    f->ready = ready;
}

u32 fair_choose(struct fair *f, u32 ready, u32 current, u64 now, u64 *slice)
{
    const u32 new = ready & ~f->ready;
    s64 effective[SC_GROUP_COUNT + 1];
    update(f, ready, new, now, effective);
    u32 chosen = least(effective, ready);
    if (chosen == FAIR_NONE)
        return chosen;
    /* Current goes on until it is its minimum ahead, unless one that is new is not ahead of it. */
    if (current != FAIR_NONE && effective[least(effective, new)] >= effective[current] &&
        effective[current] - effective[chosen] < (s64)f->minimum * fixed[current].advance)
        chosen = current;
    const s64 ahead = effective[chosen] - effective[least(effective, ready & ~bit(chosen))];
    const u64 units = (u64)((s64)f->minimum * fixed[chosen].advance - ahead);
    /* At least a tick: rounded up, and no warp left is without end. */
    *slice = min((units * fixed[chosen].weight - 1) / UNITS, f->group[chosen].warped - 1) + 1;
    return chosen;
}
