/* SPDX-License-Identifier: BSD-2-Clause */
/* The protobuf wire format, as far as a writer of unsigned numbers, texts and messages needs it: a key (field << 3 | kind), then a varint, or
 * a length and as many bytes. */
#include "trace/protobuf.h"
#include <string.h>

enum { VARINT = 0, LENGTH = 2 };
#define VARINT_MAX 10u   /* bytes of 64 bits, seven in each */

void protobuf_begin(struct protobuf *m)
{
    m->used = 0;
    m->full = false;
}

static void varint(struct protobuf *m, u64 value)
{
    for (; value >= 0x80; value >>= 7)
        m->bytes[m->used++] = (u8)(value | 0x80);
    m->bytes[m->used++] = (u8)value;
}

static bool room(struct protobuf *m, u32 count)
{
    if (PROTOBUF_BYTES - m->used < count + 2 * VARINT_MAX)
        m->full = true;
    return !m->full;
}

void protobuf_number(struct protobuf *m, u32 field, u64 value)
{
    if (!room(m, 0))
        return;
    varint(m, field << 3 | VARINT);
    varint(m, value);
}

void protobuf_bytes(struct protobuf *m, u32 field, const void *bytes, u32 count)
{
    if (count > PROTOBUF_BYTES || !room(m, count)) {
        m->full = true;
        return;
    }
    varint(m, field << 3 | LENGTH);
    varint(m, count);
    memcpy(m->bytes + m->used, bytes, count);
    m->used += count;
}

void protobuf_text(struct protobuf *m, u32 field, const char *text)
{
    char clean[PROTOBUF_TEXT];
    u32 count = 0;
    for (; count < PROTOBUF_TEXT && text[count]; count++)
        clean[count] = text[count] < ' ' || text[count] > '~' ? '?' : text[count];
    protobuf_bytes(m, field, clean, count);
}

void protobuf_message(struct protobuf *m, u32 field, const struct protobuf *inner)
{
    protobuf_bytes(m, field, inner->bytes, inner->used);
    m->full |= inner->full;
}
