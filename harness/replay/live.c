/* SPDX-License-Identifier: BSD-2-Clause */
/* What the running machine's tracer says, as it says it: each exit and each answer against the recorded one. A kick is legal at any time: one that only
 * the live VMM has is passed over with the entry after it. The kernel is trusted to write whole events. */
#include "replay/differ.h"
#include "replay/replay.h"

static void on_machine(struct replay *r, const struct trace_machine *live)
{
    const struct trace_machine *const recorded = &r->course->trace->machine;
    r->machines = (struct compare_machines){.groups = recorded->groups & live->groups, .same_vendor = recorded->vendor == live->vendor, .memory = true,
                                            .vendor = r->options.vendor};
}

/* Before the guest was entered the kernel's own kick has the state of then, not that of the trace, where the guest had gone on. */
static bool exit_agrees(struct replay *r, struct replay_vcpu *v, struct difference *d)
{
    const struct vcpu_exit *const recorded = trace_words_exit(&v->cursor.words), *const live = trace_words_exit(&v->live);
    if (live->reason == VCPU_EXIT_KICKED && recorded->reason == VCPU_EXIT_KICKED && !v->presented)
        return true;
    return compare_exit(&r->machines, &v->cursor.words, &v->live, d);
}

static void on_exit(struct replay *r, u32 vcpu)
{
    struct replay_vcpu *const v = &r->vcpu[vcpu];
    struct course_turn turn;
    struct difference d;
    const bool left = replay_turn(r, vcpu, &turn);
    if (left && !v->loaded)
        v->loaded = course_exit(&v->cursor);
    const bool kicked = trace_words_exit(&v->live)->reason == VCPU_EXIT_KICKED;
    v->stray = kicked && (!left || trace_words_exit(&v->cursor.words)->reason != VCPU_EXIT_KICKED);
    v->patience = 0;
    if (v->stray)
        v->presented = false;
    if (v->stray || !left)
        return;
    r->exits++;
    v->inside = true;
    v->values = 0;
    if (!exit_agrees(r, v, &d))
        replay_differs(r, &d, v->cursor.turn, vcpu);
}

static void on_entry(struct replay *r, u32 vcpu, u32 cpu)
{
    struct replay_vcpu *const v = &r->vcpu[vcpu];
    struct course_turn turn;
    struct difference d = {0};
    r->last_entry[cpu % REPLAY_CPUS] = vcpu + 1;
    if (v->stray || !v->inside || !replay_turn(r, vcpu, &turn)) {
        v->stray = false;
        v->resumed = true;
        return;
    }
    const u32 exit = v->cursor.turn;
    replay_values_end(r, vcpu);
    replay_next(r, vcpu);
    if (turn.entry == COURSE_NONE ? differ(&d, "answer", "entry", 0, 1) : !compare_answer(&r->machines, &v->cursor.words, &v->live, &d))
        replay_differs(r, &d, exit, vcpu);
}

static void on_words(struct replay *r, const struct trace_event *e, u32 cpu)
{
    const struct trace_item item = {.raw = e};
    const u32 vcpu = trace_vcpu(&item);
    if (vcpu >= r->course->vcpus) {
        const struct difference d = {.where = "exit", .field = "vcpu", .recorded = r->course->vcpus - 1, .got = vcpu};   /* the trace does not have it */
        replay_differs(r, &d, 0, 0);
        return;
    }
    (void)trace_words_apply(&r->vcpu[vcpu].live, &item);
    if (e->id == TRACE_exit)
        on_exit(r, vcpu);
    if (e->id == TRACE_entry)
        on_entry(r, vcpu, cpu);
}

bool replay_packet(struct replay *r, const void *bytes, u32 count)
{
    const struct trace_packet *const p = bytes;
    for (u32 at = sizeof(*p); at < count && !r->stopped;) {
        const struct trace_event *const e = (const void *)((const u8 *)bytes + at);
        if (e->id == TRACE_machine)
            on_machine(r, (const void *)e);
        else if (e->id == TRACE_value)
            replay_value(r, (const void *)e);
        else if (e->id == TRACE_state || e->id == TRACE_exit || e->id == TRACE_entry)
            on_words(r, e, p->cpu);
        at += e->bytes;
    }
    return !r->stopped;
}
