/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on the guest's segments and descriptor tables (Intel SDM 3C 26.3.1.2, 26.3.1.3): ids S01 to S24. */
#include "vmx_model.h"

#define S(n) VCPU_CHECK('S', n)

struct segment {
    u64 base;
    u32 limit, access, selector;
    u32 type, dpl, rpl;
    bool usable;
};

static struct segment segment_of(const struct vmx_check *k, u32 n)
{
    const u32 access = vmx_get(k, VMCS_SEG(VMCS_GUEST_ES_AR, n)), selector = vmx_get(k, VMCS_SEG(VMCS_GUEST_ES_SEL, n));
    return (struct segment){ .base = vmx_get(k, VMCS_SEG(VMCS_GUEST_ES_BASE, n)),
                             .limit = vmx_get(k, VMCS_SEG(VMCS_GUEST_ES_LIMIT, n)),
                             .access = access,
                             .selector = selector,
                             .type = access & 0xf,
                             .dpl = access >> 5 & 3,
                             .rpl = selector & 3,
                             .usable = !(access & VCPU_SEG_UNUSABLE) };
}

static bool reserved_set(const struct segment *s)
{
    return s->access & 0xfffe0f00;
}

/* G must be 0 if a low bit of the limit is 0, 1 if a high bit is 1. */
static bool granularity_wrong(const struct segment *s)
{
    const bool pages = s->access & 0x8000;
    return ((s->limit & 0xfff) != 0xfff && pages) || (s->limit >> 20 && !pages);
}

static u32 check_selectors(const struct vmx_check *k, const struct segment *all)
{
    const struct segment tr = all[VCPU_SEG_TR], ldtr = all[VCPU_SEG_LDTR];
    const struct segment cs = all[VCPU_SEG_CS], ss = all[VCPU_SEG_SS];
    if (tr.selector & 4)
        return S(1);
    if (ldtr.usable && (ldtr.selector & 4))
        return S(2);
    if (!k->v86 && !k->unrestricted && ss.rpl != cs.rpl)
        return S(3);
    return 0;
}

static u32 check_v86(const struct vmx_check *k, const struct segment *all)
{
    for (u32 n = VCPU_SEG_ES; k->v86 && n <= VCPU_SEG_GS; n++) {
        const struct segment s = all[n];
        if (s.base != (u64)s.selector << 4)
            return S(4);
        if (s.limit != 0xffff)
            return S(5);
        if (s.access != 0xf3)
            return S(6);
    }
    return 0;
}

static u32 check_bases(const struct vmx_check *k, const struct segment *all)
{
    for (u32 n = VCPU_SEG_ES; n < VCPU_SEG_COUNT; n++) {
        const struct segment s = all[n];
        const bool wide = n == VCPU_SEG_TR || n == VCPU_SEG_FS || n == VCPU_SEG_GS || (n == VCPU_SEG_LDTR && s.usable);
        const bool narrow = n == VCPU_SEG_CS || (n <= VCPU_SEG_DS && s.usable);
        if (wide && !vmx_canonical(s.base))
            return S(7);
        if (narrow && s.base >> 32)
            return S(8);
    }
    return 0;
}

static u32 check_code(const struct vmx_check *k, const struct segment *all)
{
    const struct segment cs = all[VCPU_SEG_CS], ss = all[VCPU_SEG_SS];
    const bool data = cs.type == 3 && k->unrestricted;
    if (!data && !((cs.type & 9) == 9))
        return S(9);
    if ((data && cs.dpl) || ((cs.type & 0xd) == 9 && cs.dpl != ss.dpl) || ((cs.type & 0xd) == 0xd && cs.dpl > ss.dpl))
        return S(14);
    return k->ia32e && (cs.access & 0x2000) && (cs.access & 0x4000) ? S(19) : 0;
}

static u32 check_stack(const struct vmx_check *k, const struct segment *all)
{
    const struct segment cs = all[VCPU_SEG_CS], ss = all[VCPU_SEG_SS];
    if (ss.usable && ss.type != 3 && ss.type != 7)
        return S(10);
    if (!k->unrestricted && ss.dpl != ss.rpl)
        return S(15);
    return ss.dpl && (cs.type == 3 || !(k->cr0 & CR0_PE)) ? S(15) : 0;
}

/* DS, ES, FS, GS. */
static u32 check_data(const struct vmx_check *k, const struct segment *s)
{
    if (!(s->type & 1))
        return S(11);
    if ((s->type & 8) && !(s->type & 2))
        return S(12);
    return !k->unrestricted && s->type <= 11 && s->dpl < s->rpl ? S(16) : 0;
}

static u32 check_attributes(const struct vmx_check *k, const struct segment *all)
{
    for (u32 n = VCPU_SEG_ES; n <= VCPU_SEG_GS; n++) {
        const struct segment s = all[n];
        if (!s.usable && n != VCPU_SEG_CS)
            continue;
        if (!(s.access & 0x10))
            return S(13);
        if (!(s.access & 0x80))
            return S(17);
        if (reserved_set(&s))
            return S(18);
        if (granularity_wrong(&s))
            return S(20);
        const u32 data = n == VCPU_SEG_CS || n == VCPU_SEG_SS ? 0 : check_data(k, &s);
        if (data)
            return data;
    }
    return 0;
}

static u32 check_system(const struct vmx_check *k, const struct segment *all)
{
    const struct segment tr = all[VCPU_SEG_TR], ldtr = all[VCPU_SEG_LDTR];
    const bool tr_type = tr.type == 11 || (tr.type == 3 && !k->ia32e);
    if (!tr.usable || !tr_type || (tr.access & 0x10) || !(tr.access & 0x80) || reserved_set(&tr) || granularity_wrong(&tr))
        return S(21);
    if (ldtr.usable && (ldtr.type != 2 || (ldtr.access & 0x10) || !(ldtr.access & 0x80) || reserved_set(&ldtr) ||
                        granularity_wrong(&ldtr)))
        return S(22);
    if (!vmx_canonical(vmx_get(k, VMCS_GUEST_GDTR_BASE)) || !vmx_canonical(vmx_get(k, VMCS_GUEST_IDTR_BASE)))
        return S(23);
    return (vmx_get(k, VMCS_GUEST_GDTR_LIMIT) | vmx_get(k, VMCS_GUEST_IDTR_LIMIT)) >> 16 ? S(24) : 0;
}

u32 vmx_check_segments(const struct vmx_check *k)
{
    struct segment all[VCPU_SEG_COUNT];
    for (u32 n = 0; n < VCPU_SEG_COUNT; n++)
        all[n] = segment_of(k, n);
    u32 id = check_selectors(k, all);
    if (!id)
        id = check_v86(k, all);
    if (!id)
        id = check_bases(k, all);
    /* In virtual-8086 mode the rules above fix every attribute. */
    if (!id && !k->v86)
        id = check_attributes(k, all);
    if (!id && !k->v86)
        id = check_code(k, all);
    if (!id && !k->v86)
        id = check_stack(k, all);
    return id ? id : check_system(k, all);
}
