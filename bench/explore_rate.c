/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast are worlds explored? Runs per second of CPU time, beside bare fiber switches in the same process: explore_rate TEST... prints a line each:
 * name, runs per second, steps per run, microseconds per run, runs per thousand switches. The third of five measurements, by time, counts. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "choose.h"
#include "fiber.h"
#include "world_run.h"

#define ROUNDS   5u
#define SWITCHES 2000000u
#define SECONDS  0.4

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *rate)
{
    qsort(rate, ROUNDS, sizeof(*rate), ascending);
    return rate[ROUNDS / 2];
}

static struct fiber ping, pong;

/* In a function of its own, as the machine has it: the return behind it is mispredicted. */
static out_of_line void hop(struct fiber *from, struct fiber *to)
{
    fiber_switch(from, to);
}

static void bounce(void *arg)
{
    for (;;)
        hop(&pong, &ping);
}

static double switches(void)
{
    static u8 stack[65536] aligned_to(64);
    double rate[ROUNDS];
    fiber_init(&pong, stack, sizeof(stack), bounce, NULL);
    for (u32 round = 0; round < ROUNDS; round++) {
        const double start = now();
        for (u32 i = 0; i < SWITCHES / 2; i++)
            hop(&ping, &pong);
        rate[round] = SWITCHES / (now() - start);
    }
    return median(rate);
}

/* apart: with .after; see world_run.h. */
static bool measure(const char *name, bool apart, double switch_rate)
{
    const struct world_test *t = world_find(name);
    struct world *w = t ? world_open(t, false) : NULL;
    if (!w)
        return fprintf(stderr, "explore_rate: no world %s\n", name), false;
    world_take_apart(w, apart);
    double rate[ROUNDS];
    u64 seed = 1, runs_all = 0, steps = 0;
    for (u32 round = 0; round < ROUNDS; round++) {
        u64 runs = 0;
        const double start = now();
        double end = start;
        for (; end - start < SECONDS; end = now()) {
            for (u32 i = 0; i < 256; i++, runs++) {
                struct choose_random c;
                choose_random(&c, seed++);
                if (world_run_once(w, &c.chooser, false) != SIM_SHUTDOWN)
                    return fprintf(stderr, "explore_rate: %s found a bug\n", name), false;
                steps += world_steps(w);
            }
        }
        rate[round] = (double)runs / (end - start);
        runs_all += runs;
    }
    world_close(w);
    const double r = median(rate);
    printf("%s%s %.0f %.0f %.2f %.2f\n", name, apart ? "" : ",whole", r, (double)steps / (double)runs_all, 1e6 / r, 1000 * r / switch_rate);
    return true;
}

int main(int argc, char **argv)
{
    const double rate = switches();
    printf("switch %.0f 1 %.4f 1000\n", rate, 1e6 / rate);
    for (int i = 1; i < argc; i++)
        if (!measure(argv[i], true, rate) || !measure(argv[i], false, rate))
            return 2;
    return 0;
}
