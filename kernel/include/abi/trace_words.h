/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of a vCPU as a trace knows it, and how changes of them are written: for the kernel's tracer and for whatever writes a trace.
 *
 *   0 .. 9    struct vcpu_exit, byte for byte
 *   10        pending
 *   11        low half: groups the VMM was given; high half: groups that this exit brought into the words
 *   12        low half: groups the VMM wrote (dirty); high half: groups it wants
 *   13, 14    instruction bytes, lowest address first, if the machine gives them; the last of the 16: how many
 *   16 ..     the groups of struct vcpu_state in the order of their bits, each as it stands there; the image of group FPU is not among them */
#pragma once
#include "abi/vcpu_groups.h"
#include "abi/trace.h"

/* Row: word, name. */
#define TRACE_WORD_LIST(X)                                                                                                            \
    X(0, reason_and_length) X(1, info0) X(2, info1) X(3, info2) X(4, info3) X(5, info4) X(6, info5) X(7, raw_reason) X(8, raw_info1)  \
    X(9, raw_info2) X(10, pending) X(11, valid_and_known) X(12, dirty_and_want) X(13, instruction0) X(14, instruction1) X(15, reserved) \
    X(16, rax) X(17, rcx) X(18, rdx) X(19, rbx) X(20, rsp) X(21, rbp) X(22, rsi) X(23, rdi) X(24, r8) X(25, r9) X(26, r10) X(27, r11)  \
    X(28, r12) X(29, r13) X(30, r14) X(31, r15) X(32, rip) X(33, rflags)                                                              \
    X(34, es_base) X(35, es_limit_and_attributes) X(36, es_selector) X(37, cs_base) X(38, cs_limit_and_attributes) X(39, cs_selector) \
    X(40, ss_base) X(41, ss_limit_and_attributes) X(42, ss_selector) X(43, ds_base) X(44, ds_limit_and_attributes) X(45, ds_selector) \
    X(46, fs_base) X(47, fs_limit_and_attributes) X(48, fs_selector) X(49, gs_base) X(50, gs_limit_and_attributes) X(51, gs_selector) \
    X(52, ldtr_base) X(53, ldtr_limit_and_attributes) X(54, ldtr_selector) X(55, tr_base) X(56, tr_limit_and_attributes)              \
    X(57, tr_selector) X(58, gdtr_base) X(59, gdtr_limit) X(60, idtr_base) X(61, idtr_limit)                                          \
    X(62, cr0) X(63, cr2) X(64, cr3) X(65, cr4) X(66, cr8) X(67, dr0) X(68, dr1) X(69, dr2) X(70, dr3) X(71, dr6) X(72, dr7)          \
    X(73, efer) X(74, pat) X(75, sysenter_cs) X(76, sysenter_esp) X(77, sysenter_eip)                                                 \
    X(78, star) X(79, lstar) X(80, cstar) X(81, fmask) X(82, kernel_gs) X(83, tsc_aux) X(84, tsc_offset) X(85, xcr0) X(86, fpu_bytes)  \
    X(87, pdpte0) X(88, pdpte1) X(89, pdpte2) X(90, pdpte3) X(91, activity_and_interruptibility) X(92, pending_debug)                 \
    X(93, inject) X(94, inject_length_and_windows) X(95, exceptions_and_flags) X(96, control_reserved0) X(97, control_reserved1)
enum trace_word {
#define TRACE_WORD_ENUM(number, name) TRACE_WORD_##name = number,
    TRACE_WORD_LIST(TRACE_WORD_ENUM)
#undef TRACE_WORD_ENUM
            TRACE_WORDS,
};
#define TRACE_WORD_STATE TRACE_WORD_rax   /* the first of the state's */

/* Groups an exit brings into the words beside those the VMM is given: without these a replay would not know the guest's mode and paging. */
#define TRACE_EXIT_GROUPS ((u32)(VCPU_GROUP_GPR | VCPU_GROUP_RIP | VCPU_GROUP_SEG | VCPU_GROUP_TABLE | VCPU_GROUP_CR | VCPU_GROUP_EFER | \
                                 VCPU_GROUP_PDPTE | VCPU_GROUP_ACTIVITY))
#define TRACE_GROUPS (VCPU_GROUP_ALL & ~(u32)VCPU_GROUP_FPU)   /* those a trace holds */

/* Largest event: every word, large. */
#define TRACE_EVENT_MAX (sizeof(struct trace_exit) + 2 + TRACE_WORDS * sizeof(struct trace_large))

static inline u32 trace_group_word(u32 group)
{
    u32 word = TRACE_WORD_STATE;
    for (u32 i = 0; i < group; i++)
        word += vcpu_group_range[i].bytes / 8u;
    return word;
}

/* One pass over words first .. first + count: what differs from `shadow` and fits the size goes to `out`, and into shadow. now[0] is word `first`.
 * Two passes make a DELTA, the small ones first. Returns the new end; *number grows by the words written. */
static inline u8 *trace_changes(u8 *out, u8 *number, bool large, u64 *shadow, const u64 *now, u32 first, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        const u64 value = now[i];
        if (value == shadow[first + i] || (value >> 32 != 0) != large)
            continue;
        shadow[first + i] = value;
        struct trace_large *const change = (struct trace_large *)out;   /* packed: no alignment is assumed */
        change->word = (u8)(first + i);
        if (large)
            change->value = value;
        else
            ((struct trace_small *)out)->value = (u32)value;
        out += large ? sizeof(struct trace_large) : sizeof(struct trace_small);
        ++*number;
    }
    return out;
}
