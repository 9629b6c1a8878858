/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM's tracepoints as trace-cmd report, perf script and the kernel's own `trace` file print them. Fields are found by name: kernels moved them. kvm_exit and
 * kvm_entry are turns; kvm_pio, kvm_mmio, kvm_msr and kvm_page_fault, of the same thread, complete the exit before and say what was read and written.
 * Other lines are skipped. There are no registers but RIP, no memory, no instruction length but of SVM's I/O. */
#include "trace/import_kvm.h"
#include <string.h>
#include "abi/hypercall.h"
#include "arch/svm.h"
#include "arch/vmx.h"

#define NO_VCPU (~0u)

/* What stands before the name of the event, and where the rest is. */
struct event {
    const char *name, *rest;
    u32 name_bytes;
    u64 key;                   /* thread, else CPU: see struct import_thread */
    bool thread;
    u64 tsc;
};

/* ---- Who and when: "qemu-system-x86-18971 [015] d.... 95922.997039: kvm_exit: ..." ---- */

static bool find_name(const char *text, struct event *e)
{
    for (const char *p = text; (p = strstr(p, "kvm_")); p += 4) {
        const u32 bytes = (u32)strspn(p, "abcdefghijklmnopqrstuvwxyz_0123456789");
        const bool begins = p == text || p[-1] == ' ' || p[-1] == '\t' || (p - text >= 4 && !memcmp(p - 4, "kvm:", 4));
        if (begins && p[bytes] == ':') {
            e->name = p;
            e->name_bytes = bytes;
            e->rest = p + bytes + 1;
            return true;
        }
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Seconds, a point, 6 or 9 digits; or a plain number, from a clock that counts. */
static u64 time_of(const char *text, const struct event *e)
{
    const char *p = e->name;
    if (p - text >= 4 && !memcmp(p - 4, "kvm:", 4))
        p -= 4;
    while (p > text && p[-1] == ' ')
        p--;
    if (p == text || *--p != ':')
        return 0;
    while (p > text && (is_digit(p[-1]) || p[-1] == '.'))
        p--;
    u64 whole = 0, part = 0, digits = 0;
    for (; is_digit(*p); p++)
        whole = whole * 10 + (u64)(*p - '0');
    if (*p != '.')
        return whole;
    for (p++; digits < 9; digits++)
        part = part * 10 + (is_digit(*p) ? (u64)(*p++ - '0') : 0);
    return whole * 1000000000 + part;
}

static void who(const char *text, struct event *e)
{
    const char *cpu = NULL;
    for (const char *p = text; p < e->name; p++)
        if (*p == '[' && is_digit(p[1]))
            cpu = p;
    e->key = 0;
    e->thread = false;
    if (!cpu)
        return;
    for (const char *p = cpu + 1; is_digit(*p); p++)
        e->key = e->key * 10 + (u64)(*p - '0');
    const char *p = cpu;
    while (p > text && p[-1] == ' ')
        p--;
    const char *const end = p;
    while (p > text && is_digit(p[-1]))
        p--;
    if (p == end)
        return;
    e->thread = true;
    for (e->key = 0; p < end; p++)
        e->key = e->key * 10 + (u64)(*p - '0');
}

static bool is(const struct event *e, const char *name)
{
    return strlen(name) == e->name_bytes && !memcmp(name, e->name, e->name_bytes);
}

/* ---- Which vCPU ---- */

static bool taken(const struct import *in, u32 vcpu)
{
    for (u32 i = 0; i < in->threads; i++)
        if (in->thread[i].vcpu == vcpu)
            return true;
    return false;
}

static u32 new_thread(struct import *in, const struct event *e, u32 recorded)
{
    u32 vcpu = recorded;
    if (e->thread && (vcpu >= IMPORT_VCPUS || taken(in, vcpu)))
        for (vcpu = 0; vcpu < IMPORT_VCPUS && taken(in, vcpu); vcpu++) { }
    if (vcpu >= IMPORT_VCPUS || in->threads == IMPORT_THREADS) {
        import_fail(in, "vcpu", "more than 64 of them, or threads that change too often");
        return NO_VCPU;
    }
    in->thread[in->threads++] = (struct import_thread){ e->key << 1 | e->thread, recorded, vcpu, in->line.number };
    return vcpu;
}

/* recorded NO_VCPU: the line does not say; then it is the one its thread ran last. */
static u32 vcpu_of(struct import *in, const struct event *e, u32 recorded)
{
    struct import_thread *found = NULL;
    for (u32 i = 0; i < in->threads; i++) {
        struct import_thread *const t = &in->thread[i];
        if (t->key == (e->key << 1 | e->thread) && (recorded == NO_VCPU ? !found || t->used > found->used : t->recorded == recorded))
            found = t;
    }
    if (!found)
        return recorded == NO_VCPU ? NO_VCPU : new_thread(in, e, recorded);
    found->used = in->line.number;
    return found->vcpu;
}

/* ---- Turns ---- */

static bool reason(struct import *in, const char *rest, u64 *number, u32 *vendor)
{
    const char *const name = kvm_after(rest, "reason"), *end = name ? strstr(name, " rip ") : NULL;
    if (!end)
        return import_fail(in, "kvm_exit", "has no reason before its rip");
    const char *const failed = strstr(name, " FAILED_VMENTRY");
    const char *const stop = failed && failed < end ? failed : end;
    if (!kvm_reason(name, (u32)(stop - name), number, vendor)) {
        *vendor = 0;
        *number = 0xffff;   /* OTHER on both */
    }
    if (failed && failed < end)
        *number |= VMX_REASON_FAILED;
    return true;
}

/* info1 and info2, or "info" with two numbers, which in those kernels were, on VMX, qualification and interruption information. */
static void infos(const char *rest, u64 *info1, u64 *info2, bool *old)
{
    const char *p = kvm_after(rest, "info");
    *info1 = *info2 = 0;
    *old = p != NULL;
    if (p && import_hex(&p, info1)) {
        p += strspn(p, " ");
        import_hex(&p, info2);
    } else {
        kvm_value(rest, "info1", info1);
        kvm_value(rest, "info2", info2);
    }
}

static void exit_words(struct import *in, const char *rest, u64 number, struct import_vcpu *v)
{
    u64 info1, info2, intr = 0, error = 0;
    bool old;
    infos(rest, &info1, &info2, &old);
    kvm_value(rest, "intr_info", &intr);
    kvm_value(rest, "error_code", &error);
    if (in->vendor == 2) {
        import_svm_exit(number, info1, info2, v);
        v->word[TRACE_WORD_pending] = import_pending(intr, error);
        return;
    }
    const struct import_vmx x = { .reason = number, .qualification = info1, .intr_info = old ? info2 : intr, .error = error };
    import_vmx_exit(&x, v);
    v->word[TRACE_WORD_pending] = import_pending(old ? 0 : info2, 0);   /* the vectoring error code is not recorded */
}

static bool on_exit_line(struct import *in, const struct event *e)
{
    u64 number, rip, recorded;
    u32 vendor;
    if (!reason(in, e->rest, &number, &vendor))
        return false;
    if (!kvm_value(e->rest, "rip", &rip))
        return import_fail(in, "rip", "kvm_exit has none");
    if (!in->vendor)
        in->vendor = vendor;
    const u32 vcpu = vcpu_of(in, e, kvm_decimal(e->rest, "vcpu", &recorded) ? (u32)min(recorded, (u64)NO_VCPU - 1) : NO_VCPU);
    if (in->why)
        return false;
    if (vcpu == NO_VCPU) {
        in->skipped++;   /* of a thread that nowhere says which vCPU it runs */
        return true;
    }
    if (!import_alternate(in, vcpu, e->tsc))
        return false;
    struct import_vcpu *const v = &in->vcpu[vcpu];
    v->word[TRACE_WORD_rip] = rip;
    exit_words(in, e->rest, number, v);
    import_hold(in, vcpu, e->tsc, VCPU_GROUP_RIP);
    return true;
}

static bool on_entry_line(struct import *in, const struct event *e)
{
    u64 recorded, rip, info = 0, error = 0;
    if (!kvm_decimal(e->rest, "vcpu", &recorded))
        return import_fail(in, "vcpu", "kvm_entry has none");
    const u32 vcpu = vcpu_of(in, e, (u32)min(recorded, (u64)NO_VCPU - 1));
    if (in->why)
        return false;
    struct import_vcpu *const v = &in->vcpu[vcpu];
    u32 dirty = 0;
    if (v->at == IMPORT_RUNS)   /* before its first exit; or the exit was lost */
        in->mended += v->begun;
    else if (!import_tell(in, vcpu))
        return false;
    if (kvm_value(e->rest, "rip", &rip)) {
        v->word[TRACE_WORD_rip] = rip;
        dirty |= VCPU_GROUP_RIP;
    }
    if (kvm_value(e->rest, "intr_info", &info) || kvm_value(e->rest, "inj", &info)) {
        if (!kvm_value(e->rest, "error_code", &error))
            kvm_value(e->rest, "inj_error_code", &error);
        const u64 event = import_injected(info, error);
        import_inject(v, event, 0, 0);
        dirty |= event ? VCPU_GROUP_INJECT : 0;
    }
    return import_enter(in, vcpu, e->tsc, dirty);
}

/* ---- What completes an exit ---- */

static bool on_pio(struct import *in, u32 vcpu, const struct event *e)
{
    struct vcpu_exit *const x = import_exit_of(&in->vcpu[vcpu]);
    const bool write = kvm_after(e->rest, "pio_write") != NULL;
    u64 port, size, value;
    if (!kvm_value(e->rest, "at", &port) || !kvm_decimal(e->rest, "size", &size) || (size != 1 && size != 2 && size != 4))
        return import_fail(in, "kvm_pio", "has no port, or no size of 1, 2 or 4");
    if (in->vcpu[vcpu].at == IMPORT_HELD && x->reason == VCPU_EXIT_IO)
        x->u.io.port = (u16)port, x->u.io.size = (u8)size, x->u.io.in = !write;
    if (!kvm_value(e->rest, "val", &value))
        return true;   /* before Linux 3.16 */
    return import_value(in, vcpu, e->tsc, write ? TRACE_VALUE_port_out : TRACE_VALUE_port_in, port & 0xffff, value, (u32)size);
}

static void complete_mmio(struct import *in, u32 vcpu, u64 gpa, bool write)
{
    struct vcpu_exit *const x = import_exit_of(&in->vcpu[vcpu]);
    const bool misconfig = x->reason == VCPU_EXIT_OTHER && in->vendor != 2 && x->raw_reason == VMX_REASON_EPT_MISCONFIG;   /* how KVM marks its own MMIO */
    if (in->vcpu[vcpu].at != IMPORT_HELD || (x->reason != VCPU_EXIT_MMIO && !misconfig))
        return;
    x->reason = VCPU_EXIT_MMIO;
    x->u.mmio.gpa = gpa;
    x->u.mmio.access |= write ? RIGHT_W : x->u.mmio.access ? 0 : RIGHT_R;
}

static bool on_mmio(struct import *in, u32 vcpu, const struct event *e)
{
    const bool write = kvm_after(e->rest, "write") != NULL, pending = kvm_after(e->rest, "unsatisfied-read") != NULL;
    u64 gpa, bytes, value;
    if (!kvm_value(e->rest, "gpa", &gpa) || !kvm_decimal(e->rest, "len", &bytes) || !kvm_value(e->rest, "val", &value))
        return import_fail(in, "kvm_mmio", "has no gpa, len or val");
    complete_mmio(in, vcpu, gpa, write);
    if (pending || !bytes)
        return true;   /* the value comes later */
    return import_value(in, vcpu, e->tsc, write ? TRACE_VALUE_mmio_write : TRACE_VALUE_mmio_read, gpa, value, (u32)min(bytes, 8ul));
}

static bool on_fast_mmio(struct import *in, u32 vcpu, const struct event *e)
{
    u64 gpa;
    if (!kvm_value(e->rest, "gpa", &gpa))
        return import_fail(in, "kvm_fast_mmio", "has no gpa");
    complete_mmio(in, vcpu, gpa, true);
    return true;
}

static bool on_msr(struct import *in, u32 vcpu, const struct event *e)
{
    struct vcpu_exit *const x = import_exit_of(&in->vcpu[vcpu]);
    const char *const write = kvm_after(e->rest, "msr_write"), *p = write ? write : kvm_after(e->rest, "msr_read");
    u64 index, value;
    if (!p || !import_hex(&p, &index) || strncmp(p, " = ", 3) || (p += 3, !import_hex(&p, &value)))
        return import_fail(in, "kvm_msr", "has no index or no value");
    if (in->vcpu[vcpu].at == IMPORT_HELD && (x->reason == VCPU_EXIT_MSR_READ || x->reason == VCPU_EXIT_MSR_WRITE))
        x->u.msr.index = (u32)index;
    return import_value(in, vcpu, e->tsc, write ? TRACE_VALUE_msr_write : TRACE_VALUE_msr_read, (u32)index, value, 8);
}

/* VMX's kvm_exit does not say where; this line does. Without nested paging it is a linear address, and the exit an exception. */
static bool on_page_fault(struct import *in, u32 vcpu, const struct event *e)
{
    struct vcpu_exit *const x = import_exit_of(&in->vcpu[vcpu]);
    u64 address;
    if (!kvm_value(e->rest, "address", &address))
        return import_fail(in, "kvm_page_fault", "has no address");
    if (in->vcpu[vcpu].at == IMPORT_HELD && x->reason == VCPU_EXIT_MMIO)
        x->u.mmio.gpa = x->raw_info2 = address;
    return true;
}

/* ---- Lines ---- */

/* "CPU:3 [LOST 123 EVENTS]" of trace-cmd, where a count that it does not know is "[EVENTS DROPPED]"; "PERF_RECORD_LOST lost 12" of perf. */
static bool on_lost(struct import *in)
{
    u64 count = 1;
    const char *const text = in->line.text;
    if (!strstr(text, "EVENTS") && !strstr(text, "PERF_RECORD_LOST"))
        return false;
    const char *const trace_cmd = strstr(text, "[LOST ");
    if (!trace_cmd && !strstr(text, "[EVENTS DROPPED]") && !strstr(text, "PERF_RECORD_LOST"))
        return false;
    if (trace_cmd ? !kvm_decimal(trace_cmd, "[LOST", &count) : !kvm_decimal(text, "lost", &count))
        count = 1;
    in->lost += count;
    return true;
}

static bool on_line(struct import *in)
{
    static const struct {
        const char *name;
        bool (*act)(struct import *in, u32 vcpu, const struct event *e);
    } companion[] = { { "kvm_pio", on_pio }, { "kvm_mmio", on_mmio }, { "kvm_fast_mmio", on_fast_mmio }, { "kvm_msr", on_msr }, 
                    { "kvm_page_fault", on_page_fault } };
    const char *const text = in->line.text;
    struct event e = { 0 };
    if (on_lost(in) || !text[strspn(text, " \t")] || text[0] == '#')
        return true;
    if (!find_name(text, &e)) {
        in->skipped++;
        return true;
    }
    e.tsc = time_of(text, &e);
    who(text, &e);
    if (is(&e, "kvm_exit"))
        return on_exit_line(in, &e);
    if (is(&e, "kvm_entry"))
        return on_entry_line(in, &e);
    for (u32 i = 0; i < array_size(companion); i++)
        if (is(&e, companion[i].name)) {
            const u32 vcpu = vcpu_of(in, &e, NO_VCPU);
            in->skipped += vcpu == NO_VCPU;
            return vcpu == NO_VCPU || companion[i].act(in, vcpu, &e);
        }
    in->skipped++;
    return true;
}

static bool read_lines(struct import *in)
{
    for (u32 i = 0; i < in->threads; i++)   /* the second time */
        in->thread[i].used = 0;
    while (import_next(in))
        if (!on_line(in))
            return false;
    return !in->why;
}

const struct import_format import_kvm = { "kvm", "memory registers clock", read_lines };
