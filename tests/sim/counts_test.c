/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each dear operation counted once, as what it is, and nothing else with it? */
#include "arch/x86.h"
#include "atomic.h"
#include "machine.h"
#include "unit.h"
#include "virt_fixture.h"

static u8 image[4096] aligned_to(64);
static atomic_u64 word;
static atomic_u32 half;

static void lock_all(void)
{
    u64 old = 0;
    atomic_xchg(&word, 1);
    assert_false(atomic_cas(&word, &old, 2));   /* locked all the same */
    atomic_fetch_add(&word, 1);
    atomic_fetch_or(&word, 1);
    atomic_fetch_and(&word, 1);
    atomic_add(&word, 1);
    atomic_or(&word, 1);
    atomic_and(&word, 1);
    atomic_xchg32(&half, 1);
}

static void unlocked(void)
{
    atomic_store(&word, atomic_load(&word));
    atomic_store_relaxed(&word, atomic_load_relaxed(&word));
    atomic_store32(&half, atomic_load32(&half));
    (void)mach_cr3_read();
    (void)mach_msr_read(MSR_EFER);
    (void)mach_tsc_read();
}

static void wrmsr(void)
{
    mach_msr_write(MSR_STAR, 0);
    assert_true(mach_msr_write_try(MSR_STAR, 0));
}

static void cr3(void)
{
    mach_cr3_write(mach_cr3_read());
}

static void cr0(void)
{
    mach_cr0_write(mach_cr0_read());
    mach_cr4_write(mach_cr4_read());
}

static void invlpg(void)
{
    mach_invlpg(0);
}

static void fences(void)
{
    atomic_fence();
    mach_fence();
}

static void xsave(void)
{
    mach_fpu_save(image, XCR0_X87);
}

static void xrstor(void)
{
    assert_true(mach_fpu_load_try(image, XCR0_X87));
}

static void vmread(void)
{
    (void)mach_vmread(VMCS_EXIT_REASON);
}

static void vmwrite(void)
{
    mach_vmwrite(VMCS_GUEST_RIP, 0);
}

static void invept(void)
{
    assert_true(mach_invept(INVEPT_ALL, 0) && mach_invvpid(INVVPID_ALL, 0, 0));
}

static void invlpga(void)
{
    mach_invlpga(0, 1);
}

struct row {
    void (*act)(void);
    enum sim_count what;
    u64 times;
};

static void all_on(struct world *w, const struct row *rows, u32 count)
{
    sim_unit_cpu(w->s, 0);
    for (u32 i = 0; i < count; i++) {
        struct sim_counts expected = w->s->counts;
        rows[i].act();
        if (rows[i].what < SIM_COUNTS)
            expected.of[rows[i].what] += rows[i].times;
        for (u32 n = 0; n < SIM_COUNTS; n++)
            if (w->s->counts.of[n] != expected.of[n])
                fail_msg("row %u: count %u is %lu, not %lu", i, n, w->s->counts.of[n], expected.of[n]);
    }
}

static void each_is_counted(void **state)
{
    static const struct row both[] = {
        { lock_all, SIM_COUNT_LOCK, 9 }, { unlocked, SIM_COUNTS, 0 }, { wrmsr, SIM_COUNT_WRMSR, 2 }, { cr3, SIM_COUNT_CR3, 1 },
        { cr0, SIM_COUNT_CR0, 2 }, { invlpg, SIM_COUNT_INVALIDATE, 1 }, { fences, SIM_COUNT_FENCE, 2 }, { xsave, SIM_COUNT_XSAVE, 1 },
        { xrstor, SIM_COUNT_XRSTOR, 1 },
    };
    static const struct row vmx[] = {
        { vmread, SIM_COUNT_VMREAD, 1 }, { vmwrite, SIM_COUNT_VMWRITE, 1 }, { invept, SIM_COUNT_INVALIDATE, 2 },
    };
    static const struct row svm[] = { { invlpga, SIM_COUNT_INVALIDATE, 1 } };
    BOTH(w) {
        world_good(w, BASE_LONG);
        all_on(w, both, array_size(both));
        if (vendor == SIM_VMX)
            all_on(w, vmx, array_size(vmx));
        else
            all_on(w, svm, array_size(svm));
    }
}

static void an_ipi_is_a_wrmsr_too(void **state)
{
    struct sim *s = sim_unit(2, 16ul << 20, SIM_NONE);
    mach_msr_write(MSR_APIC_BASE, mach_msr_read(MSR_APIC_BASE) | APIC_BASE_X2APIC);
    mach_msr_write(MSR_X2APIC(APIC_SVR), APIC_SVR_ENABLE | 0xff);
    const struct sim_counts before = s->counts;
    mach_msr_write(MSR_X2APIC(APIC_SELF_IPI), 0x40);
    mach_msr_write(MSR_X2APIC(APIC_ICR), 2ul << 32 | 0x41);
    assert_int_equal(s->counts.of[SIM_COUNT_WRMSR], before.of[SIM_COUNT_WRMSR] + 2);
    assert_int_equal(s->counts.of[SIM_COUNT_IPI], before.of[SIM_COUNT_IPI] + 2);
    sim_destroy(s);
}

static u64 seen_tsc, seen_fences;

static void on_tsc_read(void *arg, u64 tsc, const struct sim_counts *counts)
{
    seen_tsc = tsc;
    seen_fences = counts->of[SIM_COUNT_FENCE];
}

static void user_mode_is_asked_at_rdtsc(void **state)
{
    struct sim *s = sim_unit(1, 16ul << 20, SIM_NONE);
    assert_int_equal(sim_user_tsc(s->current, 5), sim_tsc(s->current) + 5);
    s->config.tsc_read = on_tsc_read;
    u64 tsc = sim_user_tsc(s->current, 6);
    assert_int_equal(tsc, seen_tsc);
    const u64 before = seen_fences;   /* of tests before this one */
    mach_fence();
    tsc = sim_user_tsc(s->current, 7);
    assert_int_equal(tsc, seen_tsc);
    assert_int_equal(seen_fences, before + 1);
    sim_destroy(s);
}

TEST_GROUP(counts, cmocka_unit_test(each_is_counted), cmocka_unit_test(an_ipi_is_a_wrmsr_too), cmocka_unit_test(user_mode_is_asked_at_rdtsc));
