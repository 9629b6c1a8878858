/* SPDX-License-Identifier: BSD-2-Clause */
/* Shrinking: delta debugging over the list of operations, then each field of each operation towards 0 or 1. Every candidate is a run of its own;
 * a failure is the same if what is said of it is, up to the first number; crashes are all the same. */
#include <string.h>
#include "sequence.h"

#define KIND_BYTES 100u

/* What a difference is about; of a crash nothing. */
static void kind_of(const char *message, char kind[KIND_BYTES])
{
    unsigned long number;
    int start = 0;
    const bool differs = sscanf(message, "operation %lu: %n", &number, &start) == 1;
    const char *const text = differs ? message + start : "";
    snprintf(kind, KIND_BYTES, "%.*s", (int)strcspn(text, "0123456789\n"), text);
}

static bool fails(struct sequence *s)
{
    static char wanted[KIND_BYTES], message[4 * KIND_BYTES];
    char kind[KIND_BYTES];
    if (sequence_run(s, 1, message, sizeof(message)))
        return false;
    kind_of(message, kind);
    if (!s->found)
        memcpy(wanted, kind, sizeof(wanted));
    s->found = true;
    return !strcmp(kind, wanted);
}

/* Without [from, from + n). True: it still fails, and stays so. */
static bool drop(struct sequence *s, struct sequence *scratch, u64 from, u64 n)
{
    memcpy(scratch, s, sizeof(*s));
    memmove(&scratch->op[from], &scratch->op[from + n], (s->count - from - n) * sizeof(struct op));
    scratch->count -= n;
    if (!fails(scratch))
        return false;
    scratch->count = scratch->done;   /* nothing behind the failure is needed */
    memcpy(s, scratch, sizeof(*s));
    return true;
}

static bool drop_pass(struct sequence *s, struct sequence *scratch)
{
    bool any = false;
    for (u64 n = s->count / 2; n; n /= 2)
        for (u64 end = s->count; end >= n && end;) {
            const bool gone = drop(s, scratch, end - n, n);
            any |= gone;
            end = gone && s->count < end - n ? s->count : end - n;
        }
    return any;
}

static bool simplify(struct sequence *s, struct sequence *scratch, u64 i, u64 *word)
{
    static const u64 simpler[] = { 0, 1 };
    for (u32 k = 0; k < array_size(simpler) && *word > simpler[k]; k++) {
        memcpy(scratch, s, sizeof(*s));
        *(u64 *)((u8 *)scratch + ((u8 *)word - (u8 *)s)) = simpler[k];
        if (fails(scratch)) {
            *word = simpler[k];
            return true;
        }
    }
    return false;
}

static bool simplify_pass(struct sequence *s, struct sequence *scratch)
{
    bool any = false;
    for (u64 i = 0; i < s->count; i++) {
        struct op *const op = &s->op[i];
        u64 *const word[] = { &op->fail, &op->preempt, &op->rewrite.tick, &op->dirty, &op->items, &op->relative, &op->window[0].base, &op->window[0].count,
                              &op->window[1].base, &op->window[1].count, &op->args[0], &op->args[1], &op->args[2], &op->args[3], &op->args[4], &op->args[5],
                              &op->cpu };
        for (u32 k = 0; k < array_size(word); k++)
            any |= simplify(s, scratch, i, word[k]);
    }
    return any;
}

void sequence_shrink(struct sequence *s)
{
    struct sequence *const scratch = sequence_new();
    s->given = true;
    s->count = s->done;
    s->found = false;
    fails(s);   /* to compare after each operation may show it earlier, and otherwise */
    s->count = s->done;
    while (drop_pass(s, scratch) || simplify_pass(s, scratch))
        ;
}
