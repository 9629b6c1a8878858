/* SPDX-License-Identifier: BSD-2-Clause */
/* See minimise.h. First chunks of decisions are left out, then smaller ones, down to one (delta debugging, Zeller and Hildebrandt 2002); then each
 * is tried at later places. What a run has really done replaces what was asked of it, so the list always is of a run that fails.
 * Bounded: after RUNS_MAX runs what has been reached is taken. */
#include "minimise.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX     20000u
#define TOLERANT_MAX 32u     /* decisions up to which one that does not come up is moved, at the price of a run */
#define PLACES_MAX   64u     /* tried per decision */

struct list {
    struct decision *at;
    u32 count;
};

struct minimiser {
    struct replay *r;
    const struct schedule *goal;
    struct list best, attempt;   /* room for as many decisions as the schedule had */
    u32 room;
    u64 runs_end;
};

/* Numbers in messages (addresses, CPUs, values) may differ. */
static bool message_same(const char *a, const char *b)
{
    while (*a || *b) {
        if (isdigit((u8)*a) && isdigit((u8)*b)) {   /* hexadecimal ones begin with 0x */
            while (isalnum((u8)*a))
                a++;
            while (isalnum((u8)*b))
                b++;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return true;
}

bool failure_same(const struct explore *x, const struct schedule *s)
{
    const struct explore_outcome *o = &x->outcome;
    const u64 rule = o->rule ? strlen(o->rule) : 0;   /* its name begins the message: "[NAME] ..." */
    const bool same_rule = rule && s->message[0] == '[' && strncmp(o->rule, s->message + 1, rule) == 0 && s->message[1 + rule] == ']';
    return o->end == s->end && (same_rule || message_same(o->message, s->message));
}

static bool decisions_set(struct schedule *s, const struct decision *d, u32 count)
{
    struct decision *copy = realloc(s->decision, (count + 1ul) * sizeof(*copy));
    if (!copy)
        return false;
    memcpy(copy, d, count * sizeof(*copy));
    s->decision = copy;
    s->count = count;
    return true;
}

/* Does this list fail, too? Then it is the best, as the run has made it. */
static bool try(struct minimiser *m)
{
    struct replay *r = m->r;
    if (r->x->stats.runs >= m->runs_end || !replay_want(r, m->attempt.at, m->attempt.count))
        return false;
    const bool failed = m->attempt.count <= TOLERANT_MAX ? replay_tolerant(r) : replay_exact(r);
    if (!failed || r->full || !failure_same(r->x, m->goal) || r->made.count > m->best.count)
        return false;
    memcpy(m->best.at, r->made.decision, r->made.count * sizeof(*m->best.at));
    m->best.count = r->made.count;
    return true;
}

static void attempt_without(struct minimiser *m, u32 at, u32 count)
{
    const u32 after = m->best.count - at - count;
    memcpy(m->attempt.at, m->best.at, at * sizeof(*m->best.at));
    memcpy(m->attempt.at + at, m->best.at + at + count, after * sizeof(*m->best.at));
    m->attempt.count = at + after;
}

static void reduce(struct minimiser *m)
{
    for (u32 chunk = m->best.count; chunk;) {
        bool fewer = false;
        for (u32 at = 0; at < m->best.count;) {
            attempt_without(m, at, min(chunk, m->best.count - at));
            const u32 before = m->best.count;
            if (try(m) && m->best.count < before)
                fewer = true;
            else
                at += chunk;
        }
        chunk = chunk == 1 && fewer ? 1 : chunk / 2;
    }
}

static bool place_fits(const struct replay_question *q, const struct decision *d)
{
    if (q->kind != d->kind || q->agent != d->at.agent || q->step <= d->step)
        return false;
    const u64 set = d->value >= SIM_FLUSHER ? q->flushers : q->cpus;
    return d->kind == CHOICE_STEP ? set & bit(d->value % SIM_FLUSHER) : d->value < q->bound;
}

/* The latest place at which this decision still makes the run fail. Places are what comes up without it. */
static void postpone(struct minimiser *m, u32 index)
{
    const struct decision d = m->best.at[index];
    struct decision place[PLACES_MAX];
    u32 places = 0;
    struct replay *r = m->r;
    attempt_without(m, index, 1);
    if (!replay_want(r, m->attempt.at, m->attempt.count))
        return;
    (void)replay_exact(r);
    for (u32 i = r->seen_count; i-- > 0 && places < PLACES_MAX;) {
        if (!place_fits(&r->seen[i], &d))
            continue;
        place[places] = d;
        place[places].at = r->seen[i].at;
        place[places++].step = r->seen[i].step;
    }
    for (u32 i = 0; i < places; i++) {
        attempt_without(m, 0, 0);
        m->attempt.at[index] = place[i];
        if (try(m))
            return;
    }
}

/* The last decision without which the run ends well. */
static void mark_critical(struct minimiser *m)
{
    for (u32 i = m->best.count; i-- > 0;) {
        attempt_without(m, i, 1);
        if (!replay_want(m->r, m->attempt.at, m->attempt.count) || replay_exact(m->r))
            continue;
        m->best.at[i].critical = true;
        return;
    }
}

static bool minimiser_open(struct minimiser *m, struct replay *r, const struct schedule *s)
{
    *m = (struct minimiser){ .r = r, .goal = s, .runs_end = r->x->stats.runs + RUNS_MAX };
    m->best.at = calloc(s->count + 1ul, sizeof(*m->best.at));
    m->attempt.at = calloc(s->count + 1ul, sizeof(*m->attempt.at));
    m->best.count = m->attempt.count = s->count;
    for (u32 i = 0; m->best.at && m->attempt.at && i < s->count; i++) {
        m->attempt.at[i] = s->decision[i];
        m->attempt.at[i].critical = false;
    }
    return m->best.at && m->attempt.at;
}

static bool minimiser_run(struct minimiser *m)
{
    if (!try(m)) {
        m->r->x->trouble = "the schedule does not fail as its verdict says";
        return false;
    }
    u32 before;
    do {
        before = m->best.count;
        reduce(m);
        for (u32 i = m->best.count; i-- > 0;)
            if (i < m->best.count)
                postpone(m, i);
    } while (m->best.count < before);
    mark_critical(m);
    return true;
}

/* What the file will say, proved by making that run. */
static bool schedule_seal(struct replay *r, struct schedule *s)
{
    struct explore *x = r->x;
    if (!replay_want(r, s->decision, s->count))
        return false;
    const bool failed = replay_strict(r);
    if (!failed || r->astray || !failure_same(x, s)) {
        x->trouble = "nondeterministic: the run's decisions do not make it again";
        return false;
    }
    s->hash = x->outcome.hash;
    snprintf(s->message, sizeof(s->message), "%s", x->outcome.message);
    return true;
}

bool minimise(struct replay *r, struct schedule *s)
{
    struct minimiser m;
    const bool good = minimiser_open(&m, r, s) && minimiser_run(&m) && decisions_set(s, m.best.at, m.best.count);
    free(m.best.at);
    free(m.attempt.at);
    return good && schedule_seal(r, s);
}

/* Who made each step of the last run: an event's step counts from 1. */
static u8 *steppers(const struct explore *x)
{
    u32 count;
    const struct sim_event *e = sim_events(world_machine(x->world), &count);
    const struct explore_outcome *o = &x->outcome;
    u8 *who = malloc(o->steps + 1ul);
    if (!who)
        return NULL;
    memset(who, NOBODY, o->steps + 1ul);
    for (u32 i = 0; i < o->answers; i++)
        if (o->answer[i].kind == CHOICE_STEP && o->answer[i].step <= o->steps)
            who[o->answer[i].step] = o->answer[i].agent;
    for (u32 i = 0; i < count; i++)
        if (e[i].step && e[i].step <= o->steps)
            who[e[i].step - 1] = e[i].agent;
    return who;
}

/* A run of another rule for who wakes when is made again under the usual one: a schedule file knows no other. */
static bool remake(struct replay *r, const struct explore_answer *answer, u32 count, bool await_last)
{
    struct explore *x = r->x;
    const u64 hash = x->outcome.hash;
    if (!replay_answers(r, answer, count, await_last) || r->astray || x->outcome.hash != hash)
        return false;
    if (!await_last)
        return true;
    u8 *who = steppers(x);
    const bool failed = who && replay_steps(r, who, x->outcome.steps, answer, count) && !r->astray;
    free(who);
    return failed;
}

bool schedule_of(struct replay *r, struct schedule *s)
{
    struct explore *x = r->x;
    const struct explore_outcome was = x->outcome;
    struct explore_answer *answer = malloc((was.answers + 1ul) * sizeof(*answer));
    *s = (struct schedule){ .mutant = "-", .sc = x->options.sc, .vendor = x->test->vendor, .seed = x->options.seed, .end = was.end, .hash = was.hash };
    name_clean(s->test, x->test->name, sizeof(s->test));
    snprintf(s->message, sizeof(s->message), "%s", was.message);
    if (!answer)
        return false;
    memcpy(answer, was.answer, was.answers * sizeof(*answer));
    const bool same = remake(r, answer, was.answers, was.await_last);
    free(answer);
    if (!same) {
        x->trouble = "nondeterministic: the same answers make another run: something of the test is not put back between runs";
        return false;
    }
    return !r->full && decisions_set(s, r->made.decision, r->made.count) && schedule_seal(r, s);
}
