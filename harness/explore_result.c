/* SPDX-License-Identifier: BSD-2-Clause */
/* What orrery-explore says about an exploration: one line of JSON, or a few lines of text. The same for the same runs: nothing here is of this
 * process or machine. */
#define _GNU_SOURCE
#include "explore_command.h"
#include <stdlib.h>

static const char *const status_name[] = {
    [EXPLORE_CLEAN] = "clean", [EXPLORE_BUG] = "bug", [EXPLORE_STALE] = "stale", [EXPLORE_BUDGET] = "budget",
};

void json_bound(struct json *j, const char *key, struct explore_bound b)
{
    json_open(j, key, '{');
    json_number(j, "preemptions", b.preemptions);
    json_number(j, "delays", b.delays);
    json_number(j, "faults", b.faults);
    json_close(j, '}');
}

static const char *message(const struct explore *x, enum explore_status status)
{
    return status == EXPLORE_BUG ? x->outcome.message : x->trouble;
}

void json_stats(struct json *j, const struct explore_stats *t)
{
    json_number(j, "runs", t->runs);
    json_number(j, "complete", t->complete);
    json_number(j, "blocked", t->blocked);
    json_number(j, "steps", t->steps);
    json_open(j, "points", '{');
    json_number(j, "min", t->points_min);
    json_number(j, "max", t->points_max);
    json_close(j, '}');
    json_number(j, "distinct", t->distinct);
    json_share(j, "coverage", t->coverage);
}

/* NULL: no schedule, or no memory. */
static char *schedule_text(const struct schedule *s)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = s ? open_memstream(&text, &bytes) : NULL;
    if (!f)
        return NULL;
    schedule_write(s, f);
    fclose(f);
    return text;
}

/* Null where the strategy keeps to none. */
static void bounds_json(struct json *j, const struct command *c, const struct explore *x)
{
    if (c->strategy->searches) {
        json_bound(j, "bound", x->options.bound);
        json_bound(j, "reached", x->reached);
    } else {
        json_text(j, "bound", NULL);
        json_text(j, "reached", NULL);
    }
}

static void result_json(const struct command *c, const struct explore *x, enum explore_status status, const struct schedule *s)
{
    struct json j = { .file = stdout };
    json_open(&j, NULL, '{');
    json_text(&j, "test", x->test->name);
    json_text(&j, "strategy", x->options.strategy);
    json_text(&j, "status", status_name[status]);
    json_text(&j, "end", status == EXPLORE_BUG ? end_name(x->outcome.end) : NULL);
    json_text(&j, "rule", status == EXPLORE_BUG ? x->outcome.rule : NULL);
    json_text(&j, "message", message(x, status));
    json_text(&j, "model", model_name(x->options.sc));
    json_number(&j, "seed", x->options.seed);
    json_number(&j, "first", x->options.first);
    bounds_json(&j, c, x);
    json_stats(&j, &x->stats);
    json_number(&j, "store_buffer", x->options.sc ? 0 : STORE_BUFFER_MAX);
    char *text = schedule_text(s);
    json_text(&j, "schedule", text);
    free(text);
    char hash[17];
    snprintf(hash, sizeof(hash), "%016lx", x->outcome.hash);
    json_text(&j, "hash", status == EXPLORE_BUG ? hash : NULL);
    json_close(&j, '}');
    putchar('\n');
}

void result_print(const struct command *c, const struct explore *x, enum explore_status status, const struct schedule *s)
{
    const struct explore_stats *t = &x->stats;
    const struct explore_bound b = x->options.bound;
    if (c->json) {
        result_json(c, x, status, s);
        return;
    }
    printf("%s: %s", x->test->name, status_name[status]);
    if (status == EXPLORE_BUG)
        printf(": %s: %s", end_name(x->outcome.end), x->outcome.message);
    else if (x->trouble)
        printf(": %s", x->trouble);
    printf("\n%s, model %s", x->options.strategy, model_name(x->options.sc));
    if (!x->options.sc)
        printf(", store buffer of %u", STORE_BUFFER_MAX);
    if (c->strategy->searches)
        printf(", at most %u preemptions, %u delays, %u faults", b.preemptions, b.delays, b.faults);
    printf("\n%lu runs (%lu complete, %lu cut), %u to %u points, %lu distinct orders", t->runs, t->complete, t->blocked, t->points_min, t->points_max,
           t->distinct);
    if (t->coverage >= 0)
        printf(", about %.1f %% covered", 100 * t->coverage);
    printf("\n%s", world_instrumented() ? "" : "not seen: races of plain accesses; nothing was compiled with -fsanitize=thread\n");
    if (s && !c->output) {
        putchar('\n');
        schedule_write(s, stdout);
    }
}
