/* SPDX-License-Identifier: BSD-2-Clause */
/* Has each stack one node, for ever, and does a tree that is full do no harm? */
#include "unit.h"
#include "stack_depot.h"

static void a_stack_has_one_node(void **state)
{
    struct stack_depot d;
    assert_true(stack_create(&d));
    const u32 a = stack_push(&d, 0, 1), b = stack_push(&d, a, 2);
    assert_int_equal(stack_push(&d, 0, 1), a);
    assert_int_equal(stack_push(&d, a, 2), b);
    assert_int_not_equal(stack_push(&d, 0, 2), b);
    assert_int_equal(stack_pop(&d, b), a);
    u32 node = 0;
    for (u64 i = 0; i < (1u << 18); i++)              /* more than fit */
        node = stack_push(&d, node, i);
    for (u64 i = 0; i < (1u << 18); i++)
        node = stack_pop(&d, node);
    assert_int_equal(node, 0);
    assert_int_equal(stack_push(&d, a, 2), b);
    stack_destroy(&d);
}

TEST_GROUP(stack_depot, cmocka_unit_test(a_stack_has_one_node));
