/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_DEFAULT 1000000000000ul

static const char usage[] =
        "usage: orrery-unicorn run BUNDLE [options]\n"
        "       orrery-unicorn replay BUNDLE TRACE [options]   kernel and VMM run, the guest is a trace, file or folder\n"
        "       orrery-unicorn replay --kernel-only|--load TRACE [options]   no VMM: its recorded answers are given\n"
        "       orrery-unicorn selftest     does the linked library do what the engine was built for?\n"
        "  --vendor vmx|svm|none   virtualization of the machine (vmx)\n"
        "  --cpus N                CPUs, 1 to 64 (1)\n"
        "  --memory MB             RAM, 16 to 65536 (256)\n"
        "  --seed S                choices: 0 straight, else random by seed (0)\n"
        "  --steps MAX             end after so many machine steps\n"
        "  --kernel TEXT           command line of the kernel\n"
        "  --json FILE             write what happened; of a replay: what harness/replay_command.c says\n"
        "  --continue              replay: report every difference, not only the first\n"
        "  --kernel-only           replay: without the VMM; also what lacks its beginning, its end or the VMM's reads\n"
        "  --load                  replay: without the VMM, and nothing is compared\n"
        "  --trace FILE            write the trace of VM exits\n"
        "  --counts FILE           write a line for each RDTSC in user mode: what the kernel had done by then (sim_counts.h); no trace\n"
        "  --escape                print unprintable console bytes as \\xNN\n"
        "  --interactive           flush the console byte by byte\n"
        "example: orrery-unicorn run build/bundle/guest-hello.bundle --vendor svm --json result.json\n";

static bool refuse(const char *what, const char *value)
{
    fprintf(stderr, "orrery-unicorn: %s%s%s\n", what, value ? ": " : "", value ? value : "");
    return false;
}

static bool number(const char *text, u64 low, u64 high, u64 *value)
{
    char *end;
    errno = 0;
    *value = strtoul(text, &end, 0);
    return !errno && *text && *text != '-' && !*end && *value >= low && *value <= high;
}

static bool vendor(const char *text, struct options *o)
{
    static const char *const name[] = {[SIM_NONE] = "none", [SIM_VMX] = "vmx", [SIM_SVM] = "svm"};
    for (u32 i = 0; i < array_size(name); i++) {
        if (strcmp(text, name[i]) == 0) {
            o->vendor = (enum sim_vendor)i;
            return true;
        }
    }
    return refuse("--vendor takes vmx, svm or none, not", text);
}

/* An option with a value. */
static bool valued(const char *name, const char *value, struct options *o)
{
    u64 n;
    if (!value)
        return refuse("a value is missing after", name);
    if (strcmp(name, "--vendor") == 0)
        return vendor(value, o);
    if (strcmp(name, "--kernel") == 0) {
        o->kernel = value;
        return strlen(value) < SIM_LINE || refuse("--kernel takes a command line of less than 1024 bytes, not", value);
    }
    if (strcmp(name, "--json") == 0) {
        o->json = value;
        return true;
    }
    if (strcmp(name, "--trace") == 0) {
        o->trace = value;
        return true;
    }
    if (strcmp(name, "--counts") == 0) {
        o->counts = value;
        return true;
    }
    if (strcmp(name, "--cpus") == 0) {
        const bool good = number(value, 1, 64, &n);
        o->cpus = (u32)n;
        return good || refuse("--cpus takes 1 to 64, not", value);
    }
    if (strcmp(name, "--memory") == 0) {
        const bool good = number(value, 16, 65536, &n);
        o->memory_bytes = n << 20;
        return good || refuse("--memory takes 16 to 65536 MB, not", value);
    }
    if (strcmp(name, "--seed") == 0)
        return number(value, 0, ~0ul, &o->seed) || refuse("--seed takes a number, not", value);
    if (strcmp(name, "--steps") == 0)
        return number(value, 1, ~0ul, &o->steps) || refuse("--steps takes a number from 1, not", value);
    return refuse("unknown option", name);
}

static bool positional(const char *text, struct options *o)
{
    if (o->command == RUNNER_REPLAY && o->bundle && !o->recording)
        o->recording = text;
    else if (!o->bundle)
        o->bundle = text;
    else
        return refuse("one argument too many", text);
    return true;
}

static bool flag(const char *name, struct options *o)
{
    bool *const flags[] = {&o->escape, &o->interactive, &o->go_on, &o->kernel_only, &o->load};
    static const char *const names[] = {"--escape", "--interactive", "--continue", "--kernel-only", "--load"};
    for (u32 i = 0; i < array_size(names); i++)
        if (strcmp(name, names[i]) == 0)
            return *flags[i] = true;
    return false;
}

/* Without a VMM there is no bundle. */
static bool complete(struct options *o)
{
    if (o->command == RUNNER_REPLAY && (o->kernel_only || o->load)) {
        if (o->recording)
            return refuse("without the VMM replay takes no bundle, only the trace", NULL);
        o->recording = o->bundle;
        o->bundle = NULL;
        return o->recording || refuse("replay needs a trace", NULL);
    }
    if (!o->bundle || (o->command == RUNNER_REPLAY && !o->recording))
        return refuse(o->bundle ? "replay needs a trace" : "a bundle file is missing", NULL);
    return true;
}

bool options_parse(int count, char **argument, struct options *o)
{
    *o = (struct options){.vendor = SIM_VMX, .cpus = 1, .memory_bytes = 256ul << 20, .steps = STEPS_DEFAULT};
    if (count > 1 && (strcmp(argument[1], "--help") == 0 || strcmp(argument[1], "help") == 0)) {
        fputs(usage, stdout);
        exit(0);
    }
    if (count == 2 && strcmp(argument[1], "selftest") == 0) {
        o->command = RUNNER_SELFTEST;
        return true;
    }
    if (count < 2 || (strcmp(argument[1], "run") != 0 && strcmp(argument[1], "replay") != 0))
        return refuse("the first argument is run, replay or selftest; --help shows all", NULL);
    o->command = strcmp(argument[1], "run") == 0 ? RUNNER_RUN : RUNNER_REPLAY;
    for (int i = 2; i < count; i++) {
        if (flag(argument[i], o))
            continue;
        if (argument[i][0] != '-' && !positional(argument[i], o))
            return false;
        if (argument[i][0] == '-' && !valued(argument[i], i + 1 < count ? argument[i + 1] : NULL, o))
            return false;
        if (argument[i][0] == '-')
            i++;
    }
    return complete(o);
}
