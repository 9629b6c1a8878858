/* SPDX-License-Identifier: BSD-2-Clause */
/* export: a trace as other viewers read it. What could be read of a broken one is exported, with status 2. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tools/tools.h"
#include "trace/env.h"
#include "trace/perfetto.h"

#define TITLE_BYTES 256u

/* What the viewer calls it: the scenario and its machine, else the last part of the path. */
static void title(const char *path, char text[TITLE_BYTES])
{
    const struct trace_env none = { 0 };
    const char *scenario = NULL, *machine = NULL;
    struct env env;
    snprintf(text, TITLE_BYTES, "%s", path);
    for (u64 end = strlen(text); end > 1 && text[end - 1] == '/'; end--)
        text[end - 1] = 0;
    const char *const slash = strrchr(text, '/');
    if (slash && slash[1])
        memmove(text, slash + 1, strlen(slash));
    if (!env_read(&env, path, &none))
        return;
    for (const struct trace_env *p = env.pair; p->key; p++) {
        scenario = strcmp(p->key, "scenario") == 0 ? p->value : scenario;
        machine = strcmp(p->key, "machine") == 0 ? p->value : machine;
    }
    if (scenario)
        snprintf(text, TITLE_BYTES, machine ? "%s on %s" : "%s", scenario, machine);
    env_free(&env);
}

int tool_export(int argc, char **argv)
{
    const char *path, *format = NULL, *file = NULL;
    const struct tool_option options[] = { { "--format", .text = &format }, { "-o", .text = &file }, { 0 } };
    char text[TITLE_BYTES];
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
    title(path, text);
    bool good = out && trace_perfetto(&t, text, out);
    const int why = errno;
    if (out && fclose(out) != 0)
        good = false;
    if (!good)
        status = tool_refuse(file, strerror(why));
    trace_close(&t);
    return status;
}
