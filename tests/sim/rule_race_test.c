/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a plain access that nothing orders a broken rule, and one that a release and an acquire order none? */
#include "race.h"
#include "rule_test.h"

#define WORD  0x300000ul
#define OTHER 0x300100ul

static void write_on(struct sim *s, u32 cpu)
{
    sim_unit_cpu(s, cpu);
    race_plain(&s->cpu[cpu], s->ram + WORD, 8, true, 0x1000 + cpu);
}

static void two_write(struct rule_scene *x)
{
    assert_true(race_create(x->s));
    write_on(x->s, 0);
    write_on(x->s, 1);
}

static void two_write_in_turn(struct rule_scene *x)
{
    assert_true(race_create(x->s));
    write_on(x->s, 0);
    atomic_store((atomic_u64 *)(x->s->ram + OTHER), 1);
    sim_unit_cpu(x->s, 1);
    assert_int_equal(atomic_load((atomic_u64 *)(x->s->ram + OTHER)), 1);
    write_on(x->s, 1);
}

RULE_TABLE(rule_race, SCENE_UNIT(SIM_NONE), { RULE_RACE_PLAIN, two_write, two_write_in_turn });
