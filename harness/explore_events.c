/* SPDX-License-Identifier: BSD-2-Clause */
/* The events file of a finding. Names of objects and functions are in it; file and line are left to whoever renders it (harness/orrery/sites.py):
 * `binary` and each event's `site` say where to look. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "explore_command.h"

static const char *const effect_name[] = { [EFFECT_NONE] = "none", [EFFECT_READ] = "read", [EFFECT_ADD] = "add", [EFFECT_WRITE] = "write" };

#define STACK_SITES 32u

/* Of a race: what each side did, then a line per call, innermost first. */
static void stacks_put(struct json *j, const struct explore *x, const struct symbols *symbols)
{
    json_open(j, "stacks", '[');
    for (u32 side = 0; side < 2; side++) {
        char text[4096];
        u64 site[STACK_SITES];
        const u32 count = world_race(x->world, side, text, sizeof(text), site, STACK_SITES);
        u32 at = (u32)strlen(text);
        for (u32 i = 0; i < count && at < sizeof(text); i++)
            at += (u32)snprintf(text + at, sizeof(text) - at, "\n%s @0x%lx", symbols_name(symbols, site[i]), symbols_link(symbols, site[i]));
        if (count)
            json_text(j, NULL, text);
    }
    json_close(j, ']');
}

/* The line that makes this run again. getopt has put the test last, which means the same. */
static void command_text(const struct command *c, char *room, u32 bytes)
{
    u32 at = 0;
    if (c->verb == VERB_RUN && c->output) {
        snprintf(room, bytes, "%s replay %s", c->argument[0], c->output);
        return;
    }
    for (int i = 0; i < c->arguments && at < bytes; i++)
        at += (u32)snprintf(room + at, bytes - at, i ? " %s" : "%s", c->argument[i]);
}

static void agents_put(struct json *j, const struct explore *x)
{
    json_open(j, "agents", '[');
    for (u32 i = 0; i < 2 * x->test->cpus; i++) {
        const u32 cpu = i % x->test->cpus;
        char name[32];
        snprintf(name, sizeof(name), i < x->test->cpus ? "CPU %u" : "store buffer %u", cpu);
        json_open(j, NULL, '{');
        json_number(j, "id", i < x->test->cpus ? cpu : SIM_FLUSHER + cpu);
        json_text(j, "name", name);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void labels_put(struct json *j, const struct explore *x)
{
    json_open(j, "labels", '[');
    for (u32 i = 0; i < world_label_count(x->world); i++) {
        u64 object, bytes;
        const char *name = world_label_at(x->world, i, &object, &bytes);
        json_open(j, NULL, '{');
        json_hex(j, "object", object);
        json_number(j, "bytes", bytes);
        json_text(j, "name", name);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void event_put(struct json *j, const struct explore *x, const struct symbols *symbols, const struct sim_event *e)
{
    char room[96];
    const char *name = world_name(x->world, e->object, room, sizeof(room)), *function = symbols_name(symbols, e->site);
    json_open(j, NULL, '{');
    json_number(j, "step", e->step);
    json_number(j, "agent", e->agent);
    json_text(j, "op", sim_op_name[e->op]);
    json_text(j, "effect", effect_name[e->effect]);
    json_hex(j, "object", e->object);
    json_text(j, "name", strcmp(name, "-") ? name : NULL);
    json_number(j, "bytes", e->bytes);
    json_hex(j, "before", e->before);
    json_hex(j, "after", e->after);
    json_bool(j, "own", e->own);
    json_text(j, "function", strcmp(function, "-") ? function : NULL);
    json_text(j, "file", NULL);
    json_number(j, "line", 0);
    json_hex(j, "site", symbols_link(symbols, e->site));
    json_text(j, "stale", NULL);
    json_close(j, '}');
}

static void events_put(struct json *j, const struct explore *x, const struct symbols *symbols)
{
    u32 count;
    const struct sim_event *e = sim_events(world_machine(x->world), &count);
    json_open(j, "events", '[');
    for (u32 i = 0; i < count; i++) {
        fputc('\n', j->file);
        event_put(j, x, symbols, &e[i]);
    }
    json_close(j, ']');
}

static void decisions_put(struct json *j, const struct schedule *s)
{
    json_open(j, "decisions", '[');
    for (u32 i = 0; i < s->count; i++) {
        const struct decision *d = &s->decision[i];
        char text[4 * NAME_ROOM];
        decision_text(d, text, sizeof(text));
        json_open(j, NULL, '{');
        json_number(j, "step", d->step);
        json_text(j, "kind", choice_name[d->kind]);
        json_number(j, "agent", d->kind == CHOICE_STEP ? d->value : d->at.agent);
        json_text(j, "text", text);
        json_bool(j, "critical", d->critical);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void head_put(struct json *j, const struct command *c, const struct explore *x)
{
    char text[4096];
    json_text(j, "test", x->test->name);
    json_text(j, "question", x->test->question);
    json_text(j, "verdict", end_name(x->outcome.end));
    json_text(j, "rule", x->outcome.rule);
    json_text(j, "message", x->outcome.message);
    command_text(c, text, sizeof(text));
    json_text(j, "command", text);
    const ssize_t length = readlink("/proc/self/exe", text, sizeof(text) - 1);
    text[length > 0 ? length : 0] = 0;
    json_text(j, "binary", text);
    if (c->strategy->searches)
        json_bound(j, "bound", x->options.bound);
    else
        json_text(j, "bound", NULL);
    json_open(j, "stats", '{');
    json_text(j, "strategy", x->options.strategy);
    json_text(j, "model", model_name(x->options.sc));
    json_number(j, "seed", x->options.seed);
    json_number(j, "store_buffer", x->options.sc ? 0 : STORE_BUFFER_MAX);
    json_stats(j, &x->stats);
    json_close(j, '}');
}

bool events_write(const struct command *c, const struct explore *x, const struct symbols *symbols, const struct schedule *s)
{
    struct json j = { .file = fopen(c->events, "w") };
    if (j.file) {
        json_open(&j, NULL, '{');
        head_put(&j, c, x);
        stacks_put(&j, x, symbols);
        agents_put(&j, x);
        labels_put(&j, x);
        events_put(&j, x, symbols);
        decisions_put(&j, s);
        json_close(&j, '}');
        fputc('\n', j.file);
        if (!ferror(j.file) && fclose(j.file) == 0)
            return true;
    }
    fprintf(stderr, "orrery-explore: %s: %s\n", c->events, strerror(errno));
    return false;
}
