/* SPDX-License-Identifier: BSD-2-Clause */
/* See writer.h. A stream is always whole: with each event its packet's header says how far it goes. */
#include "trace/writer.h"
#include <stdlib.h>
#include <string.h>
#include "trace/rows.h"
#include "trace/streams.h"

/* What a reader of the trace knows of a vCPU here. */
struct writer_vcpu {
    u64 word[TRACE_WORDS];
    u32 exits;               /* since the last `state` */
    bool known;
};

struct writer_stream {
    struct stream stream;
    u64 room, packet;        /* packet: where the open one stands */
    u64 sequence, tsc;       /* of the last event */
};

struct trace_writer {
    struct writer_stream cpu[TRACE_CPUS];
    struct writer_vcpu **vcpu;
    u32 vcpus;
    u64 sequence;
    struct trace_machine machine;
    bool machine_waits;      /* for the time of the event after it */
    const char *why;         /* the first failure: nothing is written any more */
};

struct trace_writer *trace_writer_new(void)
{
    return calloc(1, sizeof(struct trace_writer));
}

void trace_writer_free(struct trace_writer *w)
{
    if (!w)
        return;
    for (u32 i = 0; i < TRACE_CPUS; i++)
        free(w->cpu[i].stream.bytes);
    for (u32 i = 0; i < w->vcpus; i++)
        free(w->vcpu[i]);
    free(w->vcpu);
    free(w);
}

static bool refuse(struct trace_writer *w, const char *why)
{
    if (!w->why)
        w->why = why;
    return false;
}

static bool grow(struct trace_writer *w, struct writer_stream *s, u64 bytes)
{
    const u64 wanted = s->stream.count + bytes;
    if (wanted <= s->room)
        return true;
    const u64 room = max(2 * s->room, max(wanted, 4096ul));
    u8 *const more = realloc(s->stream.bytes, room);
    if (!more)
        return refuse(w, "no memory");
    s->stream.bytes = more;
    s->room = room;
    return true;
}

static void packet_begin(struct trace_writer *w, struct writer_stream *s, u32 cpu, u64 tsc)
{
    const struct trace_packet head = { .magic = TRACE_MAGIC, .uuid = TRACE_UUID, .begin = tsc, .sequence = w->sequence, .cpu = cpu };
    s->packet = s->stream.count;
    memcpy(s->stream.bytes + s->packet, &head, sizeof(head));
    s->stream.count += sizeof(head);
}

/* An event: its header is made, what follows is copied. */
static bool put(struct trace_writer *w, u32 cpu, u64 tsc, u32 id, const void *event, u32 bytes)
{
    struct writer_stream *const s = &w->cpu[cpu];
    if (!grow(w, s, sizeof(struct trace_packet) + bytes))
        return false;
    const u64 later = max(tsc, s->tsc);
    if (s->stream.count == 0 || s->stream.count - s->packet + bytes > TRACE_PACKET_BYTES || (later - s->tsc) >> 31 || (w->sequence - s->sequence) >> 31)
        packet_begin(w, s, cpu, later);
    const struct trace_event header = { .id = (u16)id, .bytes = (u16)bytes, .tsc = (u32)later, .sequence = (u32)w->sequence };
    memcpy(s->stream.bytes + s->stream.count, event, bytes);
    memcpy(s->stream.bytes + s->stream.count, &header, sizeof(header));
    s->stream.count += bytes;
    s->tsc = later;
    s->sequence = w->sequence++;
    struct trace_packet *const head = (struct trace_packet *)(s->stream.bytes + s->packet);
    head->end = later;
    head->content_bits = head->packet_bits = 8 * (s->stream.count - s->packet);
    return true;
}

static bool append(struct trace_writer *w, u32 cpu, u64 tsc, u32 id, const void *event, u32 bytes)
{
    if (w->why || cpu >= TRACE_CPUS)
        return refuse(w, "a CPU above 63");
    if (w->machine_waits) {
        w->machine_waits = false;
        if (!put(w, 0, tsc, TRACE_machine, &w->machine, sizeof(w->machine)))
            return false;
    }
    return put(w, cpu, tsc, id, event, bytes);
}

bool trace_write_machine(struct trace_writer *w, const struct trace_machine *machine)
{
    if (w->sequence || w->machine_waits)
        return refuse(w, "a machine that is not the first event");
    w->machine = *machine;
    w->machine_waits = !w->why;
    return w->machine_waits;
}

static struct writer_vcpu *vcpu_get(struct trace_writer *w, u32 vcpu)
{
    if (vcpu >= w->vcpus) {
        struct writer_vcpu **const more = realloc(w->vcpu, (vcpu + 1ul) * sizeof(*more));
        if (!more)
            return NULL;
        memset(more + w->vcpus, 0, (vcpu + 1ul - w->vcpus) * sizeof(*more));
        w->vcpu = more;
        w->vcpus = vcpu + 1;
    }
    if (!w->vcpu[vcpu])
        w->vcpu[vcpu] = calloc(1, sizeof(struct writer_vcpu));
    return w->vcpu[vcpu];
}

static bool delta(struct trace_writer *w, u32 cpu, u64 tsc, enum trace_id id, u32 vcpu, u64 *shadow, const u64 *word)
{
    u8 event[TRACE_EVENT_MAX] = { 0 };
    u8 *const small = event + sizeof(struct trace_exit), *const large = small + 1, *at = small + 2;
    ((struct trace_exit *)event)->vcpu = (u16)vcpu;
    at = trace_changes(at, small, false, shadow, word, 0, TRACE_WORDS);
    at = trace_changes(at, large, true, shadow, word, 0, TRACE_WORDS);
    return append(w, cpu, tsc, id, event, (u32)(at - event));
}

bool trace_write_words(struct trace_writer *w, u32 cpu, u64 tsc, enum trace_id id, u32 vcpu, const u64 word[TRACE_WORDS])
{
    if (vcpu >= TRACE_NO_VCPU || (id != TRACE_state && id != TRACE_exit && id != TRACE_entry))
        return refuse(w, "not an event of a vCPU's words");
    struct writer_vcpu *const v = vcpu_get(w, vcpu);
    if (!v)
        return refuse(w, "no memory");
    if (id == TRACE_state || !v->known || (id == TRACE_exit && v->exits == TRACE_STATE_EVERY)) {
        memset(v->word, 0, sizeof(v->word));
        v->exits = 0;
        v->known = true;
        if (!delta(w, cpu, tsc, TRACE_state, vcpu, v->word, word) || id == TRACE_state)
            return !w->why;
    }
    v->exits += id == TRACE_exit;
    return delta(w, cpu, tsc, id, vcpu, v->word, word);
}

bool trace_write_value(struct trace_writer *w, u32 cpu, u64 tsc, u32 vcpu, enum trace_value_kind kind, u64 address, const void *data, u32 bytes)
{
    struct { struct trace_value value; u8 count, data[TRACE_VALUE_BYTES]; } __attribute__((packed)) event = { 0 };
    if (bytes > TRACE_VALUE_BYTES)
        return refuse(w, "a value of more than 24 bytes");
    event.value.vcpu = (u16)vcpu;
    event.value.kind = (u8)kind;
    event.value.address = address;
    event.count = (u8)bytes;
    memcpy(event.data, data, bytes);
    return append(w, cpu, tsc, TRACE_value, &event, (u32)(sizeof(event) - sizeof(event.data) + bytes));
}

bool trace_write_raw(struct trace_writer *w, u32 cpu, u64 tsc, const struct trace_event *e)
{
    if (e->bytes < sizeof(*e) || e->id == TRACE_state || e->id == TRACE_exit || e->id == TRACE_entry || e->id == TRACE_machine)
        return refuse(w, "an event that is not written as it is");
    return append(w, cpu, tsc, e->id, e, e->bytes);
}

bool trace_write_end(struct trace_writer *w, u32 code)
{
    u64 last = 0;
    for (u32 i = 0; i < TRACE_CPUS; i++)
        last = max(last, w->cpu[i].tsc);
    const struct trace_end end = { .code = code };
    return append(w, 0, last, TRACE_end, &end, sizeof(end));
}

static bool ready(struct trace_writer *w)
{
    if (w->machine_waits)
        w->machine_waits = !put(w, 0, 0, TRACE_machine, &w->machine, sizeof(w->machine));
    return !w->why;
}

bool trace_writer_save(struct trace_writer *w, const char *folder, const struct trace_env *env)
{
    struct stream stream[TRACE_CPUS];
    if (!ready(w)) {
        fprintf(stderr, "orrery: %s: cannot be written: %s\n", folder, w->why);
        return false;
    }
    for (u32 i = 0; i < TRACE_CPUS; i++)
        stream[i] = w->cpu[i].stream;
    return streams_save(stream, folder, w->machine.tsc_khz, env);
}

u8 *trace_writer_bytes(struct trace_writer *w, u64 *count)
{
    u64 at[TRACE_CPUS] = { 0 };
    *count = 0;
    if (!ready(w))
        return NULL;
    for (u32 i = 0; i < TRACE_CPUS; i++)
        *count += w->cpu[i].stream.count;
    u8 *const bytes = malloc(*count + 1);
    for (u64 done = 0; bytes && done < *count;) {
        const struct trace_packet *first = NULL;
        for (u32 i = 0; i < TRACE_CPUS; i++) {
            const struct stream *const s = &w->cpu[i].stream;
            const struct trace_packet *const p = at[i] < s->count ? (const struct trace_packet *)(s->bytes + at[i]) : NULL;
            if (p && (!first || p->sequence < first->sequence))
                first = p;
        }
        memcpy(bytes + done, first, first->packet_bits / 8);
        done += first->packet_bits / 8;
        at[first->cpu] += first->packet_bits / 8;
    }
    return bytes;
}
