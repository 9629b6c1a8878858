/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of the explorer: docs/exploration.md. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "explore.h"
#include "world.h"

int world_main(int argc, char **argv)
{
    const struct strategy *all[] = { &strategy_straight, &strategy_random, &strategy_pct, &strategy_bounded, &strategy_dpor };
    if (argc < 3)
        return 2;
    struct explore_options o = { .bound = { 2, 2, 0 }, .seed = 1 };
    const struct world_test *t = world_find(argv[1]);
    const struct strategy *st = NULL;
    for (u32 i = 0; i < array_size(all); i++)
        if (!strcmp(all[i]->name, argv[2])) st = all[i];
    for (int i = 3; i < argc; i++) {
        if (!strncmp(argv[i], "p=", 2)) o.bound.preemptions = atoi(argv[i] + 2);
        if (!strncmp(argv[i], "d=", 2)) o.bound.delays = atoi(argv[i] + 2);
        if (!strncmp(argv[i], "n=", 2)) o.runs = atoi(argv[i] + 2);
        if (!strcmp(argv[i], "sc")) o.sc = true;
    }
    if (!t || !st) return 2;
    struct explore x;
    if (!explore_open(&x, t, &o)) return 2;
    enum explore_status r = st->explore(&x);
    printf("status %d end %d %s\nruns %lu complete %lu blocked %lu steps %lu distinct %lu points %u..%u cov %f reached %u/%u\n", r, x.outcome.end, x.outcome.message, x.stats.runs, x.stats.complete,
      x.stats.blocked, x.stats.steps, x.stats.distinct, x.stats.points_min, x.stats.points_max, x.stats.coverage, x.reached.preemptions, x.reached.delays);
    explore_close(&x);
    return (int)r;
}
