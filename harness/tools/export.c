/* SPDX-License-Identifier: BSD-2-Clause */
/* export: a trace as other viewers read it. What could be read of a broken one is exported, with status 2. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tools/tools.h"
#include "trace/perfetto.h"

/* What the viewer calls it: the last part of the path. */
static const char *title(const char *path, char text[256])
{
    snprintf(text, 256, "%s", path);
    for (u64 end = strlen(text); end > 1 && text[end - 1] == '/'; end--)
        text[end - 1] = 0;
    const char *const slash = strrchr(text, '/');
    return slash && slash[1] ? slash + 1 : text;
}

int tool_export(int argc, char **argv)
{
    const char *path, *format = NULL, *file = NULL;
    const struct tool_option options[] = { { "--format", .text = &format }, { "-o", .text = &file }, { 0 } };
    char text[256];
    struct trace t;
    if (!tool_arguments(argc, argv, options, &path, 1))
        return 2;
    if (!format || strcmp(format, "perfetto") != 0)
        return tool_refuse("--format", "perfetto is wanted: there is no other");
    if (!file)
        return tool_refuse("-o", "the file to write is missing");
    if (!trace_open(path, &t))
        return 2;
    int status = trace_status(&t);
    FILE *const out = fopen(file, "wb");
    bool good = out && trace_perfetto(&t, title(path, text), out);
    const int why = errno;
    if (out && fclose(out) != 0)
        good = false;
    if (!good)
        status = tool_refuse(file, strerror(why));
    trace_close(&t);
    return status;
}
