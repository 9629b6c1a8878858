/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's own paging over nested translation: no paging, 32-bit, PAE, 4-level (Intel SDM 3A, chapter 4). Tables are read through the machine's
 * nested walker, A and D bits are set there. A missing nested translation leaves the core; a guest fault is raised in it.
 * Not handled: protection keys, shadow stacks, LA57. */
#include <string.h>
#include "guest.h"

#define CR0_WP    0x10000ul
#define CR0_PG    0x80000000ul
#define CR4_PSE   0x10ul
#define CR4_PAE   0x20ul
#define CR4_SMEP  0x100000ul
#define EFER_LMA  0x400ul
#define EFER_NXE  0x800ul

#define PTE_P     0x1ul
#define PTE_W     0x2ul
#define PTE_U     0x4ul
#define PTE_A     0x20ul
#define PTE_D     0x40ul
#define PTE_PS    0x80ul
#define PTE_NX    0x8000000000000000ul
#define PTE_FRAME 0x000ffffffffff000ul

#define ERROR_P   0x1u
#define ERROR_W   0x2u
#define ERROR_U   0x4u
#define ERROR_RSVD 0x8u
#define ERROR_I   0x10u

struct walk {
    struct guest_run *r;
    u64 linear;
    u32 access;
    enum core_mode mode;
    bool writable, user, executable;   /* of all levels so far */
};

static enum core_answer nested_fault(struct guest_run *r, u64 gpa, u64 linear, u32 access, bool table)
{
    r->outside = false;
    r->fault_gpa = gpa;
    r->fault_linear = linear;
    r->fault_access = access;
    r->fault_table = table;
    return CORE_LEAVE;
}

static enum core_answer nested(struct guest_run *r, u64 gpa, u64 linear, u32 access, bool table, struct sim_translation *t)
{
    struct sim_nested_fault fault;
    if (sim_nested_translate(r->cpu, &r->nested, gpa, access, table, t, &fault) != SIM_NESTED_OK)
        return nested_fault(r, gpa, linear, access, table);
    if (t->phys >> PAGE_BITS < r->core->frames)
        return CORE_OK;
    nested_fault(r, gpa, linear, access, table);
    r->outside = true;
    return CORE_LEAVE;
}

/* A table word; flags are set in it if they are not. */
static enum core_answer entry_read(struct walk *w, u64 gpa, u32 bytes, u64 *word)
{
    struct sim_translation t;
    const enum core_answer a = nested(w->r, gpa, w->linear, RIGHT_R, true, &t);
    if (a != CORE_OK)
        return a;
    *word = 0;
    memcpy(word, w->r->core->ram + t.phys, bytes);
    return CORE_OK;
}

static enum core_answer entry_mark(struct walk *w, u64 gpa, u64 *word, u64 flags)
{
    struct sim_translation t;
    if ((*word & flags) == flags)
        return CORE_OK;
    const enum core_answer a = nested(w->r, gpa, w->linear, RIGHT_W, true, &t);
    if (a != CORE_OK)
        return a;
    __atomic_fetch_or((u8 *)(w->r->core->ram + t.phys), (u8)flags, __ATOMIC_SEQ_CST);   /* A and D stand in the low byte */
    *word |= flags;
    return CORE_OK;
}

static enum core_answer page_fault(const struct walk *w, u32 why, struct core_page *page)
{
    const struct sim_guest *g = w->r->g;
    const bool marks_fetch = (g->efer & EFER_NXE && g->cr4 & CR4_PAE) || g->cr4 & CR4_SMEP;
    w->r->fault_access = w->access;
    page->vector = 14;
    page->error = why | (w->access == RIGHT_W ? ERROR_W : 0) | (w->mode == CORE_CPL3 ? ERROR_U : 0) |
                  (w->access == RIGHT_X && marks_fetch ? ERROR_I : 0);
    return CORE_FAULT;
}

/* What this access may do in a page with these rights (SDM 3A 4.6). */
static u32 page_rights(const struct walk *w)
{
    const struct sim_guest *g = w->r->g;
    if (w->mode == CORE_CPL3)
        return w->user ? RIGHT_R | (w->writable ? RIGHT_W : 0) | (w->executable ? RIGHT_X : 0) : 0;
    u32 rights = w->mode == CORE_SMAP && w->user ? 0 : RIGHT_R | (w->writable || !(g->cr0 & CR0_WP) ? RIGHT_W : 0);
    if (w->executable && !(w->user && g->cr4 & CR4_SMEP))
        rights |= RIGHT_X;
    return rights;
}

/* The leaf is found: check, mark, go through the nested tables. */
static enum core_answer leaf(struct walk *w, u64 entry_gpa, u64 *word, u64 base, u64 bytes, struct core_page *page)
{
    const u32 rights = page_rights(w);
    struct sim_translation t;
    if (!(rights & w->access))
        return page_fault(w, ERROR_P, page);
    enum core_answer a = entry_mark(w, entry_gpa, word, w->access == RIGHT_W ? PTE_A | PTE_D : PTE_A);
    if (a == CORE_OK)
        a = nested(w->r, base | (w->linear & (bytes - 1)), w->linear, w->access, false, &t);
    if (a != CORE_OK)
        return a;
    page->frame = t.phys >> PAGE_BITS;
    page->rights = rights & t.rights & (*word & PTE_D ? ~0u : ~RIGHT_W);
    return CORE_OK;
}

static enum core_answer walk_32(struct walk *w, struct core_page *page)
{
    const struct sim_guest *g = w->r->g;
    u64 gpa = (g->cr3 & 0xfffff000) + (w->linear >> 22 & 0x3ff) * 4, word;
    enum core_answer a = entry_read(w, gpa, 4, &word);
    if (a != CORE_OK)
        return a;
    w->executable = true;
    if (!(word & PTE_P))
        return page_fault(w, 0, page);
    w->writable = word & PTE_W;
    w->user = word & PTE_U;
    if (word & PTE_PS && g->cr4 & CR4_PSE)
        return leaf(w, gpa, &word, (word & 0xffc00000) | (word & 0x1fe000) << 19, 0x400000, page);
    a = entry_mark(w, gpa, &word, PTE_A);
    if (a != CORE_OK)
        return a;
    gpa = (word & 0xfffff000) + (w->linear >> 12 & 0x3ff) * 4;
    a = entry_read(w, gpa, 4, &word);
    if (a != CORE_OK)
        return a;
    if (!(word & PTE_P))
        return page_fault(w, 0, page);
    w->writable = w->writable && word & PTE_W;
    w->user = w->user && word & PTE_U;
    return leaf(w, gpa, &word, word & 0xfffff000, PAGE_SIZE, page);
}

static u64 reserved_bits(const struct sim_guest *g, u32 level, u64 word)
{
    u64 reserved = PTE_FRAME & ~(bit(SIM_PHYS_BITS) - 1);
    if (!(g->efer & EFER_NXE))
        reserved |= PTE_NX;
    if (level == 3)
        reserved |= PTE_PS;
    if (level && word & PTE_PS)
        reserved |= ((bit(12 + 9 * level) - 1) & ~0x1ffful);
    return reserved;
}

/* 8-byte entries from `level` down, the top table at `table`. Levels: 3 PML4, 2 PDPT, 1 PD, 0 PT. */
static enum core_answer walk_64(struct walk *w, u64 table, u32 top, struct core_page *page)
{
    const struct sim_guest *g = w->r->g;
    for (u32 level = top;; level--) {
        const u64 gpa = table + (w->linear >> (12 + 9 * level) & 0x1ff) * 8;
        u64 word;
        enum core_answer a = entry_read(w, gpa, 8, &word);
        if (a != CORE_OK)
            return a;
        if (!(word & PTE_P))
            return page_fault(w, 0, page);
        if (word & reserved_bits(g, level, word))
            return page_fault(w, ERROR_P | ERROR_RSVD, page);
        w->writable = w->writable && word & PTE_W;
        w->user = w->user && word & PTE_U;
        w->executable = w->executable && !(word & PTE_NX);
        if (level == 0 || word & PTE_PS) {
            const u64 bytes = bit(12 + 9 * level);
            return leaf(w, gpa, &word, word & PTE_FRAME & ~(bytes - 1), bytes, page);
        }
        a = entry_mark(w, gpa, &word, PTE_A);
        if (a != CORE_OK)
            return a;
        table = word & PTE_FRAME;
    }
}

/* PAE: the four top entries stand in registers with EPT, in memory with NPT (APM 2 15.25.10). */
static enum core_answer walk_pae(struct walk *w, struct core_page *page)
{
    const struct sim_guest *g = w->r->g;
    const u32 index = w->linear >> 30 & 3;
    u64 pdpte = g->pdpte[index];
    if (w->r->nested.format == SIM_NPT) {
        const enum core_answer a = entry_read(w, (g->cr3 & 0xffffffe0) + index * 8, 8, &pdpte);
        if (a != CORE_OK)
            return a;
    }
    return pdpte & PTE_P ? walk_64(w, pdpte & PTE_FRAME, 1, page) : page_fault(w, 0, page);
}

enum core_answer guest_translate(void *arg, u64 linear, u32 access, enum core_mode mode, struct core_page *page)
{
    struct guest_run *r = arg;
    const struct sim_guest *g = r->g;
    struct walk w = {.r = r, .linear = linear, .access = access, .mode = mode, .writable = true, .user = true, .executable = true};
    *page = (struct core_page){0};
    if (g->cr0 & CR0_PG && g->efer & EFER_LMA) {
        if ((u64)((s64)(linear << 16) >> 16) != linear) {
            page->vector = 13;
            return CORE_FAULT;
        }
        return walk_64(&w, g->cr3 & PTE_FRAME, 3, page);
    }
    w.linear = linear & 0xffffffff;
    if (g->cr0 & CR0_PG)
        return g->cr4 & CR4_PAE ? walk_pae(&w, page) : walk_32(&w, page);
    struct sim_translation t;
    const enum core_answer a = nested(r, w.linear, w.linear, access, false, &t);
    page->frame = t.phys >> PAGE_BITS;
    page->rights = t.rights;
    return a;
}

bool guest_read(struct guest_run *r, u64 linear, void *to, u32 bytes, u32 access, enum core_mode mode)
{
    u8 *out = to;
    while (bytes) {
        const u32 chunk = (u32)min((u64)bytes, PAGE_SIZE - (linear & PAGE_MASK));
        struct core_page page;
        if (guest_translate(r, linear, access, mode, &page) != CORE_OK)
            return false;
        memcpy(out, r->core->ram + (page.frame << PAGE_BITS) + (linear & PAGE_MASK), chunk);
        out += chunk;
        linear += chunk;
        bytes -= chunk;
    }
    return true;
}
