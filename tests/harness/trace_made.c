/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace_made.h"
#include <stdlib.h>
#include <string.h>
#include "trace/rows.h"

u64 made_random(u64 *state)   /* splitmix64 */
{
    u64 z = *state += 0x9e3779b97f4a7c15ul;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ul;
    z = (z ^ z >> 27) * 0x94d049bb133111ebul;
    return z ^ z >> 31;
}

u64 made_word(u64 *state)
{
    const u64 r = made_random(state);
    return r % 4 == 0 ? 0 : r % 4 == 1 ? r >> 32 : r;
}

static bool other(struct trace_writer *w, u64 *r, u32 cpu, u64 tsc)
{
    static const u8 ids[] = { TRACE_hypercall, TRACE_interrupt, TRACE_exception, TRACE_ipc, TRACE_schedule, TRACE_shootdown, TRACE_flushed };
    const u32 id = ids[made_random(r) % array_size(ids)];
    u8 event[64];
    for (u32 i = 0; i < sizeof(event); i++)
        event[i] = (u8)made_random(r);
    *(struct trace_event *)event = (struct trace_event){ .id = (u16)id, .bytes = (u16)trace_row(id)->bytes };
    return trace_write_raw(w, cpu, tsc, (struct trace_event *)event);
}

struct trace_writer *made_trace(u64 seed, u32 cpus, u32 vcpus, u32 events)
{
    struct trace_writer *const w = trace_writer_new();
    const struct trace_machine machine = { .version = TRACE_VERSION, .vendor = 1, .cpu_count = cpus, .groups = VCPU_GROUP_ALL, .tsc_khz = 2000000 };
    struct trace_words *const words = calloc(vcpus, sizeof(*words));
    u64 r = seed, tsc = made_random(&r) >> 8;
    bool good = w && words && trace_write_machine(w, &machine);
    for (u32 i = 0; good && i < events; i++) {
        const u32 vcpu = (u32)(made_random(&r) % vcpus), cpu = vcpu % cpus;
        u64 *const word = words[vcpu].word;
        tsc += made_random(&r) % 5000 + (made_random(&r) % 100 == 0 ? 1ul << 33 : 0);
        for (u32 changes = (u32)(made_random(&r) % 12); changes; changes--)
            word[made_random(&r) % TRACE_WORDS] = made_word(&r);
        word[0] = made_random(&r) % VCPU_EXIT_COUNT | (made_random(&r) % 16) << 32;
        const u64 data[3] = { made_random(&r), made_random(&r), made_random(&r) }, choice = made_random(&r) % 8;
        good = choice < 3   ? trace_write_words(w, cpu, tsc, TRACE_exit, vcpu, word)
               : choice < 6 ? trace_write_words(w, cpu, tsc, TRACE_entry, vcpu, word)
               : choice < 7 ? trace_write_value(w, cpu, tsc, vcpu, 1 + (u32)data[0] % (TRACE_VALUE_COUNT - 1), data[1], data, (u32)data[2] % 25)
                            : other(w, &r, cpu, tsc);
    }
    free(words);
    if (good && trace_write_end(w, 0))
        return w;
    trace_writer_free(w);
    return NULL;
}

u8 *made_bytes(u64 seed, u32 cpus, u32 vcpus, u32 events, u64 *count)
{
    struct trace_writer *const w = made_trace(seed, cpus, vcpus, events);
    u8 *const bytes = w ? trace_writer_bytes(w, count) : NULL;
    trace_writer_free(w);
    return bytes;
}

static u64 hash(u64 h, const void *bytes, u64 count)
{
    for (u64 i = 0; i < count; i++)
        h = (h ^ ((const u8 *)bytes)[i]) * 0x100000001b3ul;
    return h;
}

/* A `state` says nothing new, and a writer puts more of them or fewer; a machine's time is that of the event after it. */
u64 made_hash(const struct trace *t)
{
    struct trace_words *const w = trace_words_new(t);
    u64 h = 0xcbf29ce484222325ul;
    for (u64 i = 0; w && i < t->count; i++) {
        const struct trace_item *const e = &t->event[i];
        const struct trace_row *const row = trace_row(e->raw->id);
        const u32 vcpu = trace_vcpu(e);
        if (row->tail == TRACE_TAIL_DELTA && (!trace_words_apply(&w[vcpu], e) || e->raw->id == TRACE_state))
            continue;
        const u64 head[] = { e->raw->id, e->cpu, e->raw->id == TRACE_machine ? 0 : e->tsc };
        h = hash(h, head, sizeof(head));
        if (row->tail == TRACE_TAIL_DELTA)
            h = hash(hash(h, &vcpu, sizeof(vcpu)), w[vcpu].word, sizeof(w[vcpu].word));
        else
            h = hash(h, e->raw + 1, e->raw->bytes - sizeof(*e->raw));
    }
    free(w);
    return h;
}

static bool again(struct trace_writer *w, struct trace_words *words, const struct trace_item *e)
{
    const u32 vcpu = trace_vcpu(e);
    switch (e->raw->id) {
    case TRACE_machine: return trace_write_machine(w, (const struct trace_machine *)e->raw);
    case TRACE_state:
    case TRACE_exit:
    case TRACE_entry: return !trace_words_apply(&words[vcpu], e) || trace_write_words(w, e->cpu, e->tsc, e->raw->id, vcpu, words[vcpu].word);
    default: return trace_write_raw(w, e->cpu, e->tsc, e->raw);
    }
}

struct trace_writer *made_again(const struct trace *t)
{
    struct trace_writer *const w = trace_writer_new();
    struct trace_words *const words = trace_words_new(t);
    bool good = w && words;
    for (u64 i = 0; good && i < t->count; i++)
        good = again(w, words, &t->event[i]);
    free(words);
    if (good)
        return w;
    trace_writer_free(w);
    return NULL;
}
