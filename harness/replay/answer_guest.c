/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest: what it is loaded with is compared, then it is where the trace says that it exited. Called again without an exit in between, the model had
 * none to make of that event (the other vendor's, or nobody intercepts it): the turn is skipped and the next one presented. */
#include "answer_model.h"
#include "replay/event.h"

/* A context is new only while root waits for the first entry of one vCPU. */
static struct answer_vcpu *running(struct answer *a, struct sim_cpu *cpu)
{
    const u64 context = sim_cpu_context(cpu);
    struct answer_vcpu **const on = &a->on[sim_cpu_id(cpu)];
    if (*on && (*on)->context == context)
        return *on;
    for (u32 i = 0; i < a->course->vcpus; i++)
        if (a->vcpu[i].context == context)
            return *on = &a->vcpu[i];
    if (a->starting)
        a->starting->context = context;
    return *on = a->starting;
}

static void resumed(struct answer *a, struct answer_vcpu *v, const struct sim_guest *g)
{
    struct difference d;
    v->entered = true;
    if (v->told && !compare_resume(&a->machines, &v->left, g, &d))
        answer_differs(v, &d, v->answered);
}

/* This exit is not one here. */
static void skip(struct answer *a, struct answer_vcpu *v)
{
    const u64 reason = trace_words_exit(&v->cursor.words)->reason;
    a->result->skipped++;
    if (a->options->mode == ANSWER_STRICT)
        answer_differs(v, &(struct difference){ .where = "exit", .field = "reason", .recorded = reason, .got = ANSWER_NONE }, v->cursor.turn);
    answer_skip(v);
}

bool answer_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    struct answer *const a = container_of(e, struct answer, guest);
    struct answer_vcpu *const v = running(a, cpu);
    *out = (struct engine_event){ .kind = EVENT_END };
    if (!v)
        return true;
    if (!v->entered)
        resumed(a, v, g);
    else if (!v->last)
        skip(a, v);
    while (!v->last && !a->stop) {
        replay_load(&v->cursor.words, a->options->vendor, g);
        const bool made = replay_event(&v->cursor.words, a->options->vendor, g, out);
        out->steps = 1;
        if (made)
            return true;
        skip(a, v);
    }
    *out = (struct engine_event){ .kind = a->stop ? EVENT_END : EVENT_CPUID, .steps = 1 };   /* out of the guest */
    return true;
}
