/* SPDX-License-Identifier: BSD-2-Clause */
/* The one page-table walk. Owns the tables of a struct ptab; what they mean is the format's.
 *
 * Invariant: at every moment a walker that reads word by word finds for each page what was mapped before or what is mapped after, never
 * anything else. So: absent -> leaf, absent -> complete table, leaf -> equal table, leaf -> absent, empty table -> absent; each one
 * compare-and-swap. A walker sets A and D bits by locked operations of its own: a swap that fails for them alone is tried again.
 * Lock: none, see ptab.h. */
#include "ptab.h"
#include "cpu.h"

/* A place in the tables: an entry and the level it stands on. */
struct place {
    atomic_u64 *entry;
    u32 level;
};

static u64 index_of(u64 page, u32 level)
{
    return page >> 9 * level & (PTAB_ENTRIES - 1);
}

/* One level down through word, a table. */
static struct place place_down(struct place at, u64 word, u64 page)
{
    const u32 level = at.level - 1;
    return (struct place){ ptab_table(word & PTAB_ADDRESS) + index_of(page, level), level };
}

/* The deepest entry there is for page, at `level` or above: a leaf, an absent entry, or any entry of `level`. *word is what it held. */
static struct place walk(const struct ptab *p, u64 page, u32 level, u64 *word)
{
    struct place at = place_down((struct place){ NULL, PTAB_LEVELS }, p->root, page);
    *word = atomic_load(at.entry);
    while (at.level > level && ptab_is_table(p->format, *word, at.level)) {
        at = place_down(at, *word, page);
        *word = atomic_load(at.entry);
    }
    return at;
}

/* A table of leaves that was used, in one word: its number in memory, and which pages it is for, + 1. */
static u64 recent_of(u64 page, const atomic_u64 *entry)
{
    return ((page >> 9) + 1) << 32 | mach_virt_to_phys(entry) >> PAGE_BITS;
}

static seldom struct place find_far(struct ptab *p, u64 page)
{
    u64 word;
    const struct place at = walk(p, page, 0, &word);
    if (!at.level)
        atomic_store(&p->recent, recent_of(page, at.entry));
    return at;
}

/* The same as a walk to level 0: it ends in the same table as the last one, often. */
static inline struct place find(struct ptab *p, u64 page)
{
    const u64 recent = atomic_load(&p->recent);
    if (unlikely(recent >> 32 != (page >> 9) + 1))
        return find_far(p, page);
    return (struct place){ ptab_table((recent & 0xffffffff) << PAGE_BITS) + index_of(page, 0), 0 };
}

static bool in_range(const struct ptab *p, u64 page, u64 count)
{
    return page < p->page_end && count <= p->page_end - page;
}

/* Pages from `page` to the end of the table of a level, at most count. */
static u64 rest_of(u64 page, u64 count, u32 level)
{
    const u64 span = PTAB_SPAN(level);
    return min(count, span - (page & (span - 1)));
}

/* ---- Tables not linked yet ---- */

/* Bound: one per level below the top. */
struct spare {
    u32 count;
    void *table[PTAB_LEVELS - 1];
};

static void spare_free(const struct ptab *p, struct spare *s)
{
    while (s->count)
        mem_free(kern()->mem, p->quota, s->table[--s->count], PAGE_SIZE);
}

static enum status spare_fill(const struct ptab *p, struct spare *s, u32 count)
{
    while (s->count < count) {
        const enum status st = mem_alloc(kern()->mem, p->quota, PAGE_SIZE, &s->table[s->count]);
        if (st != OK) {
            spare_free(p, s);
            return st;
        }
        s->count++;
    }
    return OK;
}

/* Put a spare, filled as it must be, in place of `word`. *word is what stands there afterwards: the new table, or what another writer or
 * walker made of it (then the spare is still there). */
static void spare_link(const struct ptab *p, struct spare *s, struct place at, u64 *word)
{
    const u64 table = mach_virt_to_phys(s->table[s->count - 1]) | p->format->table;
    if (atomic_cas(at.entry, word, table)) {
        s->count--;
        *word = table;
    }
}

/* ---- Map ---- */

/* Level of the largest page that page, frame and count allow. */
static u32 map_level(const struct ptab *p, u64 page, u64 frame, u64 count)
{
    u32 level = 0;
    while (level < p->leaf_level_max && count >= PTAB_SPAN(level + 1) && !((page | frame) & (PTAB_SPAN(level + 1) - 1)))
        level++;
    return level;
}

/* Link what is missing from at down to level, and return the entry there. Tables others link meanwhile are used as well. */
static seldom struct place link_down(const struct ptab *p, u64 page, u32 level, struct place at, enum status *s)
{
    struct spare spare = { 0 };
    u64 word = atomic_load(at.entry);
    const bool leaf = ptab_is_present(p->format, word) && !ptab_is_table(p->format, word, at.level);
    *s = leaf ? STATUS_EXISTS : spare_fill(p, &spare, at.level - level);
    while (*s == OK && at.level > level) {
        if (!ptab_is_present(p->format, word))
            spare_link(p, &spare, at, &word);
        if (ptab_is_table(p->format, word, at.level)) {
            at = place_down(at, word, page);
            word = atomic_load(at.entry);
        } else {
            *s = STATUS_EXISTS;   /* a large page of another writer */
        }
    }
    spare_free(p, &spare);
    return at;
}

/* True: something was there. */
static bool clear(atomic_u64 *entry)
{
    u64 word = atomic_load(entry);
    if (!word)
        return false;
    while (!atomic_cas(entry, &word, 0))   /* bound: A and D can be set once each, others do not write here */
        ;
    return true;
}

/* A table already there is used, even an empty one. No rights: up to the last step. */
enum status ptab_map(struct ptab *p, u64 page, u64 frame, u64 count, u32 rights, struct ptab_change *change, u64 *done)
{
    if (!count || !in_range(p, page, count))
        return STATUS_ARG;
    const u32 level = map_level(p, page, frame, count);
    struct place at = find(p, page);
    if (unlikely(at.level > level)) {
        enum status s;
        at = link_down(p, page, level, at, &s);
        if (s != OK)
            return s;
    }
    const u64 entries = at.level ? 1 : rest_of(page, count, 1);
    for (u64 i = rights != 0; i < entries; i++)   /* the first one is looked at when it is written */
        if (atomic_load(at.entry + i))
            return STATUS_EXISTS;
    const u64 leaf = ptab_leaf(p->format, frame << PAGE_BITS, rights, at.level);
    for (u64 i = 0; i < entries && rights; i++) {
        u64 absent = 0;
        if (likely(atomic_cas(at.entry + i, &absent, leaf + (i << PAGE_BITS))))
            continue;
        if (change)
            change->flush |= i > 0;   /* what was there for a moment may be cached */
        while (i--)
            (void)clear(at.entry + i);
        return STATUS_EXISTS;
    }
    *done = entries << 9 * at.level;
    return OK;
}

/* ---- Unmap ---- */

/* Replace the large page *word at `at` by a table of equal, smaller ones. Tried again when a walker set A or D meanwhile. */
static enum status split(const struct ptab *p, struct place at, u64 *word)
{
    struct spare spare = { 0 };
    const enum status s = spare_fill(p, &spare, 1);
    if (s != OK)
        return s;
    atomic_u64 *const table = spare.table[0];
    const struct ptab_format *f = p->format;
    const u32 level = at.level;
    while (spare.count && ptab_is_present(f, *word) && ptab_is_leaf(*word, level)) {
        for (u64 i = 0; i < PTAB_ENTRIES; i++) {
            const u64 phys = (*word & PTAB_ADDRESS) + (i * PTAB_SPAN(level - 1) << PAGE_BITS);
            /* Nobody sees the table yet; the swap that links it publishes it. */
            atomic_store_relaxed(&table[i], ptab_leaf(f, phys, f->rights(*word), level - 1) | f->keep(*word));
        }
        spare_link(p, &spare, at, word);
    }
    spare_free(p, &spare);
    return OK;
}

/* The place of page below at: each large page there that reaches out of [page, end) is split. */
static seldom struct place split_down(const struct ptab *p, u64 page, u64 end, struct place at, enum status *s)
{
    u64 word = atomic_load(at.entry);
    *s = OK;
    while (*s == OK && at.level && ptab_is_present(p->format, word)) {
        const u64 span = PTAB_SPAN(at.level);
        if (ptab_is_table(p->format, word, at.level)) {
            at = place_down(at, word, page);
            word = atomic_load(at.entry);
            continue;
        }
        if (!(page & (span - 1)) && page + span <= end)
            break;
        *s = split(p, at, &word);
    }
    return at;
}

enum status ptab_unmap(struct ptab *p, u64 page, u64 count, struct ptab_change *change, u64 *done)
{
    if (!count || !in_range(p, page, count))
        return STATUS_ARG;
    struct place at = find(p, page);
    if (unlikely(at.level)) {
        enum status s;
        at = split_down(p, page, page + count, at, &s);
        if (s != OK)
            return s;
    }
    const u64 entries = at.level ? 1 : rest_of(page, count, 1);
    for (u64 i = 0; i < entries; i++)
        change->flush |= clear(at.entry + i);
    change->last = at.entry + entries - 1;
    *done = at.level ? rest_of(page, count, at.level) : entries;
    return OK;
}

enum status ptab_split(struct ptab *p, u64 page)
{
    if (!in_range(p, page, 1))
        return OK;   /* the end of the address space is an edge of every page */
    u64 word;
    enum status s;
    const struct place at = walk(p, page, 0, &word);
    (void)split_down(p, page, ~0ul, at, &s);
    return s;
}

/* ---- Tables that die ---- */

/* Is nothing in the table of this entry? What is next to it is looked at first, as it is the likeliest to be there. */
static bool is_empty(atomic_u64 *entry)
{
    u64 i = 0;
    while (!atomic_load((atomic_u64 *)((u64)entry ^ i)))
        if ((i += sizeof(*entry)) == PAGE_SIZE)
            return true;
    return false;
}

/* `empty`: a table that is known to be, or NULL. */
static seldom void unlink_empty(struct ptab *p, u64 page, const atomic_u64 *empty, struct ptab_change *change)
{
    struct quota *const kernel = &kern()->quota;
    atomic_store(&p->recent, 0);
    for (u32 level = 1; level < PTAB_LEVELS; level++) {
        u64 word;
        const struct place at = walk(p, page, level, &word);
        if (at.level > level || !ptab_is_present(p->format, word))
            continue;
        atomic_u64 *const table = ptab_table(word & PTAB_ADDRESS);
        void *dead;
        if (!ptab_is_table(p->format, word, level) || (table != empty && !is_empty(table)) ||
            mem_alloc(kern()->mem, kernel, sizeof(struct ptab_dead), &dead) != OK)
            return;
        (void)clear(at.entry);
        /* The space may be gone before its tables are: they are the kernel's from here on. */
        mem_recharge(p->quota, kernel, PAGE_SIZE);
        ((struct ptab_dead *)dead)->table = table;
        ((struct ptab_dead *)dead)->next = change->dead;
        change->dead = dead;
        change->flush = true;
    }
}

void ptab_reclaim(struct ptab *p, u64 page, struct ptab_change *change)
{
    atomic_u64 *const last = change->last;
    change->last = NULL;
    if (!last || is_empty(last))
        unlink_empty(p, page, (atomic_u64 *)align_down((u64)last, PAGE_SIZE), change);
}

static void dead_release(struct cpu *cpu, struct epoch_item *item)
{
    struct ptab_dead *dead = container_of(item, struct ptab_dead, item);
    mem_free(kern()->mem, &kern()->quota, dead->table, PAGE_SIZE);
    mem_free(kern()->mem, &kern()->quota, dead, sizeof(*dead));
}

void ptab_release(struct cpu *cpu, struct ptab *p, struct ptab_change *change, u64 tlb_generation)
{
    struct ptab_dead *next;
    for (struct ptab_dead *dead = change->dead; dead; dead = next) {
        next = dead->next;
        mach_mem_state(dead->table, PAGE_SIZE, MEM_EPOCH);
        dead->item.release = dead_release;
        epoch_defer(cpu, &dead->item, tlb_generation);
    }
    change->dead = NULL;
}

bool ptab_lookup(const struct ptab *p, u64 page, u64 *frame, u32 *rights)
{
    if (!in_range(p, page, 1))
        return false;
    u64 word;
    const struct place at = walk(p, page, 0, &word);
    if (!ptab_is_present(p->format, word))
        return false;
    *frame = ((word & PTAB_ADDRESS) >> PAGE_BITS) + (page & (PTAB_SPAN(at.level) - 1));
    *rights = p->format->rights(word);
    return true;
}
