/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each protection switched on where the processor offers it, nothing where it does not, and nothing else changed? Is NX demanded? */
#include "protect.h"
#include "arch/x86.h"
#include "machine_model.h"
#include "unit.h"

#define RAM  (16ul << 20)
#define BITS (CR4_SMEP | CR4_SMAP | CR4_UMIP)

static void what_is_offered_is_on(void **state)
{
    static const enum sim_vendor vendors[] = { SIM_NONE, SIM_VMX, SIM_SVM };
    for (u32 n = 0; n < array_size(vendors) * 8; n++) {
        struct sim *const s = sim_unit(2, RAM, vendors[n / 8]);
        s->profile.smep = n & 1, s->profile.smap = n & 2, s->profile.umip = n & 4;
        const u64 offered = (n & 1 ? CR4_SMEP : 0) | (n & 2 ? CR4_SMAP : 0) | (n & 4 ? CR4_UMIP : 0);
        for (u32 cpu = 2; cpu-- > 0;) {
            sim_unit_cpu(s, cpu);
            const u64 before = mach_cr4_read();
            assert_int_equal(before & BITS, 0);
            protect_cpu_init(NULL);
            assert_int_equal(mach_cr4_read(), before | offered);
        }
        sim_destroy(s);
    }
}

static void init(void *arg)
{
    protect_cpu_init(NULL);
}

static void no_nx_no_kernel(void **state)
{
    struct sim *const s = sim_unit(1, RAM, SIM_NONE);
    s->profile.nx = false;
    assert_string_equal(sim_unit_expect_panic(s, init, NULL), "protect: the processor has no NX");
    sim_destroy(s);
}

TEST_GROUP(protect, cmocka_unit_test(what_is_offered_is_on), cmocka_unit_test(no_nx_no_kernel));
