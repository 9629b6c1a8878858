/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the kernel's own mem* functions keep C's contracts for every length, alignment and overlap? memops.c is compiled into this test under
 * other names, so that libc's stay beside them. */
#include "unit.h"

#define memcpy  own_memcpy
#define memmove own_memmove
#define memset  own_memset
#define memcmp  own_memcmp
#include "../../../kernel/core/memops.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp

#define BYTES 96u

static void pattern(u8 *p, u8 seed)
{
    for (u32 i = 0; i < BYTES; i++)
        p[i] = (u8)(i * 7 + seed);
}

static void copy_moves_exactly_its_bytes(void **state)
{
    for (u32 n = 0; n <= 40; n++)
        for (u32 to = 0; to < 9; to++)
            for (u32 from = 0; from < 9; from++) {
                u8 a[BYTES], b[BYTES];
                pattern(a, 1);
                pattern(b, 100);
                assert_ptr_equal(own_memcpy(b + 16 + to, a + from, n), b + 16 + to);
                for (u32 i = 0; i < BYTES; i++) {
                    const bool inside = i >= 16 + to && i < 16 + to + n;
                    assert_int_equal(b[i], inside ? (u8)((i - 16 - to + from) * 7 + 1) : (u8)(i * 7 + 100));
                }
            }
}

static void move_survives_every_overlap(void **state)
{
    for (u32 n = 0; n <= 33; n++)
        for (u32 to = 0; to < 40; to++) {
            u8 a[BYTES];
            pattern(a, 3);
            assert_ptr_equal(own_memmove(a + to, a + 20, n), a + to);
            for (u32 i = 0; i < BYTES; i++)
                assert_int_equal(a[i], (u8)((i >= to && i < to + n ? i - to + 20 : i) * 7 + 3));
        }
}

static void set_writes_the_low_byte_only_where_told(void **state)
{
    for (u32 n = 0; n <= 40; n++)
        for (u32 at = 0; at < 9; at++) {
            u8 a[BYTES];
            pattern(a, 5);
            assert_ptr_equal(own_memset(a + at, 0x1ab, n), a + at);
            for (u32 i = 0; i < BYTES; i++)
                assert_int_equal(a[i], i >= at && i < at + n ? 0xab : (u8)(i * 7 + 5));
        }
}

static void compare_orders_by_the_first_difference(void **state)
{
    u8 a[BYTES], b[BYTES];
    for (u32 n = 1; n <= 33; n++)
        for (u32 at = 0; at < n; at++) {
            pattern(a, 9);
            pattern(b, 9);
            assert_int_equal(own_memcmp(a, b, n), 0);
            a[at] = 0x80;
            b[at] = 0x7f;        /* unsigned: 0x80 is the greater */
            b[at + 1] = 0xff;    /* later ones do not count */
            assert_true(own_memcmp(a, b, n) > 0);
            assert_true(own_memcmp(b, a, n) < 0);
            assert_int_equal(own_memcmp(a, b, at), 0);
        }
}

TEST_GROUP(memops, cmocka_unit_test(copy_moves_exactly_its_bytes), cmocka_unit_test(move_survives_every_overlap),
           cmocka_unit_test(set_writes_the_low_byte_only_where_told), cmocka_unit_test(compare_orders_by_the_first_difference));
