/* SPDX-License-Identifier: BSD-2-Clause */
/* The turns of a replay, and the order between vCPUs: what the trace has earlier on another vCPU happens earlier. */
#include "replay/replay.h"

bool replay_turn(const struct replay *r, u32 vcpu, struct course_turn *turn)
{
    const struct course_vcpu *v = &r->course->vcpu[vcpu];
    const u32 n = r->vcpu[vcpu].cursor.turn;
    if (n >= v->count)
        return false;
    *turn = v->turn[n];
    return true;
}

/* The next thing this vCPU does according to the trace: its place in the order of all; ~0: nothing. An entry has happened once the model was seen. */
static u64 next_sequence(const struct replay *r, u32 vcpu)
{
    const struct replay_vcpu *v = &r->vcpu[vcpu];
    struct course_turn turn;
    if (!v->inside && !v->resumed && v->cursor.turn)
        return v->answered;
    if (!replay_turn(r, vcpu, &turn))
        return ~0ul;
    const u64 event = v->inside ? turn.entry : turn.exit;
    return event == COURSE_NONE ? ~0ul : r->course->trace->event[event].sequence;
}

bool replay_others_first(const struct replay *r, u32 vcpu, u64 sequence)
{
    for (u32 i = 0; i < r->course->vcpus; i++)
        if (i != vcpu && next_sequence(r, i) < sequence)
            return true;
    return false;
}

void replay_next(struct replay *r, u32 vcpu)
{
    struct replay_vcpu *v = &r->vcpu[vcpu];
    struct course_turn turn;
    if (replay_turn(r, vcpu, &turn) && turn.entry != COURSE_NONE)
        v->answered = r->course->trace->event[turn.entry].sequence;
    (void)course_entry(&v->cursor);
    v->inside = v->resumed = v->loaded = v->presented = false;
    v->patience = 0;
}
