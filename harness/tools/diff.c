/* SPDX-License-Identifier: BSD-2-Clause */
/* diff: the first exit of each vCPU in which two traces differ, with all its fields; --all: how often each field does. Exits, what the VMM took from outside,
 * and entries are compared in order, bit by bit, but only groups that both say something of. Time never counts; what one vendor calls its own does only if both
 * are of that vendor. */
#include <stdlib.h>
#include <string.h>
#include "trace/details.h"
#include "tools/tools.h"
#include "tools/walk.h"
#include "trace/vcpu_field.h"

struct count {
    const char *where, *field;
    u64 times;
};

struct diff {
    const struct tool_list *ignored;
    bool all, same_vendor;
    const struct trace *trace[2];
    struct walk walk[2];
    const struct trace_item *item[2];   /* NULL: the end */
    u32 vcpu;
    u64 exit;                  /* the exit this vCPU is at */
    u64 exits, vcpus;          /* compared */
    u64 differences;           /* of the event at hand */
    bool differs;
    struct count count[256];
    u32 counts;
};

/* Members of struct vcpu_exit; reason VCPU_EXIT_COUNT: all have it. */
static const struct {
    u32 reason;
    const char *name;
    u16 offset, bytes;
} member[] = {
#define MEMBER(reason, name, field) { reason, name, offset_of(struct vcpu_exit, field), sizeof(((struct vcpu_exit *)0)->field) }
#define IO(field)   MEMBER(VCPU_EXIT_IO, "io." #field, u.io.field)
#define MMIO(field) MEMBER(VCPU_EXIT_MMIO, "mmio." #field, u.mmio.field)
#define CR(field)   MEMBER(VCPU_EXIT_CR, "cr." #field, u.cr.field)
#define EXCEPTION(field) MEMBER(VCPU_EXIT_EXCEPTION, "exception." #field, u.exception.field)
#define FAILED(field)    MEMBER(VCPU_EXIT_ENTRY_FAILED, "entry_failed." #field, u.entry_failed.field)
    MEMBER(VCPU_EXIT_COUNT, "reason", reason), MEMBER(VCPU_EXIT_COUNT, "insn_len", insn_len),
    IO(port), IO(size), IO(in), IO(string), IO(rep), IO(address_size), IO(count),
    MMIO(gpa), MMIO(access), MMIO(present), MMIO(gva), MMIO(gva_valid),
    MEMBER(VCPU_EXIT_MSR_READ, "msr.index", u.msr.index), MEMBER(VCPU_EXIT_MSR_WRITE, "msr.index", u.msr.index),
    CR(number), CR(gpr), CR(write), CR(kind),
    EXCEPTION(vector), EXCEPTION(error_valid), EXCEPTION(error), EXCEPTION(address),
    FAILED(check), FAILED(vmx_error), FAILED(qualification),
    MEMBER(VCPU_EXIT_COUNT, "raw_reason", raw_reason), MEMBER(VCPU_EXIT_COUNT, "raw_info1", raw_info1), MEMBER(VCPU_EXIT_COUNT, "raw_info2", raw_info2),
};

/* To the next exit, entry or value of the vCPU. */
static void next(struct diff *d, u32 i)
{
    struct walk *const k = &d->walk[i];
    for (d->item[i] = NULL; !d->item[i] && walk_next(k);)
        if (k->vcpu == d->vcpu && (k->item->raw->id == TRACE_value || (k->known && k->item->raw->id != TRACE_state)))
            d->item[i] = k->item;
}

static const char *value_text(const char *where, const char *field, u64 value, char text[EVENT_TEXT_BYTES])
{
    if (strcmp(where, "order") == 0)
        return value ? trace_event_name((u32)value) : "end";
    if (strcmp(where, "exit") == 0 && strcmp(field, "reason") == 0)
        return trace_reason_name((u32)value);
    if (strcmp(field, "pending") == 0 || strcmp(field, "inject") == 0)
        event_text(value, text);
    else
        snprintf(text, EVENT_TEXT_BYTES, "0x%lx", value);
    return text;
}

static void note(struct diff *d, const char *where, const char *field, u64 recorded, u64 got)
{
    if (recorded == got)
        return;
    for (u32 i = 0; i < d->ignored->count; i++)
        if (strcmp(d->ignored->item[i], field) == 0)
            return;
    d->differences++;
    d->differs = true;
    if (!d->all) {
        char text[2][EVENT_TEXT_BYTES];
        printf("exit %lu vcpu %u: %s: field %s recorded %s got %s\n", d->exit, d->vcpu, where, field, value_text(where, field, recorded, text[0]),
               value_text(where, field, got, text[1]));
        return;
    }
    u32 i = 0;
    while (i < d->counts && (strcmp(d->count[i].where, where) != 0 || strcmp(d->count[i].field, field) != 0))
        i++;
    if (i == array_size(d->count))
        return;   /* more than there are */
    d->counts = max(d->counts, i + 1);
    d->count[i].where = where;
    d->count[i].field = field;
    d->count[i].times++;
}

static u64 bytes_at(const void *from, u32 offset, u32 bytes)
{
    u64 value = 0;
    memcpy(&value, (const u8 *)from + offset, bytes);
    return value;
}

static void exit_members(struct diff *d)
{
    const struct vcpu_exit *const a = trace_words_exit(d->walk[0].words), *const b = trace_words_exit(d->walk[1].words);
    for (u32 i = 0; i < array_size(member); i++) {
        const bool raw = member[i].offset >= offset_of(struct vcpu_exit, raw_reason);
        const bool shared = a->reason == b->reason && (!raw || d->same_vendor);
        if (i == 0 || (shared && (member[i].reason == VCPU_EXIT_COUNT || member[i].reason == a->reason)))
            note(d, "exit", member[i].name, bytes_at(a, member[i].offset, member[i].bytes), bytes_at(b, member[i].offset, member[i].bytes));
    }
    note(d, "exit", "pending", d->walk[0].words->word[TRACE_WORD_pending], d->walk[1].words->word[TRACE_WORD_pending]);
}

static void groups(struct diff *d, const char *where, u32 which)
{
    struct vcpu_state a = { 0 }, b = { 0 };
    trace_words_state(d->walk[0].words, &a);
    trace_words_state(d->walk[1].words, &b);
    for (u32 i = 0; i < vcpu_field_count; i++)
        if (which >> vcpu_field[i].group & 1)
            note(d, where, vcpu_field[i].name, vcpu_field_get(&vcpu_field[i], &a), vcpu_field_get(&vcpu_field[i], &b));
}

/* Groups that one of the machines lacks say nothing. */
static void compare_words(struct diff *d, u32 id)
{
    const u32 both = d->trace[0]->machine.groups & d->trace[1]->machine.groups;
    const struct trace_words *const a = d->walk[0].words, *const b = d->walk[1].words;
    if (id == TRACE_exit) {
        exit_members(d);
        note(d, "exit", "valid", trace_valid(a) & both, trace_valid(b) & both);
        groups(d, "exit", trace_known(a) & trace_known(b) & both);
    } else {
        note(d, "answer", "dirty", trace_dirty(a) & both, trace_dirty(b) & both);
        note(d, "answer", "want", trace_want(a) & both, trace_want(b) & both);
        groups(d, "answer", trace_dirty(a) & trace_dirty(b) & both);
    }
}

static void compare_values(struct diff *d)
{
    const struct trace_value *const a = (const struct trace_value *)d->item[0]->raw, *const b = (const struct trace_value *)d->item[1]->raw;
    const struct trace_tail ta = trace_tail(d->item[0]->raw), tb = trace_tail(d->item[1]->raw);
    note(d, "values", "kind", a->kind, b->kind);
    note(d, "values", "address", a->address, b->address);
    note(d, "values", "bytes", ta.bytes, tb.bytes);
    for (u32 i = 0; i < ta.bytes && ta.bytes == tb.bytes; i += 8) {
        const u32 bytes = min(ta.bytes - i, 8u);
        note(d, "values", "data", bytes_at(ta.data, i, bytes), bytes_at(tb.data, i, bytes));
    }
}

/* The event that both are at. False: they are out of step, what follows says nothing. */
static bool compare(struct diff *d)
{
    const u32 a = d->item[0] ? d->item[0]->raw->id : 0, b = d->item[1] ? d->item[1]->raw->id : 0;
    d->differences = 0;
    if (a != b) {   /* 0: the end */
        note(d, "order", "event", a, b);
        return false;
    }
    if (a == TRACE_value)
        compare_values(d);
    else
        compare_words(d, a);
    return d->all || !d->differences;
}

static bool compare_vcpu(struct diff *d)
{
    u64 exits = 0;
    d->exit = 0;
    if (!walk_begin(&d->walk[0], d->trace[0]))
        return false;
    if (!walk_begin(&d->walk[1], d->trace[1])) {
        walk_end(&d->walk[0]);
        return false;
    }
    do {
        next(d, 0);
        next(d, 1);
        if (d->item[0] && d->item[0]->raw->id == TRACE_exit)
            d->exit = exits++;
    } while ((d->item[0] || d->item[1]) && compare(d));
    d->exits += exits;
    d->vcpus += exits != 0;
    walk_end(&d->walk[0]);
    walk_end(&d->walk[1]);
    return true;
}

static int report(const struct diff *d)
{
    for (u32 i = 0; i < d->counts; i++)
        printf("%10lu %s: field %s\n", d->count[i].times, d->count[i].where, d->count[i].field);
    if (!d->differs)
        printf("no difference: %lu exits of %lu vCPUs\n", d->exits, d->vcpus);
    return d->differs;
}

/* Numbers are sparse in a trace that was made to be so. */
static void mark(const struct trace *t, bool *there)
{
    for (u64 i = 0; i < t->count; i++)
        there[trace_vcpu(&t->event[i])] = true;
}

static int diff(struct diff *d)
{
    static bool there[TRACE_NO_VCPU + 1];
    mark(d->trace[0], there);
    mark(d->trace[1], there);
    for (d->vcpu = 0; d->vcpu < TRACE_NO_VCPU; d->vcpu++)
        if (there[d->vcpu] && !compare_vcpu(d))
            return 2;
    const int status = max(trace_status(d->trace[0]), trace_status(d->trace[1]));
    return max(report(d), status);
}

int tool_diff(int argc, char **argv)
{
    static struct diff d;
    const char *name[2];
    struct tool_list ignored = { 0 };
    const struct tool_option options[] = { { "--ignore", .list = &ignored }, { "--all", .flag = &d.all }, { 0 } };
    struct trace a, b;
    if (!tool_arguments(argc, argv, options, name, 2) || !trace_open(name[0], &a))
        return 2;
    if (!trace_open(name[1], &b)) {
        trace_close(&a);
        return 2;
    }
    d.ignored = &ignored;
    d.same_vendor = a.machine.vendor == b.machine.vendor;
    d.trace[0] = &a;
    d.trace[1] = &b;
    const int status = diff(&d);
    trace_close(&a);
    trace_close(&b);
    return status;
}
