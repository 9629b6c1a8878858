/* SPDX-License-Identifier: BSD-2-Clause */
/* Does a trace tell of each trap what it was and what came of it, by addresses that any run has, and only once? */
#include "trace_stream.h"

enum { HANDLER = 300, SM = 310, OWN = 320 };

static u64 phys(const struct ec *ec)
{
    return mach_virt_to_phys(ec);
}

static const struct trace_hypercall *hypercall_last(struct stream *s)
{
    trace_end(s->cpu, 0);
    stream_read(s);
    return stream_find(s, TRACE_hypercall, stream_number(s, TRACE_hypercall) - 1);
}

static void same_call(const struct stream *s, const struct trace_hypercall *h, u32 number, u32 status, u64 a0, u64 a1)
{
    assert_int_equal(h->event.bytes, sizeof(*h));
    assert_int_equal(h->number, number);
    assert_int_equal(h->status, status);
    assert_int_equal(h->ec, phys(s->g->ec));
    assert_int_equal(h->argument0, a0);
    assert_int_equal(h->argument1, a1);
}

static void hypercalls_with_a_status(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    fixture_call(f, s->g->ec, HYPERCALL_null);
    fixture_call(f, s->g->ec, HYPERCALL_lookup, 999, 5, 6);
    fixture_call(f, s->g->ec, HYPERCALL_pd_info, FIXTURE_SEL_PD, 7);   /* its results do not show as arguments */
    fixture_call(f, s->g->ec, HYPERCALL_vcpu_run, 999);
    fixture_call(f, s->g->ec, 250, 1, 2);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_hypercall), 5);
    same_call(s, stream_find(s, TRACE_hypercall, 1), HYPERCALL_lookup, STATUS_CAP, 999, 5);
    same_call(s, stream_find(s, TRACE_hypercall, 2), HYPERCALL_pd_info, OK, FIXTURE_SEL_PD, 7);
    assert_int_equal(((const struct trace_hypercall *)stream_find(s, TRACE_hypercall, 3))->status, STATUS_CAP);   /* an entry would have told else */
    same_call(s, stream_find(s, TRACE_hypercall, 4), 250, STATUS_HYPERCALL, 1, 2);
    stream_close(s);
}

static void a_run_is_told_by_its_entry(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    guest_run(s->g, 0);
    guest_run(s->g, 0);
    vcpu_kick(s->cpu, s->g->v);
    guest_run(s->g, 0);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_hypercall), 0);
    assert_int_equal(stream_number(s, TRACE_exit), 3);
    stream_close(s);
}

static void who_waits_has_no_status(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    fixture_call(s->g->f, s->g->ec, HYPERCALL_sm_create, FIXTURE_SEL_PD, SM, 0);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_sm_down, SM, 0, 0);
    assert_int_equal(s->g->ec->state, EC_WAIT_SM);
    const struct trace_hypercall *const h = hypercall_last(s);
    same_call(s, h, HYPERCALL_sm_down, TRACE_STATUS_WAITS, SM, 0);
    assert_int_equal(stream_number(s, TRACE_hypercall), 2);
    const struct trace_schedule *const idle = stream_find(s, TRACE_schedule, stream_number(s, TRACE_schedule) - 1);
    assert_int_equal(idle->ec, 0);
    stream_close(s);
}

/* Its handler is busy: it helps, and will be executed again. */
static void again(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    struct ec *const handler = fixture_handler(f, 0, f->pd, HANDLER);
    fixture_cpu(f, 0);
    fixture_call(f, s->g->ec, HYPERCALL_call, HANDLER + 1, MTR(0, 0));
    struct ec *const second = fixture_thread(f, 0, f->pd, 20, OWN);
    fixture_run(f, 0);
    assert_ptr_equal(s->cpu->current, second);
    fixture_call(f, second, HYPERCALL_call, HANDLER + 1, MTR(0, 0));
    assert_int_equal(second->state, EC_HELPING);
    const struct trace_hypercall *const h = hypercall_last(s);
    assert_int_equal(h->number, HYPERCALL_call);
    assert_int_equal(h->status, TRACE_STATUS_AGAIN);
    assert_int_equal(h->ec, phys(second));
    assert_int_equal(stream_number(s, TRACE_ipc), 1);   /* the first one's */
    const struct trace_schedule *const on = stream_find(s, TRACE_schedule, stream_number(s, TRACE_schedule) - 1);
    assert_int_equal(on->ec, phys(handler));
    stream_close(s);
}

static void a_message_and_its_answer(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    struct ec *const handler = fixture_handler(f, 0, f->pd, HANDLER);
    fixture_cpu(f, 0);
    for (u32 due = 0; due < 2; due++) {   /* the short way and the long one */
        s->cpu->due |= due ? DUE_FPU : 0;
        fixture_call(f, s->g->ec, HYPERCALL_call, HANDLER + 1, MTR(2, 0));
        s->cpu->due |= due ? DUE_FPU : 0;
        fixture_call(f, handler, HYPERCALL_reply, MTR(1, 0));
    }
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_ipc), 4);
    for (u32 i = 0; i < 4; i++) {
        const struct trace_ipc *const m = stream_find(s, TRACE_ipc, i);
        assert_int_equal(m->kind, i % 2 ? TRACE_IPC_reply : TRACE_IPC_call);
        assert_int_equal(m->from, phys(i % 2 ? handler : s->g->ec));
        assert_int_equal(m->to, phys(i % 2 ? s->g->ec : handler));
        const struct trace_hypercall *const h = stream_find(s, TRACE_hypercall, i);
        assert_int_equal(h->number, i % 2 ? HYPERCALL_reply : HYPERCALL_call);
        assert_int_equal(h->status, TRACE_STATUS_WAITS);
        assert_true(h->event.sequence < m->event.sequence);
    }
    /* Who went on: the caller at first, then handler and caller in turn. */
    assert_int_equal(stream_number(s, TRACE_schedule), 5);
    for (u32 i = 0; i < 5; i++)
        assert_int_equal(((const struct trace_schedule *)stream_find(s, TRACE_schedule, i))->ec, phys(i % 2 ? handler : s->g->ec));
    stream_close(s);
}

static void an_exception_is_a_message(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    struct ec *const handler = fixture_handler(f, 0, f->pd, HANDLER);
    fixture_cpu(f, 0);
    s->g->ec->event_base = HANDLER + 1 - 13;
    s->g->ec->resume.rip = 0x4321;
    fixture_trap(f, 0, TRAP(TRAP_EXCEPTION, 13), 0x18);
    trace_end(s->cpu, 0);
    stream_read(s);
    const struct trace_exception *const e = stream_find(s, TRACE_exception, 0);
    assert_non_null(e);
    assert_int_equal(e->vector, 13);
    assert_int_equal(e->ec, phys(s->g->ec));
    assert_int_equal(e->error, 0x18);
    assert_int_equal(e->ip, 0x4321);
    const struct trace_ipc *const m = stream_find(s, TRACE_ipc, 0);
    assert_int_equal(m->kind, TRACE_IPC_exception);
    assert_int_equal(m->from, phys(s->g->ec));
    assert_int_equal(m->to, phys(handler));
    assert_int_equal(stream_number(s, TRACE_hypercall), 0);
    stream_close(s);
}

/* At the end of the trap of a reply its handler serves the next one already, whose exception had to wait: the reply is told all the same. */
static void the_next_one_waits(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    struct ec *const handler = fixture_handler(f, 0, f->pd, HANDLER);
    fixture_cpu(f, 0);
    fixture_call(f, s->g->ec, HYPERCALL_call, HANDLER + 1, MTR(0, 0));
    struct ec *const second = fixture_thread(f, 0, f->pd, 20, OWN);
    second->event_base = HANDLER + 1 - 13;
    fixture_run(f, 0);
    assert_ptr_equal(s->cpu->current, second);
    fixture_trap(f, 0, TRAP(TRAP_EXCEPTION, 13), 0);
    assert_ptr_equal(s->cpu->current, handler);
    fixture_call(f, handler, HYPERCALL_reply, MTR(0, 0));
    assert_ptr_equal(handler->caller, second);
    trace_end(s->cpu, 0);
    stream_read(s);
    const struct trace_hypercall *const h = stream_find(s, TRACE_hypercall, 1);
    assert_int_equal(h->number, HYPERCALL_reply);
    assert_int_equal(h->status, TRACE_STATUS_WAITS);
    assert_int_equal(stream_number(s, TRACE_ipc), 2);
    const struct trace_ipc *const m = stream_find(s, TRACE_ipc, 1);
    assert_int_equal(m->kind, TRACE_IPC_reply);
    assert_int_equal(m->to, phys(s->g->ec));
    stream_close(s);
}

static void interrupts(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    fixture_trap(s->g->f, 0, TRAP(TRAP_INTERRUPT, 0xff), 0);
    fixture_trap(s->g->f, 0, TRAP(TRAP_NONE, 0), 0);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_interrupt), 1);
    assert_int_equal(((const struct trace_interrupt *)stream_find(s, TRACE_interrupt, 0))->vector, 0xff);
    stream_close(s);
}

static void a_shootdown_and_who_did_it(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    struct cpu *const other = fixture_cpu(f, 1);
    trace_init(other);
    fixture_cpu(f, 0);
    atomic_or(&f->pd->memory.cpus, bit(1));
    const u64 generation = tlb_request(s->cpu, &f->pd->memory);
    fixture_interrupts(f);
    assert_true(tlb_complete(generation));
    trace_end(fixture_cpu(f, 0), 0);
    stream_read(s);
    const struct trace_shootdown *const asked = stream_find(s, TRACE_shootdown, 0);
    const struct trace_flushed *const did = stream_find(s, TRACE_flushed, 0);
    assert_non_null(asked);
    assert_non_null(did);
    assert_int_equal(asked->generation, generation);
    assert_int_equal(asked->cpus, bit(1));
    assert_int_equal(did->generation, generation);
    assert_true(asked->event.sequence < did->event.sequence);
    assert_int_equal(stream_number(s, TRACE_flushed), 1);
    stream_close(s);
}

/* What the VMM says it took from outside, byte for byte; what is refused is not there. */
static void values(void **state)
{
    struct stream *const s = stream_traced(VENDOR(state));
    struct fixture *const f = s->g->f;
    const u64 word[] = { 0x1817161514131211, 0x2827262524232221, 0x3837363534333231 };
    for (u32 bytes = 0; bytes <= TRACE_VALUE_BYTES + 1; bytes += 5)
        assert_int_equal(fixture_call(f, s->g->ec, HYPERCALL_trace, GUEST_SEL_VCPU, TRACE_KIND_BYTES(TRACE_VALUE_port_in, bytes), 0x60, word[0], word[1], word[2]),
                         bytes <= TRACE_VALUE_BYTES ? OK : STATUS_ARG);
    fixture_call(f, s->g->ec, HYPERCALL_trace, GUEST_SEL_VCPU, TRACE_KIND_BYTES(TRACE_VALUE_COUNT, 1), 0x60, 0, 0, 0);
    assert_int_equal(s->g->ec->resume.gpr[RAX], STATUS_ARG);
    assert_int_equal(fixture_call(f, s->g->ec, HYPERCALL_clock), OK);
    const u64 tsc = s->g->ec->resume.gpr[RSI];
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_value), 6);
    for (u32 i = 0; i < 5; i++) {
        const struct trace_value *const v = stream_find(s, TRACE_value, i);
        const u8 *const tail = (const u8 *)(v + 1);
        assert_int_equal(v->vcpu, s->g->v->id);
        assert_int_equal(v->kind, TRACE_VALUE_port_in);
        assert_int_equal(v->address, 0x60);
        assert_int_equal(tail[0], 5 * i);
        assert_memory_equal(tail + 1, word, tail[0]);
        assert_int_equal(v->event.bytes, sizeof(*v) + 1 + tail[0]);
    }
    const struct trace_value *const clock = stream_find(s, TRACE_value, 5);
    assert_int_equal(clock->vcpu, TRACE_NO_VCPU);
    assert_int_equal(clock->kind, TRACE_VALUE_clock);
    assert_memory_equal((const u8 *)(clock + 1) + 1, &tsc, 8);
    assert_int_equal(stream_number(s, TRACE_hypercall), 2);   /* those that were refused */
    stream_close(s);
}

/* The state page says whether a VMM is to tell. */
static void the_state_page_says_so(void **state)
{
    struct stream *const s = stream_open(VENDOR(state));
    struct fixture *const f = s->g->f;
    struct object *o;
    assert_int_equal(s->g->s->capabilities & VCPU_TRACED, 0);
    trace_init(s->cpu);
    for (u32 cpu = 0; cpu < 2; cpu++) {
        fixture_call(f, s->g->ec, HYPERCALL_vcpu_create, FIXTURE_SEL_PD, OWN + cpu, cpu, GUEST_STATE + 0x10000 * (cpu + 1));
        assert_int_equal(space_obj_lookup(&f->pd->objects, OWN + cpu, OBJ_VCPU, 0, &o), OK);
        assert_int_equal(container_of(o, struct vcpu, object)->state->capabilities & VCPU_TRACED, cpu ? 0 : (u32)VCPU_TRACED);
    }
    stream_close(s);
}

/* It takes its own last capability. */
static void the_end_of_its_caller(void **state)
{
    struct stream *const s = stream_open_cpus(1, VENDOR(state));
    struct fixture *const f = s->g->f;
    trace_init(s->cpu);
    struct ec *const ec = fixture_thread(f, 0, f->pd, 20, OWN);
    fixture_run(f, 0);
    const u64 address = phys(ec);
    fixture_call(f, ec, HYPERCALL_revoke, FIXTURE_SEL_PD, OWN, REVOKE(2, SPACE_OBJECT), REVOKE_SELF);
    fixture_settle(f);
    fixture_cpu(f, 0);
    const struct trace_hypercall *const h = hypercall_last(s);
    assert_int_equal(h->number, HYPERCALL_revoke);
    assert_int_equal(h->ec, address);
    stream_close(s);
}

/* Without trace=all: of all this nothing. */
static void what_a_replay_needs(void **state)
{
    struct stream *const s = stream_open(VENDOR(state));
    s->g->f->k->boot.trace_all = false;
    trace_init(s->cpu);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_null);
    fixture_call(s->g->f, s->g->ec, HYPERCALL_clock);
    guest_run(s->g, 0);
    trace_shootdown(s->cpu, 5, 2);
    trace_flushed(s->cpu, 5);
    trace_end(s->cpu, 0);
    stream_read(s);
    assert_int_equal(stream_number(s, TRACE_exit), 1);
    assert_int_equal(stream_number(s, TRACE_value), 1);
    for (u32 id = TRACE_hypercall; id < TRACE_ID_COUNT; id++)
        assert_int_equal(stream_number(s, id), 0);
    stream_close(s);
}

GUEST_GROUP(trace_trap, GUEST_TEST(hypercalls_with_a_status), GUEST_TEST(a_run_is_told_by_its_entry), GUEST_TEST(who_waits_has_no_status), GUEST_TEST(again),
            GUEST_TEST(a_message_and_its_answer), GUEST_TEST(an_exception_is_a_message), GUEST_TEST(the_next_one_waits), GUEST_TEST(interrupts),
            GUEST_TEST(a_shootdown_and_who_did_it), GUEST_TEST(values), GUEST_TEST(the_state_page_says_so), GUEST_TEST(the_end_of_its_caller),
            GUEST_TEST(what_a_replay_needs));
