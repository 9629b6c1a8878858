/* SPDX-License-Identifier: BSD-2-Clause */
/* The simple answerers: see choose.h. */
#include "choose.h"

static u32 straight(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return 0;
}

void choose_straight(struct choose_straight *c)
{
    *c = (struct choose_straight){ { straight } };
}

/* splitmix64: every seed, 0 included, gives a good sequence. */
u64 choose_next(u64 *state)
{
    u64 z = *state += 0x9e3779b97f4a7c15ul;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ul;
    z = (z ^ z >> 27) * 0x94d049bb133111ebul;
    return z ^ z >> 31;
}

static u32 random_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct choose_random *c = container_of(self, struct choose_random, chooser);
    const u64 r = choose_next(&c->state);
    if ((u32)r % 1000 >= c->per_mille[kind])
        return 0;
    return 1 + (u32)((r >> 32) % (bound - 1));
}

void choose_random(struct choose_random *c, u64 seed)
{
    *c = (struct choose_random){
        .chooser = { random_answer },
        .state = seed,
        .per_mille = {
            [CHOICE_STEP] = 200, [CHOICE_INTERRUPT] = 300, [CHOICE_TIMER] = 20, [CHOICE_TRANSLATION] = 300, [CHOICE_DIRTY] = 300,
            [CHOICE_DRAIN] = 300, [CHOICE_SKEW] = 800, [CHOICE_SPURIOUS] = 20, [CHOICE_SLICE] = 300,
        },
    };
}

static u32 list_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct choose_list *c = container_of(self, struct choose_list, chooser);
    if (c->next >= c->count)
        return 0;
    const u32 answer = c->answer[c->next++];
    if (answer < bound)
        return answer;
    c->misfits++;
    return 0;
}

void choose_list(struct choose_list *c, const u32 *answer, u64 count)
{
    *c = (struct choose_list){ .chooser = { list_answer }, .answer = answer, .count = count };
}

static u32 record_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct choose_record *c = container_of(self, struct choose_record, chooser);
    const u32 answer = c->from->choose(c->from, bound, kind);
    if (c->count < c->room)
        c->answer[c->count] = answer;
    c->count++;
    return answer;
}

void choose_record(struct choose_record *c, struct chooser *from, u32 *answer, u64 room)
{
    *c = (struct choose_record){ .chooser = { record_answer }, .from = from, .answer = answer, .room = room };
}
