/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on RIP, RFLAGS and the guest's non-register state (Intel SDM 3C 26.3.1.4 to 26.3.1.6): ids R01 to R07, A01 to A25.
 * Not modelled: system-management mode (A07, A14, A24): the machine has none. */
#include "vmx_model.h"

#define R(n) VCPU_CHECK('R', n)
#define A(n) VCPU_CHECK('A', n)
#define PENDING_BS  bit(14)
#define PENDING_RTM bit(16)
#define DEBUGCTL_BTF bit(1)

static u32 check_flags(const struct vmx_check *k)
{
    const u64 rip = vmx_get(k, VMCS_GUEST_RIP);
    const bool wide = k->ia32e && (vmx_get(k, VMCS_GUEST_CS_AR) & 0x2000);
    if (!wide && rip >> 32)
        return R(1);
    if (wide && !vmx_canonical(rip))
        return R(2);
    if (k->rflags & ~0x3f7fd7ul)
        return R(3);
    if (!(k->rflags & RFLAGS_ONE))
        return R(4);
    if (k->v86 && k->ia32e)
        return R(5);
    if (k->v86 && !(k->cr0 & CR0_PE))
        return R(6);
    if (k->event_valid && VMX_INTR_TYPE(k->event) == VMX_EVENT_INTR && !(k->rflags & RFLAGS_IF))
        return R(7);
    return 0;
}

/* May this event be injected into a processor that halts? An interrupt, an NMI, #DB, #MC, a pending MTF exit. */
static bool wakes_halt(u64 event)
{
    const u32 type = VMX_INTR_TYPE(event), vector = event & 0xff;
    return type == VMX_EVENT_INTR || type == VMX_EVENT_NMI || type == VMX_EVENT_OTHER ||
           (type == VMX_EVENT_EXCEPTION && (vector == VECTOR_DB || vector == VECTOR_MC));
}

static bool wakes_shutdown(u64 event)
{
    const u32 type = VMX_INTR_TYPE(event);
    return type == VMX_EVENT_NMI || (type == VMX_EVENT_EXCEPTION && (event & 0xff) == VECTOR_MC);
}

static u32 check_activity(const struct vmx_check *k)
{
    const u64 activity = vmx_get(k, VMCS_GUEST_ACTIVITY), blocked = vmx_get(k, VMCS_GUEST_INTERRUPTIBILITY);
    const u64 supported = (VMX_CAP(k->profile, MSR_VMX_MISC) >> 6 & 7) << 1 | 1;
    if (activity > 3 || !(supported >> activity & 1))
        return A(1);
    if (activity == VMX_ACTIVITY_HLT && (vmx_get(k, VMCS_GUEST_SS_AR) >> 5 & 3))
        return A(2);
    if (activity && (blocked & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)))
        return A(3);
    if (!k->event_valid)
        return 0;
    if (activity == VMX_ACTIVITY_HLT && !wakes_halt(k->event))
        return A(4);
    if (activity == VMX_ACTIVITY_SHUTDOWN && !wakes_shutdown(k->event))
        return A(5);
    return activity == VMX_ACTIVITY_WAIT_SIPI ? A(6) : 0;
}

static u32 check_blocking(struct vmx_check *k)
{
    const u64 blocked = vmx_get(k, VMCS_GUEST_INTERRUPTIBILITY);
    const u32 type = k->event_valid ? VMX_INTR_TYPE(k->event) : ~0u;
    if (blocked >> 5)
        return A(8);
    if (blocked & VMX_BLOCK_ENCLAVE)
        return A(16);   /* no SGX */
    if ((blocked & VMX_BLOCK_STI) && (blocked & VMX_BLOCK_MOV_SS))
        return A(9);
    if ((blocked & VMX_BLOCK_STI) && !(k->rflags & RFLAGS_IF))
        return A(10);
    if (type == VMX_EVENT_INTR && (blocked & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)))
        return A(11);
    if (type == VMX_EVENT_NMI && (blocked & VMX_BLOCK_MOV_SS))
        return A(12);
    if (type == VMX_EVENT_NMI && (blocked & VMX_BLOCK_STI) && k->profile->nmi_checks_sti) {
        k->qualification = VMX_QUAL_NMI;
        return A(12);
    }
    if (blocked & VMX_BLOCK_SMI)
        return A(13);
    return type == VMX_EVENT_NMI && (k->pin & VMX_PIN_VIRTUAL_NMI) && (blocked & VMX_BLOCK_NMI) ? A(15) : 0;
}

static u32 check_pending(const struct vmx_check *k)
{
    const u64 pending = vmx_get(k, VMCS_GUEST_PENDING_DEBUG), blocked = vmx_get(k, VMCS_GUEST_INTERRUPTIBILITY);
    const bool step = (k->rflags & RFLAGS_TF) && !(vmx_get(k, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);
    const bool frozen = (blocked & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)) ||
                        vmx_get(k, VMCS_GUEST_ACTIVITY) == VMX_ACTIVITY_HLT;
    if (pending & ~(0xful | bit(12) | PENDING_BS | PENDING_RTM))
        return A(17);
    if (pending & PENDING_RTM)
        return A(19);   /* no RTM */
    return frozen && !!(pending & PENDING_BS) != step ? A(18) : 0;
}

static u32 check_link(struct vmx_check *k)
{
    const u64 link = vmx_get(k, VMCS_LINK_POINTER);
    if (link == ~0ul)
        return 0;
    k->qualification = VMX_QUAL_LINK;
    if (vmx_bad_address(k, link, PAGE_SIZE))
        return A(20);
    const u64 revision = vmx_ram_read(k->cpu, link, 4);
    if ((revision & 0x7fffffff) != VMX_BASIC_REVISION(VMX_CAP(k->profile, MSR_VMX_BASIC)))
        return A(21);
    if (revision >> 31 != !!(k->proc2 & VMX_PROC2_SHADOW))
        return A(22);
    if (link == k->v->phys)
        return A(23);
    k->qualification = 0;
    return 0;
}

/* The four page-directory pointers: from the VMCS with EPT, else from memory at CR3. */
static u32 check_pdptes(struct vmx_check *k)
{
    if (!(k->cr0 & CR0_PG) || !(k->cr4 & CR4_PAE) || k->ia32e)
        return 0;
    for (u32 i = 0; i < 4; i++) {
        const u64 table = vmx_get(k, VMCS_GUEST_CR3) & 0xffffffe0;
        const u64 entry = k->proc2 & VMX_PROC2_EPT ? vmx_get(k, VMCS_GUEST_PDPTE0 + 2 * i) :
                                                     vmx_ram_read(k->cpu, table + 8 * i, 8);
        if ((entry & 1) && (entry & (0x1e6 | k->phys_mask))) {
            k->qualification = VMX_QUAL_PDPTE;
            return A(25);
        }
    }
    return 0;
}

u32 vmx_check_state(struct vmx_check *k)
{
    u32 id = check_flags(k);
    if (!id)
        id = check_activity(k);
    if (!id)
        id = check_blocking(k);
    if (!id)
        id = check_pending(k);
    if (!id)
        id = check_link(k);
    return id ? id : check_pdptes(k);
}
