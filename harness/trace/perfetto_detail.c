/* SPDX-License-Identifier: BSD-2-Clause */
/* Exits and events, field by field. */
#include "trace/perfetto_detail.h"
#include "trace/details.h"
#include "trace/perfetto_packet.h"
#include "trace/rows.h"

void perfetto_exit(struct protobuf *e, const struct trace_words *w, u32 vcpu, u64 exit)
{
    struct detail d[DETAILS_MAX];
    perfetto_number(e, "exit", exit);
    perfetto_number(e, "vcpu", vcpu);
    if (!w->known)
        return;
    perfetto_address(e, "rip", w->word[TRACE_WORD_rip]);
    if (w->word[TRACE_WORD_pending])
        perfetto_address(e, "pending", w->word[TRACE_WORD_pending]);
    for (u32 i = 0, count = details(w, d); i < count; i++) {
        if (d[i].text)
            perfetto_text(e, d[i].name, d[i].text);
        else if (d[i].hex)
            perfetto_address(e, d[i].name, d[i].value);
        else
            perfetto_number(e, d[i].name, d[i].value);
    }
}

/* What a viewer groups events of a kind by. */
static const char *name(const struct trace_event *raw, char text[NAME_TEXT_BYTES])
{
    switch (raw->id) {
    case TRACE_value:
        return trace_value_name(((const struct trace_value *)raw)->kind);
    case TRACE_hypercall:
        return hypercall_text(((const struct trace_hypercall *)raw)->number, text);
    case TRACE_ipc:
        return ipc_text(((const struct trace_ipc *)raw)->kind, text);
    case TRACE_interrupt:
        snprintf(text, NAME_TEXT_BYTES, "interrupt %u", ((const struct trace_interrupt *)raw)->vector);
        return text;
    case TRACE_exception:
        snprintf(text, NAME_TEXT_BYTES, "exception %u", ((const struct trace_exception *)raw)->vector);
        return text;
    default:
        return trace_event_name(raw->id);
    }
}

static void data(struct protobuf *e, struct trace_tail tail)
{
    char text[2 * 255 + 1] = "";
    for (u32 i = 0; i < tail.bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", tail.data[i]);
    perfetto_text(e, "data", text);
}

bool perfetto_instant(struct protobuf *e, const struct trace_event *raw)
{
    const struct trace_row *const row = trace_row(raw->id);
    char text[NAME_TEXT_BYTES];
    if (!row || row->tail == TRACE_TAIL_DELTA)
        return false;
    perfetto_name(e, row->name, name(raw, text));
    for (u32 i = 0, offset = sizeof(*raw); i < row->fields; offset += row->field[i++].bytes) {
        const u64 value = trace_field_get(raw, offset, row->field[i].bytes);
        if (row->field[i].type[0] == 'x')
            perfetto_address(e, row->field[i].name, value);
        else
            perfetto_number(e, row->field[i].name, value);
    }
    if (raw->id == TRACE_hypercall)
        perfetto_text(e, "result", status_text(((const struct trace_hypercall *)raw)->status, text));
    if (row->tail == TRACE_TAIL_BYTES)
        data(e, trace_tail(raw));
    return true;
}
