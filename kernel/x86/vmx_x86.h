/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to vmx*.c. Every function needs the vCPU's VMCS current: vmx_current first. */
#pragma once
#include "arch/vmx.h"
#include "virt_x86.h"

/* virt_cpu.fixed: controls after adjustment by the capability MSRs (Intel SDM 3D A.3), and what VMX fixes in control registers. */
enum { VMX_FIXED_PIN, VMX_FIXED_PROC, VMX_FIXED_PROC2, VMX_FIXED_EXIT, VMX_FIXED_ENTRY, VMX_FIXED_CR0, VMX_FIXED_CR4, VMX_FIXED_IO_INFO };

void vmx_switch(struct cpu *cpu, struct vcpu *v);
static inline void vmx_current(struct cpu *cpu, struct vcpu *v)
{
    if (unlikely(cpu->virt.current != v->hw_phys))
        vmx_switch(cpu, v);
}
void vmx_leave(struct cpu *cpu, struct vcpu *v);   /* the first part of every exit */

/* vmx_caps.c */
void vmx_caps(struct cpu *cpu);              /* fills virt_cpu.fixed */

/* vmx_state.c */
void vmx_load(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups);
void vmx_store(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups);

/* vmx_exit.c */
enum virt_exit vmx_exit(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, struct vcpu_exit *exit);

/* vmx_diagnose.c */
u32 vmx_diagnose(void);                      /* the guest state in the current VMCS: the VCPU_CHECK id of the first check that fails, or 0 */
