/* SPDX-License-Identifier: BSD-2-Clause */
/* Live trace records against recorded ones: the reason of each exit, and what the VMM put back at each entry, group by group, field by field.
 * Groups that one of the two machines lacks are not compared. A kick is legal at any time: one that only one side has is skipped with
 * the entry after it. */
#include <stdarg.h>
#include <string.h>
#include "replay.h"

void replay_differ(struct replay *r, u32 exit, u32 vcpu, const char *format, ...)
{
    char text[160];
    va_list list;
    if (r->differs)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    r->differs = true;
    snprintf(r->difference, sizeof(r->difference), "exit %u vcpu %u: %s", exit, vcpu, text);
    runner_stop(&r->runner);
}

static void compare_entry(struct replay *r, u32 vcpu, u32 n, const struct trace_entry *recorded, const struct trace_entry *got)
{
    const u32 common = r->recording.head.capabilities & r->runner.live.head.capabilities;
    struct vcpu_state a = {0}, b = {0};
    if ((recorded->groups & common) != (got->groups & common)) {
        replay_differ(r, n, vcpu, "field dirty recorded 0x%x got 0x%x", recorded->groups & common, got->groups & common);
        return;
    }
    vcpu_payload_apply(&a, recorded + 1, recorded->groups);
    vcpu_payload_apply(&b, got + 1, got->groups);
    for (u32 i = 0; i < vcpu_field_count; i++) {
        const struct vcpu_field *f = &vcpu_field[i];
        const u64 x = vcpu_field_get(f, &a), y = vcpu_field_get(f, &b);
        if ((recorded->groups & common) >> f->group & 1 && x != y) {
            replay_differ(r, n, vcpu, "field %s recorded 0x%lx got 0x%lx", f->name, x, y);
            return;
        }
    }
    if ((recorded->want & common) != (got->want & common))
        replay_differ(r, n, vcpu, "field want recorded 0x%x got 0x%x", recorded->want & common, got->want & common);
}

static void on_exit(struct replay *r, u32 vcpu, const struct trace_exit *got)
{
    struct replay_vcpu *v = &r->vcpu[vcpu];
    const bool recorded = v->exits < r->recording.vcpu[vcpu].count;
    const struct trace_exit *x = recorded ? r->recording.vcpu[vcpu].step[v->exits].exit : NULL;
    if (got->exit.reason == VCPU_EXIT_KICKED && (!x || x->exit.reason != VCPU_EXIT_KICKED)) {
        v->skip_entry = true;
        return;
    }
    const u32 check = got->exit.u.entry_failed.check;
    if (x && x->exit.reason != got->exit.reason && got->exit.reason == VCPU_EXIT_ENTRY_FAILED)
        replay_differ(r, v->exits, vcpu, "field reason recorded %s got ENTRY_FAILED, check %c%u", trace_reason_name(x->exit.reason),
                      check ? (char)(check >> 8) : '?', check & 0xff);
    else if (x && x->exit.reason != got->exit.reason)
        replay_differ(r, v->exits, vcpu, "field reason recorded %s got %s", trace_reason_name(x->exit.reason), trace_reason_name(got->exit.reason));
    v->exits++;
    v->patience = 0;
}

static void on_entry(struct replay *r, u32 vcpu, const struct trace_entry *got)
{
    struct replay_vcpu *v = &r->vcpu[vcpu];
    r->last_entry[got->header.cpu % array_size(r->last_entry)] = vcpu + 1;
    if (v->skip_entry) {
        v->skip_entry = false;
        return;
    }
    v->entries++;
    if (v->exits < r->recording.vcpu[vcpu].count)
        compare_entry(r, vcpu, v->exits - 1, r->recording.vcpu[vcpu].step[v->exits].entry, got);
}

void replay_record(void *arg, const struct trace_header *h)
{
    struct replay *r = arg;
    if (h->vcpu >= RECORDING_VCPUS || r->differs)
        return;
    if (h->type == TRACE_EXIT)
        on_exit(r, h->vcpu, (const struct trace_exit *)h);
    if (h->type == TRACE_ENTRY && r->vcpu[h->vcpu].exits)
        on_entry(r, h->vcpu, (const struct trace_entry *)h);
}
