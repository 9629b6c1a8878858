/* SPDX-License-Identifier: BSD-2-Clause */
/* Nested walks: guest-physical to physical through EPT (Intel SDM 3C 29.3) or NPT (AMD APM 2 15.25). Results are cached with the tag the
 * vendor gives them: EPT by the EPTP, NPT by the ASID. */
#include "arch/x86.h"
#include "memory.h"
#include "translations.h"
#include "walk.h"

#define EPT_A       0x100ul
#define EPT_D       0x200ul
#define EPT_LARGE   0x080ul
#define EPTP_USE_AD 0x040ul

struct nested_access {
    const struct sim_nested *n;
    u64 gpa;
    u32 access;
};

/* EPT misconfigurations (SDM 3C 29.3.3.1); execute-only is supported. */
static bool ept_misconfigured(u64 word, u32 level)
{
    const bool leaf = level == 0 || word & EPT_LARGE;
    const u32 type = (u32)(word >> 3 & 7);
    if ((word & 3) == 2 || word & PTE_PHYS_MASK & ~((1ul << SIM_PHYS_BITS) - 1))
        return true;
    if (!leaf)
        return word & 0x78;
    if (level == 3 || type == 2 || type == 3 || type == 7)
        return true;
    return level && word & PTE_PHYS_MASK & ((PAGE_SIZE << 9 * level) - 1);
}

static enum sim_nested_result ept_walk(struct sim *s, const struct nested_access *a, struct walk *w, struct tlb_entry *e)
{
    u64 table = a->n->root;
    e->rights = RIGHT_MEMORY;
    for (u32 level = WALK_LEVELS; level-- > 0;) {
        const u64 word = walk_read(s, w, table, a->gpa, level);
        e->table[w->count - 1] = table & PTE_PHYS_MASK;
        e->rights &= (word & 1 ? RIGHT_R : 0) | (word & 2 ? RIGHT_W : 0) | (word & 4 ? RIGHT_X : 0);
        if (!(word & 7))
            return SIM_NESTED_VIOLATION;
        if (ept_misconfigured(word, level))
            return SIM_NESTED_MISCONFIG;
        table = word;
        if (level && word & EPT_LARGE)
            break;
    }
    e->dirty = w->word[w->count - 1] & EPT_D || !(a->n->root & EPTP_USE_AD);
    return SIM_NESTED_OK;
}

static bool npt_reserved(const struct nested_access *a, u64 word, u32 level)
{
    if (word & PTE_PHYS_MASK & ~((1ul << SIM_PHYS_BITS) - 1) || (word & PTE_NX && !a->n->nxe))
        return true;
    if (level == 0 || !(word & PTE_PS))
        return false;
    return level == 3 || word & PTE_PHYS_MASK & ((PAGE_SIZE << 9 * level) - 1) & ~0x1000ul;
}

/* Nested accesses count as user accesses (APM 2 15.25.5). */
static enum sim_nested_result npt_walk(struct sim *s, const struct nested_access *a, struct walk *w, struct tlb_entry *e)
{
    u64 table = a->n->root;
    e->rights = RIGHT_MEMORY;
    for (u32 level = WALK_LEVELS; level-- > 0;) {
        const u64 word = walk_read(s, w, table, a->gpa, level);
        e->table[w->count - 1] = table & PTE_PHYS_MASK;
        if (!(word & PTE_P)) {
            e->rights = 0;
            return SIM_NESTED_VIOLATION;
        }
        if (npt_reserved(a, word, level))
            return SIM_NESTED_MISCONFIG;
        if (!(word & PTE_U))
            e->rights = 0;
        e->rights &= RIGHT_R | (word & PTE_W ? RIGHT_W : 0) | (word & PTE_NX ? 0 : RIGHT_X);
        table = word;
        if (level && word & PTE_PS)
            break;
    }
    e->dirty = w->word[w->count - 1] & PTE_D;
    return SIM_NESTED_OK;
}

static enum sim_nested_result nested_fail(struct sim_cpu *cpu, const struct nested_access *a, const struct tlb_entry *e, bool present,
                                          enum sim_nested_result result, struct sim_nested_fault *fault)
{
    fault->present = e->rights;
    fault->error = (present ? PF_PRESENT : 0) | (a->access & RIGHT_W ? PF_WRITE : 0) | PF_USER |
                   (result == SIM_NESTED_MISCONFIG ? PF_RESERVED | PF_PRESENT : 0) | (a->access & RIGHT_X ? PF_FETCH : 0);
    translations_drop_page(cpu, e);   /* SDM 3C 29.4.3.1 */
    return result;
}

static enum sim_nested_result nested_use(struct sim_cpu *cpu, const struct nested_access *a, const struct tlb_entry *e,
                                         struct sim_translation *out)
{
    out->phys = e->frame << PAGE_BITS | (a->gpa & PAGE_MASK);
    out->rights = e->rights & (e->dirty ? RIGHT_MEMORY : RIGHT_R | RIGHT_X);
    out->level = e->level;
    if (memory_state(cpu->sim, out->phys) == MEM_FREE)
        sim_broken(RULE_TLB_FREED, "CPU %u: guest-physical 0x%lx translates to 0x%lx, which is freed kernel memory", cpu->id, a->gpa, out->phys);
    return SIM_NESTED_OK;
}

static bool nested_mark(struct sim_cpu *cpu, const struct nested_access *a, const struct walk *w)
{
    const bool write = a->access & RIGHT_W;
    if (a->n->format == SIM_NPT)
        return walk_mark(cpu, w, PTE_A, write ? PTE_D : 0);
    return !(a->n->root & EPTP_USE_AD) || walk_mark(cpu, w, EPT_A, write ? EPT_D : 0);
}

/* One attempt; *again: a word changed under the walk. */
static enum sim_nested_result nested_try(struct sim_cpu *cpu, const struct nested_access *a, struct sim_translation *out,
                                         struct sim_nested_fault *fault, bool *again)
{
    const bool ept = a->n->format == SIM_EPT;
    struct walk w = { 0 };
    struct tlb_entry fresh = { .kind = ept ? TLB_EPT : TLB_NPT, .tag = ept ? 0 : a->n->tag, .root = a->n->root & PTE_PHYS_MASK,
                               .page = a->gpa >> PAGE_BITS };
    struct tlb_entry key = fresh;
    enum sim_nested_result result = ept ? ept_walk(cpu->sim, a, &w, &fresh) : npt_walk(cpu->sim, a, &w, &fresh);
    fresh.level = w.level;
    fresh.frame = walk_phys(&w, a->gpa) >> PAGE_BITS;
    struct tlb_entry compare = fresh;
    if (result != SIM_NESTED_OK)
        compare.kind = TLB_EMPTY;
    *again = false;
    const struct tlb_entry *cached = translations_choose(cpu, &key, &compare);
    if (cached && (cached->dirty || !(a->access & RIGHT_W)) && !(a->access & ~cached->rights))
        return nested_use(cpu, a, cached, out);
    if (result != SIM_NESTED_OK)
        return nested_fail(cpu, a, &fresh, result == SIM_NESTED_MISCONFIG, result, fault);
    if (a->access & ~fresh.rights)
        return nested_fail(cpu, a, &fresh, true, SIM_NESTED_VIOLATION, fault);
    if (!nested_mark(cpu, a, &w)) {
        *again = true;
        return SIM_NESTED_OK;
    }
    fresh.dirty = fresh.dirty || a->access & RIGHT_W;
    translations_add(cpu, &fresh);
    return nested_use(cpu, a, &fresh, out);
}

enum sim_nested_result sim_nested_translate(struct sim_cpu *cpu, const struct sim_nested *n, u64 gpa, u32 access, bool table,
                                            struct sim_translation *out, struct sim_nested_fault *fault)
{
    /* With A and D on, EPT treats the guest's page walks as writes (SDM 3C 29.3.3.2); NPT always does (APM 2 15.25.5). */
    if (table && (n->format == SIM_NPT || n->root & EPTP_USE_AD))
        access |= RIGHT_W;
    const struct nested_access a = { n, gpa, access };
    if (gpa >> 48) {
        *fault = (struct sim_nested_fault){ .error = PF_USER };
        return SIM_NESTED_VIOLATION;
    }
    for (u32 i = 0; i < WALK_RETRIES; i++) {
        bool again;
        const enum sim_nested_result result = nested_try(cpu, &a, out, fault, &again);
        if (!again)
            return result;
    }
    sim_broken(RULE_MACHINE_WALK, "nested walk for 0x%lx: a table word changed %u times under it", gpa, WALK_RETRIES);
}
