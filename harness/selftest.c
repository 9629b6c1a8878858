/* SPDX-License-Identifier: BSD-2-Clause */
/* See selftest.h. A gate is a function that says what it wanted and what it got. */
#include "selftest.h"
#include <stdio.h>
#include "explore_json.h"

struct gate_result {
    bool good;
    char wanted[96], got[96];
};

struct gate {
    const char *name;
    void (*check)(struct gate_result *r);
};

static const struct gate gates[] = {
    { 0 },
};

static void gate_json(struct json *j, const struct gate *g, const struct gate_result *r)
{
    json_open(j, NULL, '{');
    json_text(j, "gate", g->name);
    json_bool(j, "good", r->good);
    json_text(j, "wanted", r->wanted);
    json_text(j, "got", r->got);
    json_close(j, '}');
}

int selftest(bool json)
{
    struct json j = { .file = stdout };
    u32 failed = 0, count = 0;
    if (json)
        json_open(&j, NULL, '[');
    for (const struct gate *g = gates; g < gates + array_size(gates) && g->check; g++, count++) {
        struct gate_result r = { 0 };
        g->check(&r);
        failed += !r.good;
        if (json)
            gate_json(&j, g, &r);
        else
            printf("%-6s %-40s wanted %s, got %s\n", r.good ? "good" : "BROKEN", g->name, r.wanted, r.got);
    }
    if (json)
        json_close(&j, ']');
    else
        printf("%u gates, %u broken\n", count, failed);
    if (json)
        putchar('\n');
    return failed ? 1 : 0;
}
