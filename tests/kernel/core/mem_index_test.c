/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the index balanced and in order after every insertion and removal, in every order of either? */
#include "mem_index.h"
#include "space_mem.h"
#include "unit.h"

#define MANY 1000u

static struct mem_range ranges[MANY];

/* Height of a correct tree; fails on an incorrect one. The test may recurse: its trees are small. */
static u32 check(const struct mem_range *r, u64 from, u64 end)
{
    if (!r)
        return 0;
    assert_true(r->page >= from && r->page + r->count <= end);
    const u32 left = check(r->child[0], from, r->page), right = check(r->child[1], r->page + r->count, end);
    assert_true(left <= right + 1 && right <= left + 1);
    assert_int_equal(r->height, 1 + max(left, right));
    for (u32 side = 0; side < 2; side++)
        assert_true(!r->child[side] || r->child[side]->parent == r);
    return r->height;
}

static u32 count(const struct mem_range *r)
{
    return r ? 1 + count(r->child[0]) + count(r->child[1]) : 0;
}

/* Range i covers pages 10 i .. 10 i + 4. */
static struct mem_range *range(u32 i)
{
    ranges[i].page = 10ul * i;
    ranges[i].count = 5;
    return &ranges[i];
}

static void permutations_of_six_keep_the_tree(void **state)
{
    for (u32 p = 0; p < 720; p++)
        for (u32 q = 0; q < 720; q += 7) {
            u32 in[6] = { 0, 1, 2, 3, 4, 5 }, out[6] = { 0, 1, 2, 3, 4, 5 };
            for (u32 i = 0, a = p, b = q; i < 6; i++) {
                const u32 x = i + a % (6 - i), y = i + b % (6 - i), tx = in[i], ty = out[i];
                in[i] = in[x], in[x] = tx, out[i] = out[y], out[y] = ty;
                a /= 6 - i, b /= 6 - i;
            }
            struct mem_range *root = NULL;
            for (u32 i = 0; i < 6; i++) {
                mem_index_insert(&root, range(in[i]));
                check(root, 0, ~0ul);
                assert_int_equal(count(root), i + 1);
            }
            for (u32 i = 0; i < 6; i++) {
                mem_index_remove(&root, &ranges[out[i]]);
                check(root, 0, ~0ul);
                assert_int_equal(count(root), 5 - i);
                assert_null(mem_index_find(root, 10ul * out[i]));
            }
        }
}

static void many_in_mixed_order_stay_balanced(void **state)
{
    struct mem_range *root = NULL;
    for (u32 i = 0; i < MANY; i++)
        mem_index_insert(&root, range(i * 377 % MANY));
    assert_true(check(root, 0, ~0ul) <= 14);   /* 1.44 log2 1000 */
    for (u32 i = 0; i < MANY; i++) {
        mem_index_remove(&root, &ranges[i * 611 % MANY]);
        if (i % 50 == 0)
            check(root, 0, ~0ul);
    }
    assert_null(root);
}

static void ascending_order_stays_balanced(void **state)
{
    struct mem_range *root = NULL;
    for (u32 i = 0; i < MANY; i++)
        mem_index_insert(&root, range(i));
    assert_true(check(root, 0, ~0ul) <= 14);
    for (u32 i = 0; i < MANY; i++) {
        mem_index_remove(&root, &ranges[i]);
        if (i % 50 == 0)
            check(root, 0, ~0ul);
    }
    assert_null(root);
}

static void find_and_from_agree_with_a_plain_search(void **state)
{
    struct mem_range *root = NULL;
    for (u32 i = 0; i < 20; i++)
        mem_index_insert(&root, range(i * 7 % 20));
    for (u64 page = 0; page < 220; page++) {
        const u64 i = page / 10;
        struct mem_range *cover = page < 200 && page % 10 < 5 ? &ranges[i] : NULL;
        struct mem_range *from = cover ? cover : i + 1 < 20 ? &ranges[i + 1] : NULL;
        assert_ptr_equal(mem_index_find(root, page), cover);
        assert_ptr_equal(mem_index_from(root, page), from);
    }
    assert_null(mem_index_find(NULL, 0));
    assert_null(mem_index_from(NULL, 0));
}

/* The place of each page that is not covered: what is put there stands in order, and the tree is a correct one again. */
static void a_place_is_where_it_belongs(void **state)
{
    struct mem_range *root = NULL, between = { .count = 1 };
    struct mem_place at;
    assert_null(mem_index_place(&root, 7, &at));
    assert_ptr_equal(at.link, &root);
    for (u32 i = 0; i < 20; i++)
        mem_index_insert(&root, range(i * 7 % 20));
    for (u64 page = 0; page < 220; page++) {
        assert_ptr_equal(mem_index_place(&root, page, &at), mem_index_from(root, page));
        if (mem_index_find(root, page))
            continue;
        between.page = page;
        mem_index_insert_at(&root, &at, &between);
        assert_null(root->parent);
        check(root, 0, ~0ul);
        assert_ptr_equal(mem_index_find(root, page), &between);
        mem_index_remove(&root, &between);
        check(root, 0, ~0ul);
        assert_int_equal(count(root), 20);
    }
}

TEST_GROUP(mem_index, cmocka_unit_test(a_place_is_where_it_belongs), cmocka_unit_test(permutations_of_six_keep_the_tree), cmocka_unit_test(many_in_mixed_order_stay_balanced),
           cmocka_unit_test(ascending_order_stays_balanced), cmocka_unit_test(find_and_from_agree_with_a_plain_search));
