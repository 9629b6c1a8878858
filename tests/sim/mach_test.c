/* SPDX-License-Identifier: BSD-2-Clause */
/* Do registers, MSRs, FPU images and devices keep the manual's rules, and is every broken rule reported? */
#include "micro.h"

static int setup_with(void **state, enum sim_vendor vendor)
{
    *state = sim_unit(2, MICRO_RAM, vendor);
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, SIM_NONE);
}

static int setup_vmx(void **state)
{
    return setup_with(state, SIM_VMX);
}

static int teardown(void **state)
{
    sim_destroy(*state);
    return 0;
}

static void cpuid_says_what_the_machine_has(void **state)
{
    struct sim *s = *state;
    const struct mach_cpuid v = mach_cpuid(0, 0), f = mach_cpuid(1, 0), e = mach_cpuid(0x80000001, 0);
    assert_memory_equal(&v.ebx, "Genu", 4);
    assert_memory_equal(&v.edx, "ineI", 4);
    assert_true(f.ecx & CPUID_1_ECX_X2APIC);
    assert_false(f.ecx & (CPUID_1_ECX_VMX | CPUID_1_ECX_XSAVE | CPUID_1_ECX_OSXSAVE));
    assert_true(e.edx & CPUID_81_EDX_NX && e.edx & CPUID_81_EDX_1G);
    assert_int_equal(mach_cpuid(0x80000008, 0).eax & 0xff, SIM_PHYS_BITS);
    s->profile.nx = s->profile.x2apic = false;
    assert_false(mach_cpuid(0x80000001, 0).edx & CPUID_81_EDX_NX);
    assert_false(mach_cpuid(1, 0).ecx & CPUID_1_ECX_X2APIC);
    sim_unit_cpu(s, 1);
    assert_int_equal(mach_cpuid(1, 0).ebx >> 24, 2);
    assert_int_equal(mach_cpuid(0xb, 0).edx, 2);
}

static void osxsave_follows_cr4(void **state)
{
    assert_true(mach_cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE);
    assert_false(mach_cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE);
    mach_cr4_write(mach_cr4_read() | CR4_OSXSAVE);
    assert_true(mach_cpuid(1, 0).ecx & CPUID_1_ECX_OSXSAVE);
    assert_false(mach_xsetbv_try(0));
    assert_false(mach_xsetbv_try(XCR0_X87 | XCR0_AVX));
    assert_true(mach_xsetbv_try(XCR0_X87 | XCR0_SSE));
    assert_int_equal(mach_xgetbv(), XCR0_X87 | XCR0_SSE);
}

static void msr_rules(void **state)
{
    const struct { u32 msr; u64 value; bool legal; } row[] = {
        { MSR_STAR, ~0ul, true }, { MSR_LSTAR, 0xffff800000000000, true }, { MSR_LSTAR, 0x800000000000, false },
        { MSR_FMASK, 0x1ffffffff, false }, { MSR_FS_BASE, 0x7fffffffffff, true }, { MSR_KERNEL_GS_BASE, 0x8000000000000000, false },
        { MSR_PAT, PAT_RESET, true }, { MSR_PAT, 2, false }, { MSR_PAT, 0x0800000000000000, false }, { MSR_EFER, EFER_SCE, false },
        { MSR_EFER, EFER_SCE | EFER_LME | EFER_NXE, true }, { MSR_EFER, EFER_SCE | EFER_LME | EFER_SVME, false },
        { MSR_TSC_AUX, 0x100000000, false }, { 0x12345678, 0, false }, { MSR_MTRRCAP, 0, false }, { 0x3a, 1, false },
    };
    for (u32 i = 0; i < array_size(row); i++) {
        u64 before = 0, after = 0;
        const bool there = mach_msr_read_try(row[i].msr, &before);
        assert_int_equal(mach_msr_write_try(row[i].msr, row[i].value), row[i].legal);
        if (!there)
            continue;
        assert_true(mach_msr_read_try(row[i].msr, &after));
        if (!row[i].legal)
            assert_int_equal(after, before);
        else if (row[i].msr != MSR_EFER)
            assert_int_equal(after, row[i].value);
    }
    assert_true(mach_msr_read(MSR_EFER) & EFER_LMA);   /* LMA is the processor's */
}

static void msrs_are_per_cpu(void **state)
{
    mach_msr_write(MSR_STAR, 1);
    sim_unit_cpu(*state, 1);
    mach_msr_write(MSR_STAR, 2);
    sim_unit_cpu(*state, 0);
    assert_int_equal(mach_msr_read(MSR_STAR), 1);
}

static void do_msr(void *arg)
{
    mach_msr_read(0x12345678);
}

static void do_cr0(void *arg)
{
    mach_cr0_write(mach_cr0_read() & ~CR0_PG);
}

static void do_cr3(void *arg)
{
    mach_cr3_write(MICRO_RAM);
}

static void do_cr3_reserved(void *arg)
{
    mach_cr3_write(bit(SIM_PHYS_BITS));
}

static void do_cr4(void *arg)
{
    mach_cr4_write(mach_cr4_read() | CR4_PCIDE);
}

static void do_dr(void *arg)
{
    mach_dr_write(7, bit(32));
}

static void do_xgetbv(void *arg)
{
    mach_xgetbv();
}

static void do_vmxon(void *arg)
{
    assert_false(mach_vmxon(0x1000));
}

static void do_invlpga(void *arg)
{
    mach_invlpga(0, 1);
}

static void do_phys(void *arg)
{
    mach_phys_to_virt(MICRO_RAM + 1);
}

static void do_state(void *arg)
{
    mach_mem_state(arg, 64, MEM_FREE);
}

static void do_fpu_ts(void *arg)
{
    mach_cr0_write(mach_cr0_read() | CR0_TS);
    mach_fpu_save(mach_phys_to_virt(0x300000), ~0ul);
}

static void do_fpu_align(void *arg)
{
    mach_cr0_write(mach_cr0_read() & ~CR0_TS);
    mach_fpu_save(mach_phys_to_virt(0x300010), ~0ul);
}

static void what_would_fault_is_found(void **state)
{
    static u8 not_ram[64];
    const struct { void (*f)(void *); const char *part; } row[] = {
        { do_msr, "RDMSR 0x12345678" }, { do_cr0, "CR0" }, { do_cr3, "not in RAM" }, { do_cr3_reserved, "reserved" }, { do_cr4, "CR4" },
        { do_dr, "DR7" }, { do_xgetbv, "OSXSAVE" }, { do_vmxon, "VMXON" }, { do_invlpga, "INVLPGA" }, { do_phys, "RAM ends" },
        { do_state, "outside RAM" }, { do_fpu_ts, "#NM" }, { do_fpu_align, "aligned" },
    };
    for (u32 i = 0; i < array_size(row); i++) {
        const char *message = sim_unit_expect_panic(*state, row[i].f, not_ram);
        assert_non_null(message);
        assert_non_null(strstr(message, row[i].part));
    }
}

static u8 *image(void)
{
    return mach_phys_to_virt(0x300000);
}

static void fxsave_round_trip(void **state)
{
    struct sim_cpu *cpu = sim_this();
    for (u32 i = 32; i < 416; i++)
        cpu->fpu[i] = (u8)i;
    mach_fpu_save(image(), ~0ul);
    assert_int_equal(image()[512], 0);                 /* no header */
    memset(cpu->fpu, 0, 512);
    assert_true(mach_fpu_load_try(image(), ~0ul));
    assert_int_equal(cpu->fpu[415], 415 & 0xff);
    assert_int_equal(cpu->fpu[0], 0x7f);
    image()[26] = 1;                                   /* a reserved bit of MXCSR */
    assert_false(mach_fpu_load_try(image(), ~0ul));
}

static void xsave_header_rules(void **state)
{
    struct sim_cpu *cpu = sim_this();
    mach_cr4_write(mach_cr4_read() | CR4_OSXSAVE);
    assert_true(mach_xsetbv_try(XCR0_X87 | XCR0_SSE));
    cpu->fpu[160] = 0x55;
    mach_fpu_save(image(), ~0ul);
    assert_int_equal(image()[512], 3);
    static const u32 zero_bytes[] = { 520, 527, 528, 575 };
    for (u32 i = 0; i < array_size(zero_bytes); i++) {
        image()[zero_bytes[i]] = 1;
        assert_false(mach_fpu_load_try(image(), ~0ul));
        image()[zero_bytes[i]] = 0;
    }
    image()[512] = 7;                                  /* AVX: not in XCR0 */
    assert_false(mach_fpu_load_try(image(), ~0ul));
    assert_int_equal(cpu->fpu[160], 0x55);             /* nothing was loaded */
    image()[512] = 1;                                  /* SSE absent: its reset state */
    assert_true(mach_fpu_load_try(image(), ~0ul));
    assert_int_equal(cpu->fpu[160], 0);
    cpu->fpu[160] = 0x66;
    mach_fpu_save(image(), XCR0_X87);                  /* a part: the rest of the image is kept */
    assert_int_equal(image()[160], 0x55);
}

static void ports_answer_with_ones(void **state)
{
    assert_int_equal(mach_port_in(0x3fd, 1), 0xff);
    assert_int_equal(mach_port_in(0x60, 2), 0xffff);
    assert_int_equal(mach_port_in(0xcfc, 4), 0xffffffff);
    mach_port_out(0x21, 1, 0xff);
}

static void the_machine_keeps_the_first_megabyte(void **state)
{
    u64 start, end;
    assert_true(mach_reserved(0, &start, &end));
    assert_true(start == 0 && end == 0x100000);
    assert_false(mach_reserved(1, &start, &end));
    const u64 *root = mach_phys_to_virt(mach_boot_root());
    for (u32 i = 0; i < 256; i++)
        assert_int_equal(root[i], 0);                  /* the lower half is the kernel's to give */
}

static void time_passes_with_steps(void **state)
{
    const u64 before = mach_tsc_read();
    mach_fence();
    mach_fence();
    assert_int_equal(mach_tsc_read(), before + 3);
    assert_int_equal(mach_clock().tsc_khz / mach_clock().apic_timer_khz, SIM_APIC_DIVIDER);
}

/* ---- The tsan build's checks, called as the compiler would ---- */

void __tsan_read8(void *a);
void __tsan_write8(void *a);

static void plain_read(void *a)
{
    __tsan_read8(a);
}

static void plain_write(void *a)
{
    __tsan_write8(a);
}

static void plain_accesses_are_checked(void **state)
{
    struct sim *s = *state;
    u8 *p = mach_phys_to_virt(0x300000), *guard = (u8 *)mach_phys_to_virt(0) - 8;
    u64 local;
    assert_null(sim_unit_expect_panic(s, plain_write, p));
    assert_null(sim_unit_expect_panic(s, plain_write, &local));   /* not the machine's memory: not judged */
    assert_int_equal(s->plain_writes, 2);
    mach_mem_state(p, 64, MEM_FREE);
    assert_non_null(strstr(sim_unit_expect_panic(s, plain_read, p), "free"));
    assert_non_null(strstr(sim_unit_expect_panic(s, plain_read, guard), "outside RAM"));
}

static void a_plain_store_to_a_page_table_is_found(void **state)
{
    struct sim *s = *state;
    struct sim_translation t;
    struct sim_fault f;
    u8 *root = mach_phys_to_virt(0x300000);
    mach_cr3_write(0x300000);
    assert_null(sim_unit_expect_panic(s, plain_write, root + 8));   /* nobody has walked it yet */
    assert_false(sim_translate(sim_this(), 0, RIGHT_R, true, &t, &f));
    assert_non_null(strstr(sim_unit_expect_panic(s, plain_write, root + 8), "page table"));
    mach_cr3_write(mach_boot_root());
    mach_mem_state(root, PAGE_SIZE, MEM_FREE);
    mach_mem_state(root, PAGE_SIZE, MEM_LIVE);
    assert_null(sim_unit_expect_panic(s, plain_write, root + 8));   /* it is something else now */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define VMX(f)  cmocka_unit_test_setup_teardown(f, setup_vmx, teardown)
TEST_GROUP(sim_mach, CASE(cpuid_says_what_the_machine_has), VMX(osxsave_follows_cr4), CASE(msr_rules), CASE(msrs_are_per_cpu),
           CASE(what_would_fault_is_found), CASE(fxsave_round_trip), VMX(xsave_header_rules), CASE(ports_answer_with_ones),
           CASE(the_machine_keeps_the_first_megabyte), CASE(time_passes_with_steps), CASE(plain_accesses_are_checked),
           CASE(a_plain_store_to_a_page_table_is_found));
