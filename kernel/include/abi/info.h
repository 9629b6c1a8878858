/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel tells the root program: one page, mapped read-only at INFO_PAGE in root's memory.
 * Root starts with RDI = INFO_PAGE and RSI = address of its UTCB (ROOT_UTCB). */
#pragma once
#include "base.h"

#define INFO_MAGIC   0x314959524552524ful   /* "ORRERYI1" */
#define INFO_VERSION 1u

/* Root's address space as the kernel builds it; all below USER_END. */
#define INFO_PAGE     0x0000700000000000ul
#define ROOT_UTCB     0x0000700000010000ul
#define ROOT_BUNDLE   0x0000710000000000ul   /* the boot bundle, read and execute, so that root can pass pages on */
#define ROOT_MEMORY   0x0000100000000000ul   /* user memory: physical address p appears at ROOT_MEMORY + p, rights RWX (entered RW) */

/* Root's first capabilities. */
#define ROOT_SEL_PD   1u
#define ROOT_SEL_EC   2u
#define ROOT_SEL_SC   3u
#define ROOT_SEL_FREE 64u   /* from here on all slots are empty; 32..63 are root's event base */
#define ROOT_SEL_EVENT 32u

#define INFO_RANGES 32u
#define INFO_VIRT_NONE 0u
#define INFO_VIRT_VMX  1u   /* VMX with EPT and unrestricted guest */
#define INFO_VIRT_SVM  2u   /* SVM with nested paging */

struct info {
    u64 magic;
    u32 version;
    u32 cpu_count;           /* CPUs online, numbered 0 .. cpu_count - 1 */
    u64 tsc_khz;
    u32 virt;                /* INFO_VIRT_* */
    u32 vcpu_capabilities;   /* groups, as in struct vcpu_state */
    u64 bundle_bytes;
    u64 root_quota_bytes;    /* kernel memory root may use */
    u32 range_count;
    u32 reserved;
    struct { u64 base, bytes; } range[INFO_RANGES];   /* user memory: physical base, page-aligned; see ROOT_MEMORY */
};
static_assert(sizeof(struct info) <= PAGE_SIZE, "one page");
