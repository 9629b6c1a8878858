/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/details.h"
#include <stdio.h>
#include <string.h>
#include "abi/hypercall.h"
#include "abi/status.h"

static struct detail word(const char *name, const char *text)
{
    return (struct detail){ .name = name, .text = text };
}

static struct detail number(const char *name, u64 value)
{
    return (struct detail){ .name = name, .value = value };
}

static struct detail hex(const char *name, u64 value)
{
    return (struct detail){ .name = name, .value = value, .hex = true };
}

static u32 io(const struct vcpu_exit *x, const u64 *w, struct detail *out)
{
    u32 n = 0;
    out[n++] = word("direction", x->u.io.in ? "in" : "out");
    out[n++] = hex("port", x->u.io.port);
    out[n++] = number("size", x->u.io.size);
    if (x->u.io.string)
        out[n++] = number("string", 1);
    if (x->u.io.rep)
        out[n++] = number("count", x->u.io.count);
    if (!x->u.io.in && !x->u.io.string && x->u.io.size <= 4)
        out[n++] = hex("value", w[TRACE_WORD_rax] & (bit(8 * x->u.io.size) - 1));
    return n;
}

static const char *rights(u32 access)
{
    static const char *const text[] = { "-", "r", "w", "rw", "x", "rx", "wx", "rwx" };
    return text[access & RIGHT_MEMORY];
}

static u32 mmio(const struct vcpu_exit *x, struct detail *out)
{
    out[0] = hex("gpa", x->u.mmio.gpa);
    out[1] = word("access", rights(x->u.mmio.access));
    out[2] = word("present", rights(x->u.mmio.present));
    if (!x->u.mmio.gva_valid)
        return 3;
    out[3] = hex("gva", x->u.mmio.gva);
    return 4;
}

static u32 cr(const struct vcpu_exit *x, const u64 *w, struct detail *out)
{
    static const char *const kinds[] = { "mov", "clts", "lmsw", "unknown" };
    out[0] = number("number", x->u.cr.number);
    out[1] = word("direction", x->u.cr.write ? "write" : "read");
    out[2] = word("kind", x->u.cr.kind < 4 ? kinds[x->u.cr.kind] : "?");
    if (x->u.cr.kind != 0 || x->u.cr.gpr > 15)
        return 3;
    out[3] = word("register", trace_word_name(TRACE_WORD_rax + x->u.cr.gpr));
    out[4] = hex("value", w[TRACE_WORD_rax + x->u.cr.gpr]);
    return x->u.cr.write ? 5 : 4;
}

static u32 exception(const struct vcpu_exit *x, struct detail *out)
{
    u32 n = 0;
    out[n++] = number("vector", x->u.exception.vector);
    if (x->u.exception.error_valid)
        out[n++] = hex("error", x->u.exception.error);
    if (x->u.exception.vector == 1 || x->u.exception.vector == 14)
        out[n++] = hex("address", x->u.exception.address);
    return n;
}

static u32 raw(const struct vcpu_exit *x, struct detail *out)
{
    out[0] = hex("raw_reason", x->raw_reason);
    out[1] = hex("raw_info1", x->raw_info1);
    out[2] = hex("raw_info2", x->raw_info2);
    return 3;
}

static u32 msr(const struct vcpu_exit *x, const u64 *w, struct detail *out)
{
    out[0] = hex("msr", x->u.msr.index);
    out[1] = hex("value", w[TRACE_WORD_rdx] << 32 | (u32)w[TRACE_WORD_rax]);
    return x->reason == VCPU_EXIT_MSR_WRITE ? 2 : 1;
}

static u32 entry_failed(const struct vcpu_exit *x, struct detail *out)
{
    out[0] = hex("check", x->u.entry_failed.check);
    out[1] = number("vmx_error", x->u.entry_failed.vmx_error);
    out[2] = hex("qualification", x->u.entry_failed.qualification);
    return 3;
}

u32 details(const struct trace_words *w, struct detail out[DETAILS_MAX])
{
    const struct vcpu_exit *const x = trace_words_exit(w);
    switch (x->reason) {
    case VCPU_EXIT_IO: return io(x, w->word, out);
    case VCPU_EXIT_MMIO: return mmio(x, out);
    case VCPU_EXIT_MSR_READ:
    case VCPU_EXIT_MSR_WRITE: return msr(x, w->word, out);
    case VCPU_EXIT_CR: return cr(x, w->word, out);
    case VCPU_EXIT_EXCEPTION: return exception(x, out);
    case VCPU_EXIT_ENTRY_FAILED: return entry_failed(x, out);
    case VCPU_EXIT_OTHER: return raw(x, out);
    case VCPU_EXIT_CPUID:
        out[0] = hex("leaf", (u32)w->word[TRACE_WORD_rax]);
        out[1] = hex("subleaf", (u32)w->word[TRACE_WORD_rcx]);
        return 2;
    case VCPU_EXIT_HYPERCALL: out[0] = hex("number", w->word[TRACE_WORD_rax]); return 1;
    default: return 0;
    }
}

void details_write(FILE *out, const struct trace_words *w)
{
    struct detail d[DETAILS_MAX];
    fprintf(out, "%s", trace_reason_name(trace_words_exit(w)->reason));
    for (u32 i = 0, count = details(w, d); i < count; i++)
        if (strcmp(d[i].name, "direction") == 0)
            fprintf(out, " %s", d[i].text);
        else if (d[i].text)
            fprintf(out, " %s %s", d[i].name, d[i].text);
        else
            fprintf(out, d[i].hex ? " %s 0x%lx" : " %s %lu", d[i].name, d[i].value);
}

/* The kernel that wrote the trace may know more names than this program. */
static const char *name_of(const char *const table[], u64 count, u32 number, const char *kind, char text[NAME_TEXT_BYTES])
{
    if (number < count && table[number])
        return table[number];
    snprintf(text, NAME_TEXT_BYTES, "%s %u", kind, number);
    return text;
}

const char *hypercall_text(u32 number, char text[NAME_TEXT_BYTES])
{
    static const char *const names[] = {
#define NAME(number, name, arguments, results, summary) [number] = #name,
        HYPERCALL_LIST(NAME)
#undef NAME
    };
    return name_of(names, array_size(names), number, "hypercall", text);
}

const char *status_text(u32 status, char text[NAME_TEXT_BYTES])
{
    static const char *const names[] = {
#define NAME(number, name, text) [number] = #name,
        STATUS_LIST(NAME)
#undef NAME
        [TRACE_STATUS_WAITS] = "waits", [TRACE_STATUS_AGAIN] = "again",
    };
    return name_of(names, array_size(names), status, "status", text);
}

const char *ipc_text(u32 kind, char text[NAME_TEXT_BYTES])
{
    static const char *const names[] = { [TRACE_IPC_call] = "call", [TRACE_IPC_reply] = "reply", [TRACE_IPC_exception] = "exception" };
    return name_of(names, array_size(names), kind, "ipc", text);
}

void event_text(u64 event, char text[EVENT_TEXT_BYTES])
{
    static const char *const types[] = { "interrupt", "type 1", "nmi", "exception", "software interrupt", "INT1", "software exception", "type 7" };
    const u32 type = event >> 8 & 7, vector = event & 0xff;
    int at = snprintf(text, EVENT_TEXT_BYTES, "%s", types[type]);
    if (type != 2)
        at += snprintf(text + at, EVENT_TEXT_BYTES - (u32)at, type == 0 ? " 0x%x" : " %u", vector);
    if (event & VCPU_EVENT_ERROR)
        snprintf(text + at, EVENT_TEXT_BYTES - (u32)at, " error 0x%lx", event >> 32);
}
