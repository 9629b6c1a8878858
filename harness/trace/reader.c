/* SPDX-License-Identifier: BSD-2-Clause */
/* See reader.h: files, the order of their events, and what only holds for all of them. */
#define _GNU_SOURCE
#include "trace/reader.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "trace/packets.h"
#include "trace/rows.h"

/* Takes name and bytes, even if it fails. */
static bool source_add(struct trace *t, char *name, u8 *bytes, u64 count)
{
    struct trace_source *const more = name && bytes && t->source_count < 0xffff ? realloc(t->source, (t->source_count + 1ul) * sizeof(*more)) : NULL;
    if (!more) {
        free(name);
        free(bytes);
        return false;
    }
    t->source = more;
    t->source[t->source_count++] = (struct trace_source){ name, bytes, count };
    return true;
}

static bool refuse(const char *name, const char *why)
{
    fprintf(stderr, "orrery: %s: %s\n", name, why);
    return false;
}

/* Takes name. */
static bool file_read(struct trace *t, char *name)
{
    FILE *const f = name ? fopen(name, "rb") : NULL;
    struct stat status;
    if (!f || fstat(fileno(f), &status) != 0 || !S_ISREG(status.st_mode)) {
        (void)refuse(name ? name : "trace", !name ? "no memory" : f ? "not a file" : strerror(errno));
        if (f)
            fclose(f);
        free(name);
        return false;
    }
    const u64 count = (u64)status.st_size;
    u8 *const bytes = malloc(count + 1);
    const bool good = bytes && fread(bytes, 1, count, f) == count;
    fclose(f);
    if (!good)
        (void)refuse(name, "cannot be read");
    if (good && source_add(t, name, bytes, count))
        return true;
    if (!good) {
        free(name);
        free(bytes);
    }
    return false;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.' && strcmp(e->d_name, "metadata") != 0;
}

static bool folder_read(struct trace *t, const char *path)
{
    struct dirent **entry;
    const int count = scandir(path, &entry, visible, alphasort);
    bool good = count > 0 || refuse(path, count ? strerror(errno) : "no stream of a trace in this folder");
    for (int i = 0; i < count; i++) {
        char *name = NULL;
        if (good && asprintf(&name, "%s/%s", path, entry[i]->d_name) < 0)
            name = NULL;
        good = good && file_read(t, name);
        free(entry[i]);
    }
    if (count >= 0)
        free(entry);
    return good;
}

/* Each CPU's events are in order; so is the whole, in most streams. */
static bool events_merge(struct trace *t)
{
    u64 next[TRACE_CPUS + 1] = { 0 }, end[TRACE_CPUS] = { 0 }, ordered = 1;
    while (ordered < t->count && t->event[ordered].sequence > t->event[ordered - 1].sequence)
        ordered++;
    if (ordered >= t->count)
        return true;
    struct trace_item *const by_cpu = malloc(t->count * sizeof(*by_cpu));
    if (!by_cpu)
        return false;
    for (u64 i = 0; i < t->count; i++)
        next[t->event[i].cpu + 1]++;
    for (u32 c = 0; c < TRACE_CPUS; c++) {
        next[c + 1] += next[c];
        end[c] = next[c];
    }
    for (u64 i = 0; i < t->count; i++)
        by_cpu[end[t->event[i].cpu]++] = t->event[i];
    for (u64 i = 0; i < t->count; i++) {
        u32 first = TRACE_CPUS;
        for (u32 c = 0; c < TRACE_CPUS; c++)
            if (next[c] < end[c] && (first == TRACE_CPUS || by_cpu[next[c]].sequence < by_cpu[next[first]].sequence))
                first = c;
        t->event[i] = by_cpu[next[first]++];
    }
    free(by_cpu);
    return true;
}

static bool item_refuse(struct trace *t, const struct trace_item *e, const char *field, const char *why)
{
    return packets_refuse(t, e->file, e->offset, field, why);
}

/* Numbers of events are given out one by one, also to those that a CPU had no room for. */
static void sequence_judge(struct trace *t)
{
    u64 missing = 0;
    for (u64 i = 1; i < t->count && !t->fault.why; i++) {
        const u64 step = t->event[i].sequence - t->event[i - 1].sequence;
        missing += step - 1;
        if (step == 0)
            (void)item_refuse(t, &t->event[i], "sequence", "the number of another event, too");
        else if (step - 1 > t->lost || missing > t->lost)
            (void)item_refuse(t, &t->event[i], "sequence", "events before it are missing");
    }
}

/* What the events say together; unknown ones are left out from here on. */
static void events_judge(struct trace *t)
{
    u64 kept = 0;
    sequence_judge(t);
    for (u64 i = 0; i < t->count; i++) {
        const struct trace_item *const e = &t->event[i];
        const u32 vcpu = trace_vcpu(e);
        if (e->raw->id == TRACE_machine) {
            memcpy(&t->machine, e->raw, sizeof(t->machine));
            t->has_machine = true;
        }
        if (t->ended)
            (void)item_refuse(t, e, "id", "an event after the end");
        if (t->has_machine && e->cpu >= t->machine.cpu_count)
            (void)item_refuse(t, e, "cpu", "more than the machine has");
        if (vcpu != TRACE_NO_VCPU)
            t->vcpus = max(t->vcpus, vcpu + 1);
        t->exits += e->raw->id == TRACE_exit;
        t->ended |= e->raw->id == TRACE_end;
        t->unknown += !trace_row(e->raw->id);
        if (trace_row(e->raw->id))
            t->event[kept++] = *e;
    }
    t->count = kept;
}

static bool sources_read(struct trace *t)
{
    struct packets *const p = calloc(1, sizeof(*p));
    bool memory = p;
    if (p)
        p->trace = t;
    for (u16 i = 0; memory && i < t->source_count; i++) {
        if (t->source[i].count == 0)
            (void)packets_refuse(t, i, 0, "packet", "the file is empty");
        memory = packets_read(p, i);
    }
    for (u32 i = 0; p && i < TRACE_CPUS; i++)
        t->lost += p->cpu[i].discarded;
    const bool any = p && p->packets;
    free(p);
    if (!memory || !events_merge(t))
        return refuse(t->source[0].name, "no memory");
    events_judge(t);
    if (t->fault.why)
        fprintf(stderr, "orrery: %s: offset 0x%lx: %s: %s\n", t->source[t->fault.file].name, t->fault.offset, t->fault.field, t->fault.why);
    return any;
}

bool trace_open(const char *path, struct trace *t)
{
    struct stat status;
    *t = (struct trace){ 0 };
    const bool found = stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? folder_read(t, path) : file_read(t, strdup(path));
    if (found && sources_read(t))
        return true;
    trace_close(t);
    return false;
}

bool trace_open_bytes(const char *name, const void *bytes, u64 count, struct trace *t)
{
    *t = (struct trace){ 0 };
    u8 *const copy = malloc(count + 1);
    if (copy && count)
        memcpy(copy, bytes, count);
    if ((source_add(t, strdup(name), copy, count) || refuse(name, "no memory")) && sources_read(t))
        return true;
    trace_close(t);
    return false;
}

void trace_close(struct trace *t)
{
    for (u32 i = 0; i < t->source_count; i++) {
        free(t->source[i].name);
        free(t->source[i].bytes);
    }
    free(t->source);
    free(t->event);
    *t = (struct trace){ 0 };
}

int trace_status(const struct trace *t)
{
    return t->fault.why ? 2 : 0;
}

bool trace_whole(const struct trace *t)
{
    return t->has_machine && t->ended && !t->lost && !t->fault.why;
}
