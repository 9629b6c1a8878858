/* SPDX-License-Identifier: BSD-2-Clause */
/* The policy of fixed priorities: the highest one that has work runs. */
#include "sched.h"
#include "sc.h"

u32 sched_priority_choose(const struct sched *s, const struct sc *current)
{
    u32 top = 0;
    for (u32 word = 0; word < PRIORITY_COUNT / 64; word++)
        if (s->bitmap[word])
            top = word * 64 + 63 - (u32)__builtin_clzl(s->bitmap[word]);
    return current ? max(top, current->priority) : top;
}
