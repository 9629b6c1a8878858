/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the members of each group stand in struct vcpu_state (each group is one range of bytes of page 0), which groups an exit always
 * brings, and the kernel's own checks: tables for kernel, VMM and trace tools. The image of group FPU in page 1 is not in its range. */
#pragma once
#include "abi/vcpu.h"

struct vcpu_group_range {
    u16 offset, bytes;   /* multiples of 8 */
};

#define VCPU_RANGE(first, last)                                                                                          \
    { offset_of(struct vcpu_state, first),                                                                               \
      offset_of(struct vcpu_state, last) + sizeof(((struct vcpu_state *)0)->last) - offset_of(struct vcpu_state, first) }
static const struct vcpu_group_range vcpu_group_range[] = {
    VCPU_RANGE(gpr, gpr),
    VCPU_RANGE(rip, rflags),
    VCPU_RANGE(seg, seg),
    VCPU_RANGE(gdtr, idtr),
    VCPU_RANGE(cr0, cr8),
    VCPU_RANGE(dr0, dr7),
    VCPU_RANGE(efer, pat),
    VCPU_RANGE(sysenter_cs, sysenter_eip),
    VCPU_RANGE(star, tsc_aux),
    VCPU_RANGE(tsc_offset, tsc_offset),
    VCPU_RANGE(xcr0, fpu_reserved),
    VCPU_RANGE(pdpte, pdpte),
    VCPU_RANGE(activity, pending_debug),
    VCPU_RANGE(inject, windows),
    VCPU_RANGE(exceptions, control_reserved),
};
#define VCPU_GROUP_COUNT array_size(vcpu_group_range)
static_assert(VCPU_GROUP_COUNT == 15 && VCPU_GROUP_ALL == (1u << 15) - 1, "a range for each group");

static const u32 vcpu_exit_groups[] = {
#define VCPU_EXIT_GROUPS_ROW(number, name, groups, text) (groups),
    VCPU_EXIT_LIST(VCPU_EXIT_GROUPS_ROW)
#undef VCPU_EXIT_GROUPS_ROW
};

/* Checks of the kernel's own, letter K, for values that no VMCS or VMCB field could hold or that only the kernel sees. All other ids are
 * those of the manuals' checks. Row: number, name, text. */
#define VCPU_CHECK_LIST(X)                                                                     \
    X(1, CR8, "CR8 above 15")                                                                  \
    X(2, XCR0, "XCR0 holds a bit this machine lacks, or not the bits it needs")                \
    X(3, FPU_IMAGE, "XRSTOR of the image would fault")                                         \
    X(4, CONTROL, "unknown control flag, or a reserved word is not 0")                         \
    X(5, WINDOW, "unknown window bit")                                                         \
    X(6, SYSENTER_CS, "SYSENTER_CS above 32 bits")                                             \
    X(7, ACTIVITY, "an activity but active, or an unknown interruptibility bit")               \
    X(8, INSN_LEN, "injected software event without an instruction length of 1 to 15 bytes")     \
    X(9, PENDING_DEBUG, "pending debug exceptions on SVM, which has no place for them")        \
    X(10, CR4, "CR4 turns on what is not switched between guests: see abi/vcpu.h")
enum vcpu_check {
#define VCPU_CHECK_ENUM(number, name, text) VCPU_CHECK_##name = VCPU_CHECK('K', number),
    VCPU_CHECK_LIST(VCPU_CHECK_ENUM)
#undef VCPU_CHECK_ENUM
};
