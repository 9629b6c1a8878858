/* SPDX-License-Identifier: BSD-2-Clause */
/* What vmx*.c and svm*.c share: guest registers that hardware does not switch, tags, events. Home CPU of the vCPU only. */
#pragma once
#include "arch/x86.h"
#include "cpu.h"
#include "vcpu.h"

/* vcpu.backend. */
struct virt_regs {
    u64 dr[4], dr6;            /* dr6: VMX only */
    u64 cr2;                   /* VMX only */
    u64 cr8;                   /* no TPR is virtualized: MOV CR8 exits on both */
    u64 msr[VIRT_MSRS];        /* SVM: TSC_AUX only, the rest is in the VMCB */
    u64 flags;                 /* VIRT_* */
    u64 exceptions;            /* vectors whose exits the VMM asked for */
    u64 reflect;               /* VIRT_REFLECT: what pending reports */
    u64 control;               /* what the processor-based controls or intercepts were made from: virt_wishes; VIRT_WISHES_NONE: nothing yet */
    u64 rsp, rflags;           /* VMX: as the VMCS has them before a run, if GPR, or RIP, is in vcpu.valid */
    u64 host_cr3;              /* VMX: as the VMCS has it */
    u64 rip;                   /* SVM: as at the entry, see svm_exit.c */
};
static_assert(sizeof(struct virt_regs) <= sizeof(((struct vcpu *)0)->backend), "fits");

#define VIRT_STARTED      0x1ul   /* the VMCS or VMCB is one */
#define VIRT_DR           0x2ul   /* the guest uses debug registers: switch DR0-3; else MOV DR exits */
#define VIRT_RDTSC        0x4ul   /* VCPU_CONTROL_RDTSC */
#define VIRT_NMI_BLOCKED  0x8ul   /* SVM: no NMI before the next IRET */
#define VIRT_IRET         0x40ul  /* SVM: the guest stands at the IRET that will unblock NMIs */
#define VIRT_FAILED       0x20ul  /* the last entry failed: nothing was delivered */
#define VIRT_RIP_ADVANCED 0x10ul  /* SVM: RIP was moved over an injected software interrupt */
#define VIRT_REFLECT      0x80ul  /* the last exit was an exception that goes back to the guest */
#define VIRT_UNPROVEN     0x100ul /* SVM: no VMRUN has accepted this state yet */
#define VIRT_SCE          0x200ul /* VMX: EFER.SCE: the guest can see STAR to FMASK, by SYSCALL */
#define VIRT_LME          0x400ul /* VMX: EFER.LME: the guest can see and change KERNEL_GS, by SWAPGS */
#define VIRT_AUX          0x800ul /* TSC_AUX is not the host's */

#define VIRT_DR7_ENABLED 0xfful   /* L0..G3 */

/* Exceptions that exit whatever the VMM asked for. A machine check is the host's. #AC and #DB can be raised again by their own delivery, without
 * an instruction in between: undisturbed such a guest would keep its CPU for ever (CVE-2015-5307, CVE-2015-8104). */
#define VIRT_EXCEPTIONS (1u << VECTOR_MC | 1u << VECTOR_AC | 1u << VECTOR_DB)

/* Each brings registers that a guest then writes without an exit and that nobody switches: PKRU, SSP, PKRS, UIF, the FRED stacks. */
#define VIRT_CR4_UNSWITCHED (CR4_PKE | CR4_CET | CR4_PKS | CR4_UINTR | CR4_FRED)

static inline struct virt_regs *virt_regs(struct vcpu *v)
{
    return (struct virt_regs *)v->backend;
}

bool vmx_probe(void);
bool svm_probe(void);

static inline bool virt_canonical(u64 address)
{
    return (u64)((s64)(address << 16) >> 16) == address;   /* 48 bits: what the kernel's own paging has */
}

/* What the guest is to exit for, as far as it changes. */
#define VIRT_WISHES_NONE ~0ul
static inline u64 virt_wishes(const struct vcpu *v, u64 flags)
{
    return (flags & (VIRT_RDTSC | VIRT_NMI_BLOCKED | VIRT_IRET | VIRT_DR)) | (u64)v->windows << 32;
}

typedef void virt_load_fn(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups);
/* The architectural reset state (Intel SDM 3A table 9-1), loaded by the backend's own load. */
void virt_reset(struct cpu *cpu, struct vcpu *v, virt_load_fn *load);
void virt_cpu_init(struct cpu *cpu);                        /* host MSRs, tag epoch */
must_check enum status virt_create(struct vcpu *v);         /* the VMCS or VMCB page */
void virt_free(struct vcpu *v);
/* Hardware that neither vendor switches: DR0-3 if the guest uses them, TSC_AUX if it differs. If VIRT_SWITCHED. */
#define VIRT_SWITCHED (VIRT_DR | VIRT_AUX)
void virt_enter_switch(struct cpu *cpu, struct vcpu *v);
void virt_leave_switch(struct cpu *cpu, struct vcpu *v);
/* A neutral exit: every word but those of its own in `u`, and raw_info2. */
static inline void virt_exit_write(struct vcpu *v, struct vcpu_exit *e, u32 reason, u32 insn_len, u64 raw_reason, u64 raw_info1, u64 raw_info2)
{
    v->reason = reason;
    e->reason = reason;
    e->insn_len = insn_len;
    for (u32 i = 0; i < array_size(e->u.words); i++)
        e->u.words[i] = 0;
    e->raw_reason = raw_reason;
    e->raw_info1 = raw_info1;
    e->raw_info2 = raw_info2;
}
/* Does the vCPU need a fresh tag? Then *tag is one that no cached translation has, or the epoch has wrapped (tag_flush). */
bool virt_tag(struct cpu *cpu, struct vcpu *v);
/* The event hardware was delivering when it exited, as what `pending` reports. */
u64 virt_pending(const struct vcpu *v, u64 event);
/* Does this exception go back to the guest, as the VMM did not ask for it? first: the event that was being delivered, as virt_pending takes it. */
bool virt_reflects(struct vcpu *v, u32 vector, u64 first);
/* Then this is what `pending` reports, and the exit is a window: a delivery comes before host interrupts, they would wait for ever. */
enum virt_exit virt_reflect(struct vcpu *v, u64 event);
/* DR6 after a #DB with these causes, as an exit qualification or pending debug exceptions have them (Intel SDM 3C 28.2.1). */
u64 virt_dr6(u64 dr6, u64 causes);
/* Members of struct vcpu_state that stand in a field of the VMCS or VMCB as they are: a row each, by number of the group, so that a transfer costs
 * what it moves. get and set are constants of the caller, so that no call is indirect. */
struct virt_row {
    u32 field;                 /* VMCS: encoding; VMCB: offset of 64 bits */
    u16 offset, bytes;         /* of the member: 4 or 8 */
};
#define VIRT_ROW(field, member) { field, offset_of(struct vcpu_state, member), sizeof(((struct vcpu_state *)0)->member) }
struct virt_rows {
    u32 count;
    const struct virt_row *row;
};
#define VIRT_ROWS(name, rows) [__builtin_ctz(VCPU_GROUP_##name)] = { array_size(rows), rows }

static inline void virt_rows_load(const struct virt_rows *table, struct vcpu *v, const struct vcpu_state *s, u32 groups,
                                  void (*set)(struct vcpu *v, u32 field, u64 value))
{
    for (u32 left = groups; left; left &= left - 1) {
        const struct virt_rows *const g = &table[__builtin_ctz(left)];
        for (u32 i = 0; i < g->count; i++) {
            const void *const from = (const u8 *)s + g->row[i].offset;
            set(v, g->row[i].field, g->row[i].bytes == 4 ? *(const u32 *)from : *(const u64 *)from);
        }
    }
}

static inline void virt_rows_store(const struct virt_rows *table, const struct vcpu *v, struct vcpu_state *s, u32 groups,
                                   u64 (*get)(const struct vcpu *v, u32 field))
{
    for (u32 left = groups; left; left &= left - 1) {
        const struct virt_rows *const g = &table[__builtin_ctz(left)];
        for (u32 i = 0; i < g->count; i++) {
            void *const to = (u8 *)s + g->row[i].offset;
            const u64 value = get(v, g->row[i].field);
            if (g->row[i].bytes == 4)
                *(u32 *)to = (u32)value;
            else
                *(u64 *)to = value;
        }
    }
}

/* Load and store of what stands in struct virt_regs, the same on both. */
void virt_load(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups);
void virt_store(struct vcpu *v, struct vcpu_state *s, u32 groups);
/* Repetitions of an I/O instruction: RCX cut to the address size (bytes; 0: unknown). */
u64 virt_io_count(const struct vcpu *v, bool rep, u32 address_size);
