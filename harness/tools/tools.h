/* SPDX-License-Identifier: BSD-2-Clause */
/* build/orrery-trace: one subcommand per file. A row here is all that a new one needs beside its file.
 * Exit status: 0, 1 where a tool says so (a difference), 2 bad input or usage: one line on stderr. */
#pragma once
#include "trace/reader.h"

/* Row: name, arguments, what it does, example. */
#define TOOL_LIST(X)                                                                                                              \
    X(save, "RAW -o DIR [--env KEY=VALUE]...", "make a folder of the stream a machine wrote", "orrery-trace save trace.raw -o DIR --env scenario=hello") \
    X(check, "TRACE", "is it whole? If not, where does it stop", "orrery-trace check DIR")                                       \
    X(show, "TRACE [--vcpu N] [--from N] [--to N] [--raw | --json]", "one line per exit; --raw: every event; --json: every event as an object", \
      "orrery-trace show DIR --vcpu 0 --from 10 --to 20")                                                                        \
    X(stat, "TRACE [--json]", "what is in it, and where the time went", "orrery-trace stat DIR")                                \
    X(import, "--format iris|kvm FILE -o DIR", "make a trace of what another hypervisor recorded", "orrery-trace import --format kvm report.txt -o DIR") \
    X(diff, "FIRST SECOND [--ignore FIELD]... [--all]", "the first exit of each vCPU in which two traces differ; --all: how often each field does", \
      "orrery-trace diff FIRST SECOND --ignore tsc_offset")                                                                      \
    X(cut, "TRACE [--from N] [--to N] [--vcpu N] [--exits LIST] -o DIR", "a trace of some exits of another; LIST: 3,5,9-12 or, with vCPUs, 0:3,1:5-6", \
      "orrery-trace cut DIR --vcpu 0 --from 10 --to 20 -o SMALL")                                                                \
    X(export, "TRACE --format perfetto -o FILE", "a file for another viewer", "orrery-trace export DIR --format perfetto -o trace.pftrace")

#define TOOL_DECLARE(name, arguments, summary, example) int tool_##name(int argc, char **argv);
TOOL_LIST(TOOL_DECLARE)
#undef TOOL_DECLARE

/* ---- Arguments ---- */

#define TOOL_LIST_MAX 63u
struct tool_list {
    const char *item[TOOL_LIST_MAX];
    u32 count;
};
/* name: as it is typed, "-o"; what follows it goes where the one pointer that is not NULL says. */
struct tool_option {
    const char *name;
    bool *flag;
    const char **text;
    u64 *number;
    struct tool_list *list;
};
/* argv[0] is the subcommand. Fills place[0 .. places), all needed, and options, which end with a name of NULL. False: one line was printed. */
bool tool_arguments(int argc, char **argv, const struct tool_option *option, const char **place, u32 places);
bool tool_holds_trace(const char *folder);            /* save.c: one that must not give way to less than a whole one */
int tool_refuse(const char *what, const char *why);   /* "orrery: WHAT: WHY"; always 2 */
