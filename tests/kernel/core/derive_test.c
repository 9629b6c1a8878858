/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the list of brackets stay the tree it stands for when nodes come, split and go in any order? */
#include "derive.h"
#include "unit.h"

#define NODES 8u

/* The names of what is below root, in order: 'a' + index. */
static const char *below(struct derive *nodes, u32 root)
{
    static char names[NODES + 1];
    u32 n = 0;
    for (struct derive *d = derive_first(&nodes[root]); d; d = derive_next(d, &nodes[root]))
        names[n++] = (char)('a' + (d - nodes));
    names[n] = 0;
    return names;
}

/* a ( b ( d ) c ( ) ), built so that the newest child comes first. */
static void build(struct derive *n)
{
    for (u32 i = 0; i < NODES; i++)
        derive_init(&n[i], 1);
    derive_add(&n[0], &n[2], 0);
    derive_add(&n[0], &n[1], 0);
    derive_add(&n[1], &n[3], 0);
}

static void a_new_node_is_a_tree_of_its_own(void **state)
{
    struct derive n[NODES];
    build(n);
    assert_null(derive_first(&n[4]));
    assert_string_equal(below(n, 4), "");
    assert_int_equal(n[4].kind, 1);
}

static void children_stand_between_the_brackets(void **state)
{
    struct derive n[NODES];
    build(n);
    assert_string_equal(below(n, 0), "bdc");
    assert_string_equal(below(n, 1), "d");
    assert_string_equal(below(n, 2), "");
}

static void children_of_a_removed_node_are_its_parents(void **state)
{
    struct derive n[NODES];
    build(n);
    derive_remove(&n[1]);
    assert_string_equal(below(n, 0), "dc");
    assert_string_equal(below(n, 2), "");   /* not the sibling's */
    assert_null(n[1].open.next);
}

static void siblings_never_inherit(void **state)
{
    struct derive n[NODES];
    build(n);
    derive_add(&n[2], &n[4], 0);
    derive_remove(&n[2]);
    assert_string_equal(below(n, 1), "d");
    assert_string_equal(below(n, 0), "bde");
}

static void removing_the_root_leaves_trees(void **state)
{
    struct derive n[NODES];
    build(n);
    derive_remove(&n[0]);
    assert_string_equal(below(n, 1), "d");
    assert_string_equal(below(n, 2), "");
    derive_remove(&n[1]);
    derive_remove(&n[3]);
    derive_remove(&n[2]);
}

static void removal_in_every_order_empties_the_tree(void **state)
{
    static const u8 order[6][3] = { { 1, 2, 3 }, { 1, 3, 2 }, { 2, 1, 3 }, { 2, 3, 1 }, { 3, 1, 2 }, { 3, 2, 1 } };
    for (u32 i = 0; i < 6; i++) {
        struct derive n[NODES];
        build(n);
        for (u32 j = 0; j < 3; j++) {
            derive_remove(&n[order[i][j]]);
            assert_int_equal(__builtin_strlen(below(n, 0)), 2 - j);
        }
        assert_null(derive_first(&n[0]));
    }
}

static void a_split_node_shares_the_children(void **state)
{
    struct derive n[NODES];
    build(n);
    derive_split(&n[1], &n[5]);
    assert_string_equal(below(n, 1), "fd");
    assert_string_equal(below(n, 5), "d");
    assert_string_equal(below(n, 0), "bfdc");
    derive_remove(&n[1]);   /* either half may go first */
    assert_string_equal(below(n, 5), "d");
    assert_string_equal(below(n, 0), "fdc");
}

static void a_split_leaf_nests(void **state)
{
    struct derive n[NODES];
    build(n);
    derive_split(&n[3], &n[6]);
    assert_string_equal(below(n, 3), "g");
    assert_string_equal(below(n, 6), "");
    assert_string_equal(below(n, 0), "bdgc");
    derive_remove(&n[6]);
    assert_string_equal(below(n, 0), "bdc");
}

static void newest_is_the_last_one_added(void **state)
{
    struct derive n[NODES];
    build(n);
    assert_true(derive_is_newest(&n[0], &n[1]));
    assert_false(derive_is_newest(&n[0], &n[2]));
    assert_false(derive_is_newest(&n[0], &n[3]));
    assert_false(derive_is_newest(&n[2], &n[1]));
    assert_true(derive_is_newest(&n[1], &n[3]));
}

TEST_GROUP(derive, cmocka_unit_test(a_new_node_is_a_tree_of_its_own), cmocka_unit_test(children_stand_between_the_brackets),
           cmocka_unit_test(children_of_a_removed_node_are_its_parents), cmocka_unit_test(siblings_never_inherit),
           cmocka_unit_test(removing_the_root_leaves_trees), cmocka_unit_test(removal_in_every_order_empties_the_tree),
           cmocka_unit_test(a_split_node_shares_the_children), cmocka_unit_test(a_split_leaf_nests),
           cmocka_unit_test(newest_is_the_last_one_added));
