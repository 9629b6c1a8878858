/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the rules of the machine (sim/include/rule.h): tables of what breaks one, each on a machine of its own, beside the nearest
 * thing that breaks none.
 *
 *     static void free_then_load(struct rule_scene *x) { ... }
 *     RULE_TABLE(rule_memory, SCENE_UNIT(SIM_NONE), { RULE_MEM_FREE, free_then_load, epoch_then_load }, ...);
 *
 * makes a test group. rule_test.c also has the test that every rule is in some table. */
#pragma once
#include "micro.h"
#include "virt_fixture.h"

struct rule_scene {
    struct sim *s;
    struct sim *booted; /* rule_scene_boot: judged in place of s */
    struct world *w;    /* SCENE_WORLD */
};

struct rule_case {
    enum sim_rule rule;
    void (*breaks)(struct rule_scene *x);
    void (*keeps)(struct rule_scene *x);   /* NULL: nothing is near */
};

/* A unit machine of two CPUs, or one with a guest (virt_fixture.h). */
enum scene_kind { SCENE_KIND_UNIT, SCENE_KIND_WORLD };
#define SCENE_UNIT(vendor)  SCENE_KIND_UNIT, vendor
#define SCENE_WORLD(vendor) SCENE_KIND_WORLD, vendor

struct rule_table {
    const char *name;
    enum scene_kind kind;
    enum sim_vendor vendor;
    const struct rule_case *cases;
    size_t count;
    struct rule_table *next;
};
void rule_table_register(struct rule_table *t);
void rule_table_run(const struct rule_table *t);
/* Boots another machine and runs it to its end. */
void rule_scene_boot(struct rule_scene *x, struct resume *(*boot)(u32, u64), struct resume *(*trap)(void *, u64, u64));

/* For a status that the broken rule makes meaningless. */
static inline void ignore(bool status)
{
}

#define RULE_TABLE(group, scene, ...)                                                                                  \
    static const struct rule_case group##_cases[] = { __VA_ARGS__ };                                                   \
    static struct rule_table group##_table = { #group, scene, group##_cases, array_size(group##_cases), NULL };        \
    __attribute__((constructor)) static void group##_table_register(void)                                              \
    {                                                                                                                  \
        rule_table_register(&group##_table);                                                                           \
    }                                                                                                                  \
    static void each_is_found(void **state)                                                                            \
    {                                                                                                                  \
        rule_table_run(&group##_table);                                                                                \
    }                                                                                                                  \
    TEST_GROUP(group, cmocka_unit_test(each_is_found))
