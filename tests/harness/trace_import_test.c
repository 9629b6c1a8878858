/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the kernel, on both models, report each exit that was made out of another hypervisor's text as it was recorded there? And is a state that the text does
 * not give one that a processor enters? What each line means is tested in tests/traces/tools.py. */
#define _GNU_SOURCE
#include "unit.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "replay/answer.h"
#include "trace/import.h"

struct text {
    char bytes[16384];
    u32 count;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    t->count += (u32)vsnprintf(t->bytes + t->count, sizeof(t->bytes) - t->count, format, arguments);
    va_end(arguments);
    assert_true(t->count < sizeof(t->bytes));
}

/* more: "field value" of what Xen read, hexadecimal, ended by 0, 0. */
static void iris_exit(struct text *t, u32 reason, u64 rip, const u32 (*more)[2])
{
    put(t, "ffffffff\nffffffff\n0\n");
    for (u32 i = 0; i < 15; i++)
        put(t, "%xfffffff\n%x\n2\n", i, 0x1000 + i);
    put(t, "681e\n%lx\n1\n681c\n7000\n1\n6820\n%x\n1\n6804\n2050\n1\n6802\n0\n1\n4402\n%x\n1\n4408\n0\n1\n", rip, reason ? 0x202 : 0x10202, reason);   /* a fault saves RF */
    for (; (*more)[0]; more++)
        put(t, "%x\n%x\n1\n", (*more)[0], (*more)[1]);
    put(t, "681e\n%lx\n0\n", rip + 2);
}

static void iris_text(struct text *t)
{
    static const u32 io[][2] = { { 0x6400, 0x3f80000 }, { 0x440c, 2 }, { 0 } }, length[][2] = { { 0x440c, 2 }, { 0 } };
    static const u32 ept[][2] = { { 0x6400, 0x181 }, { 0x2400, 0xfee00080 }, { 0x640a, 0xfee00080 }, { 0 } };
    static const u32 fault[][2] = { { 0x6400, 0 }, { 0x4404, 0x80000b0d }, { 0x4406, 0x18 }, { 0 } };
    iris_exit(t, 30, 0x7100, io);
    iris_exit(t, 10, 0x7200, length);
    iris_exit(t, 48, 0x7300, ept);
    iris_exit(t, 12, 0x7400, length);
    iris_exit(t, 31, 0x7500, length);
    iris_exit(t, 18, 0x7600, length);
    iris_exit(t, 10, 0xffffffff81000000, length);
    iris_exit(t, 0, 0xffffffff81000100, fault);
}

static void kvm_text(struct text *t)
{
    static const char *const exit[] = { "IO_INSTRUCTION rip 0xf000 info1 0x3f80000", "CPUID rip 0xffffffff81000000 info1 0x0", "HLT rip 0xffffffff81000004 info1 0x0",
                                        "MSR_READ rip 0xffffffff81000008 info1 0x0", "EPT_VIOLATION rip 0xffffffff8100000c info1 0x182" };
    for (u32 i = 0; i < array_size(exit); i++) {
        put(t, "q-7 [000] 1.%06u: kvm_exit: vcpu 0 reason %s info2 0x0 intr_info 0x0 error_code 0x0\n", 10 * i, exit[i]);
        put(t, "q-7 [000] 1.%06u: kvm_entry: vcpu 0, rip 0x%lx intr_info %s\n", 10 * i + 5, i ? 0xffffffff81000000 + 4 * i : 0xf002, i == 2 ? "0x800000ec" : "0x0");
    }
}

static void replayed(const struct import_format *format, struct text *t, u32 exits)
{
    static struct import in;
    struct trace_writer *const w = trace_writer_new();
    FILE *const file = fmemopen(t->bytes, t->count, "r");
    struct trace trace;
    struct course c;
    u64 count;
    assert_true(import_read(&in, format, file, w));
    assert_int_equal(in.exits, exits);
    u8 *const bytes = trace_writer_bytes(w, &count);
    assert_true(trace_open_bytes("import", bytes, count, &trace));
    assert_true(course_open(&c, &trace));
    for (u32 i = 0; i < 2; i++) {
        struct answer_result r;
        answer_run(&c, &(struct answer_options){ .vendor = i ? SIM_SVM : SIM_VMX, .mode = ANSWER_STRICT }, &r);
        if (r.differences)
            print_message("%s exit %u: %s: field %s\n", format->name, r.first_exit, r.first.where, r.first.field);
        assert_int_equal(r.end, ANSWER_DONE);
        assert_int_equal(r.differences, 0);
        assert_int_equal(r.skipped, 0);
        assert_int_equal(r.exits, exits);
    }
    course_close(&c);
    trace_close(&trace);
    free(bytes);
    trace_writer_free(w);
    fclose(file);
}

static void iris_replays(void **state)
{
    static struct text t;
    iris_text(&t);
    replayed(&import_iris, &t, 8);
}

static void kvm_replays(void **state)
{
    static struct text t;
    kvm_text(&t);
    replayed(&import_kvm, &t, 5);
}

TEST_GROUP(trace_import, cmocka_unit_test(iris_replays), cmocka_unit_test(kvm_replays));
