/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of a Perfetto trace: a track, a slice's begin or end, an instant, a counter's value. Field numbers are those of Perfetto's
 * trace_packet.proto, track_event.proto, track_descriptor.proto, debug_annotation.proto. A failed write shows in ferror(out). */
#pragma once
#include <stdio.h>
#include "trace/protobuf.h"

/* A process without a parent, else a track under it, at place `rank` among its kin. Ids are not 0. */
void perfetto_process(FILE *out, u64 track, const char *name);
void perfetto_track(FILE *out, u64 track, u64 parent, const char *name, u32 rank, bool counter);

enum perfetto_type { PERFETTO_BEGIN = 1, PERFETTO_END, PERFETTO_INSTANT, PERFETTO_COUNTER };

void perfetto_event(struct protobuf *e, enum perfetto_type type, u64 track);
void perfetto_name(struct protobuf *e, const char *category, const char *name);   /* of a begin or an instant */
void perfetto_count(struct protobuf *e, u64 value);                                /* of a counter */
/* Details, any number of them. */
void perfetto_number(struct protobuf *e, const char *what, u64 value);
void perfetto_address(struct protobuf *e, const char *what, u64 value);            /* shown in hexadecimal */
void perfetto_text(struct protobuf *e, const char *what, const char *text);
void perfetto_write(FILE *out, u64 ns, const struct protobuf *e);
