/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit test binary: runs every registered group, or those whose name contains argv[1], or with N/M each M-th from number N on, in alphabetical
 * order.
 * CMOCKA_MESSAGE_OUTPUT and CMOCKA_XML_FILE say where the results go (tests/run_unit). Exit status: failed tests, at most 1. */
#include "unit.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct unit_group *groups;

void unit_register(struct unit_group *group)
{
    struct unit_group **at = &groups;
    while (*at && strcmp((*at)->name, group->name) < 0)
        at = &(*at)->next;
    if (*at && !strcmp((*at)->name, group->name)) {   /* their XML files would be one, and invalid */
        fprintf(stderr, "two test groups have the name %s\n", group->name);
        exit(2);
    }
    group->next = *at;
    *at = group;
}

static bool wanted(const struct unit_group *g, unsigned number, const char *which)
{
    unsigned n, m;
    if (which && sscanf(which, "%u/%u", &n, &m) == 2 && m)
        return number % m == n;
    return !which || strstr(g->name, which);
}

int main(int argc, char **argv)
{
    int failed = 0;
    unsigned number = 0;
    for (struct unit_group *g = groups; g; g = g->next)
        if (wanted(g, number++, argc < 2 ? NULL : argv[1]))
            failed += _cmocka_run_group_tests(g->name, g->tests, g->count, NULL, NULL);
    return failed != 0;
}
