/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each protection on where the processor offers it, and nothing where it does not? Is a command against speculation given where the processor
 * suffers and may be helped, and only there? Is the command line understood, and a senseless one refused? */
#include "protect.h"
#include <string.h>
#include "kernel/core_fixture.h"
#include "arch/x86.h"

#define BITS (CR4_SMEP | CR4_SMAP | CR4_UMIP)

static u32 protect_of(struct sim *s, u32 allowed)
{
    struct kern k = { .boot.protect = allowed };
    struct cpu cpu = { .kern = &k };
    protect_cpu_init(&cpu);
    return cpu.protect;
}

static void what_is_offered_is_on(void **state)
{
    static const enum sim_vendor vendors[] = { SIM_NONE, SIM_VMX, SIM_SVM };
    for (u32 n = 0; n < array_size(vendors) * 8; n++) {
        struct sim *const s = sim_unit(2, 16ul << 20, vendors[n / 8]);
        s->profile.smep = n & 1, s->profile.smap = n & 2, s->profile.umip = n & 4;
        const u64 offered = (n & 1 ? CR4_SMEP : 0) | (n & 2 ? CR4_SMAP : 0) | (n & 4 ? CR4_UMIP : 0);
        for (u32 cpu = 2; cpu-- > 0;) {
            sim_unit_cpu(s, cpu);
            const u64 before = mach_cr4_read();
            assert_int_equal(before & BITS, 0);
            assert_int_equal(protect_of(s, PROTECT_ALL), 0);
            assert_int_equal(mach_cr4_read(), before | offered);
        }
        sim_destroy(s);
    }
}

static void init(void *arg)
{
    protect_of(arg, PROTECT_ALL);
}

static void no_nx_no_kernel(void **state)
{
    struct sim *const s = sim_unit(1, 16ul << 20, SIM_NONE);
    s->profile.nx = false;
    assert_string_equal(sim_unit_expect_panic(s, init, s), "protect: the processor has no NX");
    sim_destroy(s);
}

/* ---- Speculation ---- */

enum { I = 1, M = 2, L = 4, R = 8, A = 16 };   /* ibpb, md_clear, l1d_flush, rtm, arch_cap */
#define ALL      (PROTECT_IBPB | PROTECT_VERW | PROTECT_L1D)
#define SAFE     (ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO)

static void what_the_processor_needs_is_done(void **state)
{
    static const struct {
        u32 has;
        u64 safe;
        u32 allowed, want;
    } rows[] = {
        { 0, 0, ALL, 0 }, { 0, ~0ul, ALL, 0 }, { I, 0, ALL, PROTECT_IBPB }, { M, 0, ALL, PROTECT_VERW }, { L, 0, ALL, PROTECT_L1D },
        { I | M | L, 0, ALL, ALL }, { I | M | L, SAFE, ALL, ALL },   /* without the MSR nothing is safe */
        { I | M | L | A, 0, ALL, ALL }, { I | M | L | A, SAFE, ALL, PROTECT_IBPB },
        { L | A, ARCH_CAP_RDCL_NO, ALL, 0 }, { L | A, ARCH_CAP_SKIP_L1D, ALL, 0 }, { L | A, ARCH_CAP_MDS_NO, ALL, PROTECT_L1D },
        { M | A, ARCH_CAP_MDS_NO, ALL, 0 }, { M | R | A, ARCH_CAP_MDS_NO, ALL, PROTECT_VERW }, { M | R | A, ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO, ALL, 0 },
        { M | A, ARCH_CAP_TAA_NO, ALL, PROTECT_VERW }, { A, ARCH_CAP_RFDS_CLEAR | SAFE, ALL, PROTECT_VERW },
        { A, ARCH_CAP_RFDS_CLEAR | ARCH_CAP_RFDS_NO | SAFE, ALL, 0 }, { I | M | L, 0, 0, 0 }, { I | M | L, 0, PROTECT_L1D, PROTECT_L1D },
    };
    for (u32 n = 0; n < 2 * array_size(rows); n++) {
        struct sim *const s = sim_unit(1, 16ul << 20, n % 2 ? SIM_VMX : SIM_SVM);
        const u32 has = rows[n / 2].has;
        s->profile.ibpb = has & I, s->profile.md_clear = has & M, s->profile.l1d_flush = has & L, s->profile.rtm = has & R, s->profile.arch_cap = has & A;
        s->profile.arch_capabilities = rows[n / 2].safe;
        assert_int_equal(protect_of(s, rows[n / 2].allowed), rows[n / 2].want);
        sim_destroy(s);
    }
}

/* ---- The command line ---- */

#define UNTOUCHED 0x80u

static void the_command_line_is_understood(void **state)
{
    static const struct {
        const char *line;
        u32 want;
    } rows[] = {
        { "", UNTOUCHED }, { "quiet", UNTOUCHED }, { "nomitigations=off", UNTOUCHED }, { "mitigations", UNTOUCHED },
        { "mitigations=off", 0 }, { "mitigations=auto", ALL }, { "mitigations=ibpb", PROTECT_IBPB }, { "mitigations=verw,l1d", PROTECT_VERW | PROTECT_L1D },
        { "a mitigations=l1d b", PROTECT_L1D }, { "mitigations=l1d mitigations=verw", PROTECT_VERW }, { "mitigations=off,ibpb", PROTECT_IBPB },
    };
    for (u32 i = 0; i < array_size(rows); i++)
        for (u32 tail = 0; tail < 2; tail++) {
            u32 protect = UNTOUCHED;
            assert_null(protect_parse(rows[i].line, strlen(rows[i].line) + tail, &protect));
            assert_int_equal(protect, rows[i].want);
        }
}

static void nonsense_is_refused(void **state)
{
    static const char *const lines[] = { "mitigations=", "mitigations= off", "mitigations=of", "mitigations=offs", "mitigations=ibpb,", "mitigations=ibpb,,l1d",
                                         "mitigations=IBPB", "x mitigations=no y" };
    u32 protect;
    for (u32 i = 0; i < array_size(lines); i++)
        assert_string_equal(protect_parse(lines[i], strlen(lines[i]), &protect), "command line: mitigations= takes off, auto, or a list of ibpb, verw, l1d");
}

/* Every cut of a line that stands at the very end of memory: nothing behind it is read, and what is behind a NUL does not count. */
static void the_line_ends_where_it_ends(void **state)
{
    static const char line[] = "x mitigations=ibpb,verw\0 mitigations=off";
    struct sim *const s = sim_unit(1, 16ul << 20, SIM_NONE);
    for (u64 bytes = 0; bytes <= sizeof(line); bytes++) {
        u32 protect = UNTOUCHED;
        char *const at = (char *)mach_phys_to_virt(16ul << 20) - bytes;
        memcpy(at, line, bytes);
        const char *const error = protect_parse(at, bytes, &protect);
        if (bytes < strlen("x mitigations="))
            assert_int_equal(protect, UNTOUCHED);
        if (bytes >= strlen(line))
            assert_true(!error && protect == (PROTECT_IBPB | PROTECT_VERW));
    }
    sim_destroy(s);
}

TEST_GROUP(protect, cmocka_unit_test(what_is_offered_is_on), cmocka_unit_test(no_nx_no_kernel), cmocka_unit_test(what_the_processor_needs_is_done),
           cmocka_unit_test(the_command_line_is_understood), cmocka_unit_test(nonsense_is_refused), cmocka_unit_test(the_line_ends_where_it_ends));
