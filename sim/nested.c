/* SPDX-License-Identifier: BSD-2-Clause */
/* Nested walks: guest-physical to physical through EPT (Intel SDM 3C 29.3) or NPT (AMD APM 2 15.25). What may be cached is
 * tagged as the vendor does: EPT by the EPTP, NPT by the ASID. */
#include "arch/x86.h"
#include "memory.h"
#include "translations.h"
#include "walk.h"

struct nested_access {
    const struct sim_nested *n;
    u64 gpa;
    u32 access;
};

static struct walk_root nested_root(const struct sim_nested *n)
{
    const bool ept = n->format == SIM_EPT;
    return (struct walk_root){ .kind = ept ? WALK_EPT : WALK_NPT, .tag = ept ? n->root & PTE_PHYS_MASK : n->tag, .root = n->root, .nxe = n->nxe,
                               .page_1g = true };
}

/* A fault at a word of this kind, a leaf: a right is missing; rights: what the words read grant. */
static enum sim_nested_result nested_fail(const struct nested_access *a, enum walk_word last, u32 rights, struct sim_nested_fault *fault)
{
    const bool reserved = last == WALK_RESERVED;
    fault->present = rights;
    fault->error = (last == WALK_ABSENT ? 0 : PF_PRESENT) | (a->access & RIGHT_W ? PF_WRITE : 0) | PF_USER | (reserved ? PF_RESERVED : 0) |
                   (a->access & RIGHT_X ? PF_FETCH : 0);
    return reserved ? SIM_NESTED_MISCONFIG : SIM_NESTED_VIOLATION;
}

static enum sim_nested_result nested_use(struct sim_cpu *cpu, const struct nested_access *a, const struct translation *e,
                                         struct sim_translation *out)
{
    out->phys = e->frame << PAGE_BITS | (a->gpa & PAGE_MASK);
    out->rights = e->rights & (e->dirty ? RIGHT_MEMORY : RIGHT_R | RIGHT_X);
    out->level = e->level;
    if (memory_state(cpu->sim, out->phys) == MEM_FREE)
        sim_broken(RULE_TLB_FREED, "CPU %u: guest-physical 0x%lx translates to 0x%lx, which is freed kernel memory", cpu->id, a->gpa, out->phys);
    return SIM_NESTED_OK;
}

/* One attempt; *again: a word changed under the walk. */
static enum sim_nested_result nested_try(struct sim_cpu *cpu, const struct nested_access *a, struct sim_translation *out,
                                         struct sim_nested_fault *fault, bool *again)
{
    const struct walk_root root = nested_root(a->n);
    struct walk w;
    struct translation fresh, stale;
    *again = false;
    translations_load(cpu, &root);
    const enum walk_word last = walk_now(cpu->sim, &root, a->gpa, &w, &fresh);
    const bool cached = translations_choose(cpu, &root, &w, a->gpa, last == WALK_LEAF ? &fresh : NULL, &stale);
    const u32 lacks = cached ? a->access & ~stale.rights : 0;
    if (cached && !lacks && (stale.dirty || !(a->access & RIGHT_W)))
        return nested_use(cpu, a, &stale, out);
    if (lacks || last != WALK_LEAF || a->access & ~fresh.rights) {
        translations_fault(cpu, &root, &w, a->gpa);   /* SDM 3C 29.4.3.1 */
        return nested_fail(a, lacks ? WALK_LEAF : last, lacks ? stale.rights : fresh.rights, fault);
    }
    *again = !walk_mark(cpu, &root, &w, a->access & RIGHT_W);
    fresh.dirty = fresh.dirty || a->access & RIGHT_W;
    return *again ? SIM_NESTED_OK : nested_use(cpu, a, &fresh, out);
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
