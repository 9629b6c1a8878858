/* SPDX-License-Identifier: BSD-2-Clause */
/* The command replay: prints the first difference, or that there is none. */
#include "replay.h"
#include <stdlib.h>
#include "unicorn_engine.h"

static u64 exits_seen(const struct replay *r)
{
    u64 seen = 0;
    for (u32 i = 0; i < RECORDING_VCPUS; i++)
        seen += min(r->vcpu[i].exits, r->recording.vcpu[i].count);
    return seen;
}

/* Exit status. */
static int judge(const struct replay *r, const struct sim_result *result)
{
    if (r->differs) {
        printf("%s\n", r->difference);
        return 1;
    }
    if (exits_seen(r) < r->recording.exits) {
        printf("replay: the machine ended (%s%s%s) after %lu of %lu exits\n", runner_end_name(result->end), *result->message ? ": " : "",
               result->message, exits_seen(r), r->recording.exits);
        return 1;
    }
    if (r->strays)
        printf("replay: at %lu exits the guest's instructions had led elsewhere; the recording counted\n", r->strays);
    printf("replay: %lu exits, no difference\n", r->recording.exits);
    return 0;
}

static int replay_run(struct replay *r, struct engine *user)
{
    struct sim_result result;
    char message[256];
    r->engine = (struct engine){.name = "recorded exits", .guest = replay_guest};
    r->executes = user;
    r->runner.config.user = user;
    r->runner.config.guest = &r->engine;
    r->runner.record = replay_record;
    r->runner.record_arg = r;
    if (!runner_run(&r->runner, &result, message))
        return 2;
    if (r->options->json && !runner_json(&r->runner, &result))
        return 2;
    return judge(r, &result);
}

int command_replay(const struct options *o)
{
    const char *why;
    int status = 2;
    struct replay *r = calloc(1, sizeof(*r));
    if (!r || o->vendor == SIM_NONE) {
        fprintf(stderr, "orrery-unicorn: %s\n", r ? "replay needs --vendor vmx or svm" : "no memory");
        free(r);
        return 2;
    }
    r->options = o;
    if (recording_open(o->recording, &r->recording)) {
        if (runner_open(&r->runner, o)) {
            struct engine *user = unicorn_engine_create(&why);
            if (user) {
                status = replay_run(r, user);
                user->destroy(user);
            } else {
                fprintf(stderr, "orrery-unicorn: %s\n", why);
            }
            runner_close(&r->runner);
        }
        recording_close(&r->recording);
    }
    free(r);
    return status;
}
