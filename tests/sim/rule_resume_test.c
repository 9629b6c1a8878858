/* SPDX-License-Identifier: BSD-2-Clause */
/* Is what the kernel returns, and how it starts CPUs, judged? Rules RESUME, SEAM, IPI-START, VIRT-MISSING, on machines that boot. */
#include "held.h"
#include "rule_test.h"

static struct resume not_in_ram;

static struct resume *boot_well(u32 magic, u64 info) { return micro_shutdown(micro_boot(magic), 0); }
static struct resume *boot_outside(u32 magic, u64 info) { micro_boot(magic); return &not_in_ram; }
static struct resume *boot_null(u32 magic, u64 info) { micro_boot(magic); return NULL; }
static struct resume *boot_kind_99(u32 magic, u64 info) { return micro_go(micro_boot(magic), 99); }
static struct resume *boot_svm(u32 magic, u64 info) { return micro_go(micro_boot(magic), RESUME_GUEST_SVM); }
static struct resume *boot_vmx(u32 magic, u64 info) { return micro_go(micro_boot(magic), RESUME_GUEST_VMX); }
static struct resume *boot_nobody(u32 magic, u64 info) { return micro_go(&micro()->cpu[0], RESUME_IDLE); }

static struct resume *user_at(u32 magic, u64 rip)
{
    struct micro_cpu *const c = micro_boot(magic);
    c->resume.rip = rip;
    return micro_go(c, RESUME_USER);
}

static struct resume *boot_user_high(u32 magic, u64 info) { return user_at(magic, 0x7ffffffff001); }
static struct resume *boot_user_end(u32 magic, u64 info) { return user_at(magic, 0x7ffffffff000); }

/* As after a VMX exit that took an NMI. */
static struct resume *nmi_then(u32 magic, enum resume_kind kind)
{
    struct micro_cpu *const c = micro_boot(magic);
    sim_this()->in_nmi = true;
    return micro_go(c, kind);
}

static struct resume *boot_nmi_idle(u32 magic, u64 info) { return nmi_then(magic, RESUME_IDLE); }
static struct resume *boot_nmi_window(u32 magic, u64 info) { return nmi_then(magic, RESUME_WINDOW); }
static struct resume *boot_kern_twice(u32 magic, u64 info) { mach_kern_set(micro()); return micro_shutdown(micro_boot(magic), 0); }

static struct resume *boot_cpu_twice(u32 magic, u64 info)
{
    struct micro_cpu *const c = micro_boot(magic);
    mach_cpu_set(c);
    return micro_shutdown(c, 0);
}

static struct resume *start_at(u32 magic, u32 vector)
{
    struct micro_cpu *const c = micro_boot(magic);
    if (magic == BOOT_MAGIC_AP)
        return micro_shutdown(c, 0);
    micro_apic_on();
    micro_ipi(2, APIC_ICR_INIT | APIC_ICR_ASSERT);
    micro_ipi(2, APIC_ICR_STARTUP | APIC_ICR_ASSERT | vector);
    return micro_go(c, RESUME_IDLE);
}

static struct resume *boot_start_elsewhere(u32 magic, u64 info) { return start_at(magic, mach_ap_vector() + 1); }
static struct resume *boot_start(u32 magic, u64 info) { return start_at(magic, mach_ap_vector()); }

static struct resume *trap_ends(void *cpu, u64 trap, u64 info)
{
    return micro_shutdown(cpu, 0);
}

#define BOOT(name)                                                                                                     \
    static void name(struct rule_scene *x)                                                                             \
    {                                                                                                                  \
        rule_scene_boot(x, boot_##name, trap_ends);                                                                    \
    }
BOOT(well) BOOT(outside) BOOT(null) BOOT(kind_99) BOOT(svm) BOOT(vmx) BOOT(nobody) BOOT(user_high) BOOT(user_end) BOOT(nmi_idle) BOOT(nmi_window)
BOOT(kern_twice) BOOT(cpu_twice) BOOT(start_elsewhere) BOOT(start)

static void vmxon_of_another_vendor(struct rule_scene *x) { ignore(mach_vmxon(0x1000)); }
static void invlpga_of_another_vendor(struct rule_scene *x) { mach_invlpga(0, 1); }

static void held(struct rule_scene *x, u64 written)
{
    struct resume *const r = sim_phys(x->s, 0x200000, sizeof(*r));
    held_begin(sim_this(), r);
    for (u32 i = RAX; i <= R15; i++)
        if (written >> i & 1)
            r->gpr[i] = 1;
    held_end(sim_this());
}

#define HELD (bit(RBX) | bit(RSP) | bit(RBP) | bit(R12) | bit(R13) | bit(R14) | bit(R15))
static void others_written(struct rule_scene *x) { held(x, ~HELD); }
#define WRITTEN(name)                                                                                                  \
    static void held_##name(struct rule_scene *x) { held(x, bit(name)); }
WRITTEN(RBX) WRITTEN(RSP) WRITTEN(RBP) WRITTEN(R12) WRITTEN(R13) WRITTEN(R14) WRITTEN(R15)

RULE_TABLE(rule_resume, SCENE_UNIT(SIM_NONE),
    { RULE_RESUME_RAM, outside, well },
    { RULE_RESUME_RAM, null, well },
    { RULE_RESUME_KIND, kind_99, well },
    { RULE_RESUME_RIP, user_high, user_end },
    { RULE_RESUME_NMI, nmi_idle, nmi_window },
    { RULE_RESUME_CPU, nobody, well },
    { RULE_RESUME_HELD, held_RBX, others_written },
    { RULE_RESUME_HELD, held_RSP, others_written },
    { RULE_RESUME_HELD, held_RBP, others_written },
    { RULE_RESUME_HELD, held_R12, others_written },
    { RULE_RESUME_HELD, held_R13, others_written },
    { RULE_RESUME_HELD, held_R14, others_written },
    { RULE_RESUME_HELD, held_R15, others_written },
    { RULE_SEAM_ONCE, kern_twice, well },
    { RULE_SEAM_ONCE, cpu_twice, well },
    { RULE_IPI_START, start_elsewhere, start },
    { RULE_VIRT_MISSING, svm, well },
    { RULE_VIRT_MISSING, vmx, well },
    { RULE_VIRT_MISSING, vmxon_of_another_vendor, NULL },
    { RULE_VIRT_MISSING, invlpga_of_another_vendor, NULL });
