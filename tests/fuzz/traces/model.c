/* SPDX-License-Identifier: BSD-2-Clause */
/* See model.h. */
#include "model.h"
#include <stdlib.h>
#include <string.h>

static bool take(struct model_event *out, struct trace_words *words, const struct trace_item *e)
{
    const u32 vcpu = trace_vcpu(e), id = e->raw->id;
    *out = (struct model_event){ .id = (u16)id, .vcpu = (u16)vcpu, .cpu = e->cpu, .tsc = e->tsc };
    if (id == TRACE_state || id == TRACE_exit || id == TRACE_entry) {
        const bool known = trace_words_apply(&words[vcpu], e);
        memcpy(out->word, words[vcpu].word, sizeof(out->word));
        return known && id != TRACE_state;   /* the writer makes its own */
    }
    if (id == TRACE_value) {
        const struct trace_value *const v = (const struct trace_value *)e->raw;
        const struct trace_tail tail = trace_tail(e->raw);
        out->value.kind = v->kind;
        out->value.address = v->address;
        out->value.bytes = tail.bytes;
        memcpy(out->value.data, tail.data, tail.bytes);
        return true;
    }
    if (id == TRACE_machine || id == TRACE_end || e->raw->bytes > sizeof(out->raw))
        return false;
    memcpy(out->raw, e->raw, e->raw->bytes);
    return true;
}

bool model_read(struct model *m, const u8 *data, u64 bytes)
{
    struct trace t;
    if (!trace_open_bytes("input", data, bytes, &t))
        return false;
    struct trace_words *const words = trace_words_new(&t);
    m->count = 0;
    m->machine = t.machine;
    if (!t.has_machine)
        m->machine = (struct trace_machine){ .version = TRACE_VERSION, .vendor = 1, .cpu_count = 1, .groups = TRACE_GROUPS, .tsc_khz = 1000000 };
    for (u64 i = 0; words && i < t.count && m->count < MODEL_EVENTS; i++)
        m->count += take(&m->event[m->count], words, &t.event[i]);
    free(words);
    trace_close(&t);
    return m->count;
}

static void put(struct trace_writer *w, const struct model_event *e)
{
    if (e->id == TRACE_exit || e->id == TRACE_entry)
        (void)!trace_write_words(w, e->cpu, e->tsc, e->id, e->vcpu, e->word);
    else if (e->id == TRACE_value)
        (void)!trace_write_value(w, e->cpu, e->tsc, e->vcpu, e->value.kind, e->value.address, e->value.data, e->value.bytes);
    else
        (void)!trace_write_raw(w, e->cpu, e->tsc, (const struct trace_event *)e->raw);
}

/* The first `count` events. NULL: no memory. */
static u8 *written(const struct model *m, u32 count, u64 *bytes)
{
    struct trace_writer *const w = trace_writer_new();
    if (!w)
        return NULL;
    (void)!trace_write_machine(w, &m->machine);
    for (u32 i = 0; i < count; i++)
        put(w, &m->event[i]);
    (void)!trace_write_end(w, 0);
    u8 *const made = trace_writer_bytes(w, bytes);
    trace_writer_free(w);
    return made;
}

u64 model_write(const struct model *m, u8 *data, u64 room)
{
    for (u32 count = m->count; count; count /= 2) {
        u64 bytes;
        u8 *const made = written(m, count, &bytes);
        if (!made)
            return 0;
        if (bytes <= room)
            memcpy(data, made, bytes);
        free(made);
        if (bytes <= room)
            return bytes;
    }
    return 0;
}

u32 model_turn(const struct model *m, u32 first, u32 *index, u32 room)
{
    u32 count = 1;
    index[0] = first;
    for (u32 i = first + 1; i < m->count && count < room; i++) {
        const struct model_event *const e = &m->event[i];
        if (e->vcpu != m->event[first].vcpu || (e->id != TRACE_value && e->id != TRACE_entry && e->id != TRACE_exit))
            continue;
        if (e->id == TRACE_exit)
            break;
        index[count++] = i;
        if (e->id == TRACE_entry)
            break;
    }
    return count;
}

bool model_insert(struct model *m, u32 at, const struct model_event *e)
{
    const struct model_event copy = *e;
    if (m->count == MODEL_EVENTS)
        return false;
    memmove(&m->event[at + 1], &m->event[at], (m->count - at) * sizeof(copy));
    m->event[at] = copy;
    m->count++;
    return true;
}

void model_remove(struct model *m, u32 at)
{
    m->count--;
    memmove(&m->event[at], &m->event[at + 1], (m->count - at) * sizeof(m->event[0]));
}
