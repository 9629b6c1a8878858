/* SPDX-License-Identifier: BSD-2-Clause */
/* Engine 3: recorded exits. The exits and the guest's registers come from the recording; the guest's instructions are executed between them
 * only so that its memory is what the VMM expects to find (a trace holds no memory). Where the two part, the recording counts.
 *
 * Between exits on several vCPUs the recorded order is kept: an exit waits until what precedes it has happened on the other vCPUs. */
#include "replay.h"

static const struct recording_step *step_of(const struct replay *r, u32 vcpu, u32 n)
{
    return n < r->recording.vcpu[vcpu].count ? &r->recording.vcpu[vcpu].step[n] : NULL;
}

/* The next thing this vCPU must do according to the recording: its place in the order of all; ~0: nothing. */
static u64 next_sequence(const struct replay *r, u32 vcpu)
{
    const struct replay_vcpu *v = &r->vcpu[vcpu];
    const struct recording_step *s = step_of(r, vcpu, v->exits);
    if (!s)
        return ~0ul;
    if (v->entries < v->exits && s->entry)
        return s->entry->header.sequence;
    return s->exit ? s->exit->header.sequence : ~0ul;
}

static bool others_first(const struct replay *r, u32 vcpu, u64 sequence)
{
    for (u32 i = 0; i < RECORDING_VCPUS; i++)
        if (i != vcpu && next_sequence(r, i) < sequence)
            return true;
    return false;
}

/* Which vCPU runs: a CPU's context belongs to the vCPU whose entry came last when it was first seen. */
static struct replay_vcpu *current(struct replay *r, struct sim_cpu *cpu)
{
    const u64 context = sim_cpu_context(cpu);
    const u32 last = r->last_entry[sim_cpu_id(cpu) % array_size(r->last_entry)];
    for (u32 i = 0; i < RECORDING_VCPUS; i++)
        if (r->vcpu[i].context == context)
            return &r->vcpu[i];
    if (!last)
        return NULL;
    r->vcpu[last - 1].context = context;
    return &r->vcpu[last - 1];
}

static void wait(struct engine_event *out)
{
    *out = (struct engine_event){.kind = EVENT_SLICE, .steps = max(out->steps, 1ul)};
}

/* Nothing recorded is left for this vCPU: the others may still go on. */
static void idle(struct replay *r, u32 vcpu, u64 steps, struct engine_event *out)
{
    const bool waits = others_first(r, vcpu, ~0ul) && ++r->vcpu[vcpu].patience < REPLAY_PATIENCE;
    *out = (struct engine_event){.kind = waits ? EVENT_SLICE : EVENT_END, .steps = waits ? steps : 0};
}

/* Events that the model may execute itself, without an exit. */
static bool may_pass(enum engine_event_kind kind)
{
    return kind == EVENT_RDMSR || kind == EVENT_WRMSR || kind == EVENT_RDTSC || kind == EVENT_MOV_CR || kind == EVENT_MOV_DR ||
           kind == EVENT_CLTS || kind == EVENT_LMSW || kind == EVENT_INVLPG || kind == EVENT_WBINVD || kind == EVENT_EXCEPTION;
}

static bool comes_by_itself(u32 reason)
{
    return reason == VCPU_EXIT_KICKED || reason == VCPU_EXIT_INTR_WINDOW || reason == VCPU_EXIT_NMI_WINDOW;
}

/* The recording goes on from here, whatever the executed guest did. */
static void present(struct replay *r, struct replay_vcpu *v, u32 vcpu, const struct trace_exit *x, struct sim_guest *g, struct engine_event *out)
{
    const struct engine_event executed = *out;
    const bool agrees = replay_agrees(x, g, out);
    if (v->presented == v->exits + 1) {
        replay_differ(r, v->exits, vcpu, "field reason recorded %s got none: this machine does not exit", trace_reason_name(x->exit.reason));
        return;
    }
    v->presented = v->exits + 1;
    r->strays += !agrees;
    replay_load(x, r->options->vendor, g);
    if (agrees)
        return;
    *out = (struct engine_event){.steps = executed.steps};
    if (!replay_event(x, g, out))
        replay_differ(r, v->exits, vcpu, "field reason recorded %s (raw 0x%lx) got a running guest", trace_reason_name(x->exit.reason), x->exit.raw_reason);
}

/* The guest reached an exit while the recording has a kick or a window first: it waits there; what never comes is passed over. */
static void hold(struct replay *r, struct replay_vcpu *v, struct engine_event *out)
{
    if (++v->patience >= REPLAY_PATIENCE) {
        v->exits++;
        v->entries++;
        v->patience = 0;
    }
    wait(out);
}

static void decide(struct replay *r, struct replay_vcpu *v, const struct trace_exit *x, struct sim_guest *g, struct engine_event *out)
{
    const u32 vcpu = (u32)(v - r->vcpu);
    const bool running = out->kind == EVENT_SLICE || out->kind == EVENT_INTR_WINDOW;
    if (running && (comes_by_itself(x->exit.reason) || ++v->patience < REPLAY_PATIENCE))
        return;
    if (!running && may_pass(out->kind) && !replay_agrees(x, g, out))
        return;
    if (comes_by_itself(x->exit.reason))
        hold(r, v, out);
    else if (others_first(r, vcpu, x->header.sequence) && ++v->patience < REPLAY_PATIENCE)
        wait(out);
    else
        present(r, v, vcpu, x, g, out);
}

bool replay_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    struct replay *r = container_of(e, struct replay, engine);
    struct replay_vcpu *v = current(r, cpu);
    *out = (struct engine_event){.kind = EVENT_END};
    if (r->differs || !v)
        return true;
    const u32 vcpu = (u32)(v - r->vcpu);
    const struct recording_step *s = step_of(r, vcpu, v->exits);
    if (!s || !s->exit) {
        idle(r, vcpu, steps, out);
        return true;
    }
    if (!r->executes->guest(r->executes, cpu, g, steps, out))
        return false;
    decide(r, v, s->exit, g, out);
    if (r->differs)
        out->kind = EVENT_END;
    return true;
}
