/* SPDX-License-Identifier: BSD-2-Clause */
/* orrery-explore: docs/exploration.md. Exit status: enum explore_status; 2 also for bad input. */
#include <stdio.h>
#include "explore_command.h"
#include "explore_json.h"
#include "selftest.h"

static void list_json(const struct world_test *t, struct json *j)
{
    json_open(j, NULL, '{');
    json_text(j, "test", t->name);
    json_text(j, "question", t->question);
    json_number(j, "cpus", t->cpus);
    json_text(j, "vendor", vendor_name(t->vendor));
    json_text(j, "model", model_name(t->sc));
    json_bound(j, "bound", command_bound(t));
    json_bool(j, "unbounded", t->unbounded);
    json_close(j, '}');
}

static int command_list(bool json)
{
    struct json j = { .file = stdout };
    if (json)
        json_open(&j, NULL, '[');
    for (const struct world_test *t = world_next(NULL); t; t = world_next(t)) {
        if (json)
            list_json(t, &j);
        else
            printf("%-32s %u CPUs  %s\n", t->name, t->cpus, t->question ? t->question : "");
    }
    if (json) {
        json_close(&j, ']');
        putchar('\n');
    }
    return 0;
}

static int command_do(struct command *c)
{
    switch (c->verb) {
    case VERB_LIST:
        return command_list(c->json);
    case VERB_RUN:
        return c->split ? command_split(c) : command_run(c);
    case VERB_REPLAY:
        return command_replay(c);
    case VERB_MINIMISE:
        return command_minimise(c);
    case VERB_SELFTEST:
        return selftest(c->json);
    }
    return EXPLORE_STALE;
}

int world_main(int argc, char **argv)
{
    struct command c;
    const int status = command_parse(&c, argc, argv) ? command_do(&c) : EXPLORE_STALE;
    command_free(&c);
    return fflush(stdout) == 0 && !ferror(stdout) ? status : EXPLORE_STALE;
}
