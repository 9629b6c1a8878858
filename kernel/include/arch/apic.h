/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of the local APIC (Intel SDM 3A 10.4, 10.12). Offsets are those of the xAPIC's page; in x2APIC mode register `offset` is
 * MSR 0x800 + (offset >> 4), the ICR is one 64-bit register and there is no delivery status. */
#pragma once
#include "base.h"

#define APIC_BASE_DEFAULT 0xfee00000ul
#define APIC_BASE_BSP     0x100ul   /* bits of MSR_APIC_BASE */
#define APIC_BASE_X2APIC  0x400ul
#define APIC_BASE_ENABLE  0x800ul
#define APIC_BASE_PHYS    0x000ffffffffff000ul

#define APIC_ID            0x020u   /* xAPIC: bits 31:24 */
#define APIC_VERSION       0x030u   /* bits 23:16: last LVT entry */
#define APIC_TPR           0x080u
#define APIC_PPR           0x0a0u
#define APIC_EOI           0x0b0u
#define APIC_LDR           0x0d0u
#define APIC_DFR           0x0e0u   /* xAPIC only */
#define APIC_SVR           0x0f0u
#define APIC_ISR           0x100u   /* 8 registers, 0x10 apart */
#define APIC_TMR           0x180u
#define APIC_IRR           0x200u
#define APIC_ESR           0x280u
#define APIC_LVT_CMCI      0x2f0u
#define APIC_ICR           0x300u
#define APIC_ICR_HIGH      0x310u   /* xAPIC only; destination in bits 31:24 */
#define APIC_LVT_TIMER     0x320u
#define APIC_LVT_THERMAL   0x330u
#define APIC_LVT_PERF      0x340u
#define APIC_LVT_LINT0     0x350u
#define APIC_LVT_LINT1     0x360u
#define APIC_LVT_ERROR     0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE  0x3e0u
#define APIC_SELF_IPI      0x3f0u   /* x2APIC only */
#define APIC_BYTES         0x400u

#define APIC_SVR_ENABLE         0x100u
#define APIC_LVT_MASKED         0x10000u
#define APIC_LVT_TIMER_ONESHOT  0x00000u
#define APIC_LVT_TIMER_PERIODIC 0x20000u
#define APIC_LVT_TIMER_DEADLINE 0x40000u
#define APIC_TIMER_DIVIDE_1     0xbu

#define APIC_ICR_FIXED   0x00000u
#define APIC_ICR_NMI     0x00400u
#define APIC_ICR_INIT    0x00500u
#define APIC_ICR_STARTUP 0x00600u
#define APIC_ICR_MODE    0x00700u   /* which of these */
#define APIC_ICR_PENDING 0x01000u   /* delivery status; xAPIC only */
#define APIC_ICR_ASSERT  0x04000u

#define APIC_XAPIC_IDS 255u         /* 255 is broadcast: an xAPIC reaches ids below it */
