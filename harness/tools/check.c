/* SPDX-License-Identifier: BSD-2-Clause */
/* check: can it be replayed from beginning to end? */
#include <stdio.h>
#include "tools/tools.h"

static int refuse(const struct trace *t, u16 file, u64 offset, const char *field, const char *why)
{
    fprintf(stderr, "orrery: %s: offset 0x%lx: %s: %s\n", t->source[file].name, offset, field, why);
    return 2;
}

static int judge(const struct trace *t)
{
    const u16 last = t->count ? t->event[t->count - 1].file : 0;
    if (t->fault.why)
        return 2;   /* its line was printed */
    if (!t->has_machine)
        return refuse(t, 0, 0, "machine", "the first event is missing");
    if (!t->ended)
        return refuse(t, last, t->source[last].count, "end", "truncated: the trace stops here without its last event");
    if (t->lost) {
        char why[64];
        snprintf(why, sizeof(why), "%lu events were lost while recording", t->lost);
        return refuse(t, last, t->source[last].count, "discarded", why);
    }
    return 0;
}

int tool_check(int argc, char **argv)
{
    const struct tool_option none[] = { { 0 } };
    const char *path;
    struct trace t;
    if (!tool_arguments(argc, argv, none, &path, 1) || !trace_open(path, &t))
        return 2;
    const int status = judge(&t);
    if (status == 0)
        printf("%s: whole: %lu events, %lu exits of %u vCPUs on %u CPUs\n", path, t.count, t.exits, t.vcpus, t.machine.cpu_count);
    trace_close(&t);
    return status;
}
