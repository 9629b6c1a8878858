/* SPDX-License-Identifier: BSD-2-Clause */
/* Does every rule have a test that breaks it, and does the result name that rule and none that was broken before? */
#include "rule_test.h"

static struct rule_table *tables;

void rule_table_register(struct rule_table *t)
{
    t->next = tables;
    tables = t;
}

static void scene_open(struct rule_scene *x, const struct rule_table *t)
{
    x->booted = NULL;
    x->w = t->kind == SCENE_KIND_WORLD ? world_create(t->vendor) : NULL;
    x->s = x->w ? x->w->s : sim_unit(2, MICRO_RAM, t->vendor);
    assert_non_null(x->s);
}

static void scene_close(struct rule_scene *x)
{
    if (x->booted)
        sim_destroy(x->booted);
    if (x->w)
        world_destroy(x->w);
    else
        sim_destroy(x->s);
}

void rule_scene_boot(struct rule_scene *x, struct resume *(*boot)(u32, u64), struct resume *(*trap)(void *, u64, u64))
{
    x->booted = micro_create(2, NULL, boot, trap);
    sim_run(x->booted, 100000);
}

struct call {
    void (*f)(struct rule_scene *x);
    struct rule_scene *x;
};

static void do_call(void *arg)
{
    const struct call *c = arg;
    c->f(c->x);
}

/* The rule that f breaks; NULL: none. */
static const char *broken_by(const struct rule_table *t, void (*f)(struct rule_scene *x), char *message, size_t bytes)
{
    struct rule_scene x;
    scene_open(&x, t);
    (void)sim_unit_expect_panic(x.s, do_call, &(struct call){ f, &x });   /* world_enter inside of f may have caught it before us */
    const struct sim_result *const r = sim_result(x.booted ? x.booted : x.s);
    const char *const rule = r->end == SIM_FINDING ? r->rule : NULL;
    snprintf(message, bytes, "%s", r->message);
    scene_close(&x);
    return rule;
}

void rule_table_run(const struct rule_table *t)
{
    char message[256];
    u32 wrong = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct rule_case *const c = &t->cases[i];
        const char *const name = sim_rule_name(c->rule), *broken = broken_by(t, c->breaks, message, sizeof(message));
        if (!broken || strcmp(broken, name) || message[0] != '[' || strncmp(message + 1, name, strlen(name)) || message[strlen(name) + 1] != ']') {
            print_error("%s row %zu: %s, not %s: %s\n", t->name, i, broken ? broken : "no rule", name, message);
            wrong++;
        }
        broken = c->keeps ? broken_by(t, c->keeps, message, sizeof(message)) : NULL;
        if (broken) {
            print_error("%s row %zu: legal, but %s\n", t->name, i, message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* ---- The list ---- */

static void every_rule_is_broken_by_a_test(void **state)
{
    bool tested[RULE_COUNT] = { false };
    u32 wrong = 0;
    for (const struct rule_table *t = tables; t; t = t->next)
        for (size_t i = 0; i < t->count; i++)
            tested[t->cases[i].rule] = true;
    for (u32 rule = RULE_NONE + 1; rule < RULE_COUNT; rule++)
        if (!tested[rule]) {
            print_error("%s: no test breaks it\n", sim_rule_name(rule));
            wrong++;
        }
    assert_int_equal(wrong, 0);
}

static void names_are_unlike(void **state)
{
    assert_null(sim_rule_name(RULE_NONE));
    assert_null(sim_rule_name(RULE_COUNT));
    for (u32 a = RULE_NONE + 1; a < RULE_COUNT; a++)
        for (u32 b = a + 1; b < RULE_COUNT; b++)
            assert_string_not_equal(sim_rule_name(a), sim_rule_name(b));
}

static void misuse(void *arg)
{
    mach_copy(arg, arg, 8);
}

static void panic(void *arg)
{
    mach_panic("of the kernel's own");
}

static void only_a_rule_has_a_name(void **state)
{
    struct sim *s = sim_unit(1, MICRO_RAM, SIM_NONE);
    assert_null(sim_result(s)->rule);
    assert_string_equal(sim_unit_expect_panic(s, misuse, mach_phys_to_virt(MICRO_STATE)), "[MEM-OVERLAP] mach_copy of ranges that overlap");
    assert_string_equal(sim_result(s)->rule, "MEM-OVERLAP");
    assert_string_equal(sim_unit_expect_panic(s, panic, NULL), "of the kernel's own");
    assert_null(sim_result(s)->rule);
    sim_destroy(s);
}

TEST_GROUP(rule_list, cmocka_unit_test(every_rule_is_broken_by_a_test), cmocka_unit_test(names_are_unlike), cmocka_unit_test(only_a_rule_has_a_name));
