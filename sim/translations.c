/* SPDX-License-Identifier: BSD-2-Clause */
/* Translations: see translations.h. Owns the clock of histories and logs, and hands what memory and CPUs do to them. The clock counts writes,
 * loads and invalidations: each has a time of its own. */
#include <stdlib.h>
#include <string.h>
#include "arch/x86.h"
#include "firmware.h"
#include "memory.h"
#include "translations_model.h"
#include "virt_model.h"

bool translations_record(struct sim *s, bool fresh)
{
    struct translations *t = calloc(1, sizeof(*t) + s->cpu_count * sizeof(t->log[0]));
    s->translations = t;
    if (!t || !history_create(&t->history, s->ram_bytes))
        return false;
    struct tlb_event *events = malloc(s->cpu_count * TLB_EVENTS_MAX * sizeof(*events));   /* untouched pages cost nothing */
    t->log[0].event = events;
    if (!events || !linked_create(&t->linked, s->ram_bytes))
        return false;
    for (u32 i = 0; i < s->cpu_count; i++)
        t->log[i].event = events + i * TLB_EVENTS_MAX;
    for (u64 phys = FIRMWARE_END; !fresh && phys < s->ram_bytes; phys += PAGE_SIZE)
        linked_scan(&t->linked, sim_phys(s, phys, PAGE_SIZE));
    for (u32 i = 0; s->cpu && i < s->cpu_count; i++)
        translations_reset(&s->cpu[i]);
    return true;
}

void translations_destroy(struct sim *s)
{
    struct translations *t = s->translations;
    if (!t)
        return;
    history_destroy(&t->history);
    free(t->log[0].event);
    linked_destroy(&t->linked);
    free(t);
    s->translations = NULL;
}

/* ---- What memory did ---- */

void translations_wrote(struct sim *s, const void *address, u64 before, u64 after)
{
    struct translations *t = s->translations;
    const u64 phys = (u64)address - (u64)s->ram;
    if (!t || phys >= s->ram_bytes || phys & 7 || before == after)
        return;
    if (before && memory_is_table(s, phys))
        sim_ordered(s, OP_STORE, EFFECT_ADD, OBJECT_TABLES);
    history_add(&t->history, phys, before, ++t->now);
    linked_add(&t->linked, after);
}

void translations_copy(struct sim *s, const void *to, const void *from, u64 bytes)
{
    const u64 phys = (u64)to - (u64)s->ram, end = phys + bytes;
    if (!s->translations || phys >= s->ram_bytes || end > s->ram_bytes)
        return;
    for (u64 at = align_up(phys, 8); at + 8 <= end; at += 8) {   /* whole words: nobody writes half an entry */
        u64 before, after = 0;
        memcpy(&before, s->ram + at, 8);
        if (from)
            memcpy(&after, (const u8 *)from + (at - phys), 8);
        if (before != after)
            translations_wrote(s, s->ram + at, before, after);
    }
}

/* ---- What a CPU did ---- */

static struct tlb_event *add(struct sim_cpu *cpu, enum tlb_what what, const struct walk_root *root)
{
    struct translations *t = cpu->sim->translations;
    sim_ordered(cpu->sim, OP_INVALIDATE, EFFECT_READ, OBJECT_TABLES);
    return tlb_log_add(&t->log[cpu->id], ++t->now, what, root);
}

static void drop(struct sim_cpu *cpu, enum tlb_what what, enum walk_kind kind, bool any, u64 tag, u64 address)
{
    if (!cpu->sim->translations)
        return;
    struct tlb_event *e = add(cpu, what, &(struct walk_root){ .kind = kind, .tag = tag });
    e->any = any;
    e->address = address;
}

void translations_reset(struct sim_cpu *cpu)
{
    if (!cpu->sim->translations)
        return;
    const struct walk_root root = walk_host(cpu);
    add(cpu, TLB_LOAD, &root);
    add(cpu, TLB_FORGET, &root);
}

static void load(struct sim_cpu *cpu, const struct walk_root *root, u32 vpid, u64 owner)
{
    struct translations *t = cpu->sim->translations;
    struct tlb_log *l = &t->log[cpu->id];
    const struct tlb_event *last = &l->event[tlb_log_load_at(l, l->count - 1)];
    if (tlb_same_tag(&last->root, root) && last->root.root == root->root && (!owner || (last->owner == owner && last->vpid == vpid)))
        return;
    const bool returns = !tlb_same_tag(&last->root, root);
    struct tlb_event *e = add(cpu, TLB_LOAD, root);
    e->vpid = vpid;
    e->owner = owner;
    if (returns)
        translations_judge_load(cpu);
}

void translations_load(struct sim_cpu *cpu, const struct walk_root *root)
{
    if (cpu->sim->translations)
        load(cpu, root, 0, 0);
}

void translations_enter(struct sim_cpu *cpu, const struct walk_root *root, u32 vpid, u64 owner)
{
    if (root->kind == WALK_EPT && !vpid)
        translations_drop_host(cpu, true);   /* without VPID every transition drops linear translations (SDM 3C 29.4.3.3) */
    if (!cpu->sim->translations)
        return;
    translations_judge_owner(cpu, root, vpid, owner);
    load(cpu, root, vpid, owner);
}

void translations_leave(struct sim_cpu *cpu, u32 vpid)
{
    if (cpu->sim->virt->vendor == SIM_VMX && !vpid)
        drop(cpu, TLB_DROP_ALL, WALK_HOST, true, 0, 0);
    const struct walk_root root = walk_host(cpu);
    translations_load(cpu, &root);
}

void translations_drop_host(struct sim_cpu *cpu, bool globals)
{
    const struct walk_root root = walk_host(cpu);
    translations_load(cpu, &root);   /* before: nothing is read through the old root afterwards */
    drop(cpu, globals ? TLB_DROP_ALL : TLB_DROP_NONGLOBAL, WALK_HOST, globals, 0, 0);
    sim_tlb_flush_engine(cpu);
}

void translations_drop_page(struct sim_cpu *cpu, u64 address)
{
    drop(cpu, TLB_DROP_PAGE, WALK_HOST, false, 0, address);
    sim_tlb_flush_engine(cpu);
}

void translations_fault(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w, u64 address)
{
    if (cpu->sim->translations && !translations_settled(cpu, root, w))   /* else what it drops may be cached again at once */
        drop(cpu, TLB_DROP_FAULT, root->kind, false, root->tag, address);
}

void sim_tlb_flush_ept(struct sim_cpu *cpu, bool all, u64 eptp)
{
    drop(cpu, TLB_DROP_ALL, WALK_EPT, all, eptp & PTE_PHYS_MASK, 0);
    sim_tlb_flush_engine(cpu);
}

void sim_tlb_flush_vpid(struct sim_cpu *cpu, bool all, u32 vpid)
{
    drop(cpu, TLB_DROP_VPID, WALK_EPT, all, vpid, 0);
    sim_tlb_flush_engine(cpu);
}

void sim_tlb_flush_npt(struct sim_cpu *cpu, bool all, u32 asid)
{
    if (all)
        drop(cpu, TLB_DROP_ALL, WALK_HOST, true, 0, 0);
    drop(cpu, TLB_DROP_ALL, WALK_NPT, all, asid, 0);
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

/* ---- Reset ---- */

void translations_mark(struct sim *s)
{
    if (!s->translations && !translations_record(s, false))
        sim_end(s, SIM_ENGINE, "no memory for the histories of translations");
    struct translations *t = s->translations;
    history_mark(&t->history);
    for (u32 i = 0; i < s->cpu_count; i++)
        tlb_log_mark(&t->log[i]);
    t->mark = t->now;
    translations_frees_mark(t);
}

void translations_rollback(struct sim *s)
{
    struct translations *t = s->translations;
    if (t->now == t->mark)
        return;
    history_rollback(&t->history);
    for (u32 i = 0; i < s->cpu_count; i++)
        tlb_log_rollback(&t->log[i]);
    t->now = t->mark;
    t->frees = 0;
}
