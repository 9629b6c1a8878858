/* SPDX-License-Identifier: BSD-2-Clause */
/* See selftest.h. A gate says what it wanted and what it got. */
#include "selftest.h"
#include <stdio.h>
#include "choose.h"
#include "explore.h"
#include "explore_json.h"

struct gate_result {
    bool good;
    char wanted[96], got[96];
};

/* ---- Oracle counts: what other explorers of partial orders count, too (Nidhugg, GenMC), sequentially consistent, waits as awaits ---- */

struct count {
    const char *test;
    bool sc;
    u64 complete;      /* ~0: a bug is to be found */
};

/* Under TSO the numbers are our own: flushes are steps there. */
static const struct count counts[] = {
    { "mcs_3", true, 66 }, { "mcs_4", true, 1080 }, { "mcs_5", true, 23640 }, { "lost_wakeup", true, 3 }, { "fetch_add_7", true, 5040 }, { "add_7", true, 1 },
    { "mcs_3", false, 66 }, { "mcs_4", false, 1080 }, { "lost_wakeup", false, ~0ul }, { "fetch_add_7", false, 5040 }, { "add_7", false, 1 },
};

static void count_print(char *room, u32 bytes, u64 complete)
{
    if (complete == ~0ul)
        snprintf(room, bytes, "a bug");
    else
        snprintf(room, bytes, "%lu complete executions", complete);
}

static void check_count(const struct count *c, struct gate_result *r)
{
    const struct world_test *t = world_find(c->test);
    const struct explore_options o = { .strategy = "dpor", .sc = c->sc };
    struct explore x;
    count_print(r->wanted, sizeof(r->wanted), c->complete);
    if (!t || !explore_open(&x, t, &o)) {
        snprintf(r->got, sizeof(r->got), "no such test here");
        return;
    }
    const enum explore_status status = strategy_dpor.explore(&x);
    const u64 got = status == EXPLORE_BUG ? ~0ul : x.stats.complete;
    count_print(r->got, sizeof(r->got), got);
    /* One run for each partial order, none twice. */
    if (status == EXPLORE_CLEAN && x.stats.distinct != x.stats.complete)
        snprintf(r->got, sizeof(r->got), "%lu orders in %lu executions", x.stats.distinct, x.stats.complete);
    else
        r->good = got == c->complete && (status == EXPLORE_CLEAN || status == EXPLORE_BUG);
    explore_close(&x);
}

/* ---- The log of writes is whole: after runs that dirty much, what is put back equals what was marked, byte for byte ---- */

static void check_reset(struct gate_result *r)
{
    snprintf(r->wanted, sizeof(r->wanted), "RAM as it was, for every test");
    for (const struct world_test *t = world_next(NULL); t; t = world_next(t)) {
        struct choose_random c;
        struct world *w = world_open(t, true);
        if (!w) {
            snprintf(r->got, sizeof(r->got), "%s does not open", t->name);
            return;
        }
        for (u32 seed = 0; seed < 20; seed++) {
            choose_random(&c, seed);
            (void)world_run_once(w, &c.chooser, false);
        }
        const u64 differs = world_verify(w);
        world_close(w);
        if (differs != ~0ul) {
            snprintf(r->got, sizeof(r->got), "%s: a write at physical 0x%lx was not logged", t->name, differs);
            return;
        }
    }
    snprintf(r->got, sizeof(r->got), "that");
    r->good = true;
}

struct report {
    struct json json;
    bool as_json;
    u32 count, failed;
};

static void report_gate(struct report *p, const char *name, const struct gate_result *r)
{
    p->count++;
    p->failed += !r->good;
    if (!p->as_json) {
        printf("%-6s %-28s wanted %s, got %s\n", r->good ? "good" : "BROKEN", name, r->wanted, r->got);
        return;
    }
    json_open(&p->json, NULL, '{');
    json_text(&p->json, "gate", name);
    json_bool(&p->json, "good", r->good);
    json_text(&p->json, "wanted", r->wanted);
    json_text(&p->json, "got", r->got);
    json_close(&p->json, '}');
}

int selftest(bool json)
{
    struct report p = { .json = { .file = stdout }, .as_json = json };
    if (json)
        json_open(&p.json, NULL, '[');
    const bool ours = world_find(counts[0].test);   /* a program of somebody else has not the worlds that are counted */
    for (const struct count *c = counts; ours && c < counts + array_size(counts); c++) {
        struct gate_result r = { 0 };
        char name[64];
        snprintf(name, sizeof(name), "%s, dpor, %s", c->test, c->sc ? "sc" : "tso");
        check_count(c, &r);
        report_gate(&p, name, &r);
    }
    struct gate_result r = { 0 };
    check_reset(&r);
    report_gate(&p, "reset is exact", &r);
    if (json)
        json_close(&p.json, ']');
    else
        printf("%u gates, %u broken\n", p.count, p.failed);
    if (json)
        putchar('\n');
    return p.failed ? 1 : 0;
}
