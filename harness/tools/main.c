/* SPDX-License-Identifier: BSD-2-Clause */
/* orrery-trace: reading, making and changing traces. See tools.h. */
#include <stdio.h>
#include <string.h>
#include "tools/tools.h"

static const struct tool {
    const char *name, *arguments, *summary, *example;
    int (*run)(int argc, char **argv);
} tools[] = {
#define TOOL_ROW(name, arguments, summary, example) { #name, arguments, summary, example, tool_##name },
    TOOL_LIST(TOOL_ROW)
};

static void usage(void)
{
    printf("usage: orrery-trace COMMAND ...\n\n");
    for (u32 i = 0; i < array_size(tools); i++)
        printf("  %-10s %s\n", tools[i].name, tools[i].summary);
    printf("\norrery-trace COMMAND --help shows arguments and an example. TRACE is a folder, or one stream.\n"
           "exit status: 0 good, 1 not what was asked for, 2 bad input\n");
}

static bool asks_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static int run(const struct tool *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (asks_help(argv[i])) {
            printf("usage: orrery-trace %s %s\n\n%s\n\nexample: %s\n", t->name, t->arguments, t->summary, t->example);
            return 0;
        }
    const int status = t->run(argc, argv);
    return fflush(stdout) == 0 && !ferror(stdout) ? status : tool_refuse("output", "cannot be written");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return tool_refuse("orrery-trace", "a command is missing (try: orrery-trace --help)");
    if (asks_help(argv[1])) {
        usage();
        return 0;
    }
    for (u32 i = 0; i < array_size(tools); i++)
        if (strcmp(argv[1], tools[i].name) == 0)
            return run(&tools[i], argc - 1, argv + 1);
    return tool_refuse(argv[1], "no such command (try: orrery-trace --help)");
}
