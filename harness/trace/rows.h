/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of abi/trace.h as a table: what reads, writes, describes or prints any event goes by it. */
#pragma once
#include "trace/reader.h"

enum trace_tail_kind { TRACE_TAIL_NONE, TRACE_TAIL_DELTA, TRACE_TAIL_BYTES };

/* The fields of a row follow each other without gaps, the first after the header. */
struct trace_field {
    const char *type, *name;   /* type: as in the row, "x32" */
    u32 bytes;
};

struct trace_row {
    const char *name, *text;
    const struct trace_field *field;
    u32 fields;
    u32 bytes;                 /* of header and fields */
    enum trace_tail_kind tail;
};

const struct trace_row *trace_row(u32 id);   /* NULL: no such id */
u64 trace_field_get(const struct trace_event *e, u32 offset, u32 bytes);
/* Does an event, all of whose e->bytes can be read, have the size and the words of its row? NULL: yes; else why not, and in which field. */
const char *trace_row_refuse(const struct trace_row *row, const struct trace_event *e, const char **field);
