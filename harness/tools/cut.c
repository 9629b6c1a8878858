/* SPDX-License-Identifier: BSD-2-Clause */
/* cut: some exits of a trace, each with what the VMM took from outside and its entry. Each vCPU begins with a `state`; other events are left out; `sequence` is
 * counted anew. env is that of the trace, and says what was cut out of it. */
#include <stdlib.h>
#include <string.h>
#include "tools/tools.h"
#include "tools/walk.h"
#include "trace/env.h"
#include "trace/writer.h"

struct range {
    u64 vcpu;                  /* ~0: all */
    u64 from, to;
};

struct cut {
    struct range *range;
    u32 ranges;
    u64 kept;
};

static bool decimal(const char **text, u64 *value)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    *value = strtoul(*text, &end, 10);
    *text = end;
    return true;
}

/* "3,5,9-12" or "0:3,1:5-6": vCPU before the colon. */
static bool parse(struct cut *c, const char *text, u64 vcpu)
{
    u64 count = 1;
    for (const char *p = text; *p; p++)
        count += *p == ',';
    c->range = calloc(count, sizeof(*c->range));
    if (!c->range)
        return false;
    for (;; text++) {
        struct range *const r = &c->range[c->ranges++];
        r->vcpu = vcpu;
        if (!decimal(&text, &r->from))
            return false;
        if (*text == ':') {
            r->vcpu = r->from;
            if (text++, !decimal(&text, &r->from))
                return false;
        }
        r->to = r->from;
        if (*text == '-' && (text++, !decimal(&text, &r->to)))
            return false;
        if (*text != ',')
            return *text == 0;
    }
}

static bool wanted(const struct cut *c, u32 vcpu, u64 exit)
{
    for (u32 i = 0; i < c->ranges; i++) {
        const struct range *const r = &c->range[i];
        if ((r->vcpu == ~0ul || r->vcpu == vcpu) && r->from <= exit && exit <= r->to)
            return true;
    }
    return false;
}

static bool copy_event(struct cut *c, const struct walk *k, struct trace_writer *w)
{
    const struct trace_item *const e = k->item;
    const u32 id = e->raw->id;
    if (k->vcpu == TRACE_NO_VCPU || k->exit < 0 || id == TRACE_state || !wanted(c, k->vcpu, (u64)k->exit))
        return true;
    if (id == TRACE_value) {
        const struct trace_value *const value = (const struct trace_value *)e->raw;
        const struct trace_tail tail = trace_tail(e->raw);
        return trace_write_value(w, e->cpu, e->tsc, k->vcpu, value->kind, value->address, tail.data, tail.bytes);
    }
    c->kept += id == TRACE_exit && k->known;
    return !k->known || trace_write_words(w, e->cpu, e->tsc, id, k->vcpu, k->words->word);
}

static bool copy(struct cut *c, const struct trace *t, struct trace_writer *w)
{
    struct walk k;
    if (!walk_begin(&k, t))
        return false;
    bool good = !t->has_machine || trace_write_machine(w, &t->machine);
    while (good && walk_next(&k))
        good = copy_event(c, &k, w);
    walk_end(&k);
    return good && trace_write_end(w, 0);
}

static int save(const struct trace *t, struct trace_writer *w, const char *name, const char *folder, const char *exits)
{
    struct env env;
    const char *const slash = strrchr(name, '/');
    const struct trace_env more[] = { { "cut_from", slash && slash[1] ? slash + 1 : name }, { "cut_exits", exits }, { "cut_lost", t->lost ? "1" : "0" }, { 0 } };
    if (!env_read(&env, name, more))
        return tool_refuse(name, "no memory");
    const int status = trace_writer_save(w, folder, env.pair) ? trace_status(t) : 2;
    env_free(&env);
    return status;
}

static int cut(struct cut *c, const char *name, const char *folder, const char *exits)
{
    struct trace t;
    if (!trace_open(name, &t))
        return 2;
    struct trace_writer *const w = trace_writer_new();
    int status;
    if (!w || !copy(c, &t, w))
        status = tool_refuse(name, "no memory");
    else if (!c->kept)
        status = tool_refuse(name, "it has none of these exits");
    else
        status = save(&t, w, name, folder, exits);
    trace_writer_free(w);
    trace_close(&t);
    return status;
}

int tool_cut(int argc, char **argv)
{
    const char *name, *folder = NULL, *exits = NULL;
    u64 from = 0, to = ~0ul >> 1, vcpu = ~0ul;
    char range[64];
    struct cut c = { 0 };
    const struct tool_option options[] = { { "-o", .text = &folder }, { "--from", .number = &from }, { "--to", .number = &to },
                                           { "--vcpu", .number = &vcpu }, { "--exits", .text = &exits }, { 0 } };
    if (!tool_arguments(argc, argv, options, &name, 1))
        return 2;
    if (!folder)
        return tool_refuse("-o", "the folder to write is missing");
    if (!exits) {
        snprintf(range, sizeof(range), "%lu-%lu", from, to);
        exits = range;
    }
    const int status = parse(&c, exits, vcpu) ? cut(&c, name, folder, exits) : tool_refuse(exits, "is no list of exits such as 3,5,9-12 or 0:3,1:5-6");
    free(c.range);
    return status;
}
