/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast is a trace replayed without the VMM? replay_rate TRACE [vmx|svm]: exits in a second of CPU time, the median of ROUNDS:
 *
 *     strict EXITS RATE     every exit and every resume compared
 *     load EXITS RATE       nothing compared
 *
 * What is measured is the replay: machine made, kernel booted, all exits; not the reading of the trace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "replay/answer.h"

#define ROUNDS 5u

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool round_done(const struct course *c, const struct answer_options *o, struct answer_result *r)
{
    char text[200];
    answer_run(c, o, r);
    if (r->end == ANSWER_DONE && !r->differences)
        return true;
    if (r->differences)
        difference_print(&r->first, r->first_exit, r->first_vcpu, text, sizeof(text));
    fprintf(stderr, "replay_rate: %s\n", r->differences ? text : r->message);
    return false;
}

static bool rate(const struct course *c, enum sim_vendor vendor, enum answer_mode mode, const char *name)
{
    const struct answer_options options = { .vendor = vendor, .mode = mode };
    struct answer_result r;
    double rates[ROUNDS];
    for (u32 i = 0; i < ROUNDS; i++) {
        const double start = cpu_seconds();
        if (!round_done(c, &options, &r))
            return false;
        rates[i] = (double)r.exits / (cpu_seconds() - start);
    }
    qsort(rates, ROUNDS, sizeof(*rates), ascending);
    printf("%s %lu %.0f\n", name, r.exits, rates[ROUNDS / 2]);
    return true;
}

int main(int argc, char **argv)
{
    struct trace t;
    struct course c;
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "vmx") && strcmp(argv[2], "svm"))) {
        fprintf(stderr, "usage: replay_rate TRACE [vmx|svm]\n");
        return 2;
    }
    const enum sim_vendor vendor = argc == 3 && !strcmp(argv[2], "svm") ? SIM_SVM : SIM_VMX;
    if (!trace_open(argv[1], &t))
        return 2;
    if (!course_open(&c, &t)) {
        fprintf(stderr, "replay_rate: %s: event %lu: %s\n", argv[1], c.event, c.why);
        return 2;
    }
    const bool good = rate(&c, vendor, ANSWER_STRICT, "strict") && rate(&c, vendor, ANSWER_LOAD, "load");
    course_close(&c);
    trace_close(&t);
    return !good;
}
