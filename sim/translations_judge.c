/* SPDX-License-Identifier: BSD-2-Clause */
/* Who can still reach what was freed: a search of all addresses under a tag, for entries made before the free. Tags that are loaded are judged at
 * once, others when they are loaded again: a lazy flush before that is legal. What a tag left for another owner is judged then too.
 * Not judged: addresses of the upper half, the machine's own; tables beyond SEARCH_STEPS_MAX words; frees older than the last FREES_MAX. */
#include "arch/x86.h"
#include "translations_model.h"

struct reach {
    u64 phys, end;          /* of what */
    u64 before;             /* entries made then or earlier */
    u32 rights;             /* leaves with one of these */
    bool tables;            /* or tables */
    u64 address;            /* found: lowest one, and whether a table is the way there */
    bool table;
};

static bool overlaps(const struct reach *r, u64 start, u64 bytes)
{
    return start < r->end && align_down(r->phys, PAGE_SIZE) < start + bytes;
}

/* May this CPU reach it under the tag? */
static bool reaches(struct sim_cpu *cpu, const struct walk_root *root, struct reach *r)
{
    struct translations *t = cpu->sim->translations;
    bool single;
    struct search q = { .s = cpu->sim, .h = &t->history, .log = &t->log[cpu->id], .root = *root, .everywhere = true };
    q.begin = tlb_log_begin(&t->log[cpu->id], root, t->linked.globals && root->pge && root->kind == WALK_HOST, &single);
    q.root.aliases = root->kind != WALK_HOST;
    search_begin(&q);
    while (search_next(&q)) {
        if (q.at > r->before)
            continue;
        const bool table = q.kind == WALK_TABLE;
        const bool hit = table ? r->tables && q.until == ~0ul && overlaps(r, q.table, PAGE_SIZE)
                               : q.leaf.rights & r->rights && overlaps(r, q.leaf.frame << PAGE_BITS, PAGE_SIZE << 9 * q.leaf.level);
        if (!hit)
            continue;
        r->address = q.address;
        r->table = table;
        return true;
    }
    return false;
}

static const char *const missing[] = { [WALK_HOST] = "an INVLPG or CR3 write", [WALK_EPT] = "an INVEPT",
                                       [WALK_NPT] = "TLB_CONTROL at a VMRUN or a fresh ASID" };
static const char *const tag_name[] = { [WALK_HOST] = "PCID", [WALK_EPT] = "EPTP", [WALK_NPT] = "ASID" };

static const struct tlb_event *loaded(const struct translations *t, u32 cpu)
{
    const struct tlb_log *l = &t->log[cpu];
    return &l->event[tlb_log_load_at(l, l->count - 1)];
}

static void free_add(struct translations *t, u64 phys, u64 end)
{
    const u32 room = FREES_MAX - t->frees_kept;
    const u32 i = t->frees_kept + t->frees++ % room;
    t->free[i].phys = phys;
    t->free[i].end = end;
    t->free[i].time = ++t->now;
}

void translations_frees_mark(struct translations *t)
{
    const u32 since = min(t->frees, FREES_MAX - t->frees_kept), stored = t->frees_kept + since, keep = min(stored, FREES_MAX / 2);
    for (u32 i = 0; i < keep; i++)
        t->free[i] = t->free[stored - keep + i];
    t->frees_kept = keep;
    t->frees = 0;
}

void translations_freed(struct sim *s, u64 phys, u64 bytes)
{
    struct translations *t = s->translations;
    struct reach r = { .phys = phys, .end = phys + bytes, .before = ~0ul, .rights = RIGHT_MEMORY, .tables = true };
    for (u32 i = 0; i < s->cpu_count; i++)
        if (overlaps(&r, s->cpu[i].cr3 & PTE_PHYS_MASK, PAGE_SIZE) || (t && overlaps(&r, loaded(t, i)->root.root & PTE_PHYS_MASK, PAGE_SIZE)))
            sim_broken(RULE_TLB_ROOT, "freed 0x%lx: it is the top-level table that CPU %u has loaded", phys, i);
    if (!t || !linked_any(&t->linked, phys, r.end))
        return;
    sim_ordered(s, OP_STATE, EFFECT_ADD, OBJECT_TABLES);
    for (u32 i = 0; i < s->cpu_count; i++) {
        const struct walk_root *root = &loaded(t, i)->root;
        if (!reaches(&s->cpu[i], root, &r))
            continue;
        if (r.table)
            sim_broken(RULE_TLB_TABLE, "freed 0x%lx: CPU %u may still walk through this table for 0x%lx and set A and D there; %s is missing",
                        phys, i, r.address, missing[root->kind]);
        sim_broken(RULE_TLB_FREED, "freed 0x%lx: CPU %u may still translate 0x%lx to it; %s is missing", phys, i, r.address, missing[root->kind]);
    }
    free_add(t, phys, r.end);
}

static bool reach_of(struct sim *s, u64 cpus, struct reach *r, u32 *cpu)
{
    for (*cpu = 0; *cpu < s->cpu_count; ++*cpu)
        if (cpus >> *cpu & 1 && reaches(&s->cpu[*cpu], &loaded(s->translations, *cpu)->root, r))
            return true;
    return false;
}

bool translations_reach(struct sim *s, u64 phys, u64 bytes, u32 rights, u32 *cpu, u64 *address)
{
    struct reach r = { .phys = phys, .end = phys + bytes, .before = ~0ul, .rights = rights };
    const bool found = reach_of(s, ~0ul, &r, cpu);
    *address = r.address;
    return found;
}

void sim_unreachable(struct sim *s, u64 cpus, u64 phys, u64 bytes, u32 rights)
{
    struct reach r = { .phys = phys, .end = phys + bytes, .before = ~0ul, .rights = rights };
    u32 cpu;
    if (reach_of(s, cpus, &r, &cpu))
        sim_broken(RULE_TLB_RIGHT, "CPU %u may still use 0x%lx for 0x%lx, a right that was taken: an invalidation is missing", cpu, r.address, phys);
}

/* When the tag of the newest load was last left; ~0: it was never loaded. */
static u64 left(const struct tlb_log *l, const struct walk_root *root)
{
    u32 i = tlb_log_load_at(l, l->count - 1);
    u64 time = l->event[i].time;
    while (i-- > 0) {
        const struct tlb_event *e = &l->event[i];
        if (e->what != TLB_LOAD)
            continue;
        if (tlb_same_tag(&e->root, root))
            return time;
        time = e->time;
    }
    return ~0ul;
}

void translations_judge_load(struct sim_cpu *cpu)
{
    struct translations *t = cpu->sim->translations;
    const struct tlb_event *e = loaded(t, cpu->id);
    const u64 since = left(&t->log[cpu->id], &e->root);
    const u32 count = t->frees_kept + min(t->frees, FREES_MAX - t->frees_kept);
    for (u32 i = 0; i < count; i++) {
        if (t->free[i].time < since)
            continue;
        struct reach r = { .phys = t->free[i].phys, .end = t->free[i].end, .before = t->free[i].time, .rights = RIGHT_MEMORY, .tables = true };
        if (reaches(cpu, &e->root, &r))
            sim_broken(RULE_TLB_TAG, "CPU %u loads %s 0x%lx, which may still %s 0x%lx for 0x%lx, freed meanwhile; %s is missing", cpu->id,
                        tag_name[e->root.kind], e->root.tag, r.table ? "walk through" : "translate to", r.phys, r.address, missing[e->root.kind]);
    }
}

void translations_judge_owner(struct sim_cpu *cpu, const struct walk_root *root, u32 vpid, u64 owner)
{
    const struct tlb_log *l = &cpu->sim->translations->log[cpu->id];
    const bool ept = root->kind == WALK_EPT;
    for (u32 i = l->count; (vpid || !ept) && i-- > 0;) {
        const struct tlb_event *e = &l->event[i];
        if (tlb_drops(e, root) && (e->what == TLB_DROP_ALL || e->what == TLB_FORGET))
            return;
        if (e->what == TLB_DROP_VPID && (e->any || e->root.tag == vpid))
            return;
        if (e->what != TLB_LOAD || !tlb_same_tag(&e->root, root) || !e->owner || (ept && e->vpid != vpid))
            continue;
        if (e->owner != owner || (!ept && e->root.root != root->root))
            sim_broken(RULE_TLB_TAG, "CPU %u enters the guest at 0x%lx under %s 0x%lx, which may hold translations of the one at 0x%lx; %s is missing",
                        cpu->id, owner, ept ? "VPID" : "ASID", ept ? vpid : root->tag, e->owner,
                        ept ? "an INVVPID" : missing[WALK_NPT]);
        return;
    }
}
