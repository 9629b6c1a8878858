/* SPDX-License-Identifier: BSD-2-Clause */
/* orrery-unicorn: boots a bundle on a simulated machine whose CPUs execute real code, or replays recorded VM exits against it.
 * Exit status: 0 shutdown with code 0, or no difference; 1 anything else the machine did; 2 bad input, or a library that does not fit. */
#include "runner.h"
#include "unicorn_engine.h"

static int command_run(const struct options *o)
{
    struct runner r;
    struct sim_result result;
    char message[256];
    const char *why;
    if (!runner_open(&r, o))
        return 2;
    struct engine *engine = unicorn_engine_create(&why);
    if (!engine) {
        fprintf(stderr, "orrery-unicorn: %s\n", why);
        runner_close(&r);
        return 2;
    }
    r.config.user = r.config.guest = engine;
    const bool ran = runner_run(&r, &result, message);
    const bool written = !ran || !o->json || runner_json(&r, &result);
    runner_close(&r);
    engine->destroy(engine);
    if (!ran || !written)
        return 2;
    return result.end == SIM_SHUTDOWN && result.code == 0 ? 0 : 1;
}

static int command_selftest(void)
{
    const char *why;
    struct engine *engine = unicorn_engine_create(&why);
    if (!engine) {
        fprintf(stderr, "orrery-unicorn: %s\n", why);
        return 2;
    }
    printf("%s: as expected\n", unicorn_engine_version());
    engine->destroy(engine);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o;
    if (!options_parse(argc, argv, &o))
        return 2;
    if (o.command == RUNNER_SELFTEST)
        return command_selftest();
    return o.command == RUNNER_RUN ? command_run(&o) : command_replay(&o);
}
