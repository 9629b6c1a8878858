/* SPDX-License-Identifier: BSD-2-Clause */
/* Page walks: see walk.h. Formats: Intel SDM 3A 4.5 (four-level), 3C 29.3 (EPT); NPT is the host's format, read as user accesses (AMD APM 2
 * 15.25.5). A and D bits are set as the hardware does: a locked operation on the word as it was read; if the word has changed since, the walk
 * is done again (SDM 3A 4.8). */
#include "arch/x86.h"
#include "memory.h"
#include "translations.h"
#include "walk.h"
#include "snapshot.h"

#define EPT_A 0x100ul
#define EPT_D 0x200ul
#define LARGE 0x080ul   /* the same bit in all formats */

struct walk_root walk_host(const struct sim_cpu *cpu)
{
    return (struct walk_root){ .kind = WALK_HOST, .root = cpu->cr3, .nxe = cpu->efer & EFER_NXE, .pge = cpu->cr4 & CR4_PGE,
                               .page_1g = cpu->sim->profile.page_1g };
}

void walk_begin(struct translation *t)
{
    *t = (struct translation){ .rights = RIGHT_MEMORY, .user = true };
}

static bool beyond(u64 word)
{
    return word & PTE_PHYS_MASK & ~((1ul << SIM_PHYS_BITS) - 1);
}

static u64 offset_mask(u32 level)
{
    return (PAGE_SIZE << 9 * level) - 1;
}

/* Reserved bits of a present word (SDM 3A tables 4-15 to 4-20). */
static bool long_reserved(const struct walk_root *root, u64 word, u32 level)
{
    if (beyond(word) || (word & PTE_NX && !root->nxe))
        return true;
    if (level == 0 || !(word & LARGE))
        return false;
    if (level == 3 || (level == 2 && !root->page_1g))
        return true;
    return word & PTE_PHYS_MASK & offset_mask(level) & ~0x1000ul;   /* bit 12 of a large leaf is PAT */
}

/* EPT misconfigurations (SDM 3C 29.3.3.1); execute-only is supported. */
static bool ept_misconfigured(u64 word, u32 level)
{
    const bool leaf = level == 0 || word & LARGE;
    const u32 type = (u32)(word >> 3 & 7);
    if ((word & 3) == 2 || beyond(word))
        return true;
    if (!leaf)
        return word & 0x78;
    if (level == 3 || type == 2 || type == 3 || type == 7)
        return true;
    return word & PTE_PHYS_MASK & offset_mask(level);
}

static enum walk_word long_decode(const struct walk_root *root, u64 word, u32 level, struct translation *t)
{
    const bool nested = root->kind == WALK_NPT;
    if (!(word & PTE_P)) {
        t->rights = 0;
        return WALK_ABSENT;
    }
    if (long_reserved(root, word, level))
        return WALK_RESERVED;
    t->user = t->user && word & PTE_U;
    t->rights &= nested && !t->user ? 0 : RIGHT_R | (word & PTE_W ? RIGHT_W : 0) | (word & PTE_NX ? 0 : RIGHT_X);
    t->dirty = word & PTE_D;
    t->global = !nested && root->pge && word & PTE_G;
    return WALK_TABLE;
}

static enum walk_word ept_decode(const struct walk_root *root, u64 word, u32 level, struct translation *t)
{
    t->rights &= (word & 1 ? RIGHT_R : 0) | (word & 2 ? RIGHT_W : 0) | (word & 4 ? RIGHT_X : 0);
    if (!(word & 7))
        return WALK_ABSENT;
    t->dirty = word & EPT_D || !(root->root & EPTP_USE_AD);
    return ept_misconfigured(word, level) ? WALK_RESERVED : WALK_TABLE;
}

enum walk_word walk_decode(const struct walk_root *root, u64 word, u32 level, u64 address, struct translation *t)
{
    const enum walk_word kind = root->kind == WALK_EPT ? ept_decode(root, word, level, t) : long_decode(root, word, level, t);
    if (kind != WALK_TABLE || (level && !(word & LARGE)))
        return kind;
    t->level = level;
    t->frame = ((word & PTE_PHYS_MASK & ~offset_mask(level)) | (address & offset_mask(level))) >> PAGE_BITS;
    return WALK_LEAF;
}

bool walk_accessed(const struct walk_root *root, u64 word)
{
    if (root->kind == WALK_EPT)
        return !(root->root & EPTP_USE_AD) || word & EPT_A;
    return word & PTE_A;
}

u64 walk_slot(u64 table, u64 address, u32 level)
{
    return (table & PTE_PHYS_MASK) + (address >> (PAGE_BITS + 9 * level) & 511) * 8;
}

static u64 walk_read(struct sim *s, u64 table, u64 slot, u64 address)
{
    const u64 *word = sim_phys(s, slot, 8);
    if (!word)
        sim_broken(RULE_TAB_RAM, "page walk for 0x%lx reads a table at 0x%lx, outside RAM", address, table & PTE_PHYS_MASK);
    if (memory_state(s, slot) == MEM_FREE)
        sim_broken(RULE_TLB_TABLE, "page walk for 0x%lx reads a freed table at 0x%lx", address, table & PTE_PHYS_MASK);
    memory_table(s, slot);
    if (s->world)
        sim_did(s->current, OP_WALK, EFFECT_READ, OBJECT_RAM(slot), *word, *word);
    return *word;
}

enum walk_word walk_now(struct sim *s, const struct walk_root *root, u64 address, struct walk *w, struct translation *t)
{
    u64 table = root->root;
    enum walk_word kind = WALK_TABLE;
    w->count = 0;
    walk_begin(t);
    for (u32 level = WALK_LEVELS; kind == WALK_TABLE; table = w->word[w->count++]) {
        w->slot[w->count] = walk_slot(table, address, --level);
        w->word[w->count] = walk_read(s, table, w->slot[w->count], address);
        kind = walk_decode(root, w->word[w->count], level, address, t);
        if (kind == WALK_ABSENT && w->word[w->count] & PTE_PHYS_MASK && sim_phys(s, w->word[w->count] & PTE_PHYS_MASK, 1))
            sim_broken(RULE_TAB_ABSENT, "page walk for 0x%lx: the absent entry 0x%lx names RAM", address, w->word[w->count]);
    }
    return kind;
}

bool walk_mark(struct sim_cpu *cpu, const struct walk_root *root, const struct walk *w, bool write)
{
    const bool ept = root->kind == WALK_EPT;
    if (ept && !(root->root & EPTP_USE_AD))
        return true;
    bool asked = false;
    for (u32 i = 0; i < w->count; i++) {
        const u64 want = w->word[i] | (ept ? EPT_A : PTE_A) | (!write || i + 1 < w->count ? 0 : ept ? EPT_D : PTE_D);
        if (want == w->word[i])
            continue;
        if (!asked && choice(2, CHOICE_DIRTY))
            sim_point(cpu, OP_WALK_MARK, OBJECT_RAM(w->slot[i]), 8, NULL);   /* between the read of the words and the locked write others may step */
        asked = true;
        u64 *word = sim_phys(cpu->sim, w->slot[i], 8);
        if (*word != w->word[i])
            return false;
        undo_write(cpu->sim, word, 8);
        translations_wrote(cpu->sim, word, *word, want);
        *word = want;
        sim_wrote(cpu->sim, OBJECT_RAM(w->slot[i]));
        sim_did(cpu, OP_WALK_MARK, EFFECT_WRITE, OBJECT_RAM(w->slot[i]), w->word[i], want);
    }
    return true;
}
