/* SPDX-License-Identifier: BSD-2-Clause */
/* What a trace says that happened to each vCPU: its turns, one after the other, each an exit, what the VMM took from outside while it handled it, and the
 * entry after it. A cursor goes along them and holds the words as they were.
 *
 *   course_open(&c, &trace)
 *   turn 0: STARTUP (or whatever a cut trace begins with) | values | entry | turn 1: exit | values | entry | ...
 *
 * The words of a turn are made by applying its deltas in order, so a cursor only goes forward. The trace stays open as long as the course. A trace
 * may have no entries (imported ones): every turn is then without. */
#pragma once
#include "trace/reader.h"

#define COURSE_VCPUS 64u

struct course_turn {
    u64 exit, entry;             /* index into trace->event; entry COURSE_NONE: there is none before the next exit, or the end */
    u32 first_value, values;     /* into course->value: indices into trace->event */
};
#define COURSE_NONE (~0ul)

struct course_vcpu {
    struct course_turn *turn;
    u32 count;
    u64 *event, events;          /* its states, exits and entries: indices into trace->event */
    u16 cpu;                     /* of its first exit */
};

struct course {
    const struct trace *trace;
    struct course_vcpu vcpu[COURSE_VCPUS];
    u32 vcpus;                   /* greatest number seen + 1 */
    u64 *value;
    u64 exits;                   /* in all turns */
    const char *why;             /* set if course_open failed */
    u64 event;                   /* at which event */
};

/* False, and nothing is to be closed: c->why, c->event: a vCPU number from COURSE_VCPUS on, an entry without an exit before it (but where events were
 * lost: it only changes the words then), an exit before the first state, no memory. */
bool course_open(struct course *c, const struct trace *t);
void course_close(struct course *c);

/* Of one vCPU. After course_exit the words are those the exit gave; after course_entry those the VMM left. */
struct course_cursor {
    const struct course *course;
    u32 vcpu, turn;              /* the turn whose exit comes next, or was applied */
    u64 next;                    /* into course_vcpu.event: what was not applied yet */
    struct trace_words words;
};
void course_begin(struct course_cursor *k, const struct course *c, u32 vcpu);
bool course_exit(struct course_cursor *k);    /* apply the exit of this turn; false: there is none left */
bool course_entry(struct course_cursor *k);   /* apply its entry, if it has one, and go to the next turn; false: it has none */
