/* SPDX-License-Identifier: BSD-2-Clause */
/* The arguments of a subcommand; and the one line of a bad one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/tools.h"

int tool_refuse(const char *what, const char *why)
{
    fprintf(stderr, "orrery: %s: %s\n", what, why);
    return 2;
}

static bool refuse(const char *what, const char *why)
{
    (void)tool_refuse(what, why);
    return false;
}

static bool number(const char *name, const char *text, u64 *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 0);
    return (*text >= '0' && *text <= '9' && !*end && !errno) || refuse(name, "a number from 0 to 2^64 - 1 must follow");
}

static bool take(const struct tool_option *o, const char *value)
{
    if (o->number)
        return number(o->name, value, o->number);
    if (o->text)
        *o->text = value;
    else if (o->list->count == TOOL_LIST_MAX)
        return refuse(o->name, "too many of these");
    else
        o->list->item[o->list->count++] = value;
    return true;
}

bool tool_arguments(int argc, char **argv, const struct tool_option *option, const char **place, u32 places)
{
    u32 have = 0;
    for (int i = 1; i < argc; i++) {
        const struct tool_option *o = option;
        while (o->name && strcmp(o->name, argv[i]) != 0)
            o++;
        if (!o->name && argv[i][0] == '-')
            return refuse(argv[i], "no such option (try: --help)");
        if (!o->name && have == places)
            return refuse(argv[i], "one argument too many (try: --help)");
        if (!o->name)
            place[have++] = argv[i];
        else if (o->flag)
            *o->flag = true;
        else if (i + 1 == argc)
            return refuse(o->name, "its value is missing");
        else if (!take(o, argv[++i]))
            return false;
    }
    return have == places || refuse(argv[0], "an argument is missing (try: --help)");
}
