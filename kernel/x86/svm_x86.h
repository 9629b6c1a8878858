/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to svm*.c. The VMCB is read and written by the processor, so it is accessed by atomics only, in words of 64 or 32 bits. */
#pragma once
#include "arch/svm.h"
#include "virt_x86.h"

/* virt_cpu.fixed. */
enum { SVM_FIXED_FEATURES, SVM_FIXED_CR };   /* CPUID 0x8000000a EDX; accesses to control registers that always exit */

#define VMCB(member) ((u32)offset_of(struct vmcb, member))

static inline u64 vmcb_read(const void *hw, u32 offset)
{
    return atomic_load_relaxed((const atomic_u64 *)((const u8 *)hw + offset));   /* this CPU only, never while the guest runs */
}

static inline void vmcb_write(void *hw, u32 offset, u64 value)
{
    atomic_store_relaxed((atomic_u64 *)((u8 *)hw + offset), value);   /* the same; VMRUN sees its own CPU's stores */
}

static inline u64 vmcb_get(const struct vcpu *v, u32 offset)
{
    return vmcb_read(v->hw, offset);
}

static inline void vmcb_set(struct vcpu *v, u32 offset, u64 value)
{
    vmcb_write(v->hw, offset, value);
}

static inline u32 vmcb_get32(const struct vcpu *v, u32 offset)
{
    return atomic_load32((const atomic_u32 *)((const u8 *)v->hw + offset));
}

static inline void vmcb_set32(struct vcpu *v, u32 offset, u32 value)
{
    atomic_store32((atomic_u32 *)((u8 *)v->hw + offset), value);
}

/* svm_state.c */
void svm_load(struct cpu *cpu, struct vcpu *v, const struct vcpu_state *s, u32 groups);
void svm_store(struct cpu *cpu, struct vcpu *v, struct vcpu_state *s, u32 groups);
void svm_keep(struct vcpu *v);       /* the guest's state, as it is now */
void svm_put_back(struct vcpu *v);   /* as svm_keep found it */

/* svm_diagnose.c */
u32 svm_diagnose(const struct vcpu *v);   /* VMRUN refused it: the VCPU_CHECK id of the first check that fails, or 0 */

/* svm_exit.c */
enum virt_exit svm_exit(struct cpu *cpu, struct vcpu *v, u64 trap, u64 info, struct vcpu_exit *exit);
void svm_instruction(const struct vcpu *v, u64 words[2]);
