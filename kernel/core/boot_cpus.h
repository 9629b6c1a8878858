/* SPDX-License-Identifier: BSD-2-Clause */
/* From the machine's hands to a running kernel: memory, CPUs, root. */
#pragma once
#include "range.h"

struct cpu;
struct kern;

#define BOOT_POOL_MIN  (4ul << 20)    /* bytes of kernel memory */
#define BOOT_POOL_MAX  (64ul << 20)
#define BOOT_LOW_END   (1ul << 20)    /* below it firmware keeps things that no map tells */
#define BOOT_WAIT_MS   1000u

/* Each returns the struct cpu of the CPU it runs on, ready for traps. What makes no sense ends in mach_panic. */
struct cpu *boot_bsp(u32 magic, u64 info);
struct cpu *boot_ap(void);
/* Boot CPU, after each interrupt until root runs: all CPUs here, or waited long enough? Then root is started. */
void boot_continue(struct cpu *cpu);

/* The steps of boot_bsp, for unit tests too. */
void boot_memory_free(const struct boot_info *boot, struct ranges *r);   /* usable memory less what somebody keeps */
u64 boot_pool_take(struct ranges *r, u64 *bytes);   /* where the kernel's memory lies */
struct kern *boot_kern_make(const struct boot_info *boot, const struct ranges *user, u64 pool, u64 bytes);   /* with a struct cpu per CPU; mach_kern is set */
void boot_cpu_start(struct cpu *cpu);   /* on that CPU: from then on it takes requests */
