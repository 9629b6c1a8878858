/* SPDX-License-Identifier: BSD-2-Clause */
/* The MMU: four-level paging over the kernel's real tables with the CPU's CR0, CR4 and EFER (Intel SDM 3A 4.5 to 4.8). The kernel itself
 * does not run through it: its accesses are the process's own. Not modelled: PCIDs, protection keys, SMAP's AC override. */
#include "arch/x86.h"
#include "memory.h"
#include "translations.h"
#include "virt_model.h"
#include "walk.h"

struct mmu_access {
    u64 address;
    u32 access;      /* RIGHT_* */
    bool user;
};

static bool mmu_canonical(u64 address)
{
    return (u64)((s64)(address << 16) >> 16) == address;
}

/* Reserved bits of a present word (SDM 3A tables 4-15 to 4-20). */
static bool mmu_reserved(const struct sim_cpu *cpu, u64 word, u32 level)
{
    if (word & PTE_PHYS_MASK & ~((1ul << SIM_PHYS_BITS) - 1) || (word & PTE_NX && !(cpu->efer & EFER_NXE)))
        return true;
    if (level == 0 || !(word & PTE_PS))
        return false;
    if (level == 3 || (level == 2 && !cpu->sim->profile.page_1g))
        return true;
    return word & PTE_PHYS_MASK & ((PAGE_SIZE << 9 * level) - 1) & ~0x1000ul;   /* bit 12 of a large leaf is PAT */
}

/* The words, and in *e what they grant. False: not present, or a reserved bit; *error. */
static bool mmu_walk(struct sim_cpu *cpu, u64 address, struct walk *w, struct tlb_entry *e, u32 *error)
{
    u64 table = cpu->cr3;
    bool writable = true, user = true, execute = true;
    w->count = 0;
    for (u32 level = WALK_LEVELS; level-- > 0;) {
        const u64 word = walk_read(cpu->sim, w, table, address, level);
        e->table[w->count - 1] = table & PTE_PHYS_MASK;
        if (!(word & PTE_P))
            return *error = 0, false;
        if (mmu_reserved(cpu, word, level))
            return *error = PF_PRESENT | PF_RESERVED, false;
        writable = writable && word & PTE_W;
        user = user && word & PTE_U;
        execute = execute && !(word & PTE_NX);
        table = word;
        if (level && word & PTE_PS)
            break;
    }
    const u64 leaf = w->word[w->count - 1];
    e->level = w->level;
    e->frame = walk_phys(w, address) >> PAGE_BITS;
    e->rights = RIGHT_R | (writable ? RIGHT_W : 0) | (execute ? RIGHT_X : 0);
    e->user = user;
    e->global = leaf & PTE_G && cpu->cr4 & CR4_PGE;
    e->dirty = leaf & PTE_D;
    return true;
}

/* Does a translation permit the access? (SDM 3A 4.6.1) */
static bool mmu_permits(const struct sim_cpu *cpu, const struct tlb_entry *e, const struct mmu_access *a)
{
    if (a->user && !e->user)
        return false;
    if (a->access & RIGHT_X && (!(e->rights & RIGHT_X) || (!a->user && e->user && cpu->cr4 & CR4_SMEP)))
        return false;
    if (a->access & RIGHT_W && !(e->rights & RIGHT_W))
        return !a->user && !(cpu->cr0 & CR0_WP);
    return true;
}

static bool mmu_fault(struct sim_cpu *cpu, const struct mmu_access *a, u32 error, struct sim_fault *fault)
{
    if (a->access & RIGHT_X && (cpu->efer & EFER_NXE || cpu->cr4 & CR4_SMEP))
        error |= PF_FETCH;
    error |= (a->access & RIGHT_W ? PF_WRITE : 0) | (a->user ? PF_USER : 0);
    *fault = (struct sim_fault){ VECTOR_PF, error, a->address };
    const struct tlb_entry key = { .kind = TLB_HOST, .root = cpu->cr3 & PTE_PHYS_MASK, .page = a->address >> PAGE_BITS };
    translations_drop_page(cpu, &key);   /* SDM 3A 4.10.4.1 */
    return false;
}

static bool mmu_use(struct sim_cpu *cpu, const struct tlb_entry *e, const struct mmu_access *a, struct sim_translation *out)
{
    const bool may_write = e->dirty && (e->rights & RIGHT_W || (!a->user && !(cpu->cr0 & CR0_WP)));
    out->phys = e->frame << PAGE_BITS | (a->address & PAGE_MASK);
    out->rights = (e->rights & (RIGHT_R | RIGHT_X)) | (may_write ? RIGHT_W : 0);
    out->level = e->level;
    if (memory_state(cpu->sim, out->phys) == MEM_FREE)
        sim_broken(RULE_TLB_FREED, "CPU %u: 0x%lx translates to 0x%lx, which is freed kernel memory", cpu->id, a->address, out->phys);
    return true;
}

/* One attempt: 1 done, 0 fault, -1 a word changed under the walk. */
static int mmu_try(struct sim_cpu *cpu, const struct mmu_access *a, struct sim_translation *out, struct sim_fault *fault)
{
    struct walk w;
    u32 error = 0;
    struct tlb_entry fresh = { .kind = TLB_HOST, .root = cpu->cr3 & PTE_PHYS_MASK, .page = a->address >> PAGE_BITS };
    const struct tlb_entry key = fresh;
    const bool present = mmu_walk(cpu, a->address, &w, &fresh, &error);
    if (!present)
        fresh.kind = TLB_EMPTY;
    const struct tlb_entry *cached = translations_choose(cpu, &key, &fresh);
    if (cached && (cached->dirty || !(a->access & RIGHT_W) || !mmu_permits(cpu, cached, a))) {
        if (mmu_permits(cpu, cached, a))
            return mmu_use(cpu, cached, a, out);
        return mmu_fault(cpu, a, PF_PRESENT, fault);
    }
    if (!present)
        return mmu_fault(cpu, a, error, fault);
    if (!mmu_permits(cpu, &fresh, a))
        return mmu_fault(cpu, a, PF_PRESENT, fault);
    if (!walk_mark(cpu, &w, PTE_A, a->access & RIGHT_W ? PTE_D : 0))
        return -1;
    fresh.dirty = fresh.dirty || a->access & RIGHT_W;
    translations_add(cpu, &fresh);
    return mmu_use(cpu, &fresh, a, out);
}

bool sim_translate(struct sim_cpu *cpu, u64 address, u32 access, bool user, struct sim_translation *out, struct sim_fault *fault)
{
    const struct mmu_access a = { address, access, user };
    if (!mmu_canonical(address)) {
        *fault = (struct sim_fault){ VECTOR_GP, 0, 0 };
        return false;
    }
    for (u32 i = 0; i < WALK_RETRIES; i++) {
        const int result = mmu_try(cpu, &a, out, fault);
        if (result >= 0)
            return result;
    }
    sim_broken(RULE_MACHINE_WALK, "page walk for 0x%lx: a table word changed %u times under it", address, WALK_RETRIES);
}
