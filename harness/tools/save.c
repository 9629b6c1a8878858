/* SPDX-License-Identifier: BSD-2-Clause */
/* save: from the one stream that a machine wrote to a folder. What could be read of a broken one is kept, but never in place of a trace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tools/tools.h"
#include "trace/writer.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

/* KEY=VALUE, cut in two. */
static bool env_split(const struct tool_list *pairs, struct trace_env *env)
{
    for (u32 i = 0; i < pairs->count; i++) {
        char *const equals = strchr(pairs->item[i], '=');
        const u64 letters = strspn(pairs->item[i], LETTERS "0123456789");
        if (!equals || letters == 0 || pairs->item[i] + letters != equals || !strchr(LETTERS, pairs->item[i][0])) {
            (void)tool_refuse(pairs->item[i], "--env wants KEY=VALUE, a key of letters, digits and '_'");
            return false;
        }
        *equals = 0;
        env[i] = (struct trace_env){ pairs->item[i], equals + 1 };
    }
    env[pairs->count] = (struct trace_env){ 0 };
    return true;
}

bool tool_holds_trace(const char *folder)
{
    char name[4096];
    struct stat status;
    return snprintf(name, sizeof(name), "%s/metadata", folder) < (int)sizeof(name) && stat(name, &status) == 0;
}

int tool_save(int argc, char **argv)
{
    const char *raw, *folder = NULL;
    struct tool_list pairs = { 0 };
    struct trace_env env[TOOL_LIST_MAX + 1];
    const struct tool_option options[] = { { "-o", .text = &folder }, { "--env", .list = &pairs }, { 0 } };
    struct trace t;
    if (!tool_arguments(argc, argv, options, &raw, 1) || !env_split(&pairs, env))
        return 2;
    if (!folder)
        return tool_refuse("-o", "the folder to write is missing");
    if (!trace_open(raw, &t))
        return 2;
    int status = trace_status(&t);
    if (!trace_whole(&t) && tool_holds_trace(folder))   /* of a fault a line was printed */
        status = status ? status : tool_refuse(folder, "holds a trace; the one to replace it is not whole");
    else if (!trace_split(&t, folder, env))
        status = 2;
    trace_close(&t);
    return status;
}
