/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPU the guest sees: the same on every machine, so that a guest's output can be compared. A plain 64-bit CPU; nothing is passed
 * through from the host. MSRs are members of state groups, or constants. */
#include "abi/vcpu.h"
#include "print.h"
#include "vmm.h"

enum { RAX, RCX, RDX, RBX };

struct leaf {
    u32 number, eax, ebx, ecx, edx;
};

/* Intel SDM 2A, CPUID. Leaf 1: family 6; FPU PSE TSC MSR PAE CX8 SEP PGE CMOV PAT FXSR SSE SSE2, and "hypervisor present". */
static const struct leaf leaves[] = {
    { 0x00000000, 1, 0x6572724f, 0x2e747365, 0x75477972 },   /* EBX EDX ECX: "OrreryGuest." */
    { 0x00000001, 0x00000610, 0x00000800, 0x80000000, 0x07018979 },
    { 0x40000000, 0x40000000, 0x6572724f, 0x724f7972, 0x79726572 },   /* EBX ECX EDX: "OrreryOrrery" */
    { 0x80000000, 0x80000008, 0, 0, 0 },
    { 0x80000001, 0, 0, 0x00000001, 0x20100800 },            /* LAHF; SYSCALL, NX, long mode */
    { 0x80000008, 0x00003024, 0, 0, 0 },                     /* 36 physical, 48 linear address bits */
};

enum vmm_next exit_cpuid(struct vmm_vcpu *v)
{
    static const struct leaf none = { 0 };
    const struct leaf *leaf = &none;
    for (u32 i = 0; i < array_size(leaves); i++)
        if (leaves[i].number == (u32)v->state->gpr[RAX])
            leaf = &leaves[i];
    state_register(v, RAX, 4, leaf->eax);
    state_register(v, RBX, 4, leaf->ebx);
    state_register(v, RCX, 4, leaf->ecx);
    state_register(v, RDX, 4, leaf->edx);
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}

struct msr {
    u32 number, group;
    u64 offset;            /* of the member in struct vcpu_state */
    u64 writable;          /* bits that a guest may set */
};

#define MEMBER(m) offset_of(struct vcpu_state, m)
#define ALL_BITS  (~0ul)

static const struct msr msrs[] = {
    { 0x00000174, VCPU_GROUP_SYSENTER, MEMBER(sysenter_cs), ALL_BITS },
    { 0x00000175, VCPU_GROUP_SYSENTER, MEMBER(sysenter_esp), ALL_BITS },
    { 0x00000176, VCPU_GROUP_SYSENTER, MEMBER(sysenter_eip), ALL_BITS },
    { 0x00000277, VCPU_GROUP_EFER, MEMBER(pat), ALL_BITS },
    { 0xc0000080, VCPU_GROUP_EFER, MEMBER(efer), 0x901 },   /* SCE LME NXE; LMA is the CPU's */
    { 0xc0000081, VCPU_GROUP_SYSCALL, MEMBER(star), ALL_BITS },
    { 0xc0000082, VCPU_GROUP_SYSCALL, MEMBER(lstar), ALL_BITS },
    { 0xc0000083, VCPU_GROUP_SYSCALL, MEMBER(cstar), ALL_BITS },
    { 0xc0000084, VCPU_GROUP_SYSCALL, MEMBER(fmask), 0xffffffff },
    { 0xc0000100, VCPU_GROUP_SEG, MEMBER(seg[VCPU_SEG_FS].base), ALL_BITS },
    { 0xc0000101, VCPU_GROUP_SEG, MEMBER(seg[VCPU_SEG_GS].base), ALL_BITS },
    { 0xc0000102, VCPU_GROUP_SYSCALL, MEMBER(kernel_gs), ALL_BITS },
};

/* The 64-bit value that an MSR number stands for, or NULL. */
static u64 *msr_find(struct vmm_vcpu *v, u32 number, u64 *writable, u32 *group)
{
    *group = 0;
    *writable = ALL_BITS;
    if (number == GUEST_MSR)
        return &v->vm->msr;
    for (u32 i = 0; i < array_size(msrs); i++) {
        if (msrs[i].number != number)
            continue;
        state_need(v, msrs[i].group);
        *group = msrs[i].group;
        *writable = msrs[i].writable;
        return (u64 *)((u8 *)v->state + msrs[i].offset);
    }
    return NULL;
}

/* #GP(0): RIP stays at the instruction. */
static enum vmm_next refuse(struct vmm_vcpu *v)
{
    state_inject(v, VCPU_EVENT_EXCEPTION(13) | VCPU_EVENT_ERROR);
    return VMM_RUN;
}

enum vmm_next exit_msr_read(struct vmm_vcpu *v)
{
    u64 writable;
    u32 group;
    vm_lock();
    const u64 *value = msr_find(v, v->state->exit.u.msr.index, &writable, &group);
    const u64 copy = value ? *value : 0;
    vm_unlock();
    if (!value)
        return refuse(v);
    state_register(v, RAX, 4, copy);
    state_register(v, RDX, 4, copy >> 32);
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}

enum vmm_next exit_msr_write(struct vmm_vcpu *v)
{
    const struct vcpu_state *s = v->state;
    const u64 wanted = (s->gpr[RDX] & 0xfffffffful) << 32 | (u32)s->gpr[RAX];
    u64 writable;
    u32 group;
    vm_lock();
    u64 *value = msr_find(v, s->exit.u.msr.index, &writable, &group);
    const bool ok = value && !(wanted & ~writable & ~*value);
    if (ok) {
        *value = (*value & ~writable) | (wanted & writable);
        state_dirty(v, group);
    }
    vm_unlock();
    if (!ok)
        return refuse(v);
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}
