/* SPDX-License-Identifier: BSD-2-Clause */
/* A page that only one CPU can translate to, mapped and taken back without a flush: may the CPU use it still? Tables and frame of each CPU stand
 * apart from what the kernel uses. */
#pragma once
#include "machine_model.h"
#include "translations.h"

#define TLB_TABLE(n, level) (0xe40000ul + (n) * 0x10000 + (level) * PAGE_SIZE)
#define TLB_FRAME(n)        TLB_TABLE(n, 4)

static inline void tlb_poke(struct sim *s, u64 phys, u64 value)
{
    u64 *word = sim_phys(s, phys, 8);
    translations_wrote(s, word, *word, value);
    *word = value;
}

static inline void tlb_cache(struct sim *s, u32 n)
{
    struct sim_cpu *cpu = &s->cpu[n];
    if (cpu->cr3 == s->boot_root) {
        cpu->cr3 = TLB_TABLE(n, 3);
        translations_drop_host(cpu, false);
    }
    tlb_poke(s, cpu->cr3 & ~PAGE_MASK, TLB_TABLE(n, 2) | 7);
    for (u32 level = 2; level; level--)
        tlb_poke(s, TLB_TABLE(n, level), TLB_TABLE(n, level - 1) | 7);
    tlb_poke(s, TLB_TABLE(n, 0), TLB_FRAME(n) | 7);
    tlb_poke(s, TLB_TABLE(n, 0), 0);
}

static inline bool tlb_cached(struct sim *s, u32 n)
{
    u32 cpu;
    u64 address;
    return translations_reach(s, TLB_FRAME(n), PAGE_SIZE, RIGHT_R, &cpu, &address);
}
