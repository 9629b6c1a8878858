/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/walk.h"
#include <stdlib.h>
#include <string.h>
#include "tools/tools.h"

bool walk_begin(struct walk *k, const struct trace *t)
{
    *k = (struct walk){ .trace = t, .all = trace_words_new(t), .exits = calloc(t->vcpus + 1ul, sizeof(*k->exits)) };
    if (k->all && k->exits)
        return true;
    walk_end(k);
    (void)tool_refuse("trace", "no memory");
    return false;
}

void walk_end(struct walk *k)
{
    free(k->all);
    free(k->exits);
    *k = (struct walk){ 0 };
}

bool walk_next(struct walk *k)
{
    if (k->next == k->trace->count)
        return false;
    k->item = &k->trace->event[k->next++];
    k->vcpu = trace_vcpu(k->item);
    k->words = NULL;
    k->exit = -1;
    if (k->vcpu == TRACE_NO_VCPU)
        return true;
    const u32 id = k->item->raw->id;
    struct trace_words *const words = &k->all[k->vcpu];
    k->words = words;
    k->exit = id == TRACE_exit ? k->exits[k->vcpu]++ : id == TRACE_state ? k->exits[k->vcpu] : k->exits[k->vcpu] - 1;
    if (id != TRACE_value)
        memcpy(k->before, words->word, sizeof(k->before));
    k->known = trace_words_apply(words, k->item);
    return true;
}
