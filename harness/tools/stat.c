/* SPDX-License-Identifier: BSD-2-Clause */
/* stat: exits by reason and vCPU, what an exit costs in bytes, and where the time went: in the guest, from an entry to the exit it ends with; in the
 * VMM, from an exit to its answer. With --json one object, of the same numbers; times in TSC. */
#include <stdio.h>
#include <stdlib.h>
#include "tools/tools.h"
#include "tools/walk.h"
#include "trace/rows.h"

#define REASONS (VCPU_EXIT_COUNT + 1u)   /* the last: those of no known name */

struct figures {
    const struct trace *trace;
    struct { u64 exits, guest, vmm; } reason[REASONS];
    u64 event[TRACE_ID_COUNT];
    u64 bytes, vcpu_bytes, value_bytes, injections, duration;
    u64 *exits;              /* per vCPU */
    struct { u64 tsc; u32 reason; } *last;   /* per vCPU: the exit or entry before */
};

static void count(struct figures *f, const struct walk *k)
{
    const struct trace_event *const e = k->item->raw;
    f->event[e->id]++;
    if (k->vcpu == TRACE_NO_VCPU)
        return;
    f->vcpu_bytes += e->bytes;
    f->value_bytes += trace_tail(e).bytes;
    if (e->id != TRACE_exit && e->id != TRACE_entry)
        return;
    const u64 since = f->last[k->vcpu].tsc ? k->item->tsc - f->last[k->vcpu].tsc : 0;
    if (e->id == TRACE_exit) {
        const u32 reason = k->known ? min(trace_words_exit(k->words)->reason, REASONS - 1) : REASONS - 1;
        f->reason[reason].exits++;
        f->reason[reason].guest += since;
        f->last[k->vcpu].reason = reason;
        f->exits[k->vcpu]++;
    } else if (f->last[k->vcpu].tsc) {
        f->reason[f->last[k->vcpu].reason].vmm += since;
    }
    f->injections += e->id == TRACE_entry && trace_dirty(k->words) & VCPU_GROUP_INJECT && k->words->word[TRACE_WORD_inject] & VCPU_EVENT_VALID;
    f->last[k->vcpu].tsc = k->item->tsc;
}

static bool figures_take(struct figures *f, const struct trace *t)
{
    struct walk k;
    *f = (struct figures){ .trace = t, .exits = calloc(t->vcpus + 1ul, sizeof(u64)), .last = calloc(t->vcpus + 1ul, sizeof(*f->last)) };
    if (!f->exits || !f->last)
        return tool_refuse("trace", "no memory") == 0;
    if (!walk_begin(&k, t))
        return false;
    while (walk_next(&k))
        count(f, &k);
    walk_end(&k);
    for (u32 i = 0; i < t->source_count; i++)
        f->bytes += t->source[i].count;
    if (t->count)
        f->duration = t->event[t->count - 1].tsc - t->event[0].tsc;
    return true;
}

static double per_exit(const struct figures *f, u64 bytes)
{
    return f->trace->exits ? (double)bytes / (double)f->trace->exits : 0;
}

static void print_json(const struct figures *f)
{
    const struct trace *const t = f->trace;
    const char *comma = "";
    printf("{\"whole\":%s,\"events\":%lu,\"bytes\":%lu,\"exits\":%lu,", trace_whole(t) ? "true" : "false", t->count, f->bytes, t->exits);
    printf("\"bytes_per_exit\":%.1f,\"vcpu_bytes_per_exit\":%.1f,", per_exit(f, f->bytes), per_exit(f, f->vcpu_bytes));
    printf("\"lost\":%lu,\"unknown\":%lu,\"tsc_khz\":%lu,\"duration_tsc\":%lu,", t->lost, t->unknown, t->machine.tsc_khz, f->duration);
    printf("\"values\":%lu,\"value_bytes\":%lu,\"injections\":%lu,\"by_reason\":{", f->event[TRACE_value], f->value_bytes, f->injections);
    for (u32 i = 0; i < REASONS; i++)
        if (f->reason[i].exits) {
            printf("%s\"%s\":{\"exits\":%lu,\"guest_tsc\":%lu,\"vmm_tsc\":%lu}", comma, trace_reason_name(i), f->reason[i].exits, f->reason[i].guest, f->reason[i].vmm);
            comma = ",";
        }
    printf("},\"by_vcpu\":[");
    for (u32 i = 0; i < t->vcpus; i++)
        printf("%s%lu", i ? "," : "", f->exits[i]);
    printf("],\"by_event\":{");
    comma = "";
    for (u32 i = 0; i < TRACE_ID_COUNT; i++)
        if (trace_row(i)) {
            printf("%s\"%s\":%lu", comma, trace_event_name(i), f->event[i]);
            comma = ",";
        }
    printf("}}\n");
}

static void print_text(const struct figures *f)
{
    const struct trace *const t = f->trace;
    const double us = t->machine.tsc_khz ? 1000.0 / (double)t->machine.tsc_khz : 0.001;   /* without a clock: 1 GHz */
    printf("%lu events in %lu bytes%s, %.3f ms, %lu lost\n", t->count, f->bytes, trace_whole(t) ? "" : " (not whole)", (double)f->duration * us / 1000, t->lost);
    printf("%lu exits: %.1f bytes each, %.1f without what belongs to no vCPU\n", t->exits, per_exit(f, f->bytes), per_exit(f, f->vcpu_bytes));
    printf("%lu values of %lu bytes from outside, %lu injections\n\n", f->event[TRACE_value], f->value_bytes, f->injections);
    printf("   exits  reason            guest us       VMM us\n");
    for (u32 i = 0; i < REASONS; i++)
        if (f->reason[i].exits)
            printf("%8lu  %-14s %11.1f  %11.1f\n", f->reason[i].exits, trace_reason_name(i), (double)f->reason[i].guest * us, (double)f->reason[i].vmm * us);
    printf("\n   exits  vCPU\n");
    for (u32 i = 0; i < t->vcpus; i++)
        if (f->exits[i])
            printf("%8lu  %u\n", f->exits[i], i);
    printf("\n  events  kind\n");
    for (u32 i = 0; i < TRACE_ID_COUNT; i++)
        if (f->event[i])
            printf("%8lu  %s\n", f->event[i], trace_event_name(i));
}

int tool_stat(int argc, char **argv)
{
    bool json = false;
    const struct tool_option options[] = { { "--json", .flag = &json }, { 0 } };
    const char *path;
    struct trace t;
    struct figures f;
    if (!tool_arguments(argc, argv, options, &path, 1) || !trace_open(path, &t))
        return 2;
    int status = trace_status(&t);
    if (!figures_take(&f, &t))
        status = 2;
    else if (json)
        print_json(&f);
    else
        print_text(&f);
    free(f.exits);
    free(f.last);
    trace_close(&t);
    return status;
}
