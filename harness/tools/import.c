/* SPDX-License-Identifier: BSD-2-Clause */
/* import: what another hypervisor recorded, as text, becomes a trace. It is lossy, and env says what it lacks: good for replay as load and for fuzzing. What
 * came before a fault is kept, without an `end`, but never in place of a trace. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tools/tools.h"
#include "trace/import.h"

static bool save(const struct import *in, struct trace_writer *w, const char *file, const char *folder, const char *fault)
{
    static const char *const vendors[] = { "none", "vmx", "svm" };
    const u64 count[] = { in->vcpus, in->exits, in->skipped, in->lost, in->mended };
    char text[array_size(count)][24];
    const char *const slash = strrchr(file, '/');
    for (u32 i = 0; i < array_size(count); i++)
        snprintf(text[i], sizeof(text[i]), "%lu", count[i]);
    const struct trace_env env[] = {
        { "origin", in->format->name }, { "source", slash ? slash + 1 : file }, { "vendor", vendors[in->vendor] }, { "cpus", text[0] }, { "lossy", "1" },
        { "missing", in->format->missing }, { "exits", text[1] }, { "lines_skipped", text[2] }, { "events_lost", text[3] }, { "turns_mended", text[4] },
        { fault ? "fault" : NULL, fault }, { 0 },
    };
    return trace_writer_save(w, folder, env);
}

static int read_and_save(const struct import_format *format, const char *file, FILE *from, struct trace_writer *w, const char *folder)
{
    static struct import in;
    char fault[512];
    if (import_read(&in, format, from, w))
        return save(&in, w, file, folder, NULL) ? 0 : 2;
    snprintf(fault, sizeof(fault), "line %lu (offset 0x%lx): %s: %s", in.line.number, in.line.offset, in.field, in.why);
    (void)tool_refuse(file, fault);
    if (in.exits && !tool_holds_trace(folder))
        save(&in, w, file, folder, fault);
    return 2;
}

int tool_import(int argc, char **argv)
{
    static const struct import_format *const formats[] = { &import_iris, &import_kvm };
    const char *file, *folder = NULL, *name = NULL;
    const struct tool_option options[] = { { "-o", .text = &folder }, { "--format", .text = &name }, { 0 } };
    const struct import_format *format = NULL;
    struct stat status;
    if (!tool_arguments(argc, argv, options, &file, 1))
        return 2;
    for (u32 i = 0; name && i < array_size(formats); i++)
        if (strcmp(formats[i]->name, name) == 0)
            format = formats[i];
    if (!format)
        return tool_refuse("--format", "iris or kvm is wanted");
    if (!folder)
        return tool_refuse("-o", "the folder to write is missing");
    FILE *const from = fopen(file, "r");
    if (!from || fstat(fileno(from), &status) || !S_ISREG(status.st_mode)) {
        if (from)
            fclose(from);
        return tool_refuse(file, from ? "is no regular file: it is read twice" : "cannot be opened");
    }
    struct trace_writer *const w = trace_writer_new();
    const int result = w ? read_and_save(format, file, from, w, folder) : tool_refuse(file, "no memory");
    trace_writer_free(w);
    fclose(from);
    return result;
}
