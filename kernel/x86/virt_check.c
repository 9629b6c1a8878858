/* SPDX-License-Identifier: BSD-2-Clause */
/* What software can tell of state-page values before they are loaded, the same on both vendors: values that a VMCS or VMCB field cannot
 * hold, that one vendor would silently change, or that the kernel itself loads into registers. Ids are those of the manuals' entry checks
 * (Intel SDM 3C 26.2, 26.3; AMD APM 2 15.5.1) where there is one. Not checked here: what depends on more than one group; the processor does. */
#include "abi/vcpu_groups.h"
#include "arch/x86.h"
#include "virt_x86.h"

#define CHECKED_GROUPS  (VCPU_GROUP_ALL & ~(VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_TSC | VCPU_GROUP_FPU | VCPU_GROUP_PDPTE))
#define EFER_GUEST      (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define SEG_RESERVED    0xfffe0f00u
#define BLOCKED_KNOWN   (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS | VCPU_BLOCKED_NMI)
#define EVENT_RESERVED  0x7ffff000ul
#define DEBUG_RESERVED  0xffffffffffffaff0ul   /* pending debug exceptions: B0-B3, 12, BS (26.3.1.5) */

static u32 check_seg(const struct vcpu_state *s)
{
    for (u32 i = 0; i < VCPU_SEG_COUNT; i++) {
        if (s->seg[i].attributes & SEG_RESERVED)
            return VCPU_CHECK('S', 18);
        if (i >= VCPU_SEG_FS && !virt_canonical(s->seg[i].base))
            return VCPU_CHECK('S', 7);
        if (i < VCPU_SEG_FS && s->seg[i].base >> 32)
            return VCPU_CHECK('S', 8);
    }
    return 0;
}

static u32 check_table(const struct vcpu_state *s)
{
    if (!virt_canonical(s->gdtr.base) || !virt_canonical(s->idtr.base))
        return VCPU_CHECK('S', 23);
    return s->gdtr.limit >> 16 || s->idtr.limit >> 16 ? VCPU_CHECK('S', 24) : 0;
}

static u32 check_cr(const struct vcpu_state *s)
{
    if (s->cr0 >> 32)
        return VCPU_CHECK('G', 1);
    if (s->cr0 & CR0_PG && !(s->cr0 & CR0_PE))
        return VCPU_CHECK('G', 2);
    if (s->cr0 & CR0_NW && !(s->cr0 & CR0_CD))
        return VCPU_CHECK('V', 7);
    if (s->cr4 & VIRT_CR4_UNSWITCHED)
        return VCPU_CHECK_CR4;
    return s->cr8 > 15 ? VCPU_CHECK_CR8 : 0;
}

static u32 check_dr(const struct vcpu_state *s)
{
    if (s->dr6 >> 32)
        return VCPU_CHECK('V', 11);
    return s->dr7 >> 32 ? VCPU_CHECK('G', 10) : 0;
}

static u32 check_efer(const struct vcpu_state *s)
{
    if (s->efer & ~EFER_GUEST)
        return VCPU_CHECK('G', 14);
    for (u32 i = 0; i < 64; i += 8) {
        const u64 type = s->pat >> i & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return VCPU_CHECK('G', 13);
    }
    return 0;
}

static u32 check_sysenter(const struct vcpu_state *s)
{
    if (s->sysenter_cs >> 32)
        return VCPU_CHECK_SYSENTER_CS;
    return virt_canonical(s->sysenter_esp) && virt_canonical(s->sysenter_eip) ? 0 : VCPU_CHECK('G', 11);
}

static u32 check_syscall(const struct vcpu_state *s)
{
    const bool legal = virt_canonical(s->lstar) && virt_canonical(s->cstar) && virt_canonical(s->kernel_gs) && !(s->fmask >> 32) && !(s->tsc_aux >> 32);
    return legal ? 0 : VCPU_CHECK('M', 6);
}

static u32 check_activity(const struct vcpu_state *s)
{
    if (s->activity != VCPU_ACTIVITY_ACTIVE)
        return VCPU_CHECK('A', 1);   /* to halt, the VMM does not run the vCPU */
    if (s->interruptibility & ~BLOCKED_KNOWN)
        return VCPU_CHECK('A', 8);
    if ((s->interruptibility & 3) == 3)
        return VCPU_CHECK('A', 9);
    if (s->pending_debug && kern()->virt->vendor == 2)
        return VCPU_CHECK_PENDING_DEBUG;
    return s->pending_debug & DEBUG_RESERVED ? VCPU_CHECK('A', 17) : 0;
}

static u32 check_event(u64 event, u32 insn_len)
{
    const u32 type = event >> 8 & 7, vector = event & 0xff;
    const bool error = event & VCPU_EVENT_ERROR;
    if (type == 1 || type == 7)
        return VCPU_CHECK('N', 3);
    if (type == 2 && vector != 2)
        return VCPU_CHECK('N', 4);
    if (type == 3 && (vector > 31 || vector == VECTOR_NMI))
        return VCPU_CHECK('N', 5);
    if (error && (type != 3 || !(VECTORS_WITH_ERROR >> vector & 1)))
        return VCPU_CHECK('N', 7);
    if (event & EVENT_RESERVED)
        return VCPU_CHECK('N', 8);
    if (error && event >> 48)
        return VCPU_CHECK('N', 9);
    return type >= 4 && (insn_len == 0 || insn_len > 15) ? VCPU_CHECK_INSN_LEN : 0;
}

static u32 check_inject(const struct vcpu_state *s)
{
    if (s->windows & ~(VCPU_WINDOW_INTR | VCPU_WINDOW_NMI))
        return VCPU_CHECK_WINDOW;
    return s->inject & VCPU_EVENT_VALID ? check_event(s->inject, s->inject_insn_len) : 0;
}

static u32 check_control(const struct vcpu_state *s)
{
    return s->control_flags & ~VCPU_CONTROL_RDTSC || s->control_reserved[0] || s->control_reserved[1] ? VCPU_CHECK_CONTROL : 0;
}

u32 virt_check(const struct vcpu_state *s, u32 groups)
{
    static u32 (*const checks[])(const struct vcpu_state *s) = {
#define CHECK(name, f) [__builtin_ctz(VCPU_GROUP_##name)] = f
        CHECK(SEG, check_seg),   CHECK(TABLE, check_table),       CHECK(CR, check_cr),           CHECK(DR, check_dr),
        CHECK(EFER, check_efer), CHECK(SYSENTER, check_sysenter), CHECK(SYSCALL, check_syscall), CHECK(ACTIVITY, check_activity),
        CHECK(INJECT, check_inject), CHECK(CONTROL, check_control),
    };
    u32 id = 0;
    for (u32 left = groups & CHECKED_GROUPS; left && !id; left &= left - 1)
        id = checks[__builtin_ctz(left)](s);
    return id;
}
