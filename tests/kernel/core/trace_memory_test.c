/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a trace that is kept in memory whole after each packet and at its end, however full, and handed on once, and only if it is one? */
#include <stdlib.h>
#include <string.h>
#include "abi/trace.h"
#include "guest_fixture.h"
#include "trace_ring.h"

struct scene {
    struct fixture *f;
    struct cpu *cpu;
    struct trace_memory *m;
    u8 *bytes;
    u64 count;
};

static void sink(void *arg, const void *bytes, u32 count)
{
    struct scene *const s = arg;
    s->bytes = realloc(s->bytes, s->count + count);
    memcpy(s->bytes + s->count, bytes, count);
    s->count += count;
}

static int setup(void **state)
{
    struct scene *const s = calloc(1, sizeof(*s));
    struct sim *const m = sim_unit(1, 128ul << 20, SIM_NONE);
    s->f = fixture_open_on(m, 1);
    guest_sim_trace(m, sink, s);
    guest_sim_trace_off(m);
    s->f->k->boot.trace_memory = s->f->k->boot.trace_all = true;
    s->cpu = fixture_cpu(s->f, 0);
    s->m = mach_phys_to_virt(TRACE_MEMORY_ADDRESS);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *const s = *state;
    fixture_close(s->f);
    free(s->bytes);
    free(s);
    return 0;
}

/* As another start of the kernel would, with a trace port or without. */
static void start(struct scene *s, bool port)
{
    s->cpu->trace = NULL;
    if (port)
        guest_sim_trace(s->f->sim, sink, s);
    else
        guest_sim_trace_off(s->f->sim);
    trace_init(s->cpu);
    assert_non_null(s->cpu->trace);
}

static void record(struct scene *s, u32 events)
{
    for (u32 i = 0; i < events; i++) {
        trace_flushed(s->cpu, i);
        if (i % 1000 == 999)
            fixture_trap(s->f, 0, TRAP(TRAP_NONE, 0), 0);
    }
}

static u64 sum(const u8 *data, u64 bytes)
{
    u64 sum = TRACE_MEMORY_SUM;
    for (u64 i = 0; i < bytes; i++)
        sum = (sum ^ data[i]) * TRACE_MEMORY_PRIME;
    return sum;
}

static void a_trace_is_kept(void **state)
{
    struct scene *const s = *state;
    start(s, false);
    assert_int_equal(s->m->magic, TRACE_MEMORY_MAGIC);
    assert_int_equal(s->m->bytes, 0);
    record(s, 3000);
    assert_true(s->m->bytes > 30000);   /* already */
    assert_int_equal(sum(s->m->data, s->m->bytes), s->m->sum);
    trace_end(s->cpu, 9);
    assert_int_equal(sum(s->m->data, s->m->bytes), s->m->sum);
    const struct trace_end *const end = (const void *)(s->m->data + s->m->bytes - sizeof(*end));
    assert_int_equal(end->event.id, TRACE_end);
    assert_int_equal(end->code, 9);
    assert_int_equal(s->m->read, 0);
    assert_int_equal(s->count, 0);
}

static void it_is_handed_on_once(void **state)
{
    struct scene *const s = *state;
    start(s, false);
    record(s, 8000);
    trace_end(s->cpu, 0);
    const u64 bytes = s->m->bytes;
    u8 *const was = malloc(bytes);
    assert_true(bytes > TRACE_PACKET_BYTES);
    memcpy(was, s->m->data, bytes);
    start(s, true);
    assert_int_equal(s->count, bytes);
    assert_memory_equal(s->bytes, was, bytes);
    free(was);
    assert_int_equal(s->m->bytes, 0);
    record(s, 3000);   /* into memory, again */
    assert_int_equal(s->count, bytes);
    assert_true(s->m->bytes > 30000);
    s->m->read = 1;
    start(s, true);
    assert_int_equal(s->count, bytes);
}

/* A machine that crashed: the packets up to then. */
static void without_its_end(void **state)
{
    struct scene *const s = *state;
    start(s, false);
    record(s, 3000);
    const u64 bytes = s->m->bytes;
    start(s, true);
    assert_int_equal(s->count, bytes);
}

static void what_is_none_is_not_handed_on(void **state)
{
    struct scene *const s = *state;
    for (u32 i = 0; i < 5; i++) {
        start(s, false);
        record(s, 3000);
        trace_end(s->cpu, 0);
        if (i == 0)
            s->m->magic ^= 1;
        if (i == 1)
            s->m->data[s->m->bytes / 2] ^= 1;
        if (i == 2)
            s->m->bytes--;
        if (i == 3)
            s->m->bytes = ~0ul;
        if (i == 4)
            s->m->sum++;
        start(s, true);
        assert_int_equal(s->count, 0);
        assert_int_equal(s->m->bytes, 0);
        assert_int_equal(s->m->magic, TRACE_MEMORY_MAGIC);
    }
}

/* What finds no room is counted, and the end is there. */
static void more_than_there_is_room_for(void **state)
{
    struct scene *const s = *state;
    u64 events = 0, discarded = 0, at = 0;
    u32 last = 0;
    start(s, false);
    record(s, 300000);
    trace_end(s->cpu, 0);
    assert_true(s->m->bytes > 4000000 && s->m->bytes <= sizeof(s->m->data));
    while (at < s->m->bytes) {
        const struct trace_packet *const p = (const void *)(s->m->data + at);
        assert_int_equal(p->magic, TRACE_MAGIC);
        const u64 end = at + p->content_bits / 8;
        discarded = p->discarded;
        for (at += sizeof(*p); at < end; at += ((const struct trace_event *)(s->m->data + at))->bytes) {
            last = ((const struct trace_event *)(s->m->data + at))->id;
            events++;
        }
        assert_int_equal(at, end);
    }
    assert_int_equal(last, TRACE_end);
    assert_true(discarded > 50000);
    assert_int_equal(events + discarded, 300000 + 2);   /* machine, end */
}

/* Full to the last byte: each CPU can still tell what it lost, one that it ends. */
static void room_for_the_end(void **state)
{
    struct scene *const s = *state;
    static const u8 bytes[5000];
    start(s, false);
    for (u32 count = sizeof(bytes); count; count /= 2)
        while (trace_memory_keep(bytes, count, false))
            ;
    for (u32 i = 0; i < CPU_MAX; i++)
        assert_true(trace_memory_keep(bytes, sizeof(struct trace_packet), true));
    assert_true(trace_memory_keep(bytes, sizeof(struct trace_packet) + sizeof(struct trace_end), true));
}

/* A small packet after a large one that found no room: its deltas would be against words that nobody has. */
static void nothing_follows_a_loss_but_the_end(void **state)
{
    struct scene *const s = *state;
    static const u8 bytes[1000];
    start(s, false);
    while (trace_memory_keep(bytes, sizeof(bytes), false))
        ;
    s->m->bytes -= sizeof(bytes);
    const u64 before = s->m->bytes;
    record(s, 2000);
    record(s, 10);
    trace_end(s->cpu, 0);
    const struct trace_packet *const lost = (const void *)(s->m->data + before), *const p = lost + 1;
    assert_int_equal(s->m->bytes - before, 2 * sizeof(*p) + sizeof(struct trace_end));
    assert_int_equal(lost->content_bits, 8 * sizeof(*lost));
    assert_int_equal(((const struct trace_event *)(p + 1))->id, TRACE_end);
    assert_int_equal(p->discarded, 2011);   /* machine, too */
}

/* The event that a packet makes room for because it is far from the one before: if that packet finds no room, it is lost, too. */
static void nothing_follows_a_loss_at_a_gap(void **state)
{
    struct scene *const s = *state;
    static const u8 bytes[1000];
    start(s, false);
    record(s, 200);
    while (trace_memory_keep(bytes, sizeof(bytes), false))
        ;
    s->m->bytes -= sizeof(bytes);
    const u64 before = s->m->bytes;
    atomic_add(&s->f->k->trace_sequence, bit(31));
    record(s, 1);
    trace_end(s->cpu, 0);
    const struct trace_packet *const lost = (const void *)(s->m->data + before), *const p = lost + 1;
    assert_int_equal(s->m->bytes - before, 2 * sizeof(*p) + sizeof(struct trace_end));
    assert_int_equal(p->discarded, 202);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(trace_memory, T(a_trace_is_kept), T(it_is_handed_on_once), T(without_its_end), T(what_is_none_is_not_handed_on), T(more_than_there_is_room_for), T(room_for_the_end),
           T(nothing_follows_a_loss_but_the_end), T(nothing_follows_a_loss_at_a_gap));
