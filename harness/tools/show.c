/* SPDX-License-Identifier: BSD-2-Clause */
/* show: a trace as text. Which events: those of one vCPU, of some exits of each vCPU, or all. Objects for programs: show_json.c. */
#include <inttypes.h>
#include <stdio.h>
#include "tools/show.h"
#include "tools/tools.h"
#include "trace/rows.h"

/* One event with all its fields and every changed word, as babeltrace2 would name them. */
void show_raw(const struct walk *k)
{
    const struct trace_event *const e = k->item->raw;
    const struct trace_row *const row = trace_row(e->id);
    const struct trace_tail tail = trace_tail(e);
    u32 at = sizeof(*e);
    printf("%" PRIu64 " tsc %" PRIu64 " cpu %u %s bytes=%u", k->item->sequence, k->item->tsc, k->item->cpu, row->name, e->bytes);
    for (u32 i = 0; i < row->fields; at += row->field[i++].bytes)
        printf(row->field[i].type[0] == 'x' ? " %s=0x%lx" : " %s=%lu", row->field[i].name, trace_field_get(e, at, row->field[i].bytes));
    for (u32 i = 0; i < tail.small; i++)
        printf(" %s=0x%x", trace_word_name(tail.change_small[i].word), tail.change_small[i].value);
    for (u32 i = 0; i < tail.large; i++)
        printf(" %s=0x%lx", trace_word_name(tail.change_large[i].word), tail.change_large[i].value);
    if (row->tail == TRACE_TAIL_BYTES)
        printf(" data=");
    for (u32 i = 0; i < tail.bytes; i++)
        printf("%02x", tail.data[i]);
    printf("\n");
}

struct choice {
    u64 vcpu, from, to;
    bool raw, json;
};
#define ANY (~0ul)

static bool chosen(const struct choice *c, const struct walk *k)
{
    const bool all = c->vcpu == ANY && c->from == 0 && c->to == ANY;
    if (k->vcpu == TRACE_NO_VCPU)
        return all;
    return all || ((c->vcpu == ANY || c->vcpu == k->vcpu) && k->exit >= 0 && (u64)k->exit >= c->from && (u64)k->exit <= c->to);
}

static bool show(const struct trace *t, const struct choice *c)
{
    struct walk k;
    struct show_lines lines;
    if (!walk_begin(&k, t))
        return false;
    const bool good = show_lines_begin(&lines, t);
    while (good && walk_next(&k)) {
        if (!chosen(c, &k))
            continue;
        if (c->raw)
            show_raw(&k);
        else if (c->json)
            show_json(&k);
        else
            show_lines_next(&lines, &k);
    }
    show_lines_end(&lines);
    walk_end(&k);
    return good;
}

int tool_show(int argc, char **argv)
{
    struct choice c = { .vcpu = ANY, .to = ANY };
    const struct tool_option options[] = { { "--vcpu", .number = &c.vcpu }, { "--from", .number = &c.from }, { "--to", .number = &c.to },
                                           { "--raw", .flag = &c.raw },     { "--json", .flag = &c.json },   { 0 } };
    const char *path;
    struct trace t;
    if (!tool_arguments(argc, argv, options, &path, 1) || !trace_open(path, &t))
        return 2;
    int status = trace_status(&t);
    if (c.raw && c.json)
        status = tool_refuse("--raw", "not together with --json");
    else if (c.vcpu != ANY && c.vcpu >= t.vcpus)
        status = tool_refuse("--vcpu", "the trace has none of this number");
    else if (!show(&t, &c))
        status = 2;
    trace_close(&t);
    return status;
}
