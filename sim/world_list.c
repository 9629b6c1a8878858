/* SPDX-License-Identifier: BSD-2-Clause */
/* The worlds linked into this binary, by name: each registers itself before main. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "world.h"

#define TESTS 512u
static const struct world_test *world_tests[TESTS];
static u32 world_count;

void world_register(const struct world_test *t)
{
    if (world_count == TESTS) {
        fprintf(stderr, "world %s: more than %u tests\n", t->name, TESTS);
        exit(2);
    }
    u32 at = world_count++;
    for (; at && strcmp(world_tests[at - 1]->name, t->name) > 0; at--)
        world_tests[at] = world_tests[at - 1];
    world_tests[at] = t;
}

const struct world_test *world_find(const char *name)
{
    for (u32 i = 0; i < world_count; i++)
        if (strcmp(world_tests[i]->name, name) == 0)
            return world_tests[i];
    return NULL;
}

const struct world_test *world_next(const struct world_test *t)
{
    for (u32 i = 0; i < world_count; i++)
        if (!t || world_tests[i] == t)
            return !t ? world_tests[0] : i + 1 < world_count ? world_tests[i + 1] : NULL;
    return NULL;
}

