/* SPDX-License-Identifier: BSD-2-Clause */
/* What a test changes about the simulated VMX or SVM: other capabilities, CPUID bits that are missing, what an exit left in the VMCS. Apart, as
 * machine and kernel use some names twice. One machine at a time. */
#pragma once
#include "sim.h"

void virt_sim_open(struct sim *s);                                   /* before the others: an own copy of model and capabilities */
void virt_sim_cap(struct sim *s, u32 msr, u64 value);                /* a VMX capability MSR */
u64 virt_sim_cap_get(struct sim *s, u32 msr);
void virt_sim_cpuid(u32 leaf, u64 clear_eax, u64 clear_ecx, u64 clear_edx);   /* bits that CPUID does not show; leaf 0: none */
void virt_sim_vm_cr(bool exists, u64 value);
void virt_sim_feature_control(struct sim *s, u32 cpu, u64 value);
u64 virt_sim_feature_control_get(struct sim *s, u32 cpu);
void virt_sim_no_vmxon(void);                                        /* VMXON fails */
void virt_sim_reset(struct sim *s, u32 cpu);                         /* as INIT does: what VMXON and VM_HSAVE_PA named is software's again */
u64 virt_sim_host_save(struct sim *s, u32 cpu);                      /* VM_HSAVE_PA */
void virt_sim_field(struct sim *s, u32 cpu, u32 field, u64 value);   /* of the current VMCS; read-only ones too */
