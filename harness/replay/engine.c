/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest engine: recorded exits. Asked to run a guest it looks whether the model was loaded as the trace says, takes the injected event as
 * delivered, and gives the next exit's state and event. Between vCPUs the recorded order is kept: an exit waits for what precedes it. */
#include "replay/replay.h"
#include "replay/event.h"

void replay_open(struct replay *r, const struct course *c, const struct replay_options *o, struct engine *user)
{
    *r = (struct replay){.engine = {.name = "recorded exits", .guest = replay_guest}, .user = user, .executes = user, .course = c, .options = *o};
    for (u32 i = 0; i < COURSE_VCPUS; i++)
        course_begin(&r->vcpu[i].cursor, c, i);
    if (!replay_has_times(c))
        return;
    r->clock = (struct engine){.name = "recorded times", .user = replay_user, .flush = replay_flush};
    r->user = &r->clock;
}

const char *replay_refuses(const struct course *c)
{
    const struct trace *t = c->trace;
    if (!t->has_machine)
        return "it does not say which machine wrote it: its beginning is missing";
    if (t->lost)
        return "events were lost while it was recorded";
    if (!t->ended || t->fault.why)
        return "its end is missing";
    if (!c->exits)
        return "it has no exits";
    for (u32 i = 0; i < c->vcpus; i++) {
        struct course_cursor k;
        course_begin(&k, c, i);
        if (course_exit(&k) && trace_words_exit(&k.words)->reason != VCPU_EXIT_STARTUP)
            return "it is a part of a trace: a vCPU does not begin with STARTUP";
        for (u32 n = 0; n + 1 < c->vcpu[i].count; n++)
            if (c->vcpu[i].turn[n].entry == COURSE_NONE)
                return "it does not have the VMM's answers";
    }
    return NULL;
}

void replay_differs(struct replay *r, const struct difference *d, u32 exit, u32 vcpu)
{
    if (r->stopped)
        return;
    r->differences++;
    r->stopped = !r->options.go_on;
    r->options.differs(r->options.arg, d, exit, vcpu);
}

/* Which vCPU runs: a CPU's context belongs to the vCPU whose entry came last when it was first seen; to a later one if that one's trace is over. */
static struct replay_vcpu *current(struct replay *r, struct sim_cpu *cpu)
{
    const u64 context = sim_cpu_context(cpu);
    const u32 last = r->last_entry[sim_cpu_id(cpu) % REPLAY_CPUS];
    struct replay_vcpu *const newest = last ? &r->vcpu[last - 1] : NULL;
    for (u32 i = 0; i < r->course->vcpus; i++) {
        struct replay_vcpu *const v = &r->vcpu[i];
        struct course_turn turn;
        if (v->context != context)
            continue;
        if (newest->context || replay_turn(r, i, &turn))
            return v;
        v->context = 0;
    }
    if (newest)
        newest->context = context;
    return newest;
}

static bool wait(struct engine_event *out, u64 steps)
{
    *out = (struct engine_event){.kind = EVENT_SLICE, .steps = steps};
    return true;
}

static bool end(struct engine_event *out)
{
    *out = (struct engine_event){.kind = EVENT_END};
    return true;
}

/* Nothing recorded is left for this vCPU: the others may still go on. */
static bool idle(struct replay *r, u32 vcpu, u64 steps, struct engine_event *out)
{
    const bool waits = replay_others_first(r, vcpu, ~0ul) && ++r->vcpu[vcpu].patience < REPLAY_PATIENCE;
    return waits ? wait(out, steps) : end(out);
}

/* The trace goes on behind this turn, which the machine does not make. */
static bool pass(struct replay *r, u32 vcpu, struct engine_event *out)
{
    replay_next(r, vcpu);
    r->vcpu[vcpu].resumed = true;
    return wait(out, 1);
}

static bool no_exit(struct replay *r, u32 vcpu, struct engine_event *out)
{
    const struct difference d = {.where = "exit", .field = "reason", .recorded = trace_words_exit(&r->vcpu[vcpu].cursor.words)->reason,
                                 .got = VCPU_EXIT_COUNT};
    replay_differs(r, &d, r->vcpu[vcpu].cursor.turn, vcpu);
    return r->stopped ? end(out) : pass(r, vcpu, out);
}

/* A kick comes from the VMM: the guest waits for it where it was. What never comes is passed over. */
static bool kicked(struct replay *r, struct replay_vcpu *v, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    const u32 vcpu = (u32)(v - r->vcpu);
    replay_load(&v->cursor.words, r->options.vendor, g);
    g->event = 0;
    v->presented = true;
    if (++v->patience < REPLAY_PATIENCE)
        return wait(out, steps);
    r->passed++;
    return pass(r, vcpu, out);
}

static bool present(struct replay *r, struct replay_vcpu *v, struct sim_cpu *cpu, struct sim_guest *g, struct engine_event *out)
{
    const u32 vcpu = (u32)(v - r->vcpu);
    if (v->presented) {
        /* It was, and the guest runs on. The other vendor executes what this one reports. */
        if (r->machines.same_vendor)
            return no_exit(r, vcpu, out);
        r->passed++;
        return pass(r, vcpu, out);
    }
    replay_load(&v->cursor.words, r->options.vendor, g);
    v->presented = true;
    replay_memory(r, cpu, g, vcpu);
    return replay_event(&v->cursor.words, r->options.vendor, g, out) || no_exit(r, vcpu, out);
}

/* After an entry. True: the slice ends here, so that the model forgets where an injected software event would go back to. */
static bool resumed(struct replay *r, struct replay_vcpu *v, struct sim_guest *g)
{
    struct difference d;
    const bool software = g->event & VCPU_EVENT_VALID && g->event & 0x400;
    if (!v->resumed && !compare_resume(&r->machines, &v->cursor.words, g, &d))
        replay_differs(r, &d, v->cursor.turn - 1, (u32)(v - r->vcpu));
    v->resumed = true;
    g->event = 0;
    return software;
}

bool replay_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    struct replay *r = container_of(e, struct replay, engine);
    struct replay_vcpu *v = current(r, cpu);
    struct course_turn turn;
    if (r->stopped || !v)
        return end(out);
    const u32 vcpu = (u32)(v - r->vcpu);
    const bool software = resumed(r, v, g);
    if (r->stopped)
        return end(out);
    if (!replay_turn(r, vcpu, &turn))
        return idle(r, vcpu, steps, out);
    if (software)
        return wait(out, 1);
    if (!v->loaded)
        v->loaded = course_exit(&v->cursor);
    if (trace_words_exit(&v->cursor.words)->reason == VCPU_EXIT_KICKED)
        return kicked(r, v, g, steps, out);
    const u64 sequence = r->course->trace->event[turn.exit].sequence;
    if (!v->presented && replay_others_first(r, vcpu, sequence) && ++v->patience < REPLAY_PATIENCE)
        return wait(out, steps);
    return present(r, v, cpu, g, out);
}
