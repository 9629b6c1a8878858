/* SPDX-License-Identifier: BSD-2-Clause */
/* Cases for the checks on segments and descriptor tables: S. */
#include "vmx_cases.h"

#define F(n, h, v)        { VMCS_##n, h, v }
#define AR(s, h, v)       { VMCS_GUEST_##s##_AR, h, v }
#define ONE(n, base, ...) { 'S', n, base, HASWELL, {}, { __VA_ARGS__ }, 0 }
#define SIX(X)            X(ES), X(CS), X(SS), X(DS), X(FS), X(GS)
#define FOUR(X)           X(ES), X(DS), X(FS), X(GS)
#define LDTR              AR(LDTR, SET, 0x82), F(GUEST_LDTR_LIMIT, SET, 0xfff)
#define LDTR_CASE(n, ...) { 'S', n, BASE_LONG, HASWELL, { LDTR }, { __VA_ARGS__ }, 0 }

#define V86_BASE(s)     ONE(4, BASE_V86, F(GUEST_##s##_BASE, OR, 0x10))
#define V86_LIMIT(s)    ONE(5, BASE_V86, F(GUEST_##s##_LIMIT, SET, 0xfffff))
#define V86_ACCESS(s)   ONE(6, BASE_V86, AR(s, SET, 0x93))
#define SYSTEM(s)       ONE(13, BASE_LONG, AR(s, CLR, 0x10))
#define NOT_PRESENT(s)  ONE(17, BASE_LONG, AR(s, CLR, 0x80))
#define RESERVED_LOW(s) ONE(18, BASE_LONG, AR(s, OR, 0x100))
#define RESERVED_HIGH(s) ONE(18, BASE_LONG, AR(s, OR, bit(17)))
#define TOO_FINE(s)     ONE(20, BASE_LONG, AR(s, CLR, 0x8000))
#define TOO_COARSE(s)   ONE(20, BASE_LONG, F(GUEST_##s##_LIMIT, CLR, 1))
#define NOT_ACCESSED(s) ONE(11, BASE_LONG, AR(s, CLR, 1))
#define NOT_READABLE(s) ONE(12, BASE_LONG, AR(s, SET, 0xc099))
#define RPL_ABOVE(s)    ONE(16, BASE_PAE, F(GUEST_##s##_SEL, OR, 3))

const struct check_case vmx_cases_segments[] = {
    ONE(1, BASE_LONG, F(GUEST_TR_SEL, OR, 4)),
    LDTR_CASE(2, F(GUEST_LDTR_SEL, OR, 4)),
    ONE(3, BASE_PAE, F(GUEST_CS_SEL, OR, 1)),
    SIX(V86_BASE), SIX(V86_LIMIT), SIX(V86_ACCESS),
    ONE(7, BASE_LONG, F(GUEST_TR_BASE, SET, BAD_ADDRESS)),
    ONE(7, BASE_LONG, F(GUEST_FS_BASE, SET, BAD_ADDRESS)),
    ONE(7, BASE_LONG, F(GUEST_GS_BASE, SET, BAD_ADDRESS)),
    LDTR_CASE(7, F(GUEST_LDTR_BASE, SET, BAD_ADDRESS)),
    ONE(8, BASE_LONG, F(GUEST_CS_BASE, SET, bit(32))),
    ONE(8, BASE_LONG, F(GUEST_SS_BASE, SET, bit(32))),
    ONE(8, BASE_LONG, F(GUEST_DS_BASE, SET, bit(32))),
    ONE(8, BASE_LONG, F(GUEST_ES_BASE, SET, bit(32))),
    ONE(9, BASE_LONG, AR(CS, SET, 0xa091)),
    ONE(9, BASE_PAE, AR(CS, SET, 0xc093)),
    ONE(10, BASE_LONG, AR(SS, SET, 0xc09b)),
    FOUR(NOT_ACCESSED), FOUR(NOT_READABLE), SIX(SYSTEM),
    ONE(14, BASE_REAL, AR(CS, SET, 0xf3)),                 /* type 3 with DPL 3 */
    ONE(14, BASE_LONG, AR(CS, OR, 0x60)),                  /* non-conforming, DPL above that of SS */
    ONE(14, BASE_LONG, AR(CS, SET, 0xa0ff)),               /* conforming, likewise */
    { 'S', 15, BASE_PAE, HASWELL, { AR(CS, SET, 0xc09f) }, { AR(SS, OR, 0x60) }, 0 },
    { 'S', 15, BASE_REAL, HASWELL, { AR(CS, SET, 0x9f) }, { AR(SS, OR, 0x60) }, 0 },
    FOUR(RPL_ABOVE), SIX(NOT_PRESENT), SIX(RESERVED_LOW), SIX(RESERVED_HIGH),
    ONE(19, BASE_LONG, AR(CS, OR, 0x4000)),
    SIX(TOO_FINE), SIX(TOO_COARSE),
    ONE(21, BASE_LONG, AR(TR, SET, 0x83)),                 /* a 16-bit TSS in IA-32e mode */
    ONE(21, BASE_LONG, AR(TR, SET, 0x89)),                 /* not busy */
    ONE(21, BASE_LONG, AR(TR, OR, 0x10)),
    ONE(21, BASE_LONG, AR(TR, CLR, 0x80)),
    ONE(21, BASE_LONG, AR(TR, OR, 0x400)),
    ONE(21, BASE_LONG, AR(TR, OR, 0x8000)),
    ONE(21, BASE_LONG, AR(TR, OR, VCPU_SEG_UNUSABLE)),
    LDTR_CASE(22, AR(LDTR, SET, 0x83)),
    LDTR_CASE(22, AR(LDTR, OR, 0x10)),
    LDTR_CASE(22, AR(LDTR, CLR, 0x80)),
    LDTR_CASE(22, AR(LDTR, OR, 0x200)),
    LDTR_CASE(22, F(GUEST_LDTR_LIMIT, SET, 0x1ffffe), AR(LDTR, OR, 0x8000)),
    ONE(23, BASE_LONG, F(GUEST_GDTR_BASE, SET, BAD_ADDRESS)),
    ONE(23, BASE_LONG, F(GUEST_IDTR_BASE, SET, BAD_ADDRESS)),
    ONE(24, BASE_LONG, F(GUEST_GDTR_LIMIT, SET, 0x10000)),
    ONE(24, BASE_LONG, F(GUEST_IDTR_LIMIT, SET, 0x10000)),
};
CASES_END(vmx_cases_segments);
