/* SPDX-License-Identifier: BSD-2-Clause */
/* When does the stream get what is in the rings, whatever else waits, and does a record hold the guest's values although the VMM did not ask? */
#include "trace.h"
#include <stdlib.h>
#include <string.h>
#include "abi/vcpu_groups.h"
#include "guest_fixture.h"

struct stream {
    u8 *bytes;
    u32 count;
    struct guest *g;
    struct cpu *cpu;
};

static void sink(void *arg, const void *bytes, u32 count)
{
    struct stream *s = arg;
    s->bytes = realloc(s->bytes, s->count + count);
    memcpy(s->bytes + s->count, bytes, count);
    s->count += count;
}

static struct stream *open_stream(enum sim_vendor vendor)
{
    struct stream *s = calloc(1, sizeof(*s));
    s->g = guest_open_cpus(2, vendor);
    guest_sim_trace(s->g->f->sim, sink, s);
    s->cpu = fixture_cpu(s->g->f, 0);
    return s;
}

static void close_stream(struct stream *s)
{
    guest_close(s->g);
    free(s->bytes);
    free(s);
}

static const struct trace_header *last_record(const struct stream *s, u32 back)
{
    u32 start[2048], n = 0;
    for (u32 at = sizeof(struct trace_file); at < s->count; at += ((const struct trace_header *)(s->bytes + at))->bytes) {
        assert_true(n < array_size(start));
        start[n++] = at;
    }
    assert_true(n > back);
    return (const void *)(s->bytes + start[n - 1 - back]);
}

/* A replay reads along: the entry is there before its guest runs. */
static void an_entry_is_written_at_once(void **state)
{
    struct stream *s = open_stream((enum sim_vendor)(u64)*state);
    trace_init(s->cpu);
    guest_enter(s->g, 0);
    assert_true(guest_inside(s->g));
    assert_int_equal(last_record(s, 0)->type, TRACE_ENTRY);
    close_stream(s);
}

/* Exits without entries fill the ring: the end of any trap writes half a ring out, and less than that stays. */
static void the_end_of_a_trap_writes_out(void **state)
{
    struct stream *s = open_stream((enum sim_vendor)(u64)*state);
    trace_init(s->cpu);
    const u32 head = s->count;
    trace_exit(s->cpu, s->g->v);
    fixture_trap(s->g->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_int_equal(s->count, head);
    for (u32 i = 0; i < 1000; i++)
        trace_exit(s->cpu, s->g->v);
    assert_int_equal(s->count, head);
    fixture_trap(s->g->f, 0, TRAP(TRAP_NONE, 0), 0);
    assert_true(s->count > head + 32768);
    close_stream(s);
}

/* A kick brings no group; the record has the groups a replay needs, with the guest's values. */
static void groups_nobody_asked_for(void **state)
{
    struct stream *s = open_stream((enum sim_vendor)(u64)*state);
    struct guest *const g = s->g;
    static const u32 groups[] = { VCPU_GROUP_GPR, VCPU_GROUP_RIP, VCPU_GROUP_SEG, VCPU_GROUP_TABLE, VCPU_GROUP_CR, VCPU_GROUP_EFER };
    guest_fetch(g, VCPU_GROUP_GPR | VCPU_GROUP_RIP);
    g->s->gpr[RBX] = 0x1122334455667788;
    g->s->gpr[RSP] = 0x9876;
    g->s->rip = 0x4567;
    assert_int_equal(guest_run(g, VCPU_GROUP_GPR | VCPU_GROUP_RIP), VCPU_EXIT_HYPERCALL);
    trace_init(s->cpu);
    vcpu_kick(s->cpu, g->v);
    assert_int_equal(guest_run(g, 0), VCPU_EXIT_KICKED);
    assert_int_equal(g->s->valid, 0);
    trace_end(s->cpu);
    const struct trace_exit *const out = (const void *)last_record(s, 1);
    assert_int_equal(out->header.type, TRACE_EXIT);
    assert_int_equal(out->groups, TRACE_EXIT_GROUPS & g->s->capabilities);
    guest_fetch(g, out->groups);
    assert_int_equal(g->s->gpr[RBX], 0x1122334455667788);
    const u8 *at = (const u8 *)(out + 1);
    for (u32 left = out->groups; left; left &= left - 1) {
        const struct vcpu_group_range *const r = &vcpu_group_range[__builtin_ctz(left)];
        for (u32 i = 0; i < array_size(groups); i++)
            if ((left & -left) == groups[i])
                assert_memory_equal(at, (const u8 *)g->s + r->offset, r->bytes);
        at += r->bytes;
    }
    close_stream(s);
}

/* Only CPU 0 found memory for a ring, or none at all. */
static void rings_that_are_not_there(void **state)
{
    struct stream *s = open_stream((enum sim_vendor)(u64)*state);
    trace_end(s->cpu);
    assert_int_equal(s->count, 0);
    trace_init(s->cpu);
    assert_null(s->g->f->k->cpu[1]->trace);
    trace_end(s->cpu);
    assert_int_equal(last_record(s, 0)->type, TRACE_END);
    close_stream(s);
}

/* The hypercall that ends the machine ends the stream. */
static void shutdown_ends_the_stream(void **state)
{
    struct stream *s = open_stream((enum sim_vendor)(u64)*state);
    trace_init(s->cpu);
    guest_run(s->g, 0);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_shutdown, 3);
    assert_int_equal(last_record(s, 0)->type, TRACE_END);
    assert_int_equal(last_record(s, 1)->type, TRACE_EXIT);
    close_stream(s);
}

#define VCPU(name, vendor) { #name "_" #vendor, name, NULL, NULL, (void *)(u64)SIM_##vendor }
#define BOTH(name)         VCPU(name, VMX), VCPU(name, SVM)
TEST_GROUP(trace_ring, BOTH(an_entry_is_written_at_once), BOTH(the_end_of_a_trap_writes_out), BOTH(groups_nobody_asked_for),
           BOTH(rings_that_are_not_there), BOTH(shutdown_ends_the_stream));
