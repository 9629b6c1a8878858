/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of a CPU that never changes after start-up: GDT, TSS, IDT, SYSCALL MSRs, control registers; and what of the seam is about
 * it. Each CPU has one element of bare_cpu, in order of arrival. The IDT is shared, written by the boot CPU before any other runs. */
#include "bare.h"
#include "arch/apic.h"
#include "arch/x86.h"

struct bare_cpu bare_cpu[BARE_CPUS];

static struct bare_gate {
    u16 offset_low, selector, ist_type, offset_mid;
    u32 offset_high, reserved;
} idt[256] aligned_to(PAGE_SIZE);

static void *kern_root;   /* mach_kern */

#define GATE_INTERRUPT 0x8e00u   /* present, DPL 0, interrupts off */
#define GATE_USER      0x6000u   /* DPL 3 */

static_assert(offset_of(struct bare_cpu, resume) == BARE_RESUME && offset_of(struct bare_cpu, stack_top) == BARE_STACK_TOP, "layout.h");
static_assert(offset_of(struct bare_cpu, cpu) == BARE_CPU && offset_of(struct bare_cpu, user_rsp) == BARE_USER_RSP, "layout.h");
static_assert(offset_of(struct bare_cpu, host_vmcb) == BARE_HOST_VMCB && offset_of(struct bare_cpu, host_saved) == BARE_HOST_SAVED, "layout.h");
static_assert(offset_of(struct bare_cpu, gdtr.limit) == BARE_GDTR && sizeof(struct bare_cpu) == BARE_CPU_BYTES, "layout.h");
static_assert(offset_of(struct bare_cpu, stack) + BARE_STACK == BARE_CPU_BYTES, "boot.S: the stack is last");
static_assert(offset_of(struct resume, rip) == RESUME_RIP && offset_of(struct resume, rflags) == RESUME_RFLAGS, "layout.h");
static_assert(offset_of(struct resume, kind) == RESUME_KIND && offset_of(struct resume, guest) == RESUME_GUEST, "layout.h");
static_assert(RESUME_USER == 0 && RESUME_GUEST_VMX == 1 && RESUME_GUEST_SVM == BARE_KIND_SVM && RESUME_IDLE == BARE_KIND_IDLE, "entry.S");
static_assert(TRAP_NONE == 0 && TRAP_EXCEPTION == BARE_TRAP_EXCEPTION, "entry.S");
static_assert(TRAP_INTERRUPT == BARE_TRAP_INTERRUPT && TRAP_GUEST_EXIT == BARE_TRAP_GUEST_EXIT, "entry.S");
static_assert(TRAP_GUEST_FAILED == BARE_TRAP_GUEST_FAIL && BARE_USER_FLAGS == RFLAGS_USER, "entry.S");
static_assert(BARE_KERNEL_CODE == SEL_KERNEL_CODE && BARE_KERNEL_DATA == SEL_KERNEL_DATA, "entry.S");
static_assert(BARE_USER_CODE == SEL_USER_CODE && BARE_USER_DATA == SEL_USER_DATA, "entry.S");
static_assert(BARE_CR0 == (CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE) && BARE_EFER == (EFER_NXE | EFER_LME | EFER_SCE), "boot.S");
static_assert(BARE_CR4_OSXSAVE == CR4_OSXSAVE && BOOT_MAGIC_PVH == 0x336ec578 && BOOT_MAGIC_AP == 0xa9a9, "boot.S");
static_assert(sizeof(struct bare_tss) == 104 && sizeof(struct bare_gate) == 16, "Intel SDM 3A 7.7, 6.14.1");

static void idt_init(void)
{
    static const u8 stack[] = {[VECTOR_DB] = IST_DB, [VECTOR_NMI] = IST_NMI, [VECTOR_DF] = IST_DF, [VECTOR_MC] = IST_MC};
    for (u32 v = 0; v < array_size(idt); v++) {
        const u64 stub = (u64)bare_stubs + 16ul * v;
        const u32 type = GATE_INTERRUPT | (v == VECTOR_BP || v == VECTOR_OF ? GATE_USER : 0) | (v < sizeof(stack) ? stack[v] : 0);
        idt[v] = (struct bare_gate){(u16)stub, SEL_KERNEL_CODE, (u16)type, (u16)(stub >> 16), (u32)(stub >> 32), 0};
    }
}

static void tables_init(struct bare_cpu *c)
{
    const u64 tss = (u64)&c->tss;
    const struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (u64)idt};

    c->gdt[SEL_KERNEL_CODE / 8] = 0x00af9b000000ffff;
    c->gdt[SEL_KERNEL_DATA / 8] = 0x00cf93000000ffff;
    c->gdt[SEL_USER_DATA / 8] = 0x00cff3000000ffff;
    c->gdt[SEL_USER_CODE / 8] = 0x00affb000000ffff;
    c->gdt[SEL_TSS / 8] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ul << 40 | (tss >> 24 & 0xff) << 56;
    c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
    c->gdtr.limit = sizeof(c->gdt) - 1;
    c->gdtr.base = (u64)c->gdt;
    c->tss.rsp[0] = c->stack_top;
    c->tss.io_map = sizeof(c->tss);   /* beyond the limit: no ports */
    for (u32 i = 0; i < array_size(c->ist); i++) {
        c->ist[i].cpu = c;
        c->tss.ist[i] = (u64)&c->ist[i].cpu;
    }
    __asm__ volatile("lgdt %0" : : "m"(c->gdtr.limit));
    __asm__ volatile("lidt %0" : : "m"(idtr));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    __asm__ volatile("lldt %w0" : : "r"(0));
}

static void features_init(void)
{
    const struct mach_cpuid basic = mach_cpuid(1, 0);
    u64 cr4 = CR4_PAE;
    cr4 |= basic.edx & CPUID_1_EDX_PGE ? CR4_PGE : 0;
    cr4 |= basic.edx & CPUID_1_EDX_MCE ? CR4_MCE : 0;   /* without it a machine check is a shutdown */
    mach_cr4_write(cr4);
    mach_dr_write(7, DR7_INIT);
}

/* On the CPU's own stack, interrupts off, in boot.S's page tables and GDT. */
void bare_cpu_init(struct bare_cpu *c)
{
    if (c == bare_cpu) {
        idt_init();
        bare_serial_init();
        bare_pic_off();
    }
    c->stack_top = (u64)c + sizeof(*c);
    c->host_vmcb = (u64)c->vmcb - KERNEL_OFFSET;
    tables_init(c);
    features_init();
    mach_msr_write(MSR_GS_BASE, (u64)c);
    mach_msr_write(MSR_KERNEL_GS_BASE, 0);
    mach_msr_write(MSR_STAR, (u64)(SEL_USER_DATA - 8) << 48 | (u64)SEL_KERNEL_CODE << 32);
    mach_msr_write(MSR_LSTAR, (u64)bare_syscall);
    mach_msr_write(MSR_FMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC);
}

struct mach_vmx_host mach_vmx_host(void)
{
    const struct bare_cpu *const c = (const void *)mach_msr_read(MSR_GS_BASE);
    return (struct mach_vmx_host){
            .rip = (u64)bare_vmx_exit,
            .rsp = c->stack_top,
            .gdtr_base = c->gdtr.base,
            .idtr_base = (u64)idt,
            .tr_base = (u64)&c->tss,
            .gs_base = (u64)c,
            .cs = SEL_KERNEL_CODE,
            .ss = SEL_KERNEL_DATA,
            .tr = SEL_TSS,
    };
}

void mach_kern_set(void *kern)
{
    kern_root = kern;
}

void *mach_kern(void)
{
    return kern_root;
}

u64 mach_boot_root(void)
{
    return (u64)bare_root - KERNEL_OFFSET;
}

bool mach_reserved(u32 index, u64 *start, u64 *end)
{
    const u64 ranges[][2] = {
            {0, PAGE_SIZE},   /* the firmware's data area */
            {TRAMPOLINE, TRAMPOLINE + PAGE_SIZE},
            {KERNEL_CODE, (u64)bare_code_end - KERNEL_OFFSET},
            {KERNEL_DATA, (u64)bare_data_end - KERNEL_OFFSET},
    };
    if (index >= array_size(ranges))
        return false;
    *start = ranges[index][0];
    *end = align_up(ranges[index][1], PAGE_SIZE);
    return true;
}

/* Copied only now, when the boot loader's data is no longer needed. */
u32 mach_ap_vector(void)
{
    mach_copy(mach_phys_to_virt(TRAMPOLINE), mach_phys_to_virt((u64)bare_trampoline), (size_t)(bare_trampoline_end - bare_trampoline));
    return TRAMPOLINE >> 12;
}

/* Vectors 32..255: IRR registers 1..7. */
bool mach_preempt_pending(void)
{
    const u64 base = mach_msr_read(MSR_APIC_BASE);
    if (base & APIC_BASE_X2APIC) {
        u64 pending = 0;
        for (u32 i = 1; i < 8; i++)
            pending |= mach_msr_read(MSR_X2APIC(APIC_IRR) + i);
        return pending;
    }
    const volatile u32 *const irr = mach_phys_to_virt((base & APIC_BASE_PHYS) + APIC_IRR);
    return irr[4] | irr[8] | irr[12] | irr[16] | irr[20] | irr[24] | irr[28];
}

#define DR_ACCESS(n)                                                                                                   \
    case n:                                                                                                            \
        if (write)                                                                                                     \
            __asm__ volatile("mov %0, %%dr" #n : : "r"(value) : "memory");                                             \
        else                                                                                                           \
            __asm__ volatile("mov %%dr" #n ", %0" : "=r"(value));                                                      \
        break;

static u64 dr_access(u32 number, bool write, u64 value)
{
    switch (number) {
        DR_ACCESS(0)
        DR_ACCESS(1)
        DR_ACCESS(2)
        DR_ACCESS(3)
        DR_ACCESS(6)
        DR_ACCESS(7)
    }
    return value;
}

u64 mach_dr_read(u32 number)
{
    return dr_access(number, false, 0);
}

void mach_dr_write(u32 number, u64 value)
{
    dr_access(number, true, value);
}
