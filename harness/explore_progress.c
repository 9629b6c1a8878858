/* SPDX-License-Identifier: BSD-2-Clause */
/* Progress on stderr. The one file of the explorer that looks at a clock (tests/tidy knows it): nothing here reaches a run. */
#include "explore_progress.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 500000000ul

static u64 began_ns, shown_ns, shown_runs;

static u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ul + (u64)t.tv_nsec;
}

void progress_show(const struct explore_stats *t)
{
    const u64 now = now_ns();
    if (!began_ns) {
        began_ns = shown_ns = now;
        shown_runs = t->runs;
    }
    if (now - shown_ns < INTERVAL_NS)
        return;
    const double rate = (double)(t->runs - shown_runs) * 1e9 / (double)(now - shown_ns);
    fprintf(stderr, "%s%lu runs, %.0f a second, %lu cut, %.1f s", isatty(2) ? "\r\033[K" : "", t->runs, rate, t->blocked, (double)(now - began_ns) / 1e9);
    if (t->coverage >= 0)
        fprintf(stderr, ", about %.1f %% covered", 100 * t->coverage);
    if (!isatty(2))
        fputc('\n', stderr);
    fflush(stderr);
    shown_ns = now;
    shown_runs = t->runs;
}

void progress_end(void)
{
    if (shown_ns != began_ns && isatty(2))
        fputc('\n', stderr);
}
