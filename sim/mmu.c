/* SPDX-License-Identifier: BSD-2-Clause */
/* The MMU: four-level paging over the kernel's real tables with the CPU's CR0, CR4 and EFER (Intel SDM 3A 4.5 to 4.8). The kernel itself
 * does not run through it: its accesses are the process's own. Not modelled: PCIDs, protection keys, SMAP's AC override. */
#include "arch/x86.h"
#include "exposed.h"
#include "memory.h"
#include "translations.h"
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

/* Does a translation permit the access? (SDM 3A 4.6.1) */
static bool mmu_permits(const struct sim_cpu *cpu, const struct translation *e, const struct mmu_access *a)
{
    if (a->user && !e->user)
        return false;
    if (a->access & RIGHT_X && (!(e->rights & RIGHT_X) || (!a->user && e->user && cpu->cr4 & CR4_SMEP)))
        return false;
    if (a->access & RIGHT_W && !(e->rights & RIGHT_W))
        return !a->user && !(cpu->cr0 & CR0_WP);
    return true;
}

static bool mmu_fault(struct sim_cpu *cpu, const struct mmu_access *a, const struct walk *w, u32 error, struct sim_fault *fault)
{
    if (a->access & RIGHT_X && (cpu->efer & EFER_NXE || cpu->cr4 & CR4_SMEP))
        error |= PF_FETCH;
    error |= (a->access & RIGHT_W ? PF_WRITE : 0) | (a->user ? PF_USER : 0);
    *fault = (struct sim_fault){ VECTOR_PF, error, a->address };
    const struct walk_root root = walk_host(cpu);
    translations_fault(cpu, &root, w, a->address);   /* SDM 3A 4.10.4.1 */
    return false;
}

static bool mmu_use(struct sim_cpu *cpu, const struct translation *e, const struct mmu_access *a, struct sim_translation *out)
{
    const bool may_write = e->dirty && (e->rights & RIGHT_W || (!a->user && !(cpu->cr0 & CR0_WP)));
    out->phys = e->frame << PAGE_BITS | (a->address & PAGE_MASK);
    out->rights = (e->rights & (RIGHT_R | RIGHT_X)) | (may_write ? RIGHT_W : 0);
    out->level = e->level;
    if (memory_state(cpu->sim, out->phys) == MEM_FREE)
        sim_broken(RULE_TLB_FREED, "CPU %u: 0x%lx translates to 0x%lx, which is freed kernel memory", cpu->id, a->address, out->phys);
    if (a->user)
        exposed_user(cpu, out->phys, out->rights & RIGHT_W);
    return true;
}

/* Where nobody chooses, an access has one answer as long as the words that were walked, the registers, and whose memory it is have not changed:
 * whatever else a walk judges, it has judged then. */
static_assert(RIGHT_MEMORY < SIM_MEMOS, "accesses to one page have places of their own");

static struct sim_memo *memo_of(struct sim_cpu *cpu, const struct mmu_access *a)
{
    return &cpu->sim->memo[cpu->id * SIM_MEMOS + (a->address >> PAGE_BITS ^ a->access) % SIM_MEMOS];
}

/* What is asked; of two questions with one key and one place the access is the same. */
static u64 memo_key(const struct mmu_access *a)
{
    return a->address >> PAGE_BITS << 1 | a->user;
}

static bool memo_holds(const struct sim_cpu *cpu, const struct sim_memo *m, const struct mmu_access *a)
{
    if ((m->key ^ memo_key(a)) | (m->cr0 ^ cpu->cr0) | (m->cr3 ^ cpu->cr3) | (m->cr4 ^ cpu->cr4) | (m->efer ^ cpu->efer) |
        (m->states ^ cpu->sim->states))
        return false;
    for (u32 i = 0; i < m->words; i++)
        if (*m->slot[i] != m->word[i])
            return false;
    return m->words;
}

static void memo_keep(struct sim_cpu *cpu, const struct mmu_access *a, const struct walk *w, const struct sim_translation *answer)
{
    struct sim_memo *m = memo_of(cpu, a);
    *m = (struct sim_memo){ .key = memo_key(a), .cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4, .efer = cpu->efer,
                            .states = cpu->sim->states, .words = w->count, .answer = *answer };
    m->answer.phys &= ~PAGE_MASK;
    for (u32 i = 0; i < w->count; i++) {
        m->slot[i] = sim_phys(cpu->sim, w->slot[i], 8);
        m->word[i] = *m->slot[i];   /* with the A and D that the walk has set */
    }
}

/* One attempt: 1 done, 0 fault, -1 a word changed under the walk. */
static int mmu_try(struct sim_cpu *cpu, const struct mmu_access *a, struct sim_translation *out, struct sim_fault *fault)
{
    const struct walk_root root = walk_host(cpu);
    struct walk w;
    struct translation fresh, stale;
    translations_load(cpu, &root);
    const enum walk_word last = walk_now(cpu->sim, &root, a->address, &w, &fresh);
    const bool present = last == WALK_LEAF;
    if (translations_choose(cpu, &root, &w, a->address, present ? &fresh : NULL, &stale) &&
        (stale.dirty || !(a->access & RIGHT_W) || !mmu_permits(cpu, &stale, a))) {
        if (mmu_permits(cpu, &stale, a))
            return mmu_use(cpu, &stale, a, out);
        return mmu_fault(cpu, a, &w, PF_PRESENT, fault);
    }
    if (!present)
        return mmu_fault(cpu, a, &w, last == WALK_RESERVED ? PF_PRESENT | PF_RESERVED : 0, fault);
    if (!mmu_permits(cpu, &fresh, a))
        return mmu_fault(cpu, a, &w, PF_PRESENT, fault);
    if (!walk_mark(cpu, &root, &w, a->access & RIGHT_W))
        return -1;
    fresh.dirty = fresh.dirty || a->access & RIGHT_W;
    mmu_use(cpu, &fresh, a, out);
    if (cpu->sim->quiet)
        memo_keep(cpu, a, &w, out);
    return 1;
}

bool sim_translate(struct sim_cpu *cpu, u64 address, u32 access, bool user, struct sim_translation *out, struct sim_fault *fault)
{
    const struct mmu_access a = { address, access, user };
    const struct sim_memo *m = memo_of(cpu, &a);
    if (likely(cpu->sim->quiet) && memo_holds(cpu, m, &a)) {
        *out = m->answer;
        out->phys |= address & PAGE_MASK;
        return true;
    }
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
