/* SPDX-License-Identifier: BSD-2-Clause */
/* Caches of translations: see translations.h. What it does not find: a missing invalidation whose entry was replaced, or never made because
 * no access used it. */
#include <string.h>
#include "arch/vmx.h"
#include "arch/x86.h"
#include "memory.h"
#include "translations.h"
#include "virt_model.h"

static bool tlb_same_tag(const struct tlb_entry *e, const struct tlb_entry *key)
{
    if (e->kind != key->kind)
        return false;
    if (e->kind == TLB_NPT)
        return e->tag == key->tag;   /* tagged by ASID alone (APM 2 15.16) */
    return e->root == key->root || e->global;
}

static bool tlb_same_result(const struct tlb_entry *a, const struct tlb_entry *b)
{
    return b->kind != TLB_EMPTY && a->frame == b->frame && a->rights == b->rights && a->user == b->user && a->dirty == b->dirty;
}

void translations_add(struct sim_cpu *cpu, const struct tlb_entry *e)
{
    struct tlb *t = &cpu->tlb;
    const u32 set = (u32)e->page % TLB_SETS;
    for (u32 i = 0; i < TLB_WAYS; i++)
        if (tlb_same_tag(&t->way[set][i], e) && t->way[set][i].page == e->page && tlb_same_result(&t->way[set][i], e))
            return;
    t->way[set][t->next[set]] = *e;
    t->next[set] = (t->next[set] + 1) % TLB_WAYS;
}

const struct tlb_entry *translations_choose(struct sim_cpu *cpu, const struct tlb_entry *key, const struct tlb_entry *fresh)
{
    const struct tlb_entry *found[TLB_WAYS];
    u32 count = 0;
    if (!cpu->sim->config.chooser)
        return NULL;
    const u32 set = (u32)key->page % TLB_SETS;
    for (u32 i = 0; i < TLB_WAYS; i++) {
        const struct tlb_entry *e = &cpu->tlb.way[set][i];
        if (tlb_same_tag(e, key) && e->page == key->page && !tlb_same_result(e, fresh))
            found[count++] = e;
    }
    const u32 answer = choice(count + 1, CHOICE_TRANSLATION);
    return answer ? found[answer - 1] : NULL;
}

static void tlb_drop(struct tlb_entry *e)
{
    e->kind = TLB_EMPTY;
}

void translations_drop_page(struct sim_cpu *cpu, const struct tlb_entry *key)
{
    struct tlb_entry *e = cpu->tlb.way[0];
    for (u32 i = 0; i < TLB_SETS * TLB_WAYS; i++, e++)
        if (tlb_same_tag(e, key) && e->page >> 9 * e->level == key->page >> 9 * e->level)
            tlb_drop(e);
}

void translations_drop_host(struct sim_cpu *cpu, bool globals)
{
    struct tlb_entry *e = cpu->tlb.way[0];
    for (u32 i = 0; i < TLB_SETS * TLB_WAYS; i++, e++)
        if (e->kind == TLB_HOST && (globals || !e->global))
            tlb_drop(e);
    sim_tlb_flush_engine(cpu);
}

void sim_tlb_flush_ept(struct sim_cpu *cpu, bool all, u64 eptp)
{
    struct tlb_entry *e = cpu->tlb.way[0];
    for (u32 i = 0; i < TLB_SETS * TLB_WAYS; i++, e++)
        if (e->kind == TLB_EPT && (all || e->root == (eptp & PTE_PHYS_MASK)))
            tlb_drop(e);
    sim_tlb_flush_engine(cpu);
}

void sim_tlb_flush_npt(struct sim_cpu *cpu, bool all, u32 asid)
{
    struct tlb_entry *e = cpu->tlb.way[0];
    for (u32 i = 0; i < TLB_SETS * TLB_WAYS; i++, e++)
        if (e->kind == TLB_NPT && (all || e->tag == asid))
            tlb_drop(e);
    sim_tlb_flush_engine(cpu);
}

void sim_tlb_flush_engine(struct sim_cpu *cpu)
{
    struct engine *user = cpu->sim->config.user, *guest = cpu->sim->config.guest;
    if (user && user->flush)
        user->flush(user, cpu);
    if (guest && guest != user && guest->flush)
        guest->flush(guest, cpu);
}

static bool within(u64 address, u64 phys, u64 bytes)
{
    return address >= align_down(phys, PAGE_SIZE) && address < phys + bytes;
}

static void tlb_judge(const struct sim_cpu *cpu, const struct tlb_entry *e, u64 phys, u64 bytes)
{
    if (e->kind != TLB_HOST || (e->root != (cpu->cr3 & PTE_PHYS_MASK) && !e->global))
        return;
    if (within(e->frame << PAGE_BITS, phys, bytes))
        sim_broken(RULE_TLB_FREED, "freed 0x%lx: CPU %u may still translate 0x%lx to it; an INVLPG or CR3 write is missing", phys, cpu->id,
                   e->page << PAGE_BITS);
    for (u32 i = 0; i < 4; i++)
        if (e->table[i] && within(e->table[i], phys, bytes))
            sim_broken(RULE_TLB_TABLE, "freed 0x%lx: CPU %u may still walk through this table for 0x%lx; an invalidation is missing", phys, cpu->id,
                       e->page << PAGE_BITS);
}

void translations_freed(struct sim *s, u64 phys, u64 bytes)
{
    for (u32 c = 0; c < s->cpu_count; c++) {
        const struct sim_cpu *cpu = &s->cpu[c];
        if (cpu->state == CPU_OFF)
            continue;
        if (within(cpu->cr3 & PTE_PHYS_MASK, phys, bytes))
            sim_broken(RULE_TLB_ROOT, "freed 0x%lx: it is the top-level table that CPU %u has loaded", phys, cpu->id);
        const struct tlb_entry *e = cpu->tlb.way[0];
        for (u32 i = 0; i < TLB_SETS * TLB_WAYS; i++, e++)
            tlb_judge(cpu, e, phys, bytes);
    }
}
