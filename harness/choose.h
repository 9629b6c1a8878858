/* SPDX-License-Identifier: BSD-2-Clause */
/* Answerers of the one question: all zeros, random by seed, a list played back, and one that records what another answers. */
#pragma once
#include "choice.h"

/* Every answer is 0: the straight run. Unlike no chooser at all it is asked. */
struct choose_straight {
    struct chooser chooser;
};
void choose_straight(struct choose_straight *c);

/* Random: the answer is 0 but in `per_mille[kind]` of a thousand cases, then evenly one of the others. */
struct choose_random {
    struct chooser chooser;
    u64 state;
    u32 per_mille[CHOICE_KINDS];
};
u64 choose_next(u64 *state);   /* the sequence behind it: splitmix64 */
void choose_random(struct choose_random *c, u64 seed);   /* sets the usual rates: no faults, no input */

/* A list: the n-th question gets the n-th answer, and 0 after its end. An answer outside the bound becomes 0 and is counted. */
struct choose_list {
    struct chooser chooser;
    const u32 *answer;
    u64 count, next, misfits;
};
void choose_list(struct choose_list *c, const u32 *answer, u64 count);

/* Record what another chooser answers, to play it back or to shrink it. What does not fit is counted, not kept. */
struct choose_record {
    struct chooser chooser;
    struct chooser *from;
    u32 *answer;
    u64 room, count;   /* count may exceed room */
};
void choose_record(struct choose_record *c, struct chooser *from, u32 *answer, u64 room);
