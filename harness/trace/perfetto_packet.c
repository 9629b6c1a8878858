/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of a Perfetto trace that this project writes. Names stand in each event as text: numbers for them (interned data) would save a
 * tenth. */
#include "trace/perfetto_packet.h"

enum { TRACE_PACKET = 1 };
enum { PACKET_TIMESTAMP = 8, PACKET_SEQUENCE = 10, PACKET_EVENT = 11, PACKET_TRACK = 60 };
enum { TRACK_UUID = 1, TRACK_NAME = 2, TRACK_PROCESS = 3, TRACK_PARENT = 5, TRACK_COUNTER = 8, TRACK_CHILD_ORDERING = 11, TRACK_RANK = 12 };
enum { PROCESS_PID = 1, PROCESS_NAME = 6 };
enum { COUNTER_UNIT = 3 };
enum { EVENT_DETAIL = 4, EVENT_TYPE = 9, EVENT_TRACK = 11, EVENT_CATEGORY = 22, EVENT_NAME = 23, EVENT_COUNT = 30 };
enum { DETAIL_NUMBER = 3, DETAIL_TEXT = 6, DETAIL_POINTER = 7, DETAIL_NAME = 10 };
#define ORDERING_EXPLICIT 3u
#define UNIT_COUNT        2u
#define SEQUENCE          1u   /* of packets: this file is one */

static void packet_write(FILE *out, struct protobuf *packet)
{
    struct protobuf file;
    protobuf_begin(&file);
    protobuf_number(packet, PACKET_SEQUENCE, SEQUENCE);
    protobuf_message(&file, TRACE_PACKET, packet);
    fwrite(file.bytes, 1, file.used, out);
}

void perfetto_process(FILE *out, u64 track, const char *name)
{
    struct protobuf packet, descriptor, process;
    protobuf_begin(&process);
    protobuf_number(&process, PROCESS_PID, track);
    protobuf_text(&process, PROCESS_NAME, name);
    protobuf_begin(&descriptor);
    protobuf_number(&descriptor, TRACK_UUID, track);
    protobuf_text(&descriptor, TRACK_NAME, name);
    protobuf_message(&descriptor, TRACK_PROCESS, &process);
    protobuf_number(&descriptor, TRACK_CHILD_ORDERING, ORDERING_EXPLICIT);
    protobuf_begin(&packet);
    protobuf_message(&packet, PACKET_TRACK, &descriptor);
    packet_write(out, &packet);
}

void perfetto_track(FILE *out, u64 track, u64 parent, const char *name, u32 rank, bool counter)
{
    struct protobuf packet, descriptor, unit;
    protobuf_begin(&descriptor);
    protobuf_number(&descriptor, TRACK_UUID, track);
    protobuf_text(&descriptor, TRACK_NAME, name);
    protobuf_number(&descriptor, TRACK_PARENT, parent);
    if (counter) {
        protobuf_begin(&unit);
        protobuf_number(&unit, COUNTER_UNIT, UNIT_COUNT);
        protobuf_message(&descriptor, TRACK_COUNTER, &unit);
    }
    protobuf_number(&descriptor, TRACK_RANK, rank);
    protobuf_begin(&packet);
    protobuf_message(&packet, PACKET_TRACK, &descriptor);
    packet_write(out, &packet);
}

void perfetto_event(struct protobuf *e, enum perfetto_type type, u64 track)
{
    protobuf_begin(e);
    protobuf_number(e, EVENT_TYPE, type);
    protobuf_number(e, EVENT_TRACK, track);
}

void perfetto_name(struct protobuf *e, const char *category, const char *name)
{
    protobuf_text(e, EVENT_CATEGORY, category);
    protobuf_text(e, EVENT_NAME, name);
}

void perfetto_count(struct protobuf *e, u64 value)
{
    protobuf_number(e, EVENT_COUNT, value);
}

static void detail_number(struct protobuf *e, const char *what, u32 field, u64 value)
{
    struct protobuf detail;
    protobuf_begin(&detail);
    protobuf_text(&detail, DETAIL_NAME, what);
    protobuf_number(&detail, field, value);
    protobuf_message(e, EVENT_DETAIL, &detail);
}

void perfetto_number(struct protobuf *e, const char *what, u64 value)
{
    detail_number(e, what, DETAIL_NUMBER, value);
}

void perfetto_address(struct protobuf *e, const char *what, u64 value)
{
    detail_number(e, what, DETAIL_POINTER, value);
}

void perfetto_text(struct protobuf *e, const char *what, const char *text)
{
    struct protobuf detail;
    protobuf_begin(&detail);
    protobuf_text(&detail, DETAIL_NAME, what);
    protobuf_text(&detail, DETAIL_TEXT, text);
    protobuf_message(e, EVENT_DETAIL, &detail);
}

void perfetto_write(FILE *out, u64 ns, const struct protobuf *e)
{
    struct protobuf packet;
    protobuf_begin(&packet);
    protobuf_number(&packet, PACKET_TIMESTAMP, ns);
    protobuf_message(&packet, PACKET_EVENT, e);
    packet_write(out, &packet);
}
