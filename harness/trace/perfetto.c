/* SPDX-License-Identifier: BSD-2-Clause */
/* What each CPU and each vCPU did, as slices. On every track at most one slice is open, so slices never overlap; what is open at the end of the
 * trace ends with it. Who runs is taken from exits, entries and `schedule`. */
#include "trace/perfetto.h"
#include <stdlib.h>
#include "trace/perfetto_detail.h"
#include "trace/perfetto_packet.h"

#define TRACK_ALL     1ul
#define TRACK_CPU(n)  (0x10000ul + (n))
#define TRACK_LOST(n) (0x20000ul + (n))
#define TRACK_VCPU(n) (0x40000ul + (n))
#define NO_REASON     0xffu
#define SCHEDULED     64u   /* vCPUs that are found by their EC */

struct cpu_track {
    enum { IDLE, USER, GUEST } runs;
    u32 vcpu;            /* the one entered last */
    u64 ec;              /* 0: idle, or unknown */
    u64 tsc;             /* of the last event; on a track time never goes back */
    u64 lost;            /* events, as shown last */
    bool seen, counted;
};

struct vcpu_track {
    enum { CLOSED, IN_GUEST, IN_VMM } state;
    u64 ec;              /* that runs it; 0: unknown */
    u64 exits, tsc;
    u16 cpu;             /* of its last entry */
    u8 ends;             /* reason of the exit that ends what the guest does now */
    bool seen;
};

struct export {
    const struct trace *t;
    FILE *out;
    u8 *reason;          /* of each event: an exit's, and of an entry that of the exit after it */
    struct trace_words *words;
    struct cpu_track *cpu;
    struct vcpu_track *vcpu;
    u32 cpus;
};

static u64 nanoseconds(const struct export *x, u64 tsc)
{
    const u64 khz = x->t->machine.tsc_khz ? x->t->machine.tsc_khz : 1000000;
    return tsc / khz * 1000000 + tsc % khz * 1000000 / khz;
}

static void put(struct export *x, u64 tsc, const struct protobuf *e)
{
    perfetto_write(x->out, nanoseconds(x, tsc), e);
}

static void slice_end(struct export *x, u64 tsc, u64 track)
{
    struct protobuf e;
    perfetto_event(&e, PERFETTO_END, track);
    put(x, tsc, &e);
}

/* ---- A CPU: idle, an EC in user mode, or a guest ---- */

static void cpu_idle(struct export *x, u32 cpu, u64 tsc)
{
    if (x->cpu[cpu].runs != IDLE)
        slice_end(x, tsc, TRACK_CPU(cpu));
    x->cpu[cpu].runs = IDLE;
}

static void cpu_guest(struct export *x, u32 cpu, u64 tsc, u32 vcpu, u8 reason)
{
    struct protobuf e;
    cpu_idle(x, cpu, tsc);
    perfetto_event(&e, PERFETTO_BEGIN, TRACK_CPU(cpu));
    perfetto_name(&e, "guest", reason == NO_REASON ? "guest" : trace_reason_name(reason));
    perfetto_number(&e, "vcpu", vcpu);
    put(x, tsc, &e);
    x->cpu[cpu].runs = GUEST;
    x->cpu[cpu].vcpu = vcpu;
}

/* vcpu: whose VMM this is, TRACE_NO_VCPU: another EC. */
static void cpu_user(struct export *x, u32 cpu, u64 tsc, u32 vcpu)
{
    struct protobuf e;
    char text[32];
    cpu_idle(x, cpu, tsc);
    perfetto_event(&e, PERFETTO_BEGIN, TRACK_CPU(cpu));
    snprintf(text, sizeof(text), "EC %#lx", x->cpu[cpu].ec);
    perfetto_name(&e, "user", vcpu == TRACE_NO_VCPU ? text : "VMM");
    if (vcpu != TRACE_NO_VCPU)
        perfetto_number(&e, "vcpu", vcpu);
    put(x, tsc, &e);
    x->cpu[cpu].runs = USER;
}

static void schedule(struct export *x, u32 cpu, u64 ec)
{
    struct cpu_track *const c = &x->cpu[cpu];
    c->ec = ec;
    if (!ec)
        return cpu_idle(x, cpu, c->tsc);
    for (u32 v = 0; v < x->t->vcpus && v < SCHEDULED; v++) {
        if (x->vcpu[v].ec != ec || x->vcpu[v].cpu != cpu)
            continue;
        if (x->vcpu[v].state == IN_GUEST)
            return cpu_guest(x, cpu, c->tsc, v, x->vcpu[v].ends);
        return cpu_user(x, cpu, c->tsc, v);
    }
    cpu_user(x, cpu, c->tsc, TRACE_NO_VCPU);
}

/* ---- A vCPU: in the guest from entry to exit, in its VMM from exit to entry ---- */

static void vcpu_close(struct export *x, u32 v, u64 tsc)
{
    if (x->vcpu[v].state != CLOSED)
        slice_end(x, tsc, TRACK_VCPU(v));
    x->vcpu[v].state = CLOSED;
}

/* Imported traces have vCPUs that move: the CPU that was left runs it no more. */
static void left(struct export *x, u32 v, u32 cpu, u64 tsc)
{
    struct cpu_track *const c = &x->cpu[x->vcpu[v].cpu];
    if (x->vcpu[v].cpu != cpu && c->runs == GUEST && c->vcpu == v) {
        c->tsc = max(c->tsc, tsc);
        cpu_idle(x, x->vcpu[v].cpu, c->tsc);
    }
    x->vcpu[v].cpu = (u16)cpu;
}

static void vcpu_enters(struct export *x, const struct trace_item *item, u32 v)
{
    struct vcpu_track *const t = &x->vcpu[v];
    const struct trace_words *const w = &x->words[v];
    struct protobuf e;
    if (t->state == IN_VMM && w->known && trace_dirty(w) & VCPU_GROUP_INJECT && w->word[TRACE_WORD_inject] & VCPU_EVENT_VALID) {
        perfetto_event(&e, PERFETTO_END, TRACK_VCPU(v));   /* the answer belongs to the slice that ends */
        perfetto_address(&e, "inject", w->word[TRACE_WORD_inject]);
        put(x, t->tsc, &e);
        t->state = CLOSED;
    }
    vcpu_close(x, v, t->tsc);
    perfetto_event(&e, PERFETTO_BEGIN, TRACK_VCPU(v));
    perfetto_name(&e, "guest", "guest");
    perfetto_number(&e, "cpu", item->cpu);
    put(x, t->tsc, &e);
    t->state = IN_GUEST;
    t->ends = x->reason[item - x->t->event];
    t->ec = x->cpu[item->cpu].ec;
    left(x, v, item->cpu, item->tsc);
    cpu_guest(x, item->cpu, x->cpu[item->cpu].tsc, v, t->ends);
}

static void vcpu_exits(struct export *x, const struct trace_item *item, u32 v)
{
    struct protobuf e;
    const u8 reason = x->reason[item - x->t->event];
    vcpu_close(x, v, x->vcpu[v].tsc);
    perfetto_event(&e, PERFETTO_BEGIN, TRACK_VCPU(v));
    perfetto_name(&e, "exit", reason == NO_REASON ? "exit" : trace_reason_name(reason));
    perfetto_exit(&e, &x->words[v], v, x->vcpu[v].exits++);
    put(x, x->vcpu[v].tsc, &e);
    x->vcpu[v].state = IN_VMM;
    left(x, v, item->cpu, item->tsc);
    cpu_user(x, item->cpu, x->cpu[item->cpu].tsc, v);
}

/* ---- Events in order ---- */

static void event(struct export *x, const struct trace_item *item)
{
    struct protobuf e;
    const u32 v = trace_vcpu(item);
    const bool has_vcpu = v < x->t->vcpus;
    struct cpu_track *const c = &x->cpu[item->cpu];
    c->tsc = max(c->tsc, item->tsc);
    if (has_vcpu) {
        trace_words_apply(&x->words[v], item);
        x->vcpu[v].tsc = max(x->vcpu[v].tsc, item->tsc);
    }
    perfetto_event(&e, PERFETTO_INSTANT, has_vcpu ? TRACK_VCPU(v) : TRACK_CPU(item->cpu));
    if (perfetto_instant(&e, item->raw))
        put(x, has_vcpu ? x->vcpu[v].tsc : c->tsc, &e);
    switch (item->raw->id) {
    case TRACE_exit:
        return vcpu_exits(x, item, v);
    case TRACE_entry:
        return vcpu_enters(x, item, v);
    case TRACE_hypercall:
        c->ec = ((const struct trace_hypercall *)item->raw)->ec;   /* the caller: who runs where no `schedule` has said it yet */
        return;
    case TRACE_schedule:
        return schedule(x, item->cpu, ((const struct trace_schedule *)item->raw)->ec);
    default:
        return;
    }
}

/* The reason of each exit, and so what ends each entry. */
static void look_ahead(struct export *x)
{
    const struct trace *const t = x->t;
    for (u64 i = 0; i < t->count; i++) {
        const u32 v = trace_vcpu(&t->event[i]);
        x->cpu[t->event[i].cpu].seen = true;
        x->reason[i] = NO_REASON;
        if (v >= t->vcpus)
            continue;
        x->vcpu[v].seen = true;
        if (trace_words_apply(&x->words[v], &t->event[i]) && t->event[i].raw->id == TRACE_exit)
            x->reason[i] = (u8)min(trace_words_exit(&x->words[v])->reason, NO_REASON - 1u);
    }
    for (u32 v = 0; v < t->vcpus; v++)
        x->vcpu[v].ends = NO_REASON;
    for (u64 i = t->count; i-- > 0;) {
        const u32 v = trace_vcpu(&t->event[i]), id = t->event[i].raw->id;
        if (v >= t->vcpus)
            continue;
        if (id == TRACE_exit)
            x->vcpu[v].ends = x->reason[i];
        else if (id == TRACE_entry)
            x->reason[i] = x->vcpu[v].ends;
    }
}

/* ---- Tracks ---- */

static void tracks(struct export *x, const char *title)
{
    char text[40];
    u32 rank = 0;
    perfetto_process(x->out, TRACK_ALL, title);
    for (u32 c = 0; c < x->cpus; c++) {
        if (!x->cpu[c].seen)
            continue;
        snprintf(text, sizeof(text), "CPU %u", c);
        perfetto_track(x->out, TRACK_CPU(c), TRACK_ALL, text, rank++, false);
        snprintf(text, sizeof(text), "CPU %u, lost events", c);
        perfetto_track(x->out, TRACK_LOST(c), TRACK_ALL, text, rank++, true);
    }
    for (u32 v = 0; v < x->t->vcpus; v++) {
        if (!x->vcpu[v].seen)
            continue;
        snprintf(text, sizeof(text), "vCPU %u", v);
        perfetto_track(x->out, TRACK_VCPU(v), TRACK_ALL, text, rank++, false);
    }
}

/* What each packet says was lost before its end, where that changes; packets beyond a fault are none. */
static void lost(struct export *x)
{
    for (u32 s = 0; s < x->t->source_count; s++) {
        const struct trace_source *const file = &x->t->source[s];
        u64 at = 0;
        while (file->count - at >= sizeof(struct trace_packet)) {
            const struct trace_packet *const p = (const struct trace_packet *)(file->bytes + at);
            if (p->magic != TRACE_MAGIC || p->packet_bits / 8 < sizeof(*p) || p->packet_bits / 8 > file->count - at || p->cpu >= x->cpus)
                break;
            struct cpu_track *const c = &x->cpu[p->cpu];
            if (!c->counted || p->discarded != c->lost) {
                struct protobuf e;
                perfetto_event(&e, PERFETTO_COUNTER, TRACK_LOST(p->cpu));
                perfetto_count(&e, p->discarded);
                put(x, p->end, &e);
            }
            c->lost = p->discarded;
            c->counted = true;
            at += p->packet_bits / 8;
        }
    }
}

static bool begin(struct export *x)
{
    const struct trace *const t = x->t;
    for (u64 i = 0; i < t->count; i++)
        x->cpus = max(x->cpus, t->event[i].cpu + 1u);
    x->reason = malloc(t->count + 1);
    x->words = trace_words_new(t);
    x->cpu = calloc(x->cpus + 1, sizeof(*x->cpu));
    x->vcpu = calloc(t->vcpus + 1, sizeof(*x->vcpu));
    return x->reason && x->words && x->cpu && x->vcpu;
}

bool trace_perfetto(const struct trace *t, const char *title, FILE *out)
{
    struct export x = { .t = t, .out = out };
    const bool ready = begin(&x);
    if (ready) {
        look_ahead(&x);
        tracks(&x, title);
        lost(&x);
        for (u32 v = 0; v < t->vcpus; v++)
            x.words[v].known = false;
        for (u64 i = 0; i < t->count; i++)
            event(&x, &t->event[i]);
        for (u32 c = 0; c < x.cpus; c++)
            cpu_idle(&x, c, x.cpu[c].tsc);
        for (u32 v = 0; v < t->vcpus; v++)
            vcpu_close(&x, v, x.vcpu[v].tsc);
    }
    free(x.reason);
    free(x.words);
    free(x.cpu);
    free(x.vcpu);
    return ready && !fflush(out) && !ferror(out);
}
