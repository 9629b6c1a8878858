/* SPDX-License-Identifier: BSD-2-Clause */
/* Replay without the VMM: the machine, and the root program that makes vCPUs, their threads and waits for their ends. */
#include "answer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "abi/hypercall.h"
#include "abi/info.h"
#include "abi/status.h"
#include "answer_model.h"
#include "program.h"

#define RAM(cpus, vcpus) ((16ul + 2 * (cpus) + (vcpus)) << 20)
#define UTCB(n)       (0x10000000ul + (n) * 2 * PAGE_SIZE)
#define BUDGET        1000ul         /* of the machine's time: vCPUs of one CPU take turns */
#define SEL_EC(n)     (1024u + (n))
#define SEL_SC(n)     (2048u + (n))
#define STEPS         (1ul << 24)    /* of the run; more for each exit */
#define STEPS_EXIT    (1ul << 12)

static void fail(struct answer *a, const char *text)
{
    if (!a->result->message[0])
        snprintf(a->result->message, sizeof(a->result->message), "%s", text);
    a->stop = true;
}

void answer_hypercall(struct answer *a, const char *name, u64 number, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    const u64 status = a->stop ? program_hypercall(HYPERCALL_shutdown, 1, 0, 0, 0, 0, 0) : program_hypercall(number, a0, a1, a2, a3, a4, a5);
    if (status == OK)
        return;
    char text[64];
    snprintf(text, sizeof(text), "%s: status %lu", name, status);
    fail(a, text);
    program_hypercall(HYPERCALL_shutdown, 1, 0, 0, 0, 0, 0);
}

void answer_differs(struct answer_vcpu *v, const struct difference *d, u32 exit)
{
    struct answer *const a = v->answer;
    if (!a->result->differences++) {
        a->result->first = *d;
        a->result->first_exit = exit;
        a->result->first_vcpu = v->number;
    }
    if (a->options->differs)
        a->options->differs(a->options->arg, d, exit, v->number);
    a->stop = a->stop || a->options->mode == ANSWER_STRICT;
}

/* ---- The root program ---- */

static void vcpu_make(struct answer *a, struct answer_vcpu *v)
{
    const u64 n = v->number, cpu = a->course->vcpu[n].cpu, entry = program_entry(a->user, answer_vcpu_main, v);
    a->starting = v;
    answer_hypercall(a, "vcpu_create", HYPERCALL_vcpu_create, ROOT_SEL_PD, ANSWER_SEL_VCPU(n), cpu, ANSWER_STATE(n), 0, 0);
    answer_hypercall(a, "ec_create", HYPERCALL_ec_create, ROOT_SEL_PD, SEL_EC(n), UTCB(n), entry, 0, EC_CONFIG(cpu, EC_GLOBAL, ROOT_SEL_EVENT));
    answer_hypercall(a, "sc_create", HYPERCALL_sc_create, ROOT_SEL_PD, SEL_SC(n), SEL_EC(n), PRIORITY_COUNT - 1, BUDGET, 0);
    answer_hypercall(a, "sm_down", HYPERCALL_sm_down, ANSWER_SEL_READY, 0, 0, 0, 0, 0);
    a->starting = NULL;
}

static void root(void *arg)
{
    struct answer *const a = arg;
    for (u64 s = ANSWER_SEL_READY; s <= ANSWER_SEL_PARK; s++)
        answer_hypercall(a, "sm_create", HYPERCALL_sm_create, ROOT_SEL_PD, s, 0, 0, 0, 0);
    u32 started = 0;
    for (u32 i = 0; i < a->course->vcpus; i++) {
        if (!a->course->vcpu[i].count)
            continue;
        vcpu_make(a, &a->vcpu[i]);
        started++;
    }
    while (started--)
        answer_hypercall(a, "sm_down", HYPERCALL_sm_down, ANSWER_SEL_DONE, 0, 0, 0, 0, 0);
    a->finished = true;
    program_hypercall(HYPERCALL_shutdown, 0, 0, 0, 0, 0, 0);
}

/* ---- The machine ---- */

static u32 cpus(const struct course *c)
{
    u32 count = 1;
    for (u32 i = 0; i < c->vcpus; i++)
        if (c->vcpu[i].count)
            count = max(count, c->vcpu[i].cpu + 1u);
    return count;
}

static void ended(struct answer *a, const struct sim *s)
{
    struct answer_result *const r = a->result;
    const struct sim_result *const m = sim_result(s);
    r->machine = m->end;
    r->rule = m->rule;
    r->event_hash = m->event_hash;
    r->end = a->finished && m->end == SIM_SHUTDOWN ? ANSWER_DONE : ANSWER_FAILED;
    if (r->end == ANSWER_FAILED && r->differences && a->options->mode == ANSWER_STRICT && (m->end == SIM_SHUTDOWN || m->end == SIM_STOPPED))
        r->end = ANSWER_DIFFERS;
    if (r->end == ANSWER_FAILED && m->end != SIM_SHUTDOWN)
        snprintf(r->message, sizeof(r->message), "%s", m->message);
}

static void machine_run(struct answer *a)
{
    const u32 count = cpus(a->course);
    u64 bytes;
    void *const bundle = program_bundle(program_entry(a->user, root, a), &bytes);
    const struct sim_config config = {
        .cpus = count, .ram_bytes = RAM(count, a->course->vcpus), .vendor = a->options->vendor, .x2apic = true, .bundle = bundle, .bundle_bytes = bytes,
        .user = a->user, .guest = &a->guest,
    };
    struct sim *const s = bundle ? sim_create(&config) : NULL;
    free(bundle);
    if (!s) {
        fail(a, "no memory for the machine");
        return;
    }
    sim_run(s, STEPS + STEPS_EXIT * a->course->exits);
    ended(a, s);
    sim_destroy(s);
}

static bool vcpus_make(struct answer *a)
{
    a->vcpu = calloc(max(a->course->vcpus, 1u), sizeof(*a->vcpu));
    for (u32 i = 0; a->vcpu && i < a->course->vcpus; i++) {
        a->vcpu[i].answer = a;
        a->vcpu[i].number = i;
        course_begin(&a->vcpu[i].cursor, a->course, i);
    }
    return a->vcpu;
}

/* As far as the trace says; which groups the model has, its kernel tells with the first exit. */
static struct compare_machines machines(const struct trace *t, enum sim_vendor vendor)
{
    const u32 groups = t->has_machine ? t->machine.groups : TRACE_GROUPS;
    return (struct compare_machines){ .groups = groups & TRACE_GROUPS, .same_vendor = t->has_machine && t->machine.vendor == vendor, .vendor = vendor };
}

void answer_run(const struct course *c, const struct answer_options *o, struct answer_result *r)
{
    struct answer a = { .course = c, .options = o, .result = r, .machines = machines(c->trace, o->vendor), .groups = TRACE_GROUPS,
                        .guest = { .name = "recorded exits", .guest = answer_guest } };
    memset(r, 0, sizeof(*r));
    r->end = ANSWER_FAILED;
    for (u32 i = 0; i < VCPU_GROUP_COUNT; i++)
        a.word[i] = (u16)trace_group_word(i);
    a.user = program_engine();
    if (vcpus_make(&a) && a.user)
        machine_run(&a);
    else
        fail(&a, "no memory");
    if (a.user)
        a.user->destroy(a.user);
    free(a.vcpu);
}
