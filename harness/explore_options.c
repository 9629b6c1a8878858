/* SPDX-License-Identifier: BSD-2-Clause */
/* One row per option: which verbs take it, and how its value is read. */
#include "explore_options.h"
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
        "usage: orrery-explore list [--json]              the tests linked in\n"
        "       orrery-explore run TEST [options]         explore one\n"
        "       orrery-explore replay FILE [options]      make the run of a schedule file again\n"
        "       orrery-explore minimise FILE -o FILE      the shortest schedule that fails in the same way\n"
        "       orrery-explore selftest [--json]          does the explorer find what is known to be there?\n"
        "run:\n"
        "  --strategy NAME       straight, random, pct, bounded, dpor, bytes (bounded)\n"
        "  --preemptions P, --delays D, --faults F       the bound (the test's own)\n"
        "  --model sc|tso        store buffers or not (the test's own)\n"
        "  --runs N              at most so many runs (the strategy's own)\n"
        "  --first N, --seed S   random, pct: index of the first run (0), seed (1)\n"
        "  --depth D             pct: changes of priority and one (3)\n"
        "  --input FILE          bytes: one run whose answers are the bytes of this file\n"
        "  --prefix A,B,...      bounded, dpor: only runs that begin with these answers\n"
        "  --split N             bounded, dpor: print prefixes of N answers that together cover the search, and end\n"
        "  -o FILE, --raw        write the schedule of a finding, minimised unless raw\n"
        "  --unreduced           bounded: equal runs, too: must find the same orders\n"
        "  --progress            a line on stderr twice a second\n"
        "replay:\n"
        "  --mode MODE           strict (same binary, same run), tolerant (the code has changed since), continue (its neighbours)\n"
        "  --runs N, --seed S    continue: so many neighbours (1000), chosen by this seed (1)\n"
        "  --stop-at STEP        call world_stop_here() at this step, where a debugger has its breakpoint\n"
        "run, replay:\n"
        "  --events FILE         write the events of a finding, for the report\n"
        "  --json                one line of JSON instead of text\n"
        "example: orrery-explore run message --preemptions 2 --delays 2 -o message.schedule\n";

static bool refuse(const char *option, const char *value, const char *wants)
{
    fprintf(stderr, "orrery-explore: --%s: '%s': %s\n", option, value, wants);
    return false;
}

static const struct strategy *const strategies[] = { &strategy_straight, &strategy_random, &strategy_pct, &strategy_bounded, &strategy_dpor, &strategy_bytes };

static bool take_strategy(struct command *c, const char *value)
{
    for (u32 i = 0; i < array_size(strategies); i++) {
        if (strcmp(strategies[i]->name, value) == 0) {
            c->strategy = strategies[i];
            return true;
        }
    }
    return refuse("strategy", value, "takes straight, random, pct, bounded or dpor");
}

static bool take_model(struct command *c, const char *value)
{
    if (strcmp(value, "sc") != 0 && strcmp(value, "tso") != 0)
        return refuse("model", value, "takes sc or tso");
    c->model = value;
    return true;
}

static bool take_mode(struct command *c, const char *value)
{
    static const char *const name[] = { [REPLAY_STRICT] = "strict", [REPLAY_TOLERANT] = "tolerant", [REPLAY_CONTINUE] = "continue" };
    for (u32 i = 0; i < array_size(name); i++) {
        if (strcmp(name[i], value) == 0) {
            c->mode = (enum replay_mode)i;
            return true;
        }
    }
    return refuse("mode", value, "takes strict, tolerant or continue");
}

static bool take_prefix(struct command *c, const char *value)
{
    const u64 room = strlen(value) / 2 + 1;   /* a digit and a comma each */
    u32 *answer = calloc(room, sizeof(*answer)), count = 0;
    free((u32 *)c->explore.prefix);
    c->explore.prefix = answer;
    c->explore.prefix_count = 0;
    for (const char *at = value; answer && *at;) {
        char *end;
        const u64 n = strtoul(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || n >= CHOICE_CUT || (*end != ',' && *end) || (*end == ',' && !end[1]))
            return refuse("prefix", value, "takes numbers with commas between them");
        answer[count++] = (u32)n;
        at = end + (*end == ',');
    }
    c->explore.prefix_count = count;
    return answer != NULL;
}

#define INPUT_MAX (1u << 20)

static bool take_input(struct command *c, const char *value)
{
    FILE *file = fopen(value, "rb");
    u8 *bytes = malloc(INPUT_MAX + 1);
    const size_t count = file && bytes ? fread(bytes, 1, INPUT_MAX + 1, file) : 0;
    const bool good = file && bytes && !ferror(file) && count <= INPUT_MAX;
    if (file)
        fclose(file);
    free((u8 *)c->explore.input);
    c->explore.input = bytes;
    c->explore.input_bytes = count;
    return good || refuse("input", value, count > INPUT_MAX ? "is longer than 1 MiB" : "cannot be read");
}

struct row {
    const char *name;
    u32 verbs;
    bool flag;                                                /* takes no value */
    bool (*take)(struct command *c, const char *value);       /* else into the field at offset: */
    u32 offset, bytes;
    u64 low, high;
};

#define FIELD(f) offsetof(struct command, f), sizeof(((struct command *)0)->f)
static const struct row rows[] = {
    { .name = "strategy", .verbs = VERB_RUN, .take = take_strategy },
    { .name = "model", .verbs = VERB_RUN, .take = take_model },
    { .name = "prefix", .verbs = VERB_RUN, .take = take_prefix },
    { .name = "input", .verbs = VERB_RUN, .take = take_input },
    { .name = "mode", .verbs = VERB_REPLAY, .take = take_mode },
    { "preemptions", VERB_RUN, false, NULL, FIELD(explore.bound.preemptions), 0, 255 },
    { "delays", VERB_RUN, false, NULL, FIELD(explore.bound.delays), 0, 255 },
    { "faults", VERB_RUN, false, NULL, FIELD(explore.bound.faults), 0, 255 },
    { "runs", VERB_RUN | VERB_REPLAY, false, NULL, FIELD(explore.runs), 1, ~0ul },
    { "first", VERB_RUN, false, NULL, FIELD(explore.first), 0, ~0ul },
    { "seed", VERB_RUN | VERB_REPLAY, false, NULL, FIELD(explore.seed), 0, ~0ul },
    { "depth", VERB_RUN, false, NULL, FIELD(explore.depth), 1, 9 },
    { "split", VERB_RUN, false, NULL, FIELD(split), 1, SPLIT_MAX },
    { "stop-at", VERB_REPLAY, false, NULL, FIELD(stop_at), 0, STOP_NEVER - 1 },
    { "output", VERB_RUN | VERB_MINIMISE, false, NULL, FIELD(output), 0, 0 },
    { "events", VERB_RUN | VERB_REPLAY, false, NULL, FIELD(events), 0, 0 },
    { "raw", VERB_RUN, true, NULL, FIELD(raw), 0, 0 },
    { "unreduced", VERB_RUN, true, NULL, FIELD(explore.unreduced), 0, 0 },
    { "progress", VERB_RUN, true, NULL, FIELD(progress), 0, 0 },
    { "json", VERB_LIST | VERB_RUN | VERB_REPLAY | VERB_SELFTEST, true, NULL, FIELD(json), 0, 0 },
};

static bool row_take(const struct row *r, struct command *c, const char *value)
{
    u8 *field = (u8 *)c + r->offset;
    if (r->take)
        return r->take(c, value);
    if (r->flag) {
        *field = true;
        return true;
    }
    if (!r->high) {
        memcpy(field, &value, sizeof(value));
        return true;
    }
    char wants[80], *end;
    errno = 0;
    const u64 n = strtoul(value, &end, 0);
    if (errno || *value < '0' || *value > '9' || *end || n < r->low || n > r->high) {
        snprintf(wants, sizeof(wants), "takes a number from %lu to %lu", r->low, r->high);
        return refuse(r->name, value, wants);
    }
    memcpy(field, &n, r->bytes);   /* little endian */
    return true;
}

static bool options_read(struct command *c, int count, char **argument)
{
    struct option table[array_size(rows) + 1] = { 0 };
    for (u32 i = 0; i < array_size(rows); i++)
        table[i] = (struct option){ rows[i].name, rows[i].flag ? no_argument : required_argument, NULL, 256 + (int)i };
    opterr = 0;
    optind = 1;
    for (int got; (got = getopt_long(count, argument, ":o:", table, NULL)) != -1;) {
        const char *given = argument[optind - 1];
        if (got == 'o')
            for (got = 256; strcmp(rows[got - 256].name, "output") != 0; got++)
                ;
        if (got == ':' || got == '?') {
            fprintf(stderr, "orrery-explore: %s: %s\n", given, got == ':' ? "a value is missing" : "unknown option; --help shows all");
            return false;
        }
        const struct row *r = &rows[got - 256];
        if (!(r->verbs & c->verb)) {
            fprintf(stderr, "orrery-explore: --%s is no option of %s\n", r->name, argument[0]);
            return false;
        }
        if (!row_take(r, c, optarg))
            return false;
    }
    return true;
}

static bool wrong(const char *what, const char *value)
{
    fprintf(stderr, "orrery-explore: %s%s%s\n", what, value ? ": " : "", value ? value : "");
    return false;
}

struct explore_bound command_bound(const struct world_test *t)
{
    const bool bare = !t->preemptions && !t->delays && !t->faults;
    return bare ? (struct explore_bound){ 2, 2, 0 } : (struct explore_bound){ t->preemptions, t->delays, t->faults };
}

/* What a run's options say together. */
static bool run_settle(struct command *c, const char *name)
{
    struct explore_bound *b = &c->explore.bound;
    c->test = world_find(name);
    if (!c->test)
        return wrong("no such test (orrery-explore list names them)", name);
    const struct explore_bound own = command_bound(c->test);
    b->preemptions = b->preemptions == ~0u ? own.preemptions : b->preemptions;
    b->delays = b->delays == ~0u ? own.delays : b->delays;
    b->faults = b->faults == ~0u ? own.faults : b->faults;
    c->explore.sc = c->model ? strcmp(c->model, "sc") == 0 : c->test->sc;
    c->explore.strategy = c->strategy->name;
    if (c->explore.prefix_count && !c->strategy->searches)
        return wrong("--prefix: not with this strategy", c->strategy->name);
    if ((c->explore.input != NULL) != (c->strategy == &strategy_bytes))
        return wrong("--input FILE goes with --strategy bytes, and that with it", NULL);
    if (c->split && !c->strategy->split)
        return wrong("--split: not with this strategy", c->strategy->name);
    if (c->raw && !c->output)
        return wrong("--raw needs -o FILE", NULL);
    return true;
}

static bool verb_find(struct command *c, const char *name)
{
    static const char *const verb[] = { "list", "run", "replay", "minimise", "selftest" };
    for (u32 i = 0; i < array_size(verb); i++) {
        if (strcmp(verb[i], name) == 0) {
            c->verb = (enum explore_verb)(1u << i);
            return true;
        }
    }
    return wrong("the first argument is list, run, replay, minimise or selftest, not", name);
}

bool command_parse(struct command *c, int count, char **argument)
{
    *c = (struct command){ .strategy = &strategy_bounded, .stop_at = STOP_NEVER, .explore = { .bound = { ~0u, ~0u, ~0u }, .seed = 1 },
                           .arguments = count, .argument = argument };
    for (int i = 1; i < count; i++) {
        if (strcmp(argument[i], "--help") == 0 || (i == 1 && strcmp(argument[i], "help") == 0)) {
            fputs(usage, stdout);
            exit(0);
        }
    }
    if (count < 2)
        return wrong("the first argument is list, run, replay, minimise or selftest; --help shows all", NULL);
    if (!verb_find(c, argument[1]) || !options_read(c, count - 1, argument + 1))
        return false;
    char **const left = argument + 1 + optind;   /* getopt puts what is no option last */
    const int lefts = count - 1 - optind, wanted = c->verb & (VERB_LIST | VERB_SELFTEST) ? 0 : 1;
    if (lefts > wanted)
        return wrong("one argument too many", left[wanted]);
    if (lefts < wanted)
        return wrong(c->verb == VERB_RUN ? "run: the name of a test is missing" : "the schedule file is missing", NULL);
    if (c->verb == VERB_MINIMISE && !c->output)
        return wrong("minimise: -o FILE is missing", NULL);
    c->schedule = left[0];
    return c->verb != VERB_RUN || run_settle(c, left[0]);
}

void command_free(struct command *c)
{
    free((u32 *)c->explore.prefix);
    free((u8 *)c->explore.input);
}

const char *model_name(bool sc)
{
    return sc ? "sc" : "tso";
}
