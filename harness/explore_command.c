/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs that make runs: see explore_command.h. What a search counted is what is printed; runs that only make its schedule are not in it. */
#include "explore_command.h"
#include <errno.h>
#include <string.h>
#include "explore_progress.h"
#include "minimise.h"

#define NEIGHBOURS 1000u

__attribute__((weak)) const char world_mutant[] = "-";   /* a binary with a changed kernel says which */

static bool schedule_save(const struct command *c, const struct schedule *s)
{
    if (!c->output)
        return true;
    FILE *f = fopen(c->output, "w");
    if (f) {
        schedule_write(s, f);
        if (!ferror(f) && fclose(f) == 0)
            return true;
    }
    fprintf(stderr, "orrery-explore: %s: %s\n", c->output, strerror(errno));
    return false;
}

/* Files and result of a failed run that s describes; the last run made is that run. */
static int finding_report(struct command *c, struct explore *x, struct replay *r, struct schedule *s)
{
    if (!schedule_save(c, s) || (c->events && !events_write(c, x, r->symbols, s)))
        return EXPLORE_STALE;
    result_print(c, x, EXPLORE_BUG, s);
    return EXPLORE_BUG;
}

/* x->outcome failed: what made it, in as few decisions as asked for. */
static int finding(struct command *c, struct explore *x)
{
    const struct explore_stats stats = x->stats;
    struct replay r;
    struct schedule s = { 0 };
    int status = EXPLORE_STALE;
    x->options.progress = NULL;
    const bool good = replay_open(&r, x) && schedule_of(&r, &s) && (c->raw || minimise(&r, &s));
    x->stats = stats;
    name_clean(s.mutant, world_mutant, sizeof(s.mutant));
    if (good)
        status = finding_report(c, x, &r, &s);
    else
        result_print(c, x, EXPLORE_STALE, NULL);
    replay_close(&r);
    schedule_free(&s);
    return status;
}

int command_run(struct command *c)
{
    struct explore x;
    if (c->progress)
        c->explore.progress = progress_show;
    if (!explore_open(&x, c->test, &c->explore))
        return EXPLORE_STALE;
    int status = (int)c->strategy->explore(&x);
    if (c->progress)
        progress_end();
    if (status == EXPLORE_BUG)
        status = finding(c, &x);
    else
        result_print(c, &x, (enum explore_status)status, NULL);
    explore_close(&x);
    return status;
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

/* The test of a schedule file, under its model. */
static bool schedule_load(struct command *c, struct schedule *s, struct explore *x)
{
    static const struct strategy replay = { .name = "replay" };
    if (!schedule_read(s, c->schedule))
        return false;
    c->test = world_find(s->test);
    c->strategy = &replay;
    const char *wrong = !c->test                              ? "this program has no such test"
                        : strcmp(s->mutant, world_mutant)     ? "it needs another kernel (line 'mutant')"
                        : c->test->vendor != s->vendor        ? "the test's machine is of another vendor now (line 'vendor')"
                                                              : NULL;
    if (wrong) {
        fprintf(stderr, "orrery-explore: %s: %s: %s\n", c->schedule, s->test, wrong);
        return false;
    }
    c->explore.sc = s->sc;
    c->explore.strategy = replay.name;
    c->explore.bound = (struct explore_bound){ 0 };
    return explore_open(x, c->test, &c->explore);
}

static enum explore_status replay_as_written(struct replay *r, const struct schedule *s)
{
    static char trouble[96];
    const bool failed = replay_strict(r);
    if (failed && !r->astray && r->x->outcome.hash == s->hash)
        return EXPLORE_BUG;
    if (r->astray)
        snprintf(trouble, sizeof(trouble), "the decision of step %u does not come up as written; try --mode tolerant", r->astray_step);
    else
        snprintf(trouble, sizeof(trouble), failed ? "the run fails, but its hash is %016lx" : "the run ends well", r->x->outcome.hash);
    r->x->trouble = trouble;
    return EXPLORE_STALE;
}

static enum explore_status replay_in_mode(struct command *c, struct replay *r, const struct schedule *s)
{
    r->stop_at = c->stop_at;
    if (!replay_want(r, s->decision, s->count))
        return EXPLORE_STALE;
    if (c->mode == REPLAY_STRICT)
        return replay_as_written(r, s);
    if (replay_tolerant(r))
        return EXPLORE_BUG;
    if (c->mode == REPLAY_TOLERANT)
        return EXPLORE_CLEAN;
    return replay_neighbours(r, c->explore.runs ? c->explore.runs : NEIGHBOURS, c->explore.seed);
}

/* The schedule of the run just made: what it has done, not what was asked. */
static int replay_report(struct command *c, struct explore *x, struct replay *r, struct schedule *s)
{
    const struct schedule file = *s;
    s->decision = r->made.decision;
    s->count = r->made.count;
    s->hash = x->outcome.hash;
    s->end = x->outcome.end;
    snprintf(s->message, sizeof(s->message), "%s", x->outcome.message);
    const int status = finding_report(c, x, r, s);
    *s = file;
    return status;
}

int command_replay(struct command *c)
{
    struct schedule s;
    struct explore x;
    struct replay r;
    int status = EXPLORE_STALE;
    if (schedule_load(c, &s, &x)) {
        if (replay_open(&r, &x))
            status = (int)replay_in_mode(c, &r, &s);
        if (status == EXPLORE_BUG)
            status = replay_report(c, &x, &r, &s);
        else
            result_print(c, &x, (enum explore_status)status, NULL);
        replay_close(&r);
        explore_close(&x);
    }
    schedule_free(&s);
    return status;
}

int command_minimise(struct command *c)
{
    struct schedule s;
    struct explore x;
    struct replay r;
    int status = EXPLORE_STALE;
    if (schedule_load(c, &s, &x)) {
        if (replay_open(&r, &x) && minimise(&r, &s))
            status = finding_report(c, &x, &r, &s);
        else
            result_print(c, &x, EXPLORE_STALE, NULL);
        replay_close(&r);
        explore_close(&x);
    }
    schedule_free(&s);
    return status;
}
