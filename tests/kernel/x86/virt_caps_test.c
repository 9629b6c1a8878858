/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a processor that lacks one needed bit refused, one that lacks a needless bit not; and are controls what the capability MSRs allow? */
#include <string.h>
#include "arch/svm.h"
#include "svm_x86.h"
#include "virt_sim.h"
#include "vmx_x86.h"
#include "kernel/world.h"

/* ---- VMX: the probe ---- */

/* What the kernel cannot do without, by capability MSR (Intel SDM 3C 25.6, 25.7, 25.8). */
static const struct needed {
    u32 msr, real;   /* real: the TRUE one, if there is any */
    u32 bits;
} needed[] = {
    { MSR_VMX_PIN, MSR_VMX_TRUE_PIN, VMX_PIN_INTR | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI },
    { MSR_VMX_PROC, MSR_VMX_TRUE_PROC, 1u << 3 | 1u << 7 | 1u << 10 | 1u << 11 | 1u << 19 | 1u << 20 | 1u << 24 | 1u << 29 | 1u << 31 },
    { MSR_VMX_PROC2, MSR_VMX_PROC2, VMX_PROC2_EPT | VMX_PROC2_UNRESTRICTED },
    { MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT, 1u << 2 | 1u << 9 | 1u << 18 | 1u << 19 | 1u << 20 | 1u << 21 },
    { MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY, 1u << 2 | 1u << 14 | 1u << 15 },
};
static const u32 forbidden = VMX_PROC_CR3_LOAD | VMX_PROC_CR3_STORE | VMX_PROC_INVLPG;

static struct sim *open(enum sim_vendor vendor)
{
    struct sim *s = sim_unit(1, 0x1000000, vendor);
    assert_non_null(s);
    virt_sim_open(s);
    return s;
}

/* As processors before the TRUE MSRs, but with controls that may be 0. */
static void without_true(struct sim *s)
{
    virt_sim_cap(s, MSR_VMX_BASIC, virt_sim_cap_get(s, MSR_VMX_BASIC) & ~VMX_BASIC_TRUE);
    for (u32 i = 0; i < array_size(needed); i++)
        virt_sim_cap(s, needed[i].msr, virt_sim_cap_get(s, needed[i].real));
}

static void probe_with(struct sim *s, u32 msr, u64 value, bool expected)
{
    const u64 old = virt_sim_cap_get(s, msr);
    virt_sim_cap(s, msr, value);
    if (vmx_probe() != expected)
        print_message("MSR %x = %lx\n", msr, value);
    assert_int_equal(vmx_probe(), expected);
    virt_sim_cap(s, msr, old);
}

static void each_control_bit_counts(struct sim *s, bool has_true)
{
    for (u32 i = 0; i < array_size(needed); i++) {
        const u32 asked = has_true ? needed[i].real : needed[i].msr, other = has_true ? needed[i].msr : needed[i].real;
        const u64 c = virt_sim_cap_get(s, asked);
        for (u32 b = 0; b < 32; b++) {
            const bool off = needed[i].msr == MSR_VMX_PROC && forbidden >> b & 1;
            probe_with(s, asked, c & ~bit(32 + b), !(needed[i].bits >> b & 1));
            probe_with(s, asked, c | bit(b) | bit(32 + b), !off);
        }
        if (other != asked)
            probe_with(s, other, 0, true);   /* nobody looks there */
    }
}

static void vmx_needs_its_controls(void **state)
{
    struct sim *s = open(SIM_VMX);
    assert_true(vmx_probe());
    each_control_bit_counts(s, true);
    without_true(s);
    assert_true(vmx_probe());
    each_control_bit_counts(s, false);
    sim_destroy(s);
}

static void vmx_needs_its_tables_and_the_firmware(void **state)
{
    static const u64 needed_ept = VMX_EPT_WALK4 | VMX_EPT_WB | VMX_EPT_INVEPT | VMX_EPT_INVEPT_ALL;
    static const struct { u64 control; bool may; } firmware[] = { { 0, true }, { 1, false }, { 4, true }, { 5, true }, { 3, false } };
    struct sim *s = open(SIM_VMX);
    const u64 ept = virt_sim_cap_get(s, MSR_VMX_EPT_VPID);
    for (u32 b = 0; b < 64; b++)
        probe_with(s, MSR_VMX_EPT_VPID, ept & ~bit(b), !(needed_ept >> b & 1));
    for (u32 i = 0; i < array_size(firmware); i++) {
        virt_sim_feature_control(s, 0, firmware[i].control);
        assert_int_equal(vmx_probe(), firmware[i].may);
    }
    virt_sim_feature_control(s, 0, 5);
    virt_sim_cpuid(1, 0, ~CPUID_1_ECX_VMX, ~0u);
    assert_true(vmx_probe());
    virt_sim_cpuid(1, 0, CPUID_1_ECX_VMX, 0);
    assert_false(vmx_probe());
    assert_null(virt_probe());
    sim_destroy(s);
}

/* ---- VMX: the controls ---- */

#define PAIR(zero, one) ((u64)(one) << 32 | (zero))

static void controls_are_adjusted(void **state)
{
    static const struct { u32 msr; u64 cap; u32 fixed, value; } rows[] = {
        { MSR_VMX_TRUE_PIN, PAIR(0, 0xff), VMX_FIXED_PIN, 0x29 },
        { MSR_VMX_TRUE_PIN, PAIR(0x16, 0xff), VMX_FIXED_PIN, 0x3f },
        { MSR_VMX_TRUE_PROC, PAIR(0, ~0u), VMX_FIXED_PROC, 0xa1180c88 },
        { MSR_VMX_TRUE_PROC, PAIR(0x04006172, ~0u), VMX_FIXED_PROC, 0xa5186dfa },
        { MSR_VMX_TRUE_EXIT, PAIR(0, ~0u), VMX_FIXED_EXIT, 0x3c0204 },
        { MSR_VMX_TRUE_EXIT, PAIR(0x00036dfb, ~0u), VMX_FIXED_EXIT, 0x3f6fff },
        { MSR_VMX_TRUE_ENTRY, PAIR(0, ~0u), VMX_FIXED_ENTRY, 0xc004 },
        { MSR_VMX_TRUE_ENTRY, PAIR(0x000013fb, ~0u), VMX_FIXED_ENTRY, 0xd1ff },   /* IA-32e mode follows EFER */
        { MSR_VMX_PROC2, PAIR(0, ~0u), VMX_FIXED_PROC2, 0x10ea },
        { MSR_VMX_PROC2, PAIR(0x10000, ~0u), VMX_FIXED_PROC2, 0x110ea },
        { MSR_VMX_PROC2, PAIR(0, 0x82), VMX_FIXED_PROC2, 0x82 },
        { MSR_VMX_PROC2, PAIR(0, 0x8a), VMX_FIXED_PROC2, 0x8a },
        { MSR_VMX_PROC2, PAIR(0, 0xa2), VMX_FIXED_PROC2, 0xa2 },
        { MSR_VMX_PROC2, PAIR(0, 0xc2), VMX_FIXED_PROC2, 0xc2 },
        { MSR_VMX_PROC2, PAIR(0, 0x1082), VMX_FIXED_PROC2, 0x1082 },
        { MSR_VMX_CR0_FIXED0, CR0_PE | CR0_NE | CR0_PG, VMX_FIXED_CR0, CR0_NE },
        { MSR_VMX_CR0_FIXED0, CR0_PE | CR0_PG | CR0_WP, VMX_FIXED_CR0, CR0_WP },
        { MSR_VMX_CR4_FIXED0, CR4_VMXE | CR4_PAE, VMX_FIXED_CR4, CR4_VMXE | CR4_PAE | CR4_MCE },
        { MSR_VMX_CR4_FIXED1, CR4_VMXE | CR4_PAE, VMX_FIXED_CR4, CR4_VMXE },   /* a processor without machine checks */
        { MSR_VMX_BASIC, VMX_BASIC_TRUE, VMX_FIXED_IO_INFO, 0 },
    };
    static struct cpu cpu;
    struct sim *s = open(SIM_VMX);
    for (u32 i = 0; i < array_size(rows); i++) {
        const u64 old = virt_sim_cap_get(s, rows[i].msr);
        virt_sim_cap(s, rows[i].msr, rows[i].cap);
        memset(&cpu.virt, 0xee, sizeof(cpu.virt));
        vmx_caps(&cpu);
        if (cpu.virt.fixed[rows[i].fixed] != rows[i].value)
            print_message("row %u\n", i);
        assert_int_equal(cpu.virt.fixed[rows[i].fixed], rows[i].value);
        virt_sim_cap(s, rows[i].msr, old);
    }
    vmx_caps(&cpu);
    assert_true(cpu.virt.fixed[VMX_FIXED_IO_INFO]);
    sim_destroy(s);
}

/* Before the TRUE MSRs: all five words come from the old ones; PROC2 has no other. */
static void old_msrs_are_used_alone(void **state)
{
    static struct cpu cpu;
    struct sim *s = open(SIM_VMX);
    virt_sim_cap(s, MSR_VMX_BASIC, virt_sim_cap_get(s, MSR_VMX_BASIC) & ~VMX_BASIC_TRUE);
    vmx_caps(&cpu);
    assert_int_equal(cpu.virt.fixed[VMX_FIXED_PIN], 0x3f);
    assert_int_equal(cpu.virt.fixed[VMX_FIXED_PROC], 0xa1180c88 | 0x0401e172);
    assert_int_equal(cpu.virt.fixed[VMX_FIXED_EXIT], 0x3c0204 | 0x36dff);
    assert_int_equal(cpu.virt.fixed[VMX_FIXED_ENTRY], (0xc004 | 0x11ff));
    assert_int_equal(cpu.virt.fixed[VMX_FIXED_PROC2], 0x10ea);
    assert_false(vmx_probe());   /* these make MOV to CR3 exit */
    sim_destroy(s);
}

/* VPIDs are of use only with the INVVPID that flushes all. */
static void vpids_need_invvpid(void **state)
{
    static struct cpu cpu;
    struct sim *s = open(SIM_VMX);
    const u64 ept = virt_sim_cap_get(s, MSR_VMX_EPT_VPID);
    for (u32 b = 0; b < 64; b++) {
        virt_sim_cap(s, MSR_VMX_EPT_VPID, ept & ~bit(b));
        vmx_caps(&cpu);
        assert_int_equal(!!(cpu.virt.fixed[VMX_FIXED_PROC2] & VMX_PROC2_VPID), b != 32 && b != 42);
    }
    sim_destroy(s);
}

static void largest_page_of_the_guest(void **state)
{
    struct sim *s = open(SIM_VMX);
    const u64 ept = virt_sim_cap_get(s, MSR_VMX_EPT_VPID) & ~(VMX_EPT_2M | VMX_EPT_1G);
    virt_sim_cap(s, MSR_VMX_EPT_VPID, ept);
    assert_int_equal(virt_vmx.leaf_level_max(), 0);
    virt_sim_cap(s, MSR_VMX_EPT_VPID, ept | VMX_EPT_2M);
    assert_int_equal(virt_vmx.leaf_level_max(), 1);
    virt_sim_cap(s, MSR_VMX_EPT_VPID, ept | VMX_EPT_2M | VMX_EPT_1G);
    assert_int_equal(virt_vmx.leaf_level_max(), 2);
    sim_destroy(s);
    s = open(SIM_SVM);
    virt_sim_cpuid(0x80000001, 0, 0, CPUID_81_EDX_1G);
    assert_int_equal(virt_svm.leaf_level_max(), 1);
    virt_sim_cpuid(0, 0, 0, 0);
    assert_int_equal(virt_svm.leaf_level_max(), 2);
    sim_destroy(s);
}

/* ---- SVM: the probe ---- */

static void svm_needs_its_bits(void **state)
{
    static const struct { u32 leaf; u64 eax, ecx, edx; bool offered; } rows[] = {
        { 0, 0, 0, 0, true },
        { 0x80000000, 2, 0, 0, false },   /* 0x80000008 is the last leaf */
        { 0x80000001, 0, CPUID_81_ECX_SVM, 0, false },
        { 0x80000001, 0, ~CPUID_81_ECX_SVM, ~0u, true },
        { CPUID_SVM, 0, 0, CPUID_SVM_NP, false },
        { CPUID_SVM, ~0u, ~0u, ~CPUID_SVM_NP, true },
    };
    struct sim *s = open(SIM_SVM);
    for (u32 i = 0; i < array_size(rows); i++) {
        virt_sim_cpuid(rows[i].leaf, rows[i].eax, rows[i].ecx, rows[i].edx);
        if (svm_probe() != rows[i].offered)
            print_message("row %u\n", i);
        assert_int_equal(svm_probe(), rows[i].offered);
        assert_ptr_equal(virt_probe(), rows[i].offered ? &virt_svm : NULL);
    }
    virt_sim_cpuid(0, 0, 0, 0);
    virt_sim_vm_cr(true, VM_CR_SVMDIS);
    assert_false(svm_probe());
    virt_sim_vm_cr(true, ~VM_CR_SVMDIS);
    assert_true(svm_probe());
    virt_sim_vm_cr(false, ~0ul);   /* no such register: nothing is disabled */
    assert_true(svm_probe());
    sim_destroy(s);
}

/* ---- Enabling ---- */

/* A CPU that is not as the boot CPU was: nothing is written, nothing stays allocated. */
static void a_lesser_cpu_is_refused(void **state)
{
    struct world *w = *state;
    virt_sim_open(w->sim);
    virt_sim_cap(w->sim, MSR_VMX_EPT_VPID, 0);
    assert_int_equal(virt_vmx.cpu_enable(w->cpu), STATUS_FEATURE);
    assert_int_equal(w->cpu->virt.region, 0);
    assert_int_equal(virt_sim_feature_control_get(w->sim, 0), 0);
    assert_int_equal(mach_cr4_read() & CR4_VMXE, 0);
}

static void vmxon_fails(void **state)
{
    struct world *w = *state;
    virt_sim_open(w->sim);
    virt_sim_no_vmxon();
    assert_int_equal(virt_vmx.cpu_enable(w->cpu), STATUS_FEATURE);
    assert_int_equal(w->cpu->virt.region, 0);   /* so that nobody flushes there */
    assert_int_equal(atomic_load(&w->kern->quota.used), 0);
}

static void vmx_is_on(void **state)
{
    struct world *w = *state;
    virt_sim_open(w->sim);
    mach_msr_write(MSR_LSTAR, 0x1000);
    mach_msr_write(MSR_TSC_AUX, 5);
    for (u32 vpid = 0; vpid < 2; vpid++) {
        struct cpu *const cpu = world_cpu(w, vpid);
        virt_sim_feature_control(w->sim, vpid, vpid ? 5 : 0);
        virt_sim_cap(w->sim, MSR_VMX_PROC2, PAIR(0, vpid ? 0xa2 : 0x82));
        assert_int_equal(virt_vmx.cpu_enable(cpu), OK);
        assert_int_equal(virt_sim_feature_control_get(w->sim, vpid), 5);
        assert_int_equal(mach_cr4_read() & CR4_VMXE, CR4_VMXE);
        assert_int_equal(mach_cr0_read() & CR0_NE, CR0_NE);
        assert_int_equal(cpu->virt.tag_limit, vpid ? 0xffff : 0);
        assert_int_equal(cpu->virt.tag_next, 1);
        assert_int_equal(cpu->virt.tag_epoch, 1);
        assert_int_equal(cpu->virt.host_msr[1], vpid ? 0 : 0x1000);
        assert_int_equal(cpu->virt.host_msr[5], vpid ? 0 : 5);
        mem_free(w->kern->mem, &w->kern->quota, mach_phys_to_virt(cpu->virt.region), PAGE_SIZE);
    }
}

static int svm_world(void **state)
{
    return world_setup_as(state, SIM_SVM);
}

static void svm_is_on(void **state)
{
    struct world *w = *state;
    struct virt_cpu *const c = &w->cpu->virt;
    virt_sim_open(w->sim);
    virt_sim_cpuid(CPUID_SVM, 0, 0, CPUID_SVM_NP);
    assert_int_equal(virt_svm.cpu_enable(w->cpu), STATUS_FEATURE);
    assert_int_equal(mach_msr_read(MSR_EFER) & EFER_SVME, 0);
    virt_sim_cpuid(0, 0, 0, 0);
    assert_int_equal(virt_svm.cpu_enable(w->cpu), OK);
    assert_int_equal(mach_msr_read(MSR_EFER) & EFER_SVME, EFER_SVME);
    assert_int_equal(virt_sim_host_save(w->sim, 0), c->region);
    assert_int_equal(c->region, c->maps + 5 * PAGE_SIZE);
    assert_int_equal(c->tag_limit, 15);   /* of 16 ASIDs 0 is the host's */
    assert_int_equal(c->tag_next, 1);
    assert_int_equal(c->tag_epoch, 1);
    assert_true(c->tag_flush);
    assert_int_equal(c->fixed[SVM_FIXED_FEATURES], mach_cpuid(CPUID_SVM, 0).edx);
    mem_free(w->kern->mem, &w->kern->quota, mach_phys_to_virt(c->maps), 8 * PAGE_SIZE);
}

TEST_GROUP(virt_caps, cmocka_unit_test(vmx_needs_its_controls), cmocka_unit_test(vmx_needs_its_tables_and_the_firmware),
           cmocka_unit_test(controls_are_adjusted), cmocka_unit_test(old_msrs_are_used_alone), cmocka_unit_test(vpids_need_invvpid),
           cmocka_unit_test(largest_page_of_the_guest), cmocka_unit_test(svm_needs_its_bits), WORLD_TEST(a_lesser_cpu_is_refused),
           WORLD_TEST(vmxon_fails), WORLD_TEST(vmx_is_on), cmocka_unit_test_setup_teardown(svm_is_on, svm_world, world_teardown));
