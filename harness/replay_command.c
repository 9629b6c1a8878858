/* SPDX-License-Identifier: BSD-2-Clause */
/* The command replay: prints the differences and the exits before the first, or that there are none. With --json FILE one object is written; stable:
 *   end          "same", "different", "incomplete": the machine ended before the trace did
 *   mode         "vmm", "kernel-only", "load"
 *   vendor       of the model, "vmx" or "svm"
 *   exits        recorded; seen: how many of them the machine made; passed: how many it makes no exit of
 *   differences  how many; first: those printed, at most DIFFERENCES_MAX, each {"exit", "vcpu", "where", "field", "recorded", "got", "text"}
 *   message      how the machine ended */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "replay/answer.h"
#include "replay/replay.h"
#include "runner.h"
#include "trace/details.h"
#include "unicorn_engine.h"

#define DIFFERENCES_MAX 64u
#define EXITS_BEFORE    8u

struct command {
    const struct options *options;
    struct trace trace;
    struct course course;
    struct replay replay;
    struct runner runner;
    u64 seen, passed, differences;
    char message[320];           /* how the machine ended */
    u32 count;                   /* of the following */
    struct {
        struct difference d;
        u32 exit, vcpu;
    } first[DIFFERENCES_MAX];
};

/* ---- What is printed of an exit ---- */

/* The exits of this vCPU up to that one. */
static void print_before(const struct course *c, u32 exit, u32 vcpu)
{
    struct course_cursor k;
    course_begin(&k, c, vcpu);
    for (u32 n = 0; n <= exit && course_exit(&k); n++) {
        if (n + EXITS_BEFORE > exit) {
            printf("  exit %u vcpu %u: ", n, vcpu);
            details_write(stdout, &k.words);
            printf(", rip 0x%lx\n", k.words.word[TRACE_WORD_rip]);
        }
        (void)course_entry(&k);
    }
}

static void on_difference(void *arg, const struct difference *d, u32 exit, u32 vcpu)
{
    struct command *const c = arg;
    char text[200];
    if (c->count == DIFFERENCES_MAX)
        return;
    c->first[c->count].d = *d;
    c->first[c->count].exit = exit;
    c->first[c->count++].vcpu = vcpu;
    difference_print(d, exit, vcpu, text, sizeof(text));
    printf("%s\n", text);
    if (c->count == 1)
        print_before(&c->course, exit, vcpu);
}

/* ---- The end ---- */

static const char *verdict(const struct command *c)
{
    return c->differences ? "different" : c->seen + c->passed < c->course.exits ? "incomplete" : "same";
}

static bool json(const struct command *c)
{
    const struct options *const o = c->options;
    FILE *const f = fopen(o->json, "w");
    char text[200];
    if (!f) {
        fprintf(stderr, "orrery-unicorn: %s: %s\n", o->json, strerror(errno));
        return false;
    }
    fprintf(f, "{\"end\": \"%s\", \"mode\": \"%s\", \"vendor\": \"%s\", \"exits\": %lu, \"seen\": %lu, \"passed\": %lu, \"differences\": %lu, \"first\": [",
            verdict(c), o->load ? "load" : o->kernel_only ? "kernel-only" : "vmm", o->vendor == SIM_VMX ? "vmx" : "svm", c->course.exits, c->seen,
            c->passed, c->differences);
    for (u32 i = 0; i < c->count; i++) {
        const struct difference *const d = &c->first[i].d;
        difference_print(d, c->first[i].exit, c->first[i].vcpu, text, sizeof(text));
        fprintf(f, "%s{\"exit\": %u, \"vcpu\": %u, \"where\": \"%s\", \"field\": \"%s\", \"recorded\": \"0x%lx\", \"got\": \"0x%lx\", \"text\": ",
                i ? ", " : "", c->first[i].exit, c->first[i].vcpu, d->where, d->field, d->recorded, d->got);
        runner_json_string(f, text);
        fputc('}', f);
    }
    fprintf(f, "], \"message\": ");
    runner_json_string(f, c->message);
    fprintf(f, "}\n");
    return fclose(f) == 0;
}

/* Exit status. */
static int judge(const struct command *c)
{
    if (c->options->json && !json(c))
        return 2;
    if (c->differences && (c->options->go_on || c->differences > 1))
        printf("replay: %lu difference%s in %lu exits\n", c->differences, c->differences == 1 ? "" : "s", c->seen);
    if (c->differences)
        return 1;
    if (c->seen + c->passed < c->course.exits) {
        printf("replay: the machine ended (%s) after %lu of %lu exits\n", c->message, c->seen + c->passed, c->course.exits);
        return 1;
    }
    if (c->passed)
        printf("replay: %lu exits passed over: none on this model\n", c->passed);
    printf("replay: %lu exits, %s\n", c->seen, c->options->load ? "nothing compared" : "no difference");
    return 0;
}

/* ---- Without the VMM ---- */

static int without_vmm(struct command *c)
{
    const struct options *const o = c->options;
    const struct answer_options options = {.vendor = o->vendor, .mode = o->load ? ANSWER_LOAD : o->go_on ? ANSWER_CONTINUE : ANSWER_STRICT,
                                           .differs = on_difference, .arg = c};
    struct answer_result result;
    answer_run(&c->course, &options, &result);
    c->seen = result.exits;
    c->passed = result.skipped;
    c->differences = result.differences;
    snprintf(c->message, sizeof(c->message), "%s%s%s", runner_end_name(result.machine), *result.message ? ": " : "", result.message);
    return judge(c);
}

/* ---- With it ---- */

static bool on_packet(void *arg, const void *bytes, u32 count)
{
    return replay_packet(&((struct command *)arg)->replay, bytes, count);
}

static void on_made(void *arg, struct sim *machine)
{
    ((struct command *)arg)->replay.sim = machine;
}

static int run(struct command *c, struct engine *user)
{
    const struct replay_options o = {.vendor = c->options->vendor, .go_on = c->options->go_on, .differs = on_difference, .arg = c};
    struct sim_result result;
    char message[256];
    replay_open(&c->replay, &c->course, &o, user);
    c->runner.config.user = c->replay.user;
    c->runner.config.guest = &c->replay.engine;
    c->runner.config.trace = MACH_TRACE_LIVE;
    c->runner.packet = on_packet;
    c->runner.made = on_made;
    c->runner.packet_arg = c;
    if (!runner_run(&c->runner, &result, message))
        return 2;
    c->seen = c->replay.exits;
    c->passed = c->replay.passed;
    c->differences = c->replay.differences;
    snprintf(c->message, sizeof(c->message), "%s%s%s", runner_end_name(result.end), *message ? ": " : "", message);
    return judge(c);
}

static int with_engine(struct command *c)
{
    const char *why;
    struct engine *const user = unicorn_engine_create(&why);
    if (!user) {
        fprintf(stderr, "orrery-unicorn: %s\n", why);
        return 2;
    }
    const int status = run(c, user);
    user->destroy(user);
    return status;
}

static int with_vmm(struct command *c)
{
    const struct trace *const t = &c->trace;
    const char *const why = replay_refuses(&c->course);
    if (why) {
        const struct trace_item *const last = t->count ? &t->event[t->count - 1] : NULL;
        fprintf(stderr, "orrery-unicorn: %s: last event at offset 0x%lx: cannot be replayed with its VMM: %s (--kernel-only and --load can)\n",
                last ? t->source[last->file].name : c->options->recording, last ? last->offset : 0, why);
        return 2;
    }
    if (!runner_open(&c->runner, c->options))
        return 2;
    const int status = with_engine(c);
    runner_close(&c->runner);
    return status;
}

int command_replay(const struct options *o)
{
    struct command *const c = calloc(1, sizeof(*c));
    int status = 2;
    if (!c || o->vendor == SIM_NONE) {
        fprintf(stderr, "orrery-unicorn: %s\n", c ? "replay needs --vendor vmx or svm" : "no memory");
        free(c);
        return 2;
    }
    c->options = o;
    if (trace_open(o->recording, &c->trace)) {
        if (trace_status(&c->trace) == 0 && course_open(&c->course, &c->trace)) {
            status = o->kernel_only || o->load ? without_vmm(c) : with_vmm(c);
            course_close(&c->course);
        } else if (c->course.why) {
            fprintf(stderr, "orrery-unicorn: %s: event %lu: %s\n", o->recording, c->course.event, c->course.why);
        }
        trace_close(&c->trace);
    }
    free(c);
    return status;
}
