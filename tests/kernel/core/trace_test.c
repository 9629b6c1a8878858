/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the stream whole: packets that fit, in order over all CPUs, an end behind everything, and a count of what found no room? */
#include "trace_stream.h"

static void fill(struct stream *s, struct cpu *cpu, u32 count)
{
    fixture_cpu(s->g->f, cpu->id);
    for (u32 i = 0; i < count; i++)
        trace_flushed(cpu, i);
}

static void end_of_trap(struct stream *s, u32 cpu)
{
    fixture_trap(s->g->f, cpu, TRAP(TRAP_NONE, 0), 0);
}

static void the_machine_comes_first(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    const struct kern *const k = s->g->f->k;
    assert_int_equal(s->count, 0);   /* with the first packet */
    guest_run(s->g, 0);
    trace_end(s->cpu, 0);
    stream_read(s);
    const struct trace_machine *const m = (const void *)s->event[0].e;
    assert_int_equal(m->event.id, TRACE_machine);
    assert_int_equal(m->event.bytes, sizeof(*m));
    assert_int_equal(m->version, TRACE_VERSION);
    assert_int_equal(m->vendor, VENDOR(state));
    assert_int_equal(m->cpu_count, 2);
    assert_int_equal(m->groups, k->virt->groups & TRACE_GROUPS);
    assert_int_equal(m->tsc_khz, k->clock.tsc_khz);
    assert_int_equal(stream_number(s, TRACE_machine), 1);
    stream_close(s);
}

/* Less than half a packet stays; more is written at the end of any trap, whole and not longer than a packet may be. */
static void half_full_is_written_out(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    fill(s, s->cpu, 1000);
    end_of_trap(s, 0);
    assert_int_equal(s->count, 0);
    fill(s, s->cpu, 1000);
    assert_int_equal(s->count, 0);
    end_of_trap(s, 0);
    assert_true(s->count > TRACE_PACKET_BYTES / 2);
    const u32 count = s->count;
    end_of_trap(s, 0);
    assert_int_equal(s->count, count);
    stream_close(s);
}

static void what_finds_no_room_is_counted(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    end_of_trap(s, 0);   /* tells who goes on */
    fill(s, s->cpu, 10000);
    end_of_trap(s, 0);
    fill(s, s->cpu, 10);
    trace_end(s->cpu, 0);
    stream_read(s);
    const u32 wrote = stream_number(s, TRACE_flushed);
    assert_true(wrote > 3000 && wrote < 10000);
    assert_int_equal(s->event[0].discarded + wrote, 10010);   /* the packet that could not take them says so */
    assert_int_equal(s->event[s->events - 1].discarded + wrote, 10010);
    stream_close(s);
}

/* What another CPU dropped is told although no event of it follows: by a packet without events, if need be. */
static void the_end_tells_what_was_lost(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct cpu *const other = fixture_cpu(s->g->f, 1);
    trace_init(other);
    fixture_cpu(s->g->f, 0);
    trace_entry(other, s->g->v, 0);   /* its words are not known */
    trace_end(s->cpu, 0);
    const struct trace_packet *const p = (const void *)s->bytes;
    assert_int_equal(p->cpu, 1);
    assert_int_equal(p->discarded, 1);
    assert_int_equal(p->content_bits, 8 * sizeof(*p));
    stream_close(s);
}

static void the_end_is_the_end(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct cpu *const other = fixture_cpu(s->g->f, 1);
    trace_init(other);
    fill(s, other, 3);
    fill(s, s->cpu, 3);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_shutdown, 77);
    stream_read(s);
    const struct trace_end *const end = (const void *)stream_last(s, 0);
    assert_int_equal(end->event.id, TRACE_end);
    assert_int_equal(end->code, 77);
    assert_int_equal(stream_number(s, TRACE_flushed), 6);
    /* Nothing after it, whoever shuts down, too. */
    const u32 count = s->count;
    fill(s, other, 5000);
    fill(s, s->cpu, 5000);
    end_of_trap(s, 0);
    end_of_trap(s, 1);
    trace_end(other, 1);
    trace_end(s->cpu, 1);
    assert_int_equal(s->count, count);
    stream_close(s);
}

/* Without a gap over all CPUs, and in the order of time. */
static void a_sequence_of_all(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct cpu *const other = fixture_cpu(s->g->f, 1);
    trace_init(other);
    for (u32 i = 0; i < 4000; i++) {
        fill(s, i % 3 ? s->cpu : other, 1);
        if (i % 100 == 0)
            end_of_trap(s, i / 100 % 2);
    }
    trace_end(other, 0);
    stream_read(s);
    for (u32 i = 0; i < s->events; i++)
        assert_int_equal(s->event[i].sequence, i);
    assert_int_equal(s->event[s->events - 1].cpu, 1);
    stream_close(s);
}

/* An event has 32 bits of either: a packet ends where a reader could not tell how far the next one is. */
static void gaps_end_a_packet(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct kern *const k = s->g->f->k;
    fill(s, s->cpu, 1);
    fixture_later(s->g->f, bit(30));
    fill(s, s->cpu, 1);
    assert_int_equal(s->packets, 0);
    fixture_later(s->g->f, bit(31) + 5);
    fill(s, s->cpu, 1);
    assert_int_equal(s->packets, 1);
    atomic_fetch_add(&k->trace_sequence, bit(31));
    fill(s, s->cpu, 1);
    assert_int_equal(s->packets, 2);
    fixture_later(s->g->f, bit(33));
    fill(s, s->cpu, 1);
    assert_int_equal(s->packets, 3);
    const u64 now = mach_tsc_read(), sequence = atomic_load(&k->trace_sequence);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_true(now - s->event[5].tsc < bit(16));   /* the full values came out */
    assert_int_equal(s->event[5].sequence, sequence - 1);
    stream_close(s);
}

static void no_memory_no_trace(void **state)
{
    struct stream *const s = stream_open(VENDOR(state));
    sim_unit_fail(s->g->f->sim, 1);
    trace_init(s->cpu);
    sim_unit_fail(s->g->f->sim, 0);
    assert_null(s->cpu->trace);
    assert_int_equal(guest_run(s->g, 0), VCPU_EXIT_HYPERCALL);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_shutdown, 0);
    assert_int_equal(s->count, 0);
    stream_close(s);
}

/* A CPU without a ring is passed over, and is in no trace. */
static void one_ring_is_enough(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    assert_null(s->g->f->k->cpu[1]->trace);
    end_of_trap(s, 1);
    fixture_trap(s->g->f, 0, TRAP(TRAP_INTERRUPT, 0xff), 0);
    trace_end(s->cpu, 0);
    stream_read(s);
    for (u32 i = 0; i < s->events; i++)
        assert_int_equal(s->event[i].cpu, 0);
    assert_int_equal(stream_last(s, 0)->id, TRACE_end);
    stream_close(s);
}

static void off_writes_nothing(void **state)
{
    struct stream *const s = stream_open(VENDOR(state));
    guest_sim_trace_off(s->g->f->sim);
    trace_init(s->cpu);
    assert_null(s->cpu->trace);
    guest_run(s->g, 0);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_trace, GUEST_SEL_VCPU, TRACE_KIND_BYTES(TRACE_VALUE_memory, 8), 0, 0, 0, 0);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_clock);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_shutdown, 3);
    assert_int_equal(s->count, 0);
    assert_int_equal(atomic_load(&s->g->f->k->trace_sequence), 0);
    stream_close(s);
}

/* A replay reads along: the machine before anything runs, an entry before its guest does, an exit before its VMM does. */
static void live_is_at_once(void **state)
{
    struct stream *const s = stream_open(VENDOR(state));
    guest_sim_trace_live(s->g->f->sim);
    trace_init(s->cpu);
    stream_read(s);
    assert_int_equal(stream_last(s, 0)->id, TRACE_machine);
    guest_run(s->g, 0);
    guest_enter(s->g, 0);
    assert_true(guest_inside(s->g));
    stream_read(s);
    assert_int_equal(stream_last(s, 0)->id, TRACE_entry);
    while (guest_inside(s->g))
        assert_true(guest_step(s->g));
    stream_read(s);
    assert_int_equal(stream_last(s, 0)->id, TRACE_exit);
    assert_int_equal(stream_number(s, TRACE_exit), 2);
    stream_close(s);
}

GUEST_GROUP(trace, GUEST_TEST(the_machine_comes_first), GUEST_TEST(half_full_is_written_out), GUEST_TEST(what_finds_no_room_is_counted),
            GUEST_TEST(the_end_tells_what_was_lost), GUEST_TEST(the_end_is_the_end), GUEST_TEST(a_sequence_of_all), GUEST_TEST(gaps_end_a_packet),
            GUEST_TEST(no_memory_no_trace), GUEST_TEST(one_ring_is_enough), GUEST_TEST(off_writes_nothing), GUEST_TEST(live_is_at_once));
