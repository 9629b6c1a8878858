/* SPDX-License-Identifier: BSD-2-Clause */
/* Every run within a bound of preemptions, delays and faults: a depth-first search over answers, by running again with another last answer.
 *
 * Two reductions, both of which keep every state that the bound reaches. A switch before an operation on something that no other agent
 * shares equals the same switch before the next shared one: it is not made; who shares what is learned, and a level that has learned something
 * is searched again. A state met before with at least as much of the bound left leads to nothing new: the run is cut. States are told apart by the partial
 * order of what has happened (order.h), so two runs that differ in the order of independent steps meet again.
 * Levels: bounds 0, then 1, then 2 of each kind up to what is asked, so that the least bound that shows a bug is found first; each without delays
 * first.
 *
 * Jobs: a search with a prefix makes only runs that begin with these answers, at each level that can pay for them. It learns and remembers for
 * itself alone, and neither reduction looks at what was decided within the prefix: what it finds depends on nobody else. */
#include <stdlib.h>
#include "explore.h"
#include "order.h"

#define VISITED_BITS 26u         /* 1.5 GiB, if a search has so many states */
#define APART_LEVEL  1u          /* up to this level, and beyond it in runs without delays, each run is taken apart (.after): most of the time */
#define NODES_MAX    (1u << 20)

struct step_cost {
    u8 preemptions, delays;
};

struct search {
    struct chooser chooser;
    struct explore *x;
    const struct sim *sim;
    struct explore_bound bound, spent;
    struct order order;
    struct hashes *visited;
    struct decision {
        u32 answer, bound;
        u8 kind;
        bool branches;
        struct explore_bound spent;                  /* before it */
        struct step_cost cost[2 * WORLD_CPUS];       /* STEP: of each answer */
    } *at;
    u32 depth, keep, room;    /* decisions of this run; of them the first `keep` are given */
    u32 split;                /* runs are cut after so many decisions; 0: never */
    bool full;
    bool beyond;              /* the prefix costs more than this level has */
    bool known;               /* the run was cut where it had nothing new */
    bool apart;               /* every run of this level is taken apart */
};

static bool within(const struct explore_bound *a, const struct explore_bound *bound)
{
    return a->preemptions <= bound->preemptions && a->delays <= bound->delays && a->faults <= bound->faults;
}

static struct explore_bound decision_cost(const struct decision *d, u32 answer)
{
    struct explore_bound c = { 0 };
    if (!answer || d->kind == CHOICE_INPUT)
        return c;
    if (d->kind == CHOICE_STEP) {
        c.preemptions = d->cost[answer].preemptions;
        c.delays = d->cost[answer].delays;
    } else {
        *(d->kind == CHOICE_FAULT ? &c.faults : &c.delays) = 1;
    }
    return c;
}

static struct explore_bound add(struct explore_bound a, struct explore_bound b)
{
    return (struct explore_bound){ a.preemptions + b.preemptions, a.delays + b.delays, a.faults + b.faults };
}

/* Is a switch here different from one later? Only if the one that would go on is about to do something that others see. */
static bool worth_a_switch(const struct search *q, const struct sim_agents *a)
{
    if (a->free)
        return true;
    const struct sim_pending *p = sim_pending(q->sim, a->list[0]);
    for (u32 i = 1; p->op == OP_STORE && i < a->count; i++)   /* with its buffer empty this store need not wait, nor those behind it */
        if (a->list[i] == SIM_FLUSHER + a->list[0])
            return true;
    return p->object == OBJECT_NONE || order_shared(&q->order, p->object);
}

/* A state is its partial order, what comes into question, and the steps so far: some leave no event, and no run may meet itself.
 * Met before with as much left? The three rests are packed into a byte each; what is kept is the best that was met. */
static bool visited_before(struct search *q)
{
    const struct sim_agents *a = sim_agents(q->sim);
    const u64 rest = (u64)(q->bound.preemptions - q->spent.preemptions) << 16 | (u64)(q->bound.delays - q->spent.delays) << 8 |
                     (q->bound.faults - q->spent.faults);
    if (!rest && !a->free)
        return false;   /* nothing can branch here: to cut saves the rest of this one run, to remember costs memory */
    u64 key = hash_mix(q->order.sum, (u64)world_steps(q->x->world) << 32 | (u64)a->current << 1 | (u64)a->free);
    for (u32 i = 0; i < a->count; i++)
        key = hash_mix(key, a->list[i]);
    u64 *best = hashes_find(q->visited, key, true);
    if (!best)
        return false;
    const u64 known = *best - 1;
    if (*best && (known >> 16 & 255) >= (rest >> 16 & 255) && (known >> 8 & 255) >= (rest >> 8 & 255) && (known & 255) >= (rest & 255))
        return true;
    *best = rest + 1;
    return false;
}

static void decision_fill(struct search *q, struct decision *d, u32 bound, enum choice_kind kind)
{
    const struct sim_agents *a = sim_agents(q->sim);
    *d = (struct decision){ .bound = bound, .kind = (u8)kind, .spent = q->spent, .branches = kind != CHOICE_SKEW && kind != CHOICE_SLICE };
    const bool all = q->split || q->x->options.unreduced;   /* who splits has not learned who shares what */
    /* Whether a word waits that nobody else looks at, nobody sees; a store behind it may wait by itself, at the same price. Not counted among the
     * reductions: the runs it saves have other events (a flush for a store), and the same outcomes. */
    if (kind == CHOICE_DRAIN)
        d->branches = q->split || order_shared(&q->order, sim_pending(q->sim, world_current(q->x->world))->object);
    if (kind != CHOICE_STEP)
        return;
    d->branches = all || worth_a_switch(q, a);
    for (u32 i = 0; i < min(bound, (u32)array_size(d->cost)); i++) {
        const struct explore_bound c = explore_cost(q->sim, i, kind);
        d->cost[i] = (struct step_cost){ (u8)c.preemptions, (u8)c.delays };
    }
}

/* The prefix's answer to a decision. False: it cannot be given. */
static bool prefix_take(struct search *q, struct decision *d)
{
    d->answer = q->x->options.prefix[q->depth];
    if (d->answer >= d->bound) {
        q->x->trouble = "the prefix has an answer that is not offered";
        return false;
    }
    const struct explore_bound total = add(d->spent, decision_cost(d, d->answer));
    q->beyond = !within(&total, &q->bound);
    return !q->beyond;
}

/* A decision this run is the first to come to. False: the run ends before it. */
static bool decision_new(struct search *q, u32 bound, enum choice_kind kind)
{
    const bool given = q->depth < q->x->options.prefix_count;
    q->full = q->depth == q->room;
    if (q->full)
        return false;
    struct decision *d = &q->at[q->depth];
    decision_fill(q, d, bound, kind);
    q->known = !given && !q->x->options.unreduced && kind == CHOICE_STEP && d->branches && visited_before(q);
    if (q->known || (q->split && q->depth == q->split))
        return false;
    return !given || prefix_take(q, d);
}

static u32 search_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct search *q = container_of(self, struct search, chooser);
    order_follow(&q->order, q->sim);
    if (q->depth >= q->keep && !decision_new(q, bound, kind))
        return CHOICE_CUT;
    struct decision *d = &q->at[q->depth++];
    if (d->bound != bound || d->kind != kind) {   /* the same answers, another question: the world is not a function of its answers */
        q->x->nondeterministic = true;
        q->x->trouble = "the same answers led to another question: something of the test is not put back between runs";
        return CHOICE_CUT;
    }
    q->spent = add(q->spent, decision_cost(d, d->answer));
    if (kind != CHOICE_STEP)
        order_answer(&q->order, world_current(q->x->world), kind, d->answer);
    return d->answer;
}

/* The next run: the last decision that has an answer left within the bound takes it. */
static bool search_next(struct search *q, u32 floor)
{
    for (u32 i = q->depth; i-- > floor;) {
        struct decision *d = &q->at[i];
        while (d->branches && d->answer + 1 < d->bound) {
            d->answer++;
            const struct explore_bound total = add(d->spent, decision_cost(d, d->answer));
            if (within(&total, &q->bound)) {
                q->keep = i + 1;
                world_take_apart(q->x->world, q->apart || !total.delays);   /* from here on the run spends no more */
                return true;
            }
        }
    }
    return false;
}

static void search_begin(struct search *q)
{
    q->depth = 0;
    q->beyond = q->known = false;
    q->spent = (struct explore_bound){ 0 };
    order_clear(&q->order);
}

/* How much of the level is done, if all subtrees of a decision were equally large (Knuth's estimate). */
static double search_share(const struct search *q)
{
    double share = 0, part = 1;
    for (u32 i = 0; i < q->depth && part > 1e-9; i++) {
        const struct decision *d = &q->at[i];
        u32 all = 1, done = 0;
        for (u32 n = 1; d->branches && n < d->bound; n++) {
            const struct explore_bound total = add(d->spent, decision_cost(d, n));
            all += within(&total, &q->bound);
            done += n <= d->answer && within(&total, &q->bound);
        }
        share += part * done / all;
        part /= all;
    }
    return share;
}

/* All runs of one level. False: the last one failed, or the budget is spent. */
static bool search_level(struct search *q)
{
    struct explore *x = q->x;
    hashes_clear(q->visited);
    q->keep = 0;
    do {
        search_begin(q);
        if (!explore_run(x, &q->chooser) || x->trouble || q->full)
            return false;
        if (q->depth < x->options.prefix_count) {   /* too dear for this level, or no run begins so */
            x->trouble = q->beyond ? NULL : "the run ends before the prefix does";
            return q->beyond;
        }
        order_follow(&q->order, q->sim);
        if (x->outcome.end == SIM_SHUTDOWN)
            hashes_find(x->seen, q->order.sum, true);
        if (x->options.runs && x->stats.runs >= x->options.runs)
            return false;
        if (x->options.progress)
            x->stats.coverage = search_share(q);
    } while (search_next(q, x->options.prefix_count));
    return true;
}

/* All runs of a level, again until nothing new is learned. False: as search_level. */
static bool search_learning(struct search *q)
{
    u32 known;
    do {
        world_take_apart(q->x->world, true);
        known = order_shared_count(&q->order);
        if (!search_level(q))
            return false;
    } while (order_shared_count(&q->order) != known);
    return true;
}

/* Of each level first what needs no delay: there are few such runs. */
static bool search_levels(struct search *q)
{
    const struct explore_bound all = q->x->options.bound;
    const u32 levels = max(max(all.preemptions, all.delays), all.faults);
    for (u32 i = 0; i <= levels; i++) {
        q->apart = i <= APART_LEVEL || q->x->options.unreduced;
        q->bound = (struct explore_bound){ min(i, all.preemptions), 0, min(i, all.faults) };
        if (i && all.delays && !search_learning(q))
            return false;
        q->bound.delays = min(i, all.delays);
        if (!search_learning(q))
            return false;
    }
    if (q->beyond)
        q->x->trouble = "the prefix is beyond the bound";
    return !q->beyond;
}

static bool search_open(struct search *q, struct explore *x)
{
    *q = (struct search){ .chooser = { search_answer }, .x = x, .sim = world_machine(x->world), .room = NODES_MAX };
    q->visited = hashes_new(VISITED_BITS);
    q->at = malloc(q->room * sizeof(*q->at));
    return order_init(&q->order) && q->visited && q->at;
}

static void search_close(struct search *q)
{
    order_free(&q->order);
    hashes_free(q->visited);
    free(q->at);
}

static enum explore_status explore_bounded(struct explore *x)
{
    struct search q;
    enum explore_status status = EXPLORE_STALE;
    if (search_open(&q, x)) {
        const bool all = search_levels(&q);
        status = x->trouble ? EXPLORE_STALE : explore_verdict(x, all);
        x->stats.coverage = all ? -1 : search_share(&q);   /* of the level it ended in; all is said by the status */
        x->reached = q.bound;
    }
    search_close(&q);
    return status;
}

/* A prefix whose state another prefix has reached with as much left is left out: that one's job makes its runs. */
static enum explore_status split_bounded(struct explore *x, u32 answers, void (*take)(const u32 *answer, u32 count))
{
    struct search q;
    u32 answer[answers];
    enum explore_status status = search_open(&q, x) ? EXPLORE_CLEAN : EXPLORE_STALE;
    q.split = answers;
    q.bound = x->options.bound;
    for (bool more = status == EXPLORE_CLEAN; more; more = search_next(&q, 0)) {
        if (x->options.runs && x->stats.runs == x->options.runs) {
            status = EXPLORE_BUDGET;
            break;
        }
        search_begin(&q);
        (void)explore_run(x, &q.chooser);   /* one that fails within the prefix is the whole of that job */
        if (x->trouble) {
            status = EXPLORE_STALE;
            break;
        }
        for (u32 i = 0; i < q.depth; i++)
            answer[i] = q.at[i].answer;
        if (!q.known)
            take(answer, q.depth);
    }
    search_close(&q);
    return status;
}

const struct strategy strategy_bounded = {
    .name = "bounded", .about = "every run within the bound of preemptions, delays and faults", .explore = explore_bounded, .searches = true,
    .split = split_bounded,
};
