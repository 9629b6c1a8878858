/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a trace is cut anywhere, or any byte of it is another, or files are missing? One line with the offset, never more, and what stands before it is read. */
#define _GNU_SOURCE
#include "unit.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "trace_made.h"

/* What is printed between say_begin and say_end. */
static int said, stderr_kept;
static char text[4096];

static void say_begin(void)
{
    fflush(stderr);
    said = memfd_create("said", MFD_CLOEXEC);
    stderr_kept = dup(2);
    dup2(said, 2);
}

static u32 say_end(void)
{
    u32 lines = 0;
    fflush(stderr);
    dup2(stderr_kept, 2);
    close(stderr_kept);
    const ssize_t bytes = pread(said, text, sizeof(text) - 1, 0);
    close(said);
    text[bytes < 0 ? 0 : bytes] = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    return lines;
}

/* Opens, walks all words, closes. Returns whether it is whole; what it says stands in text. */
static bool read_bytes(const u8 *bytes, u64 count, u64 *events)
{
    struct trace t;
    say_begin();
    const bool open = trace_open_bytes("made", bytes, count, &t);
    const bool whole = open && trace_whole(&t);
    const int status = open ? trace_status(&t) : 2;
    *events = open ? t.count : 0;
    if (open) {
        (void)made_hash(&t);
        trace_close(&t);
    }
    const u32 lines = say_end();
    assert_int_equal(lines, status ? 1 : 0);
    assert_true(!lines || strncmp(text, "orrery: made: offset 0x", 23) == 0);
    return whole;
}

static void each_cut_is_told(void **state)
{
    u64 count, events, before = 0;
    u8 *const bytes = made_bytes(1, 2, 3, 40, &count);
    assert_true(read_bytes(bytes, count, &events));
    for (u64 cut = 0; cut < count; cut++) {
        assert_false(read_bytes(bytes, cut, &events));
        assert_true(events >= before);   /* what stands before it is read */
        before = events;
        u64 offset;
        assert_true(!*text || (sscanf(text, "orrery: made: offset 0x%lx", &offset) == 1 && offset <= cut));
    }
    assert_true(before > 40);
    free(bytes);
}

static void each_flip_is_told_or_harmless(void **state)
{
    u64 count, events;
    u32 told = 0;
    u8 *const bytes = made_bytes(2, 2, 3, 40, &count);
    for (u64 i = 0; i < count; i++)
        for (u32 bit = 0; bit < 8; bit++) {
            bytes[i] ^= (u8)(1u << bit);
            (void)read_bytes(bytes, count, &events);
            told += *text != 0;
            bytes[i] ^= (u8)(1u << bit);
        }
    assert_true(told > count);   /* of 8: most bytes are values, of which any is good */
    free(bytes);
}

/* One field of a stream of one packet: machine, exits with their first state, end. */
static void refused(u32 offset, u64 value, u32 size, const char *field, const char *why)
{
    struct trace_writer *const w = trace_writer_new();
    const struct trace_machine machine = { .version = TRACE_VERSION, .vendor = 2, .cpu_count = 1 };
    u64 word[TRACE_WORDS] = { [TRACE_WORD_rip] = 1 }, count, events;
    assert_true(trace_write_machine(w, &machine) && trace_write_words(w, 0, 5, TRACE_exit, 0, word));
    assert_true(trace_write_value(w, 0, 6, 0, TRACE_VALUE_memory, 0, "abcd", 4) && trace_write_end(w, 0));
    u8 *const bytes = trace_writer_bytes(w, &count);
    trace_writer_free(w);
    assert_true(read_bytes(bytes, count, &events));
    memcpy(bytes + offset, &value, size);
    assert_false(read_bytes(bytes, count, &events));
    if (!strstr(text, field) || !strstr(text, why))
        fail_msg("offset %u: %s: %s is not in: %s", offset, field, why, text);
    free(bytes);
}

#define P(member) offset_of(struct trace_packet, member), sizeof(((struct trace_packet *)0)->member)
#define E(base, member) (base) + offset_of(struct trace_event, member), sizeof(((struct trace_event *)0)->member)
static void each_rule_has_its_line(void **state)
{
    const u32 machine = sizeof(struct trace_packet), first = machine + sizeof(struct trace_machine), exit = first + 16 + 5, value = exit + 16;
    const struct { u32 offset, size; u64 value; const char *field, *why; } cases[] = {
            { P(magic), 1, ": magic: ", "no CTF packet" },
            { offset_of(struct trace_packet, uuid), 1, 1, ": uuid: ", "not that of this format" },
            { P(stream), 1, ": stream: ", "must be 0" },
            { P(content_bits), 7, ": content_bits: ", "not the size" },
            { P(content_bits), 8 * 65537, ": content_bits: ", "not the size" },
            { P(packet_bits), 8 * 76, ": packet_bits: ", "must be equal" },
            { P(cpu), 64, ": cpu: ", "below 64" },
            { P(cpu), 1, ": id: ", "first event of CPU 0" },
            { P(begin), 1ul << 40, ": begin: ", "order of time" },
            { P(begin), 1, ": tsc: ", "order of time" },
            { P(end), 1ul << 30, ": end: ", "not the time of its last event" },
            { P(end), 5, ": tsc: ", "order of time" },
            { P(sequence), 1, ": sequence: ", "order" },
            { E(machine, bytes), sizeof(struct trace_machine) - 1, ": bytes: ", "too few" },
            { E(machine, bytes), sizeof(struct trace_machine) + 1, ": bytes: ", "not the size" },
            { E(machine, bytes), 11, ": bytes: ", "less than" },
            { E(machine, bytes), 60000, ": event: ", "ends within it" },
            { machine + offset_of(struct trace_machine, version), 4, 3, ": version: ", "does not know" },
            { machine + offset_of(struct trace_machine, vendor), 4, 3, ": vendor: ", "0, 1 or 2" },
            { machine + offset_of(struct trace_machine, cpu_count), 4, 0, ": cpu_count: ", "1 to 64" },
            { machine + offset_of(struct trace_machine, groups), 4, 1u << 15, ": groups: ", "no such group" },
            { E(exit, sequence), 1, ": sequence: ", "order" },
            { E(exit, sequence), 9, ": sequence: ", "order" },
            { E(exit, tsc), 4, ": tsc: ", "order" },
            { E(exit, id), TRACE_end, ": id: ", "after the end" },
            { E(exit, id), TRACE_interrupt, ": bytes: ", "not the size" },
            { exit + offset_of(struct trace_exit, vcpu), 2, TRACE_NO_VCPU, ": vcpu: ", "no number" },
            { first + 16, 1, TRACE_WORDS, ": word: ", "no such word" },
            { first + 15, 1, 98, ": bytes: ", "more changes" },
            { value + offset_of(struct trace_value, kind), 1, TRACE_VALUE_COUNT, ": kind: ", "no such kind" },
            { value + sizeof(struct trace_value), 1, 25, ": bytes: ", "not the size" },
            { E(value, id), TRACE_machine, ": bytes: ", "too few" },
    };
    for (u32 i = 0; i < array_size(cases); i++)
        refused(cases[i].offset, cases[i].value, cases[i].size, cases[i].field, cases[i].why);
}

/* Two packets, the first without its end, and so on: what only the whole shows. */
static void parts_are_missed(void **state)
{
    u64 count, events;
    u8 *const bytes = made_bytes(3, 3, 3, 2200, &count);
    u8 *const less = malloc(count);
    u64 packets = 0, sequence = 0;
    assert_true(read_bytes(bytes, count, &events));
    for (u64 at = 0, size; at < count; at += size, packets++) {
        const struct trace_packet *const head = (const struct trace_packet *)(bytes + at);
        assert_true(at == 0 || head->sequence > sequence);   /* a machine writes them so */
        sequence = head->sequence;
        size = head->packet_bits / 8;
        memcpy(less, bytes, at);
        memcpy(less + at, bytes + at + size, count - at - size);
        assert_false(read_bytes(less, count - size, &events));   /* the first: no machine; the last: no end */
    }
    assert_true(packets > 4);
    free(less);
    free(bytes);
}

struct one {
    u32 cpu;
    u64 sequence, discarded;
};

/* A packet with one event: the machine as number 0, else an interrupt. */
static u64 one_packet(u8 *bytes, u64 tsc, const struct one *o)
{
    const struct trace_machine machine = { .version = TRACE_VERSION, .cpu_count = 2 };
    struct trace_packet *const p = (struct trace_packet *)bytes;
    const bool first = o->cpu == 0 && tsc == 0;
    const u32 size = first ? sizeof(machine) : sizeof(struct trace_interrupt);
    *p = (struct trace_packet){ .magic = TRACE_MAGIC, .uuid = TRACE_UUID, .begin = tsc, .end = tsc, .cpu = o->cpu, .sequence = o->sequence, .discarded = o->discarded };
    p->content_bits = p->packet_bits = 8 * (sizeof(*p) + size);
    if (first)
        memcpy(p + 1, &machine, sizeof(machine));
    *(struct trace_event *)(p + 1) = (struct trace_event){ first ? TRACE_machine : TRACE_interrupt, (u32)tsc, (u16)size, (u32)o->sequence };
    return sizeof(*p) + size;
}

/* What only shows beside another packet. */
static void packets_must_agree(void **state)
{
    static const struct { struct one first, second; const char *line; } cases[] = {
            { { 0, 0, 0 }, { 0, 1, 0 }, NULL },
            { { 1, 0, 0 }, { 1, 1, 0 }, NULL },
            { { 0, 0, 0 }, { 0, 0, 0 }, ": sequence: not in the order" },
            { { 0, 0, 0 }, { 1, 0, 0 }, ": sequence: the number of another" },
            { { 0, 0, 0 }, { 0, 2, 0 }, ": sequence: events before it are missing" },
            { { 0, 0, 0 }, { 0, 2, 5 }, NULL },
            { { 0, 0, 0 }, { 1, 9, 5 }, ": sequence: events before it are missing" },
            { { 0, 0, 5 }, { 0, 1, 4 }, ": discarded: less than" },
            { { 0, 0, 0 }, { 2, 1, 0 }, ": cpu: more than the machine has" },
    };
    for (u32 i = 0; i < array_size(cases); i++) {
        u8 bytes[512];
        u64 events, count = one_packet(bytes, 0, &cases[i].first);
        count += one_packet(bytes + count, 1, &cases[i].second);
        (void)read_bytes(bytes, count, &events);
        if (cases[i].line ? !strstr(text, cases[i].line) : *text != 0)
            fail_msg("case %u: %s is not in: %s", i, cases[i].line ? cases[i].line : "nothing", text);
    }
}

static void a_long_value_is_refused(void **state)
{
    struct trace_writer *const w = trace_writer_new();
    struct { struct trace_value value; u8 count, data[TRACE_VALUE_BYTES + 1]; } __attribute__((packed)) e = { 0 };
    u64 count, events;
    e.value.event = (struct trace_event){ .id = TRACE_value, .bytes = sizeof(e) };
    e.value.kind = TRACE_VALUE_memory;
    e.count = sizeof(e.data);
    assert_true(trace_write_raw(w, 0, 0, &e.value.event));
    u8 *const bytes = trace_writer_bytes(w, &count);
    assert_false(read_bytes(bytes, count, &events));
    assert_non_null(strstr(text, ": count: more bytes"));
    trace_writer_free(w);
    free(bytes);
}

static void a_cpu_stands_in_one_file(void **state)
{
    char folder[] = "/tmp/orrery-trace-XXXXXX", command[128];
    struct trace t;
    struct trace_writer *const w = made_trace(4, 2, 3, 300);
    assert_non_null(mkdtemp(folder));
    assert_true(trace_writer_save(w, folder, NULL));
    trace_writer_free(w);
    snprintf(command, sizeof(command), "cp %s/cpu1 %s/cpu7", folder, folder);
    assert_int_equal(system(command), 0);
    say_begin();
    assert_true(trace_open(folder, &t));
    assert_int_equal(say_end(), 1);
    assert_non_null(strstr(text, "cpu7: offset 0x48: cpu: stands in another file"));
    trace_close(&t);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void one_fault_leaves_the_other_files(void **state)
{
    char folder[] = "/tmp/orrery-trace-XXXXXX", name[64], command[64];
    struct trace t;
    struct trace_writer *const w = made_trace(4, 3, 3, 3000);
    assert_non_null(mkdtemp(folder));
    assert_true(trace_writer_save(w, folder, NULL));
    trace_writer_free(w);
    assert_true(trace_open(folder, &t));
    const u64 all = t.count, second = t.source[1].count;
    trace_close(&t);
    snprintf(name, sizeof(name), "%s/cpu1", folder);
    assert_int_equal(truncate(name, (off_t)second / 2), 0);
    say_begin();
    assert_true(trace_open(folder, &t));
    assert_int_equal(say_end(), 1);
    assert_non_null(strstr(text, "cpu1: offset 0x"));
    assert_int_equal(trace_status(&t), 2);
    assert_true(t.count > all / 2 && t.count < all && t.ended);
    /* Split again it is good for what it has, but not whole. */
    say_begin();
    assert_true(trace_split(&t, folder, NULL));
    const u64 left = t.count;
    trace_close(&t);
    assert_true(trace_open(folder, &t));
    assert_int_equal(say_end(), 1);
    assert_non_null(strstr(text, "sequence: events before it are missing"));
    assert_int_equal(t.count, left);
    trace_close(&t);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

static void what_is_no_trace_gives_one_line(void **state)
{
    char folder[] = "/tmp/orrery-trace-XXXXXX";
    const char *const none[] = { "/nonexistent", "/dev/null", folder };
    assert_non_null(mkdtemp(folder));
    for (u32 i = 0; i < array_size(none); i++) {
        struct trace t;
        say_begin();
        const bool open = trace_open(none[i], &t);
        assert_int_equal(say_end(), 1);
        assert_false(open);
        assert_non_null(strstr(text, none[i]));
    }
    rmdir(folder);
}

static void unknown_events_are_skipped(void **state)
{
    struct trace_writer *const w = trace_writer_new();
    struct { struct trace_event event; u8 data[5]; } __attribute__((packed)) e = { .event = { .id = 999, .bytes = sizeof(e) } };
    struct trace t;
    u64 count;
    for (u32 i = 0; i < 3; i++)
        assert_true(trace_write_raw(w, 0, i, &e.event));
    assert_true(trace_write_end(w, 0));
    u8 *const bytes = trace_writer_bytes(w, &count);
    assert_true(trace_open_bytes("made", bytes, count, &t));
    assert_true(t.unknown == 3 && t.count == 1 && t.ended && !t.fault.why);
    assert_false(trace_whole(&t));   /* no machine */
    trace_close(&t);
    trace_writer_free(w);
    free(bytes);
}

TEST_GROUP(trace_reader, cmocka_unit_test(each_cut_is_told), cmocka_unit_test(each_flip_is_told_or_harmless), cmocka_unit_test(each_rule_has_its_line),
           cmocka_unit_test(parts_are_missed), cmocka_unit_test(packets_must_agree),
           cmocka_unit_test(a_long_value_is_refused), cmocka_unit_test(a_cpu_stands_in_one_file), cmocka_unit_test(one_fault_leaves_the_other_files), cmocka_unit_test(what_is_no_trace_gives_one_line),
           cmocka_unit_test(unknown_events_are_skipped));
