/* SPDX-License-Identifier: BSD-2-Clause */
/* One case: a good state that one change breaks, and the id of the check that must say so. */
#pragma once
#include "virt_fixture.h"

enum { SET = 1, OR, CLR };   /* 0 ends a list */
struct check_op {
    u32 field;      /* a VMCS field or one of these: */
#define F_CPU_EFER   0xe001u
#define F_APIC_BASE  0xe003u
#define F_RAM        0x80000000u   /* | address: eight bytes of RAM */
#define F_CAP(msr)   (0xd001u + 2 * ((msr)-MSR_VMX_BASIC))   /* of the private profile */
    u8 how;
    u64 value;
};
enum case_profile { HASWELL, WIDE, PRIVATE };   /* PRIVATE: a copy of WIDE that the case may change */
#define OPS_MAX 8u
struct check_case {
    char letter;
    u8 number, base, profile;
    struct check_op need[OPS_MAX], broken[OPS_MAX];
    u32 qualification;
};
extern const struct check_case vmx_cases_controls[], vmx_cases_host[], vmx_cases_guest[], vmx_cases_segments[], vmx_cases_state[],
        vmx_cases_good[];
extern const size_t vmx_cases_controls_count, vmx_cases_host_count, vmx_cases_guest_count, vmx_cases_segments_count, vmx_cases_state_count,
        vmx_cases_good_count;
#define CASES_END(name) const size_t name##_count = array_size(name)
#define BAD_ADDRESS bit(50)   /* not canonical, and above MAXPHYADDR */
#define INTERRUPT(v) (VMX_INTR_VALID | (v))
#define NMI          (VMX_INTR_VALID | VMX_EVENT_NMI << 8 | VECTOR_NMI)
#define EXCEPTION(v) (VMX_INTR_VALID | VMX_EVENT_EXCEPTION << 8 | (v))
