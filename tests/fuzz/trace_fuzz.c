/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a trace is any bytes? It is read up to its first fault, with one line at most; nothing is read outside of it. What was read is written again,
 * by the writer if it is whole, by packets if not, and is then the same. The first byte says: one stream, or a folder of two files. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "harness/trace_made.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

static char folder[64];

static void must(bool good)
{
    if (!good)
        abort();
}

/* Opens with the lines counted: none if all is good, else one. The sanitizers write to the descriptor, not to this stream. */
static bool open_counted(const char *name, const u8 *bytes, u64 count, struct trace *t)
{
    FILE *const real = stderr;
    char *text = NULL;
    size_t length;
    stderr = open_memstream(&text, &length);
    must(stderr);
    const bool open = bytes ? trace_open_bytes(name, bytes, count, t) : trace_open(name, t);
    fclose(stderr);
    stderr = real;
    const char *const line = strchr(text, '\n');
    must(open && !t->fault.why ? !line : line && !line[1]);
    free(text);
    return open;
}

static void order_check(const struct trace *t)
{
    for (u64 i = 1; i < t->count; i++)
        must(t->event[i].sequence > t->event[i - 1].sequence || (t->fault.why && t->event[i].sequence == t->event[i - 1].sequence));
}

/* A machine that is not the first of all is no trace of ours: the writer refuses it. */
static void rewrite_check(const struct trace *t, u64 hash)
{
    struct trace again;
    u64 count;
    if (!trace_whole(t) || t->event[0].raw->id != TRACE_machine)
        return;
    struct trace_writer *const w = made_again(t);
    u8 *const bytes = w ? trace_writer_bytes(w, &count) : NULL;
    must(bytes && open_counted("again", bytes, count, &again));
    must(trace_whole(&again) && made_hash(&again) == hash);
    trace_close(&again);
    trace_writer_free(w);
    free(bytes);
}

static void file_write(const char *name, const u8 *bytes, u64 count)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *const f = fopen(path, "wb");
    must(f && fwrite(bytes, 1, count, f) == count);
    fclose(f);
}

static void split_check(const struct trace *t, u64 hash)
{
    struct trace again;
    must(trace_split(t, folder, NULL));
    if (!open_counted(folder, NULL, 0, &again)) {
        must(t->count == 0);
        return;
    }
    must(again.count == t->count && made_hash(&again) == hash);
    trace_close(&again);
}

static void folder_remove(void)
{
    char path[128];
    for (u32 i = 0; i <= TRACE_CPUS; i++) {
        snprintf(path, sizeof(path), i < TRACE_CPUS ? "%s/cpu%u" : "%s/metadata", folder, i);
        unlink(path);
    }
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    struct trace t;
    if (!bytes)
        return 0;
    const bool one = data[0] % 8 != 0;
    const u64 first = min(bytes - 1, (u64)data[0] / 8 * 64);
    if (!*folder) {
        snprintf(folder, sizeof(folder), "/dev/shm/orrery-fuzz-%d", (int)getpid());
        must(mkdir(folder, 0700) == 0 && atexit(folder_remove) == 0);
    }
    if (!one) {
        file_write("cpu0", data + 1 + first, bytes - 1 - first);
        file_write("cpu1", data + 1, first);
    }
    if (!open_counted(one ? "any" : folder, one ? data + 1 : NULL, bytes - 1, &t))
        return 0;
    order_check(&t);
    const u64 hash = made_hash(&t);
    rewrite_check(&t, hash);
    if (!one)
        split_check(&t, hash);
    trace_close(&t);
    return 0;
}
