/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulated VMX: what its files share. The seam to the rest of the machine is virt_model.h.
 *
 * A VMCS is a region in RAM, of which only the revision word is read, and the model's own store of its fields, found by the region's physical
 * address: software may not rely on any layout (Intel SDM 3C 24.2). A field that was written survives VMCLEAR, as it does on hardware. */
#pragma once
#include "arch/vmx.h"
#include "arch/x86.h"
#include "memory.h"
#include "snapshot.h"
#include "virt_model.h"

/* Where a VMCS keeps a field: width, type and the low six bits of the index. */
#define VMX_SLOTS       1024u
#define VMX_SLOT(field) (((u32)(field) >> 13 & 3) << 8 | ((u32)(field) >> 10 & 3) << 6 | ((u32)(field) >> 1 & 0x3f))

struct vmcs {
    struct vmcs *next;
    u64 phys;
    bool cleared;             /* VMCLEAR came first: the launch state is defined */
    bool launched;
    struct sim_cpu *active;   /* the CPU it was loaded on since its last VMCLEAR */
    u64 sum;                  /* of the region's bytes when it became active */
    u64 field[VMX_SLOTS];
};

/* Capabilities: the MSRs from MSR_VMX_BASIC on, as software reads them. */
#define VMX_CAPS 0x14u
#define MSR_VMX_EXIT2 0x493u
struct vmx_profile {
    const char *name;
    u64 caps[VMX_CAPS];
    bool nmi_checks_sti;      /* injecting an NMI looks at STI blocking too (26.3.1.5: implementation-specific) */
    bool runs;                /* false: entry checks only; a good entry ends in a finding */
};
extern const struct vmx_profile vmx_haswell, vmx_wide;
#define VMX_CAP(p, msr) ((p)->caps[(msr)-MSR_VMX_BASIC])

struct vmx_machine {
    const struct vmx_profile *profile;
    struct vmcs *all;
};

struct vmx_cpu {
    bool on;                  /* in VMX root operation */
    u64 region;               /* VMXON pointer */
    struct vmcs *current;
    u64 feature_control;
    u32 last_check;           /* VCPU_CHECK of the last failed entry, 0: it entered */
    bool running;             /* the guest of `current` runs */
    bool vmfails;             /* an entry in the wrong launch state or without a VMCS is VMfail, not a broken rule; only tests set it */
    bool mov_ss;              /* blocking by MOV SS in root operation; only tests set it */
    u64 debugctl;             /* IA32_DEBUGCTL of the guest */
    u64 pending_debug;        /* debug exceptions due before the first instruction that exit: their bits for DR6; 0: none */
    u32 software_length;      /* of an injected software event: RIP was moved by it, for the return address */
    struct sim_guest guest;
    struct vmx_machine *machine;
};

/* What an exit stores beside the guest's state. */
struct vmx_exit {
    u32 reason, event, error, length, insn_info;
    u64 qualification, linear, physical;
};

bool vmx_field_exists(const struct vmx_profile *p, u32 field);
u64 vmx_read(struct sim_cpu *cpu, u32 field);
void vmx_write(struct sim_cpu *cpu, u32 field, u64 value);
void vmx_stored(struct sim *s, u64 phys, u64 bytes);   /* vmx_owned.c */
void vmx_freed(struct sim *s, u64 phys, u64 bytes);
u64 vmx_enter(struct sim_cpu *cpu, struct resume *resume, u64 *info);
struct mach_vmx_host vmx_host(struct sim_cpu *cpu);
/* Loading and storing the guest: vmx_state.c. */
void vmx_load_guest(struct sim_cpu *cpu, struct vmcs *v, const struct resume *resume);
void vmx_store_guest(struct sim_cpu *cpu, struct vmcs *v, struct resume *resume);
void vmx_load_host(struct sim_cpu *cpu, const struct vmcs *v);
/* MSR areas: vmx_msr_list.c. 0, or the 1-based entry that failed; *check then names why. */
u32 vmx_list_load(struct sim_cpu *cpu, u64 address, u64 count, bool host, u32 *check);
void vmx_list_store(struct sim_cpu *cpu, u64 address, u64 count);
/* Run until an exit: vmx_run.c, vmx_event.c. */
void vmx_run(struct sim_cpu *cpu, struct vmcs *v, struct vmx_exit *exit);
bool vmx_cr_exits(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x);
bool vmx_event_exits(struct sim_cpu *cpu, struct vmcs *v, struct engine_event *e, struct vmx_exit *x);

static inline u64 vmcs_get(const struct vmcs *v, u32 field)
{
    return v->field[VMX_SLOT(field)];
}
static inline void vmcs_set(struct vmcs *v, u32 field, u64 value)
{
    u64 *const at = &v->field[VMX_SLOT(field)];
    if (*at == value)
        return;
    undo_write(sim_here, at, 8);
    *at = value;
}

/* One entry being checked. Controls that an unset "activate" bit turns off read as 0. */
struct vmx_check {
    struct sim_cpu *cpu;
    const struct vmx_profile *profile;
    const struct vmcs *v;
    u64 phys_mask;            /* address bits that must be 0: above MAXPHYADDR */
    u64 pin, proc, proc2, exit, entry;
    u64 cr0, cr4, rflags, event;
    bool ia32e, unrestricted, v86, event_valid;
    u32 qualification;        /* of a failed guest-state check */
};
void vmx_check_begin(struct vmx_check *k, struct sim_cpu *cpu);
/* Each returns the id of the first broken check or 0. */
u32 vmx_check_controls(const struct vmx_check *k);   /* C */
u32 vmx_check_exit_entry(const struct vmx_check *k); /* X, N */
u32 vmx_check_host(const struct vmx_check *k);       /* H */
u32 vmx_check_guest(const struct vmx_check *k);      /* G */
u32 vmx_check_segments(const struct vmx_check *k);   /* S */
u32 vmx_check_state(struct vmx_check *k);            /* R, A */
u32 vmx_check_eptp(const struct vmx_check *k, u64 eptp);   /* C25 to C29; INVEPT asks too */

static inline u64 vmx_get(const struct vmx_check *k, u32 field)
{
    return vmcs_get(k->v, field);
}
static inline bool vmx_canonical(u64 address)
{
    return (u64)((s64)(address << 16) >> 16) == address;
}
static inline bool vmx_bad_address(const struct vmx_check *k, u64 address, u64 alignment)
{
    return (address & (alignment - 1)) || (address & k->phys_mask);
}
bool vmx_pat_valid(u64 pat);
/* What the processor reads on its own must not be freed memory. */
static inline void vmx_live(struct sim_cpu *cpu, u64 phys)
{
    if (memory_state(cpu->sim, phys) == MEM_FREE)
        sim_broken(RULE_VMX_FREED, "CPU %u: VMX reads %lx, which is freed memory", cpu->id, phys);
}
static inline u64 vmx_ram_read(struct sim_cpu *cpu, u64 phys, u32 bytes)
{
    u64 value = 0;
    vmx_live(cpu, phys);
    return sim_phys_read(cpu->sim, phys, &value, bytes) ? value : ~0ul;   /* no RAM: the bus floats */
}
static inline struct vmx_cpu *vmx_of(struct sim_cpu *cpu)
{
    return cpu->virt;
}
