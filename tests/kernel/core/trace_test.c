/* SPDX-License-Identifier: BSD-2-Clause */
/* Is the stream whole and in order, does it hold what the VMM saw and wrote, and does it say so when records were dropped? */
#include "trace.h"
#include <stdlib.h>
#include <string.h>
#include "abi/vcpu_groups.h"
#include "cpu.h"
#include "guest_fixture.h"

struct stream {
    u8 *bytes;
    u32 count;
    struct guest *g;
};

static void sink(void *arg, const void *bytes, u32 count)
{
    struct stream *s = arg;
    assert_int_equal(s->g->f->k->trace_lock.held.v, 1);   /* CPUs take turns: a record is never torn by another's */
    s->bytes = realloc(s->bytes, s->count + count);
    memcpy(s->bytes + s->count, bytes, count);
    s->count += count;
}

static int setup(void **state)
{
    struct stream *s = calloc(1, sizeof(*s));
    s->g = guest_open(SIM_VMX);
    guest_sim_trace(s->g->f->sim, sink, s);
    assert_null(s->g->f->k->cpu[0]->trace);   /* nobody wanted it when the CPU came up */
    trace_init(fixture_cpu(s->g->f, 0));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stream *s = *state;
    guest_close(s->g);
    free(s->bytes);
    free(s);
    return 0;
}

/* The record number n of the stream, NULL: there are not so many. Checks the frame of all before it. */
static const struct trace_header *record(const struct stream *s, u32 n)
{
    u32 at = sizeof(struct trace_file);
    u64 last = 0;
    for (u32 i = 0; at < s->count; i++) {
        const struct trace_header *h = (const void *)(s->bytes + at);
        assert_true(h->bytes >= sizeof(*h) && h->bytes % 8 == 0 && h->bytes <= TRACE_RECORD_MAX);
        assert_true(i == 0 || h->sequence > last);
        last = h->sequence;
        if (i == n)
            return h;
        at += h->bytes;
    }
    assert_int_equal(at, s->count);
    return NULL;
}

static void file_head_comes_first(void **state)
{
    struct stream *s = *state;
    const struct trace_file *file = (const void *)s->bytes;
    assert_int_equal(s->count, sizeof(*file));
    assert_int_equal(file->magic, TRACE_MAGIC);
    assert_int_equal(file->version, TRACE_VERSION);
    assert_int_equal(file->vendor, SIM_VMX);
    assert_int_equal(file->cpu_count, 1);
    assert_int_equal(file->capabilities, VCPU_GROUP_ALL);
    assert_int_equal(file->tsc_khz, s->g->f->k->clock.tsc_khz);
}

static void a_run_is_an_entry_and_an_exit(void **state)
{
    struct stream *s = *state;
    struct guest *g = s->g;
    guest_fetch(g, VCPU_GROUP_RIP);
    g->s->rip = 0x1234;
    g->s->want = VCPU_GROUP_TSC;
    guest_does(g, (struct engine_event){ .kind = EVENT_CPUID });
    guest_run(g, VCPU_GROUP_RIP);
    trace_end(fixture_cpu(g->f, 0));
    const struct trace_entry *in = (const void *)record(s, 0);
    assert_int_equal(in->header.type, TRACE_ENTRY);
    assert_int_equal(in->header.bytes, sizeof(*in) + 16);
    assert_int_equal(in->groups, VCPU_GROUP_RIP);
    assert_int_equal(in->want, VCPU_GROUP_TSC);
    assert_int_equal(((const u64 *)(in + 1))[0], 0x1234);
    const struct trace_exit *out = (const void *)record(s, 1);
    assert_int_equal(out->header.type, TRACE_EXIT);
    assert_int_equal(out->groups, TRACE_EXIT_GROUPS | VCPU_GROUP_TSC);
    u32 payload = 0;
    for (u32 left = out->groups; left; left &= left - 1)
        payload += vcpu_group_range[__builtin_ctz(left)].bytes;
    assert_int_equal(out->header.bytes, sizeof(*out) + payload);
    assert_int_equal(out->exit.reason, VCPU_EXIT_CPUID);
    assert_memory_equal(out + 1, g->s->gpr, 128);
    assert_memory_equal((const u8 *)(out + 1) + 128, &g->s->rip, 16);
    assert_int_equal(record(s, 2)->type, TRACE_END);
    assert_null(record(s, 3));
}

static void fpu_is_not_in_the_payload(void **state)
{
    struct stream *s = *state;
    guest_fetch(s->g, VCPU_GROUP_FPU);
    s->g->s->want = VCPU_GROUP_FPU;
    guest_run(s->g, VCPU_GROUP_FPU);
    trace_end(fixture_cpu(s->g->f, 0));
    assert_int_equal(((const struct trace_entry *)record(s, 0))->groups, 0);
    assert_int_equal(((const struct trace_exit *)record(s, 1))->groups, TRACE_EXIT_GROUPS);
}

/* All groups: no record is longer than what a reader allows for. */
static void largest_record_fits(void **state)
{
    struct stream *s = *state;
    guest_fetch(s->g, VCPU_GROUP_ALL);
    s->g->s->want = VCPU_GROUP_ALL;
    assert_int_equal(guest_run(s->g, VCPU_GROUP_ALL), VCPU_EXIT_HYPERCALL);
    trace_end(fixture_cpu(s->g->f, 0));
    u32 payload = 0;
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        payload += i == 10 ? 0 : vcpu_group_range[i].bytes;
    assert_int_equal(record(s, 1)->bytes, sizeof(struct trace_exit) + payload);
}

static void half_full_ring_is_written_out(void **state)
{
    struct stream *s = *state;
    for (u32 i = 0; i < 400; i++)
        guest_run(s->g, 0);
    assert_true(s->count > 32768);
    trace_end(fixture_cpu(s->g->f, 0));
    for (u32 i = 0; i < 400; i++) {
        assert_int_equal(record(s, 2 * i)->type, TRACE_ENTRY);
        assert_int_equal(record(s, 2 * i + 1)->type, TRACE_EXIT);
    }
    assert_int_equal(record(s, 800)->type, TRACE_END);
}

/* Nobody drains: the rest is counted, and the count is in the stream. */
static void lost_records_are_counted(void **state)
{
    struct stream *s = *state;
    struct cpu *cpu = fixture_cpu(s->g->f, 0);
    u32 wrote = 0, lost = 0;
    for (u32 i = 0; i < 1000; i++)
        trace_exit(cpu, s->g->v);
    trace_drain(cpu);
    trace_exit(cpu, s->g->v);
    trace_end(cpu);
    for (u32 i = 0; record(s, i); i++) {
        if (record(s, i)->type == TRACE_LOST)
            lost += (u32)((const struct trace_lost *)record(s, i))->records;
        wrote += record(s, i)->type == TRACE_EXIT;
    }
    assert_true(lost > 0);
    assert_int_equal(wrote + lost, 1001);
}

/* Lost ones are told of even if no record follows; and after the end nothing is written any more. */
static void the_end_tells_what_was_lost(void **state)
{
    struct stream *s = *state;
    struct cpu *cpu = fixture_cpu(s->g->f, 0);
    for (u32 i = 0; i < 1000; i++)
        trace_exit(cpu, s->g->v);
    trace_end(cpu);
    u32 n = 0;
    while (record(s, n))
        n++;
    assert_int_equal(record(s, n - 1)->type, TRACE_END);
    assert_int_equal(record(s, n - 2)->type, TRACE_LOST);
    const u32 count = s->count;
    for (u32 i = 0; i < 1000; i++)
        trace_exit(cpu, s->g->v);
    trace_drain(cpu);
    assert_int_equal(s->count, count);
}

static void no_memory_no_trace(void **state)
{
    struct stream *s = *state;
    struct cpu *cpu = fixture_cpu(s->g->f, 0);
    cpu->trace = NULL;
    sim_unit_fail(s->g->f->sim, 1);
    trace_init(cpu);
    sim_unit_fail(s->g->f->sim, 0);
    assert_null(cpu->trace);
    assert_int_equal(guest_run(s->g, 0), VCPU_EXIT_HYPERCALL);
    trace_drain(cpu);
    trace_end(cpu);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(trace, T(file_head_comes_first), T(a_run_is_an_entry_and_an_exit), T(fpu_is_not_in_the_payload), T(largest_record_fits),
           T(half_full_ring_is_written_out), T(lost_records_are_counted), T(the_end_tells_what_was_lost), T(no_memory_no_trace));
