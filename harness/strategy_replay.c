/* SPDX-License-Identifier: BSD-2-Clause */
/* See strategy_replay.h. A run is never steered by its past mistakes: what did not come up is moved after the run, and another is made. */
#include "strategy_replay.h"
#include <stdlib.h>
#include <string.h>
#include "choose.h"

#define INDEX_BITS 18u
#define SEEN_MAX   (1u << 20)

u32 world_stops;

__attribute__((noinline)) void world_stop_here(void)
{
    world_stops++;   /* so that no compiler leaves the call out */
}

bool replay_open(struct replay *r, struct explore *x)
{
    *r = (struct replay){ .x = x, .stop_at = ~0u, .symbols = symbols_open(), .index = hashes_new(INDEX_BITS) };
    return anchors_open(&r->anchors, x->world, r->symbols) && r->index && r->symbols;
}

void replay_close(struct replay *r)
{
    anchors_close(&r->anchors);
    symbols_close(r->symbols);
    hashes_free(r->index);
    free(r->want);
    free(r->seen);
    schedule_free(&r->made);
}

bool replay_want(struct replay *r, const struct decision *d, u32 count)
{
    free(r->want);
    r->wants = 0;
    r->want = calloc(count + 1, sizeof(*r->want));
    for (u32 i = 0; r->want && i < count; i++)
        r->want[r->wants++] = (struct replay_want){
            .key = anchor_key(&d[i]), .value = d[i].value, .step = d[i].step, .kind = d[i].kind, .critical = d[i].critical,
        };
    return r->want != NULL;
}

/* Makes room for one more of an array; false: there is none. */
static bool room(struct replay *r, void **array, u32 count, u32 *has, u64 each)
{
    if (count < *has)
        return true;
    const u32 more = *has ? 2 * *has : 256;
    void *bigger = more <= SEEN_MAX ? realloc(*array, more * each) : NULL;
    if (bigger) {
        *array = bigger;
        *has = more;
    }
    r->full |= !bigger;
    return bigger != NULL;
}

/* The answer that lets an agent go on; the bound if it cannot. */
static u32 answer_of(const struct sim_agents *a, u32 agent)
{
    for (u32 i = 0; i < a->count; i++)
        if (a->list[i] == agent)
            return i;
    return a->count;
}

static u32 answer_wanted(struct replay *r, const struct anchor_key *key, u32 bound, enum choice_kind kind)
{
    const u64 *place = hashes_find(r->index, anchor_hash(key), false);
    if (!place || !*place)
        return 0;
    struct replay_want *w = &r->want[*place - 1];
    const u32 answer = kind == CHOICE_STEP ? answer_of(sim_agents(r->anchors.sim), w->value) : w->value;
    w->met = answer < bound && answer > 0 && (!r->strict || w->step == world_steps(r->x->world));
    if (!w->met && r->strict && !r->astray) {
        r->astray = true;
        r->astray_step = w->step;
    }
    r->critical = w->met && w->critical;
    return w->met ? answer : 0;
}

static u32 gone_astray(struct replay *r)
{
    r->astray = true;
    r->astray_step = world_steps(r->x->world);
    return CHOICE_CUT;
}

static u32 answer_listed(struct replay *r, u32 bound, enum choice_kind kind)
{
    const struct explore_answer *a = &r->list[r->list_at];
    if (r->list_at++ < r->list_count && a->bound == bound && a->kind == kind && a->step == world_steps(r->x->world))
        return a->answer;
    return gone_astray(r);
}

/* The same agents step, but more or fewer of them come into question: answers to STEP have other numbers. */
static u32 answer_followed(struct replay *r, u32 bound, enum choice_kind kind)
{
    const u32 step = world_steps(r->x->world);
    while (r->list_at < r->list_count && r->list[r->list_at].kind == CHOICE_STEP)
        r->list_at++;
    if (kind != CHOICE_STEP)
        return answer_listed(r, bound, kind);
    if (step >= r->steps || r->who[step] == NOBODY)
        return 0;
    const u32 answer = answer_of(sim_agents(r->anchors.sim), r->who[step]);
    return answer < bound ? answer : gone_astray(r);
}

static void note_question(struct replay *r, const struct replay_question *q)
{
    if (!room(r, (void **)&r->seen, r->seen_count, &r->seen_room, sizeof(*r->seen)))
        return;
    struct replay_question *n = &r->seen[r->seen_count++];
    *n = *q;
    const struct sim_agents *a = sim_agents(r->anchors.sim);
    for (u32 i = 0; q->kind == CHOICE_STEP && i < a->count; i++)
        *(a->list[i] >= SIM_FLUSHER ? &n->flushers : &n->cpus) |= bit(a->list[i] % SIM_FLUSHER);
}

static void note_made(struct replay *r, const struct replay_question *q, u32 answer)
{
    if (!answer || answer >= q->bound || !room(r, (void **)&r->made.decision, r->made.count, &r->made_room, sizeof(*r->made.decision)))
        return;
    const u32 value = q->kind == CHOICE_STEP ? sim_agents(r->anchors.sim)->list[answer] : answer;
    r->made.decision[r->made.count++] = (struct decision){ .at = q->at, .step = q->step, .value = value, .kind = q->kind, .critical = r->critical };
}

static u32 replay_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct replay *r = container_of(self, struct replay, chooser);
    struct replay_question q = { .key = anchors_here(&r->anchors, kind), .bound = bound, .kind = (u8)kind, .step = world_steps(r->x->world) };
    q.agent = (u8)anchors_agent(&r->anchors, kind);
    q.at = anchors_words(&r->anchors, &q.key, kind);
    if (q.step >= r->stop_at) {
        r->stop_at = ~0u;
        world_stop_here();
    }
    r->critical = false;
    const u32 answer = r->who    ? answer_followed(r, bound, kind)
                       : r->list ? answer_listed(r, bound, kind)
                                 : answer_wanted(r, &q.key, bound, kind);
    note_question(r, &q);
    note_made(r, &q, answer);
    return answer;
}

static bool replay_run(struct replay *r, bool await_last)
{
    anchors_clear(&r->anchors);
    hashes_clear(r->index);
    r->seen_count = r->made.count = r->list_at = 0;
    r->astray = false;
    for (u32 i = 0; i < r->wants; i++) {
        r->want[i].met = false;
        u64 *place = r->want[i].dropped ? NULL : hashes_find(r->index, anchor_hash(&r->want[i].key), true);
        if (place)
            *place = i + 1;
    }
    r->chooser.choose = replay_answer;
    return !(await_last ? explore_run_await_last : explore_run)(r->x, &r->chooser);
}

bool replay_answers(struct replay *r, const struct explore_answer *answer, u32 count, bool await_last)
{
    r->list = answer;
    r->list_count = count;
    const bool failed = replay_run(r, await_last);
    r->list = NULL;
    r->astray |= r->list_at != count;
    return failed;
}

bool replay_steps(struct replay *r, const u8 *who, u32 steps, const struct explore_answer *answer, u32 count)
{
    r->who = who;
    r->steps = steps;
    r->list = answer;
    r->list_count = count;
    const bool failed = replay_run(r, false);
    r->who = NULL;
    r->list = NULL;
    return failed;
}

bool replay_exact(struct replay *r)
{
    return replay_run(r, false);
}

bool replay_strict(struct replay *r)
{
    r->strict = true;
    const bool failed = replay_run(r, false);
    r->strict = false;
    for (u32 i = 0; i < r->wants && !r->astray; i++) {
        if (r->want[i].met)
            continue;
        r->astray = true;
        r->astray_step = r->want[i].step;
    }
    return failed;
}

static bool offers(const struct replay_question *q, const struct replay_want *w)
{
    if (q->kind != w->kind)
        return false;
    if (w->kind != CHOICE_STEP)
        return w->value < q->bound;
    return w->value != q->agent && (w->value >= SIM_FLUSHER ? q->flushers : q->cpus) & bit(w->value % SIM_FLUSHER);
}

static u64 distance(const struct anchor_key *a, const struct anchor_key *b)
{
    const u64 occurrence = a->occurrence > b->occurrence ? a->occurrence - b->occurrence : b->occurrence - a->occurrence;
    const u64 visit = a->visit > b->visit ? a->visit - b->visit : b->visit - a->visit;
    return (u64)(a->tuple != b->tuple) << 62 | occurrence << 30 | min(visit, (1ul << 30) - 1);
}

static bool wanted(const struct replay *r, const struct anchor_key *key)
{
    for (u32 i = 0; i < r->wants; i++)
        if (!r->want[i].dropped && r->want[i].met && anchor_hash(&r->want[i].key) == anchor_hash(key))
            return true;
    return false;
}

/* The nearest place of the last run: the same function, else one of another name with the same operation on the same object. */
static void want_move(struct replay *r, struct replay_want *w)
{
    const struct replay_question *best = NULL;
    for (u32 i = 0; i < r->seen_count; i++) {
        const struct replay_question *q = &r->seen[i];
        if (q->key.place == w->key.place && offers(q, w) && (!best || distance(&q->key, &w->key) < distance(&best->key, &w->key)) && !wanted(r, &q->key))
            best = q;
    }
    if (best)
        w->key = best->key;
    else
        w->dropped = true;
}

bool replay_tolerant(struct replay *r)
{
    bool failed = replay_run(r, false);
    for (u32 i = 0; i < r->wants && !failed; i++) {   /* each is moved once: later ones depend on earlier ones */
        if (r->want[i].met || r->want[i].dropped)
            continue;
        want_move(r, &r->want[i]);
        failed = replay_run(r, false);
    }
    return failed;
}

/* One decision less, one elsewhere, or one more: what the last run offered. */
static bool neighbour(struct replay *r, u64 *state, const struct decision *base, u32 count, struct decision *next, u32 *nexts)
{
    memcpy(next, base, count * sizeof(*next));
    *nexts = count;
    const u32 at = count ? (u32)(choose_next(state) % count) : 0;
    const u32 what = count ? (u32)(choose_next(state) % 3) : 2;
    if (what < 2)
        next[at] = next[--*nexts];
    if (what == 0)
        return true;
    const struct replay_question *q = r->seen_count ? &r->seen[choose_next(state) % r->seen_count] : NULL;
    if (!q || q->bound < 2)
        return false;
    struct decision *d = &next[(*nexts)++];
    *d = (struct decision){ .at = q->at, .step = q->step, .kind = q->kind, .value = 1 + (u32)(choose_next(state) % (q->bound - 1)) };
    if (q->kind == CHOICE_STEP) {
        u32 others[SIM_AGENTS], n = 0;
        for (u32 agent = 0; agent < SIM_AGENTS; agent++)
            if (agent != q->agent && (agent >= SIM_FLUSHER ? q->flushers : q->cpus) & bit(agent % SIM_FLUSHER))
                others[n++] = agent;
        d->value = others[choose_next(state) % n];
    }
    return true;
}

enum explore_status replay_neighbours(struct replay *r, u64 runs, u64 seed)
{
    const u32 count = r->made.count;
    struct decision *base = malloc((count + 1ul) * sizeof(*base)), *next = malloc((count + 2ul) * sizeof(*next));
    u64 state = seed;
    enum explore_status status = base && next ? EXPLORE_BUDGET : EXPLORE_STALE;
    if (status == EXPLORE_BUDGET)
        memcpy(base, r->made.decision, count * sizeof(*base));
    for (u64 i = 0; i < runs && status == EXPLORE_BUDGET; i++) {
        u32 nexts;
        if (!neighbour(r, &state, base, count, next, &nexts))
            continue;
        if (!replay_want(r, next, nexts))
            status = EXPLORE_STALE;
        else if (replay_exact(r))
            status = EXPLORE_BUG;
    }
    free(base);
    free(next);
    return status;
}
