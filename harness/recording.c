/* SPDX-License-Identifier: BSD-2-Clause */
#include "recording.h"
#include <stdlib.h>

static void refuse(struct recording *r, const char *why, u64 offset)
{
    if (!r->why) {
        r->why = why;
        r->why_offset = offset;
    }
}

static struct recording_step *append(struct recording *r, u32 vcpu)
{
    const u32 count = r->vcpu[vcpu].count;
    if (count == r->vcpu[vcpu].room) {
        const u32 room = count ? 2 * count : 256;
        struct recording_step *more = realloc(r->vcpu[vcpu].step, room * sizeof(*more));
        if (!more)
            return NULL;
        r->vcpu[vcpu].step = more;
        r->vcpu[vcpu].room = room;
    }
    r->vcpu[vcpu].count++;
    r->vcpu[vcpu].step[count] = (struct recording_step){0};
    return &r->vcpu[vcpu].step[count];
}

/* Records stay where they are in the file's bytes, which are aligned like the stream. */
static void on_record(void *arg, const struct trace_header *h, u64 offset)
{
    struct recording *r = arg;
    const void *place = r->file.bytes + offset;
    struct recording_step *last = NULL, *step = NULL;
    if (h->type == TRACE_LOST)
        refuse(r, "records were lost while recording: it cannot be replayed", offset);
    if (h->type != TRACE_EXIT && h->type != TRACE_ENTRY)
        return;
    if (h->vcpu >= RECORDING_VCPUS) {
        refuse(r, "vcpu must be below 64", offset);
        return;
    }
    if (r->vcpu[h->vcpu].count)
        last = &r->vcpu[h->vcpu].step[r->vcpu[h->vcpu].count - 1];
    if (h->type == TRACE_EXIT) {
        r->exits++;
        step = last && !last->exit ? last : last ? NULL : append(r, h->vcpu);
        if (step)
            step->exit = place;
    } else if (last && last->exit) {
        step = append(r, h->vcpu);
        if (step)
            step->entry = place;
    }
    if (!step)
        refuse(r, "entries and exits of a vCPU must alternate, an exit first", offset);
}

bool recording_open(const char *name, struct recording *r)
{
    struct trace_feed feed = {.record = on_record, .arg = r};
    *r = (struct recording){0};
    if (!input_read(name, &r->file))
        return false;
    const bool whole = trace_feed(&feed, r->file.bytes, r->file.count) && trace_feed_end(&feed);
    r->head = feed.head;
    if (whole && !r->why)
        return true;
    if (r->why)
        (void)input_refuse(&r->file, "record", r->why_offset, r->why);
    else
        (void)input_refuse(&r->file, feed.field, feed.offset + feed.at, feed.why);
    recording_close(r);
    return false;
}

void recording_close(struct recording *r)
{
    for (u32 i = 0; i < RECORDING_VCPUS; i++)
        free(r->vcpu[i].step);
    input_free(&r->file);
}
