/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore_command.h"
#include "explore_progress.h"

int command_run(struct command *c)
{
    struct explore x;
    if (c->progress)
        c->explore.progress = progress_show;
    if (!explore_open(&x, c->test, &c->explore))
        return EXPLORE_STALE;
    const enum explore_status status = c->strategy->explore(&x);
    if (c->progress)
        progress_end();
    result_print(c, &x, status, NULL);
    explore_close(&x);
    return (int)status;
}

static void prefix_print(const u32 *answer, u32 count)
{
    struct json j = { .file = stdout };
    json_open(&j, NULL, '{');
    json_open(&j, "prefix", '[');
    for (u32 i = 0; i < count; i++)
        json_number(&j, NULL, answer[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    putchar('\n');
}

int command_split(struct command *c)
{
    struct explore x;
    if (!explore_open(&x, c->test, &c->explore))
        return EXPLORE_STALE;
    const enum explore_status status = c->strategy->split(&x, c->split, prefix_print);
    if (status == EXPLORE_STALE)
        fprintf(stderr, "orrery-explore: %s: %s\n", c->test->name, x.trouble ? x.trouble : "no memory");
    explore_close(&x);
    return (int)status;
}
