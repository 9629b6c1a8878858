/* SPDX-License-Identifier: BSD-2-Clause */
/* CMocka with self-registering groups: each test file ends with
 *     TEST_GROUP(ptab, cmocka_unit_test(maps_one_page), cmocka_unit_test_setup_teardown(...), ...);
 * and tests/unit.c runs them all, one XML file per group. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct unit_group {
    const char *name;
    const struct CMUnitTest *tests;
    size_t count;
    struct unit_group *next;
};
void unit_register(struct unit_group *group);

#define TEST_GROUP(group, ...)                                                                                      \
    static const struct CMUnitTest group##_tests[] = { __VA_ARGS__ };                                               \
    static struct unit_group group##_group = { #group, group##_tests, sizeof(group##_tests) / sizeof(group##_tests[0]), NULL }; \
    __attribute__((constructor)) static void group##_register(void)                                                 \
    {                                                                                                               \
        unit_register(&group##_group);                                                                              \
    }                                                                                                               \
    extern int group##_needs_semicolon
