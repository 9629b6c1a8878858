/* SPDX-License-Identifier: BSD-2-Clause */
/* The first table of a struct ptab, and the end of all of them: when nobody walks there yet, and nobody any more. */
#include "ptab.h"
#include "kern.h"

enum status ptab_init(struct ptab *p, const struct ptab_format *f, struct quota *q, u32 leaf_level_max)
{
    void *root;
    const enum status s = mem_alloc(kern()->mem, q, PAGE_SIZE, &root);
    if (s != OK)
        return s;
    const u32 own = f->machine_first;   /* the machine's do not change, and nobody walks through this table yet */
    mach_copy((atomic_u64 *)root + own, ptab_table(mach_boot_root()) + own, (PTAB_ENTRIES - own) * sizeof(u64));
    p->format = f;
    p->root = mach_virt_to_phys(root);
    p->quota = q;
    atomic_store(&p->recent, 0);
    p->page_end = bit(f->address_bits - PAGE_BITS);
    p->leaf_level_max = min(leaf_level_max, PTAB_LEAF_LEVEL_MAX);
    return OK;
}

/* The first word that is not 0 from entry *next on, below entry end, and *next is behind it; 0: there is none. */
static u64 next_word(const atomic_u64 *table, u32 *next, u32 end)
{
    for (u32 i = *next; i < end; i++) {
        const u64 word = atomic_load(&table[i]);
        if (likely(!word))
            continue;
        *next = i + 1;
        return word;
    }
    *next = end;
    return 0;
}

/* Every table once, deepest first: down into each table found, free it and go on behind it. Bound: the entries of all tables that name tables. */
void ptab_destroy(struct ptab *p)
{
    u64 table[PTAB_LEVELS];
    u32 next[PTAB_LEVELS] = { 0 };
    const u32 top = PTAB_LEVELS - 1;
    u32 level = top;
    table[top] = p->root;
    for (;;) {
        const u64 word = next_word(ptab_table(table[level]), &next[level], level == top ? p->format->machine_first : PTAB_ENTRIES);
        if (!word) {
            mem_free(kern()->mem, p->quota, ptab_table(table[level]), PAGE_SIZE);
            if (level == top)
                break;
            level++;
            continue;
        }
        if (!ptab_is_table(p->format, word, level))
            continue;
        if (level == 1) {   /* below are leaves */
            mem_free(kern()->mem, p->quota, ptab_table(word & PTAB_ADDRESS), PAGE_SIZE);
            continue;
        }
        table[level - 1] = word & PTAB_ADDRESS;
        level--;
        next[level] = 0;
    }
    p->root = 0;
}
