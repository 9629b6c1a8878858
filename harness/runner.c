/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes the machine, connects console and trace, runs it, and writes down what happened. */
#include "runner.h"
#include <errno.h>
#include <string.h>
#include "choose.h"
#include "trace/reader.h"

void runner_stop(struct runner *r)
{
    if (r->machine)
        sim_stop(r->machine);
}

const char *runner_end_name(enum sim_end end)
{
    static const char *const name[] = {[SIM_SHUTDOWN] = "shutdown", [SIM_PANIC] = "panic",   [SIM_DEADLOCK] = "deadlock", [SIM_BUDGET] = "budget",
                                       [SIM_FINDING] = "finding",   [SIM_ENGINE] = "engine", [SIM_STOPPED] = "stopped"};
    return (u32)end < array_size(name) ? name[end] : "?";
}

static void on_console(void *arg, const char *text, u32 bytes)
{
    const struct runner *r = arg;
    if (!r->options->escape) {
        fwrite(text, 1, bytes, stdout);
    } else {
        for (u32 i = 0; i < bytes; i++) {
            const unsigned char c = (unsigned char)text[i];
            if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t')
                putchar(c);
            else
                printf("\\x%02x", c);
        }
    }
    if (r->options->interactive || memchr(text, '\n', bytes))
        fflush(stdout);
}

/* What the event says of the reason: the word is small. */
static void count_exit(struct runner *r, const struct trace_exit *e)
{
    const struct trace_tail tail = trace_tail(&e->event);
    if (e->event.id == TRACE_state)
        r->reason[e->vcpu] = 0;
    for (u32 i = 0; i < tail.small; i++)
        if (tail.change_small[i].word == TRACE_WORD_reason_and_length)
            r->reason[e->vcpu] = tail.change_small[i].value;
    for (u32 i = 0; i < tail.large; i++)
        if (tail.change_large[i].word == TRACE_WORD_reason_and_length)
            r->reason[e->vcpu] = tail.change_large[i].value;
    if (e->event.id == TRACE_exit)
        r->exits[(u32)r->reason[e->vcpu] % VCPU_EXIT_COUNT]++;
}

/* A packet, whole. */
static void on_trace(void *arg, const void *bytes, u32 count)
{
    struct runner *r = arg;
    const struct trace_packet *const p = bytes;
    if (r->trace)
        fwrite(bytes, 1, count, r->trace);
    r->lost[p->cpu % array_size(r->lost)] = p->discarded;
    for (u32 at = sizeof(*p); at < count;) {
        const struct trace_event *const e = (const void *)((const u8 *)bytes + at);
        if (e->id == TRACE_state || e->id == TRACE_exit || e->id == TRACE_entry)
            count_exit(r, (const void *)e);
        at += e->bytes;
    }
    if (r->packet && !r->packet(r->packet_arg, bytes, count))
        runner_stop(r);
}

static void on_tsc_read(void *arg, u64 tsc, const struct sim_counts *counts)
{
    const struct runner *r = arg;
    fprintf(r->counts, "%lu", tsc);
    for (u32 i = 0; i < SIM_COUNTS; i++)
        fprintf(r->counts, " %lu", counts->of[i]);
    fputc('\n', r->counts);
}

/* The names, then a line for each read. */
static void counts_begin(struct runner *r)
{
#define COUNT_NAME(name, text) " " text
    fputs("tsc" SIM_COUNT_LIST(COUNT_NAME) "\n", r->counts);
#undef COUNT_NAME
    r->config.tsc_read = on_tsc_read;
}

static bool open_for_writing(const char *name, FILE **out)
{
    *out = name ? fopen(name, "wb") : NULL;
    if (name && !*out)
        fprintf(stderr, "orrery-unicorn: %s: %s\n", name, strerror(errno));
    return !name || *out;
}

bool runner_open(struct runner *r, const struct options *o)
{
    *r = (struct runner){.options = o};
    if (!input_read(o->bundle, &r->bundle))
        return false;
    if (!bundle_check(&r->bundle)) {
        input_free(&r->bundle);
        return false;
    }
    r->config = (struct sim_config){.cpus = o->cpus, .ram_bytes = o->memory_bytes, .vendor = o->vendor, .x2apic = true,
                                    .bundle = r->bundle.bytes, .bundle_bytes = r->bundle.count, .line = o->kernel,
                                    .trace = o->vendor != SIM_NONE && !o->counts ? MACH_TRACE_ON : MACH_TRACE_OFF,
                                    .console = on_console, .trace_sink = on_trace, .arg = r};
    if (!open_for_writing(o->trace, &r->trace) || !open_for_writing(o->counts, &r->counts)) {
        runner_close(r);
        return false;
    }
    if (r->counts)
        counts_begin(r);
    return true;
}

void runner_close(struct runner *r)
{
    if (r->trace)
        fclose(r->trace);
    if (r->counts)
        fclose(r->counts);
    r->trace = r->counts = NULL;
    input_free(&r->bundle);
}

bool runner_run(struct runner *r, struct sim_result *result, char *message)
{
    struct choose_random random;
    if (r->options->seed) {
        choose_random(&random, r->options->seed);
        r->config.chooser = &random.chooser;
    }
    r->machine = sim_create(&r->config);
    if (!r->machine) {
        fprintf(stderr, "orrery-unicorn: the machine cannot be made with %s and %lu MB: %s\n", r->bundle.name, r->config.ram_bytes >> 20, strerror(errno));
        return false;
    }
    if (r->made)
        r->made(r->packet_arg, r->machine);
    sim_run(r->machine, r->options->steps);
    *result = *sim_result(r->machine);
    snprintf(message, 256, "%s", result->message ? result->message : "");
    result->message = message;
    sim_destroy(r->machine);
    r->machine = NULL;
    fflush(stdout);
    if (result->end != SIM_SHUTDOWN && !r->packet)
        fprintf(stderr, "orrery-unicorn: %s%s%s\n", runner_end_name(result->end), *message ? ": " : "", message);
    return true;
}

void runner_json_string(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

bool runner_json(const struct runner *r, const struct sim_result *result)
{
    FILE *f = fopen(r->options->json, "w");
    if (!f) {
        fprintf(stderr, "orrery-unicorn: %s: %s\n", r->options->json, strerror(errno));
        return false;
    }
    u64 lost = 0;
    for (u32 i = 0; i < array_size(r->lost); i++)
        lost += r->lost[i];
    fprintf(f, "{\"end\": \"%s\", \"code\": %u, \"message\": ", runner_end_name(result->end), result->code);
    runner_json_string(f, result->message);
    fprintf(f, ", \"event_hash\": \"0x%016lx\", \"steps\": %lu, \"instructions\": %lu, \"traps\": %lu, \"lost_records\": %lu, \"exits\": {",
            result->event_hash, result->steps, result->instructions, result->traps, lost);
    const char *between = "";
    for (u32 i = 0; i < VCPU_EXIT_COUNT; i++) {
        if (!r->exits[i])
            continue;
        fprintf(f, "%s\"%s\": %lu", between, trace_reason_name(i), r->exits[i]);
        between = ", ";
    }
    fprintf(f, "}}\n");
    return fclose(f) == 0;
}
