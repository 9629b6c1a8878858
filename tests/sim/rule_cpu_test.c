/* SPDX-License-Identifier: BSD-2-Clause */
/* Is each misuse of a register, an FPU image, a port, a device or the APIC named? Rules CR, MSR, FPU, PORT, DEV, APIC, IPI. */
#include "rule_test.h"

#define APIC_PAGE SIM_APIC_BASE

static void cr0_paging_off(struct rule_scene *x) { mach_cr0_write(mach_cr0_read() & ~CR0_PG); }
static void cr0_wp_off(struct rule_scene *x) { mach_cr0_write(mach_cr0_read() & ~CR0_WP); }
static void cr3_reserved(struct rule_scene *x) { mach_cr3_write(mach_boot_root() | bit(SIM_PHYS_BITS)); }
static void cr3_cached(struct rule_scene *x) { mach_cr3_write(mach_boot_root() | 0x18); }
static void cr3_no_ram(struct rule_scene *x) { mach_cr3_write(MICRO_RAM); }
static void cr3_last_page(struct rule_scene *x) { mach_cr3_write(MICRO_RAM - PAGE_SIZE); }
static void cr4_pcid(struct rule_scene *x) { mach_cr4_write(mach_cr4_read() | CR4_PCIDE); }
static void cr4_global(struct rule_scene *x) { mach_cr4_write(mach_cr4_read() | CR4_PGE); }
static void dr4(struct rule_scene *x) { mach_dr_read(4); }
static void dr3(struct rule_scene *x) { mach_dr_read(3); }
static void dr7_high(struct rule_scene *x) { mach_dr_write(7, bit(32)); }
static void dr0_high(struct rule_scene *x) { mach_dr_write(0, bit(32)); }
static void xgetbv(struct rule_scene *x) { mach_xgetbv(); }
static void xgetbv_on(struct rule_scene *x) { mach_cr4_write(mach_cr4_read() | CR4_OSXSAVE); mach_xgetbv(); }
static void xsetbv(struct rule_scene *x) { ignore(mach_xsetbv_try(XCR0_X87)); }
static void xsetbv_on(struct rule_scene *x) { mach_cr4_write(mach_cr4_read() | CR4_OSXSAVE); assert_false(mach_xsetbv_try(0)); }
static void rdmsr(struct rule_scene *x) { mach_msr_read(0x12345678); }
static void rdmsr_try(struct rule_scene *x) { u64 value; assert_false(mach_msr_read_try(0x12345678, &value)); }
static void wrmsr(struct rule_scene *x) { mach_msr_write(MSR_LSTAR, bit(47)); }
static void wrmsr_try(struct rule_scene *x) { assert_false(mach_msr_write_try(MSR_LSTAR, bit(47))); }
static void port_3(struct rule_scene *x) { mach_port_in(0x60, 3); }
static void port_4(struct rule_scene *x) { mach_port_in(0x60, 4); }
static void port_out_8(struct rule_scene *x) { mach_port_out(0x60, 8, 0); }
static void port_out_1(struct rule_scene *x) { mach_port_out(0x60, 1, 0); }

static void root_freed(enum mem_state state)
{
    mach_mem_state(mach_phys_to_virt(0x300000), PAGE_SIZE, state);
    mach_cr3_write(0x300000);
}

static void cr3_freed(struct rule_scene *x) { root_freed(MEM_FREE); }
static void cr3_live(struct rule_scene *x) { root_freed(MEM_LIVE); }

static void fpu(u64 cr0, u64 phys)
{
    mach_cr0_write(mach_cr0_read() | cr0);
    mach_fpu_save(mach_phys_to_virt(phys), ~0ul);
}

static void fpu_ts(struct rule_scene *x) { fpu(CR0_TS, 0x300000); }
static void fpu_ready(struct rule_scene *x) { fpu(0, 0x300000); }
static void fpu_unaligned(struct rule_scene *x) { fpu(0, 0x300020); }

/* ---- Devices ---- */

static void dev_unaligned(struct rule_scene *x) { mach_dev_read32(APIC_PAGE + APIC_ID + 2); }
static void dev_ram(struct rule_scene *x) { mach_dev_read32(0x300000); }
static void dev_nothing(struct rule_scene *x) { mach_dev_write32(0xfed00000, 0); }
static void apic_id(struct rule_scene *x) { mach_dev_read32(APIC_PAGE + APIC_ID); }
static void apic_no_register(struct rule_scene *x) { mach_dev_read32(APIC_PAGE); }
static void apic_ppr(struct rule_scene *x) { mach_dev_write32(APIC_PAGE + APIC_PPR, 0); }
static void apic_tpr(struct rule_scene *x) { mach_dev_write32(APIC_PAGE + APIC_TPR, 0); }
static void apic_page_in_x2apic(struct rule_scene *x) { micro_apic_on(); apic_id(x); }

static void apic_on(void)
{
    mach_dev_write32(APIC_PAGE + APIC_SVR, APIC_SVR_ENABLE | 0xff);
}

static void command(u32 icr)
{
    mach_dev_write32(APIC_PAGE + APIC_ICR, icr);
}

#define TO_SELF 0x40000u

static void eoi_of_nothing(struct rule_scene *x) { apic_on(); mach_dev_write32(APIC_PAGE + APIC_EOI, 0); }

static void eoi_of_an_interrupt(struct rule_scene *x)
{
    apic_on();
    command(TO_SELF | 0x41);
    assert_int_equal(sim_irq_accept(sim_this()), 0x41);
    mach_dev_write32(APIC_PAGE + APIC_EOI, 0);
}

static void ipi_vector_15(struct rule_scene *x) { apic_on(); command(TO_SELF | 15); }
static void ipi_vector_16(struct rule_scene *x) { apic_on(); command(TO_SELF | 16); }
static void ipi_reserved_mode(struct rule_scene *x) { apic_on(); command(TO_SELF | 0x341); }
static void ipi_init_self(struct rule_scene *x) { apic_on(); command(TO_SELF | APIC_ICR_INIT | APIC_ICR_ASSERT); }
static void ipi_init_others(struct rule_scene *x) { apic_on(); command(0xc0000 | APIC_ICR_INIT | APIC_ICR_ASSERT); }
static void ipi_apic_off(struct rule_scene *x) { command(TO_SELF | 0x41); }
static void ipi_logical(struct rule_scene *x) { apic_on(); command(0x841); }

/* The machine delivers at once: that the first is still pending is the test's word. */
static void ipi_pending(struct rule_scene *x) { ipi_vector_16(x); sim_this()->apic.icr_pending = 1; command(TO_SELF | 0x42); }

static void ipi_waited_for(struct rule_scene *x)
{
    ipi_vector_16(x);
    sim_this()->apic.icr_pending = 1;
    while (mach_dev_read32(APIC_PAGE + APIC_ICR) & APIC_ICR_PENDING)
        mach_relax();
    command(TO_SELF | 0x42);
}

RULE_TABLE(rule_cpu, SCENE_UNIT(SIM_VMX),
    { RULE_CR_CR0, cr0_paging_off, cr0_wp_off },
    { RULE_CR_CR3, cr3_reserved, cr3_cached },
    { RULE_CR_CR3, cr3_no_ram, cr3_last_page },
    { RULE_CR_ROOT, cr3_freed, cr3_live },
    { RULE_CR_CR4, cr4_pcid, cr4_global },
    { RULE_CR_DR, dr4, dr3 },
    { RULE_CR_DR, dr7_high, dr0_high },
    { RULE_CR_XCR, xgetbv, xgetbv_on },
    { RULE_CR_XCR, xsetbv, xsetbv_on },
    { RULE_MSR_READ, rdmsr, rdmsr_try },
    { RULE_MSR_WRITE, wrmsr, wrmsr_try },
    { RULE_FPU_NM, fpu_ts, fpu_ready },
    { RULE_FPU_ALIGN, fpu_unaligned, fpu_ready },
    { RULE_PORT_WIDTH, port_3, port_4 },
    { RULE_PORT_WIDTH, port_out_8, port_out_1 },
    { RULE_DEV_ALIGN, dev_unaligned, apic_id },
    { RULE_DEV_RAM, dev_ram, apic_id },
    { RULE_DEV_NONE, dev_nothing, apic_tpr },
    { RULE_APIC_MODE, apic_page_in_x2apic, apic_id },
    { RULE_APIC_REGISTER, apic_no_register, apic_id },
    { RULE_APIC_READONLY, apic_ppr, apic_tpr },
    { RULE_APIC_VECTOR, ipi_vector_15, ipi_vector_16 },
    { RULE_APIC_EOI, eoi_of_nothing, eoi_of_an_interrupt },
    { RULE_IPI_PENDING, ipi_pending, ipi_waited_for },
    { RULE_IPI_MODE, ipi_reserved_mode, ipi_vector_16 },
    { RULE_IPI_SELF, ipi_init_self, ipi_init_others },
    { RULE_IPI_OFF, ipi_apic_off, ipi_vector_16 },
    { RULE_MACHINE_MODEL, ipi_logical, ipi_vector_16 });
