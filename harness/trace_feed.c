/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace_feed.h"
#include <string.h>
#include "abi/vcpu_groups.h"

static const char *const reason_name[] = {
#define REASON_NAME(number, name, groups, text) [number] = #name,
        VCPU_EXIT_LIST(REASON_NAME)
#undef REASON_NAME
};

const char *trace_reason_name(u32 reason)
{
    return reason < array_size(reason_name) ? reason_name[reason] : "?";
}

static bool refuse(struct trace_feed *f, const char *field, u32 at, const char *why)
{
    if (!f->why) {
        f->field = field;
        f->why = why;
        f->at = at;
    }
    return false;
}

static bool head(struct trace_feed *f)
{
    memcpy(&f->head, f->buffer, sizeof(f->head));
    if (f->head.magic != TRACE_MAGIC)
        return refuse(f, "magic", 0, "not a trace");
    if (f->head.version != TRACE_VERSION)
        return refuse(f, "version", offset_of(struct trace_file, version), "not version 1");
    if (f->head.vendor > 2)
        return refuse(f, "vendor", offset_of(struct trace_file, vendor), "must be 0, 1 or 2");
    if (!f->head.cpu_count || f->head.cpu_count > 64)
        return refuse(f, "cpu_count", offset_of(struct trace_file, cpu_count), "must be 1 to 64");
    if (f->head.capabilities & ~(u32)VCPU_GROUP_ALL)
        return refuse(f, "capabilities", offset_of(struct trace_file, capabilities), "unknown groups");
    if (!f->head.tsc_khz)
        return refuse(f, "tsc_khz", offset_of(struct trace_file, tsc_khz), "must not be 0");
    f->has_head = true;
    return true;
}

static bool check_groups(struct trace_feed *f, u32 groups, u32 fixed, u32 at)
{
    const struct trace_header *h = (const struct trace_header *)f->buffer;
    u32 bytes = fixed;
    if (groups & ~(u32)VCPU_GROUP_ALL || groups & VCPU_GROUP_FPU)
        return refuse(f, "groups", at, "unknown groups");
    for (u32 left = groups; left; left &= left - 1)
        bytes += vcpu_group_range[__builtin_ctz(left)].bytes;
    return bytes == h->bytes || refuse(f, "bytes", offset_of(struct trace_header, bytes), "does not fit the groups");
}

static bool check_record(struct trace_feed *f)
{
    const struct trace_header *h = (const struct trace_header *)f->buffer;
    const struct trace_exit *exit = (const struct trace_exit *)f->buffer;
    const struct trace_entry *entry = (const struct trace_entry *)f->buffer;
    if (h->cpu >= f->head.cpu_count)
        return refuse(f, "cpu", offset_of(struct trace_header, cpu), "there is no such CPU");
    switch (h->type) {
    case TRACE_EXIT:
        if (h->bytes < sizeof(*exit))
            return refuse(f, "bytes", offset_of(struct trace_header, bytes), "too short for an exit");
        if (exit->exit.reason >= VCPU_EXIT_COUNT)
            return refuse(f, "exit.reason", offset_of(struct trace_exit, exit), "unknown reason");
        return check_groups(f, exit->groups, sizeof(*exit), offset_of(struct trace_exit, groups));
    case TRACE_ENTRY:
        if (h->bytes < sizeof(*entry))
            return refuse(f, "bytes", offset_of(struct trace_header, bytes), "too short for an entry");
        return check_groups(f, entry->groups, sizeof(*entry), offset_of(struct trace_entry, groups));
    case TRACE_LOST:
        return h->bytes == sizeof(struct trace_lost) || refuse(f, "bytes", offset_of(struct trace_header, bytes), "wrong for this type");
    case TRACE_END:
        f->ended = true;
        return h->bytes == sizeof(*h) || refuse(f, "bytes", offset_of(struct trace_header, bytes), "wrong for this type");
    default:
        return refuse(f, "type", 0, "unknown record type");
    }
}

/* How many bytes make the next step whole; 0: the record's size makes no sense. */
static u32 wanted(struct trace_feed *f)
{
    if (!f->has_head)
        return sizeof(struct trace_file);
    if (f->have < sizeof(struct trace_header))
        return sizeof(struct trace_header);
    const struct trace_header *h = (const struct trace_header *)f->buffer;
    const bool good = h->bytes >= sizeof(*h) && h->bytes <= TRACE_RECORD_MAX && !(h->bytes & 7);
    return good ? h->bytes : 0;
}

bool trace_feed(struct trace_feed *f, const void *bytes, u64 count)
{
    const u8 *from = bytes;
    while (!f->why) {
        const u32 want = wanted(f);
        if (!want)
            return refuse(f, "bytes", offset_of(struct trace_header, bytes), "no size of a record");
        if (f->have < want) {
            const u32 chunk = (u32)min(count, (u64)(want - f->have));
            if (!chunk)
                return true;
            memcpy(f->buffer + f->have, from, chunk);
            f->have += chunk;
            from += chunk;
            count -= chunk;
            continue;
        }
        if (f->ended)
            return refuse(f, "type", 0, "a record after the end");
        if (!f->has_head ? !head(f) : !check_record(f))
            return false;
        if (f->offset)
            f->record(f->arg, (const struct trace_header *)f->buffer, f->offset);
        f->offset += want;
        f->have = 0;
    }
    return false;
}

bool trace_feed_end(struct trace_feed *f)
{
    if (f->why)
        return false;
    if (f->have || !f->has_head)
        return refuse(f, "record", f->have, "truncated");
    return f->ended || refuse(f, "record", 0, "truncated: there is no end record");
}
