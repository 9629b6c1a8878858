/* SPDX-License-Identifier: BSD-2-Clause */
/* The turns of each vCPU: counted in a first pass over the trace, filled in by a second one. */
#include "replay/course.h"
#include <stdlib.h>
#include <string.h>

/* What the passes know of a vCPU. */
struct progress {
    u64 values, next_value;
    bool known, inside;          /* a state was seen; the VMM has the last exit: values and an entry may follow */
};

static bool refuse(struct course *c, u64 event, const char *why)
{
    c->why = why;
    c->event = event;
    return false;
}

static bool follows(struct course *c, const struct progress *p, u64 i)
{
    const u32 id = c->trace->event[i].raw->id;
    if (id == TRACE_exit && !p->known)
        return refuse(c, i, "an exit before the first state of its vCPU");
    if (id == TRACE_entry && !p->inside && !c->trace->lost)
        return refuse(c, i, "an entry without an exit before it");
    return true;
}

static void advance(struct progress *p, u32 id)
{
    p->known |= id == TRACE_state;
    if (id == TRACE_exit || id == TRACE_entry)
        p->inside = id == TRACE_exit;
}

static bool counted(struct course *c, struct progress *progress)
{
    for (u64 i = 0; i < c->trace->count; i++) {
        const struct trace_item *e = &c->trace->event[i];
        const u32 vcpu = trace_vcpu(e);
        if (vcpu == TRACE_NO_VCPU)
            continue;
        if (vcpu >= COURSE_VCPUS)
            return refuse(c, i, "more vCPUs than a replay has");
        struct progress *p = &progress[vcpu];
        if (!follows(c, p, i))
            return false;
        c->vcpus = max(c->vcpus, vcpu + 1);
        c->vcpu[vcpu].count += e->raw->id == TRACE_exit;
        c->vcpu[vcpu].events += e->raw->id != TRACE_value;
        p->values += e->raw->id == TRACE_value && p->inside;
        advance(p, e->raw->id);
    }
    return true;
}

static bool room(struct course *c, struct progress *progress)
{
    u64 values = 0;
    for (u32 i = 0; i < c->vcpus; i++) {
        struct course_vcpu *v = &c->vcpu[i];
        v->turn = calloc(v->count + 1ul, sizeof(*v->turn));
        v->event = calloc(v->events + 1, sizeof(*v->event));
        if (!v->turn || !v->event)
            return refuse(c, 0, "no memory");
        progress[i] = (struct progress){.next_value = values, .values = progress[i].values};
        values += progress[i].values;
        c->exits += v->count;
        v->count = 0;
        v->events = 0;
    }
    c->value = calloc(values + 1, sizeof(*c->value));
    return c->value || refuse(c, 0, "no memory");
}

static void put(struct course *c, struct progress *p, struct course_vcpu *v, u64 i)
{
    const struct trace_item *e = &c->trace->event[i];
    struct course_turn *last = v->count ? &v->turn[v->count - 1] : NULL;
    if (e->raw->id == TRACE_value) {
        if (!p->inside)
            return;
        c->value[p->next_value++] = i;
        last->values++;
        return;
    }
    v->event[v->events++] = i;
    if (e->raw->id == TRACE_exit) {
        if (!last)
            v->cpu = e->cpu;
        v->turn[v->count++] = (struct course_turn){.exit = i, .entry = COURSE_NONE, .first_value = (u32)p->next_value};
    } else if (e->raw->id == TRACE_entry && p->inside) {
        last->entry = i;
    }
    advance(p, e->raw->id);
}

bool course_open(struct course *c, const struct trace *t)
{
    *c = (struct course){.trace = t};
    struct progress progress[COURSE_VCPUS] = {0};
    if (!counted(c, progress) || !room(c, progress)) {
        course_close(c);
        return false;
    }
    for (u64 i = 0; i < t->count; i++) {
        const u32 vcpu = trace_vcpu(&t->event[i]);
        if (vcpu != TRACE_NO_VCPU)
            put(c, &progress[vcpu], &c->vcpu[vcpu], i);
    }
    return true;
}

void course_close(struct course *c)
{
    for (u32 i = 0; i < COURSE_VCPUS; i++) {
        free(c->vcpu[i].turn);
        free(c->vcpu[i].event);
        c->vcpu[i] = (struct course_vcpu){0};
    }
    free(c->value);
    c->value = NULL;
}

void course_begin(struct course_cursor *k, const struct course *c, u32 vcpu)
{
    *k = (struct course_cursor){.course = c, .vcpu = vcpu};
}

/* Everything of this vCPU up to the event of that index. */
static void apply(struct course_cursor *k, u64 index)
{
    const struct course_vcpu *v = &k->course->vcpu[k->vcpu];
    for (; k->next < v->events && v->event[k->next] <= index; k->next++)
        (void)trace_words_apply(&k->words, &k->course->trace->event[v->event[k->next]]);
}

bool course_exit(struct course_cursor *k)
{
    const struct course_vcpu *v = &k->course->vcpu[k->vcpu];
    if (k->turn >= v->count)
        return false;
    apply(k, v->turn[k->turn].exit);
    return true;
}

bool course_entry(struct course_cursor *k)
{
    const struct course_vcpu *v = &k->course->vcpu[k->vcpu];
    if (k->turn >= v->count)
        return false;
    const u64 entry = v->turn[k->turn].entry;
    k->turn++;
    if (entry == COURSE_NONE)
        return false;
    apply(k, entry);
    return true;
}
