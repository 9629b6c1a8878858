/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each exit of any trace a slice, each other event an instant, does time on no track go back, and does each slice end before the next begins?
 * The protobuf is read by a few lines of its own here; tests/traces/export.py has protoc read it. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace/perfetto.h"
#include "trace/rows.h"
#include "trace_made.h"

#define VCPU_TRACKS 0x40000u     /* and above */

struct piece {                   /* one field */
    u32 field;
    u64 number;                  /* a varint, or how many bytes */
    const u8 *bytes;
};

static u64 varint(const u8 **at, const u8 *end)
{
    u64 value = 0;
    for (u32 shift = 0; shift < 70; shift += 7) {
        assert_true(*at < end);
        const u8 byte = *(*at)++;
        value |= (u64)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail();
    return 0;
}

static bool next(const u8 **at, const u8 *end, struct piece *p)
{
    if (*at == end)
        return false;
    const u64 key = varint(at, end);
    *p = (struct piece){ .field = (u32)(key >> 3), .number = varint(at, end) };
    if ((key & 7) == 2) {
        assert_true(p->number <= (u64)(end - *at));
        p->bytes = *at;
        *at += p->number;
    } else {
        assert_int_equal(key & 7, 0);
    }
    return true;
}

/* The one field of this number; zeros: there is none. */
static struct piece find(struct piece in, u32 field)
{
    struct piece p, found = { 0 };
    for (const u8 *at = in.bytes; next(&at, in.bytes + in.number, &p);)
        if (p.field == field)
            found = p;
    return found;
}

static bool is(struct piece p, const char *text)
{
    return p.bytes && p.number == strlen(text) && memcmp(p.bytes, text, p.number) == 0;
}

struct seen {
    u64 tracks, exits, guests, instants, counters, last_count, last_ns;
    struct {
        u64 id, ns;
        bool open;
    } track[600];
};

static void event(struct seen *s, u64 ns, struct piece e)
{
    const u64 type = find(e, 9).number, id = find(e, 11).number, name = find(e, 23).number;
    u32 t = 0;
    while (t < s->tracks && s->track[t].id != id)
        t++;
    assert_true(t < s->tracks);
    assert_true(ns >= s->track[t].ns);
    s->track[t].ns = ns;
    s->last_ns = ns > s->last_ns ? ns : s->last_ns;
    switch (type) {
    case 1:
        assert_false(s->track[t].open);
        assert_true(name > 0);
        s->track[t].open = true;
        s->exits += is(find(e, 22), "exit");
        s->guests += id >= VCPU_TRACKS && is(find(e, 23), "guest");
        break;
    case 2:
        assert_true(s->track[t].open);
        s->track[t].open = false;
        break;
    case 3:
        assert_true(name > 0);
        s->instants++;
        break;
    default:
        assert_int_equal(type, 4);
        s->counters++;
        s->last_count = find(e, 30).number;
    }
}

static struct seen look(const char *bytes, u64 count)
{
    static struct seen s;
    struct piece packet;
    memset(&s, 0, sizeof(s));
    for (const u8 *at = (const u8 *)bytes; next(&at, (const u8 *)bytes + count, &packet);) {
        assert_int_equal(packet.field, 1);
        const struct piece track = find(packet, 60), e = find(packet, 11);
        assert_int_equal(find(packet, 10).number, 1);
        if (track.bytes) {
            assert_true(s.tracks < array_size(s.track));
            s.track[s.tracks].id = find(track, 1).number;
            for (u32 i = 0; i < s.tracks; i++)
                assert_true(s.track[i].id != s.track[s.tracks].id);
            s.tracks++;
        } else {
            assert_non_null(e.bytes);
            event(&s, find(packet, 8).number, e);
        }
    }
    for (u32 i = 0; i < s.tracks; i++)
        assert_false(s.track[i].open);
    return s;
}

static struct seen exported(const struct trace *t)
{
    char *bytes[2];
    size_t count[2];
    for (u32 i = 0; i < 2; i++) {
        FILE *const out = open_memstream(&bytes[i], &count[i]);
        assert_true(trace_perfetto(t, "a title\n\xff", out));
        fclose(out);
    }
    assert_true(count[0] == count[1] && memcmp(bytes[0], bytes[1], count[0]) == 0);
    const struct seen s = look(bytes[0], count[0]);
    free(bytes[0]);
    free(bytes[1]);
    return s;
}

static void any_trace_is_whole(void **state)
{
    for (u64 seed = 1; seed < 12; seed++) {
        const u32 cpus = 1 + (u32)seed % 4;
        u64 count, entries = 0, others = 0;
        u8 *const bytes = made_bytes(seed, cpus, 3 * cpus, 4000, &count);
        struct trace t;
        assert_true(trace_open_bytes("made", bytes, count, &t));
        for (u64 i = 0; i < t.count; i++) {
            entries += t.event[i].raw->id == TRACE_entry;
            others += trace_row(t.event[i].raw->id)->tail != TRACE_TAIL_DELTA;
        }
        const struct seen s = exported(&t);
        assert_int_equal(s.tracks, 1 + 2 * cpus + 3 * cpus);
        assert_int_equal(s.exits, t.exits);
        assert_int_equal(s.guests, entries);
        assert_int_equal(s.instants, others);
        assert_int_equal(s.counters, cpus);
        assert_int_equal(s.last_count, 0);
        assert_int_equal(s.last_ns, t.event[t.count - 1].tsc / 2);   /* 2 GHz */
        trace_close(&t);
        free(bytes);
    }
}

/* A vCPU that moves between CPUs whose clocks differ. */
static void a_vcpu_may_move(void **state)
{
    struct trace_writer *const w = trace_writer_new();
    u64 word[TRACE_WORDS] = { VCPU_EXIT_HLT }, count;
    for (u32 i = 0; i < 30; i++)
        assert_true(trace_write_words(w, i % 3, 1000 * (i % 3) + 10 * i, i % 2 ? TRACE_entry : TRACE_exit, 0, word));
    u8 *const bytes = trace_writer_bytes(w, &count);
    struct trace t;
    assert_true(trace_open_bytes("moves", bytes, count, &t));
    const struct seen s = exported(&t);
    assert_int_equal(s.exits, 15);
    assert_int_equal(s.tracks, 1 + 2 * 3 + 1);
    trace_close(&t);
    trace_writer_free(w);
    free(bytes);
}

static void what_was_lost_is_counted(void **state)
{
    u64 count, at = 0, packets = 0, last = 0;
    u8 *const bytes = made_bytes(5, 1, 2, 9000, &count);
    for (; at < count; at += ((struct trace_packet *)(bytes + at))->packet_bits / 8)
        ((struct trace_packet *)(bytes + at))->discarded = last = packets++ / 2;
    struct trace t;
    assert_true(packets > 4);
    assert_true(trace_open_bytes("lost", bytes, count, &t));
    assert_int_equal(t.lost, last);
    const struct seen s = exported(&t);
    assert_int_equal(s.counters, last + 1);
    assert_int_equal(s.last_count, last);
    trace_close(&t);
    free(bytes);
}

static void a_full_file_is_told(void **state)
{
    u64 count;
    u8 *const bytes = made_bytes(1, 1, 1, 100, &count);
    struct trace t;
    FILE *const full = fopen("/dev/full", "w");
    assert_true(trace_open_bytes("made", bytes, count, &t));
    assert_false(trace_perfetto(&t, "", full));
    fclose(full);
    trace_close(&t);
    free(bytes);
}

TEST_GROUP(trace_perfetto, cmocka_unit_test(any_trace_is_whole), cmocka_unit_test(a_vcpu_may_move), cmocka_unit_test(what_was_lost_is_counted),
           cmocka_unit_test(a_full_file_is_told));
