/* SPDX-License-Identifier: BSD-2-Clause */
/* A page walk: reading words of tables and setting A and D bits as the hardware does: a locked operation on the word as it was read; if the
 * word has changed since, the walk is done again (Intel SDM 3A 4.8). */
#include "arch/x86.h"
#include "memory.h"
#include "walk.h"
#include "snapshot.h"

u64 walk_read(struct sim *s, struct walk *w, u64 table, u64 address, u32 level)
{
    const u64 slot = (table & PTE_PHYS_MASK) + (address >> (PAGE_BITS + 9 * level) & 511) * 8;
    const u64 *word = sim_phys(s, slot, 8);
    if (!word)
        sim_broken(RULE_TAB_RAM, "page walk for 0x%lx reads a table at 0x%lx, outside RAM", address, table & PTE_PHYS_MASK);
    if (memory_state(s, slot) == MEM_FREE)
        sim_broken(RULE_TLB_TABLE, "page walk for 0x%lx reads a freed table at 0x%lx", address, table & PTE_PHYS_MASK);
    memory_table(s, slot);
    if (s->world)
        sim_did(s->current, OP_WALK, EFFECT_READ, OBJECT_RAM(slot), *word, *word);
    w->level = level;
    w->slot[w->count] = slot;
    w->word[w->count] = *word;
    return w->word[w->count++];
}

bool walk_mark(struct sim_cpu *cpu, const struct walk *w, u64 bits, u64 leaf_bits)
{
    bool asked = false;
    for (u32 i = 0; i < w->count; i++) {
        const u64 want = w->word[i] | bits | (i + 1 == w->count ? leaf_bits : 0);
        if (want == w->word[i])
            continue;
        if (!asked && choice(2, CHOICE_DIRTY))
            sim_step(cpu);   /* between the read of the words and the locked write others may step */
        asked = true;
        u64 *word = sim_phys(cpu->sim, w->slot[i], 8);
        if (*word != w->word[i])
            return false;
        undo_write(cpu->sim, word, 8);
        *word = want;
        sim_wrote(cpu->sim, OBJECT_RAM(w->slot[i]));
        sim_did(cpu, OP_WALK_MARK, EFFECT_WRITE, OBJECT_RAM(w->slot[i]), w->word[i], want);
    }
    return true;
}

u64 walk_phys(const struct walk *w, u64 address)
{
    const u64 offset_mask = (PAGE_SIZE << 9 * w->level) - 1;
    return (w->word[w->count - 1] & PTE_PHYS_MASK & ~offset_mask) | (address & offset_mask);
}
