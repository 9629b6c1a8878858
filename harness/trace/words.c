/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of vCPUs, from delta to delta. */
#include <stdlib.h>
#include <string.h>
#include "trace/reader.h"

struct trace_words *trace_words_new(const struct trace *t)
{
    return calloc(t->vcpus ? t->vcpus : 1, sizeof(struct trace_words));   /* pages of vCPUs without events stay untouched */
}

bool trace_words_apply(struct trace_words *w, const struct trace_item *e)
{
    if (e->raw->id == TRACE_state) {
        memset(w->word, 0, sizeof(w->word));
        w->known = true;
    }
    if (!w->known)
        return false;
    const struct trace_tail tail = trace_tail(e->raw);
    for (u32 i = 0; i < tail.small; i++)
        w->word[tail.change_small[i].word] = tail.change_small[i].value;
    for (u32 i = 0; i < tail.large; i++)
        w->word[tail.change_large[i].word] = tail.change_large[i].value;
    return true;
}

const struct vcpu_exit *trace_words_exit(const struct trace_words *w)
{
    static_assert(TRACE_WORD_pending * sizeof(u64) == sizeof(struct vcpu_exit), "the first words are the exit");
    return (const struct vcpu_exit *)w->word;
}

void trace_words_state(const struct trace_words *w, struct vcpu_state *s)
{
    const u64 *from = &w->word[TRACE_WORD_STATE];
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++) {
        memcpy((u8 *)s + vcpu_group_range[i].offset, from, vcpu_group_range[i].bytes);
        from += vcpu_group_range[i].bytes / sizeof(u64);
    }
}
