/* SPDX-License-Identifier: BSD-2-Clause */
/* Shapes and names of events, generated from the tables of abi/. */
#include "trace/rows.h"
#include <string.h>
#include "abi/vcpu.h"

#define FIELD(type, name)               {#type, #name, sizeof(type)},
#define FIELDS(number, name, tail, text) static const struct trace_field name##_field[] = { TRACE_FIELDS_##name(FIELD) };
TRACE_EVENT_LIST(FIELDS)

#define ROW(number, name, tail, text) [number] = { #name, text, name##_field, array_size(name##_field), sizeof(struct trace_##name), TRACE_TAIL_##tail },
static const struct trace_row rows[TRACE_ID_COUNT] = { TRACE_EVENT_LIST(ROW) };

const struct trace_row *trace_row(u32 id)
{
    return id < TRACE_ID_COUNT && rows[id].name ? &rows[id] : NULL;
}

u64 trace_field_get(const struct trace_event *e, u32 offset, u32 bytes)
{
    u64 value = 0;
    memcpy(&value, (const u8 *)e + offset, bytes);
    return value;
}

struct trace_tail trace_tail(const struct trace_event *e)
{
    const struct trace_row *const row = trace_row(e->id);
    const u8 *const at = row ? (const u8 *)e + row->bytes : NULL;
    if (row && row->tail == TRACE_TAIL_DELTA) {
        const struct trace_small *const small = (const struct trace_small *)(at + 2);
        return (struct trace_tail){ .small = at[0], .large = at[1], .change_small = small, .change_large = (const struct trace_large *)(small + at[0]) };
    }
    if (row && row->tail == TRACE_TAIL_BYTES)
        return (struct trace_tail){ .bytes = at[0], .data = at + 1 };
    return (struct trace_tail){ 0 };
}

static const char *delta_refuse(const struct trace_event *e, const char **field)
{
    const struct trace_tail tail = trace_tail(e);
    *field = "vcpu";
    if (((const struct trace_exit *)e)->vcpu == TRACE_NO_VCPU)
        return "must be below 65535";
    *field = "word";
    for (u32 i = 0; i < tail.small; i++)
        if (tail.change_small[i].word >= TRACE_WORDS)
            return "no such word";
    for (u32 i = 0; i < tail.large; i++)
        if (tail.change_large[i].word >= TRACE_WORDS)
            return "no such word";
    return NULL;
}

static const char *value_refuse(const struct trace_value *v, const char **field)
{
    *field = "kind";
    if (v->kind == 0 || v->kind >= TRACE_VALUE_COUNT)
        return "no such kind of value";
    *field = "count";
    return trace_tail(&v->event).bytes > TRACE_VALUE_BYTES ? "more bytes than a value can have" : NULL;
}

static const char *machine_refuse(const struct trace_machine *m, const char **field)
{
    *field = "version";
    if (m->version != TRACE_VERSION)
        return "a version this reader does not know";
    *field = "vendor";
    if (m->vendor > 2)
        return "must be 0, 1 or 2";
    *field = "cpu_count";
    if (m->cpu_count == 0 || m->cpu_count > TRACE_CPUS)
        return "must be 1 to 64";
    *field = "groups";
    return m->groups & ~VCPU_GROUP_ALL ? "no such group" : NULL;
}

const char *trace_row_refuse(const struct trace_row *row, const struct trace_event *e, const char **field)
{
    static const u8 counts[] = { [TRACE_TAIL_NONE] = 0, [TRACE_TAIL_DELTA] = 2, [TRACE_TAIL_BYTES] = 1 };
    u64 bytes = row->bytes + counts[row->tail];
    *field = "bytes";
    if (e->bytes < bytes)
        return "too few for an event of its id";
    const struct trace_tail tail = trace_tail(e);
    if (tail.small + tail.large > TRACE_WORDS)
        return "more changes than there are words";
    bytes += tail.small * sizeof(struct trace_small) + tail.large * sizeof(struct trace_large) + tail.bytes;
    if (e->bytes != bytes)
        return "not the size of an event of its id";
    switch (e->id) {
    case TRACE_machine: return machine_refuse((const struct trace_machine *)e, field);
    case TRACE_value: return value_refuse((const struct trace_value *)e, field);
    default: return row->tail == TRACE_TAIL_DELTA ? delta_refuse(e, field) : NULL;
    }
}

u32 trace_vcpu(const struct trace_item *e)
{
    switch (e->raw->id) {
    case TRACE_state:
    case TRACE_exit:
    case TRACE_entry: return ((const struct trace_exit *)e->raw)->vcpu;
    case TRACE_value: return ((const struct trace_value *)e->raw)->vcpu;
    default: return TRACE_NO_VCPU;
    }
}
static_assert(offset_of(struct trace_state, vcpu) == offset_of(struct trace_exit, vcpu) && offset_of(struct trace_entry, vcpu) == offset_of(struct trace_exit, vcpu),
              "one access for three rows");

#define NAME(number, name, ...) [number] = #name,
static const char *const words[] = { TRACE_WORD_LIST(NAME) };
static const char *const reasons[] = { VCPU_EXIT_LIST(NAME) };
static const char *const values[] = { TRACE_VALUE_LIST(NAME) };

static const char *name_of(const char *const *table, u64 count, u32 number)
{
    return number < count && table[number] ? table[number] : "?";
}

const char *trace_event_name(u32 id)
{
    const struct trace_row *const row = trace_row(id);
    return row ? row->name : "?";
}

const char *trace_word_name(u32 word) { return name_of(words, array_size(words), word); }
const char *trace_reason_name(u32 reason) { return name_of(reasons, array_size(reasons), reason); }
const char *trace_value_name(u32 kind) { return name_of(values, array_size(values), kind); }
