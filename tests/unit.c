/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit test binary: runs every registered group, or those whose name contains argv[1], in alphabetical order; with argv[2] = N/M each M-th of
 * them, from number N on.
 * CMOCKA_MESSAGE_OUTPUT and CMOCKA_XML_FILE say where the results go (tests/run_unit). Exit status: failed tests, at most 1. */
#include "unit.h"
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

int main(int argc, char **argv)
{
    const char *const name = argc < 2 ? "" : argv[1];
    unsigned number = 0, first = 0, step = 1;
    int failed = 0;
    if (argc > 2 && (sscanf(argv[2], "%u/%u", &first, &step) != 2 || !step)) {
        fprintf(stderr, "unit: %s is not N/M\n", argv[2]);
        return 2;
    }
    for (struct unit_group *g = groups; g; g = g->next)
        if (strstr(g->name, name) && number++ % step == first)
            failed += _cmocka_run_group_tests(g->name, g->tests, g->count, NULL, NULL);
    return failed != 0;
}
