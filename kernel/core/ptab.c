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

static atomic_u64 *table_at(u64 phys)
{
    return mach_phys_to_virt(phys);
}

static u64 index_of(u64 page, u32 level)
{
    return page >> 9 * level & (PTAB_ENTRIES - 1);
}

static struct place place_top(const struct ptab *p, u64 page)
{
    const u32 level = PTAB_LEVELS - 1;
    return (struct place){ table_at(p->root) + index_of(page, level), level };
}

/* One level down through word, a table. */
static struct place place_down(const struct ptab *p, struct place at, u64 word, u64 page)
{
    const u32 level = at.level - 1;
    return (struct place){ table_at(word & PTAB_ADDRESS) + index_of(page, level), level };
}

static bool is_table(const struct ptab *p, u64 word, u32 level)
{
    return ptab_is_present(p->format, word) && !ptab_is_leaf(word, level);
}

/* The deepest entry there is for page, at `level` or above: a leaf, an absent entry, or any entry of `level`. *word is what it held. */
static struct place walk(const struct ptab *p, u64 page, u32 level, u64 *word)
{
    struct place at = place_top(p, page);
    *word = atomic_load(at.entry);
    while (at.level > level && is_table(p, *word, at.level)) {
        at = place_down(p, at, *word, page);
        *word = atomic_load(at.entry);
    }
    return at;
}

static bool in_range(const struct ptab *p, u64 page, u64 count)
{
    const u64 end = bit(p->format->address_bits - PAGE_BITS);
    return page < end && count <= end - page;
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
    const u64 table = p->format->table(mach_virt_to_phys(s->table[s->count - 1]));
    if (atomic_cas(at.entry, word, table)) {
        s->count--;
        *word = table;
    }
}

enum status ptab_init(struct ptab *p, const struct ptab_format *f, struct quota *q, u32 leaf_level_max)
{
    void *root;
    const enum status s = mem_alloc(kern()->mem, q, PAGE_SIZE, &root);
    if (s != OK)
        return s;
    atomic_u64 *to = root;
    if (f->machine_first < PTAB_ENTRIES) {
        const atomic_u64 *from = table_at(mach_boot_root());
        for (u32 i = f->machine_first; i < PTAB_ENTRIES; i++)
            atomic_store(&to[i], atomic_load(&from[i]));
    }
    p->format = f;
    p->root = mach_virt_to_phys(root);
    p->quota = q;
    p->leaf_level_max = min(leaf_level_max, PTAB_LEAF_LEVEL_MAX);
    return OK;
}

/* ---- Map ---- */

/* Level of the largest page that page, frame, count and what stands there allow. A table already there is used, even an empty one. */
static u32 map_level(const struct ptab *p, u64 page, u64 frame, u64 count)
{
    u32 level = p->leaf_level_max;
    while (level && ((page | frame) & (PTAB_SPAN(level) - 1) || count < PTAB_SPAN(level)))
        level--;
    u64 word;
    while (level && walk(p, page, level, &word).level == level && is_table(p, word, level))
        level--;
    return level;
}

/* Link what is missing from at, which holds word, down to level. Tables others link meanwhile are used as well; *at becomes the entry there. */
static enum status link_down(const struct ptab *p, u64 page, u32 level, struct place *at, u64 word)
{
    struct spare spare = { 0 };
    if (at->level == level)
        return OK;
    const enum status s = spare_fill(p, &spare, at->level - level);
    if (s != OK)
        return s;
    while (at->level > level) {
        if (!ptab_is_present(p->format, word))
            spare_link(p, &spare, *at, &word);
        if (!is_table(p, word, at->level))
            break;   /* a large page of another writer */
        *at = place_down(p, *at, word, page);
        word = atomic_load(at->entry);
    }
    spare_free(p, &spare);
    return at->level > level ? STATUS_EXISTS : OK;
}

/* Entries from at on, n of them, must be absent. */
static enum status check_absent(const struct ptab *p, struct place at, u64 n)
{
    for (u64 i = 0; i < n; i++)
        if (ptab_is_present(p->format, atomic_load(at.entry + i)))
            return STATUS_EXISTS;
    return OK;
}

static void clear(atomic_u64 *entry)
{
    u64 word = atomic_load(entry);
    while (word && !atomic_cas(entry, &word, 0))   /* bound: A and D can be set once each, others do not write here */
        ;
}

/* Where `entries` leaves of a level begin. */
struct leaves {
    struct place at;
    u64 entries;
    u32 level;
};

/* What a map can fail for: something is there, or a table is missing and cannot be made. */
static enum status map_prepare(const struct ptab *p, u64 page, u64 frame, u64 count, struct leaves *l)
{
    if (!count || !in_range(p, page, count))
        return STATUS_ARG;
    l->level = map_level(p, page, frame, count);
    l->entries = l->level ? 1 : rest_of(page, count, 1);
    u64 word;
    l->at = walk(p, page, l->level, &word);
    if (l->at.level > l->level)
        return ptab_is_present(p->format, word) ? STATUS_EXISTS : link_down(p, page, l->level, &l->at, word);
    return check_absent(p, l->at, l->entries);
}

enum status ptab_reserve(struct ptab *p, u64 page, u64 frame, u64 count, u64 *done)
{
    struct leaves l;
    const enum status s = map_prepare(p, page, frame, count, &l);
    if (s == OK)
        *done = l.entries << 9 * l.level;
    return s;
}

enum status ptab_map(struct ptab *p, u64 page, u64 frame, u64 count, u32 rights, struct ptab_change *change, u64 *done)
{
    struct leaves l;
    const enum status s = map_prepare(p, page, frame, count, &l);
    if (s != OK)
        return s;
    for (u64 i = 0; i < l.entries; i++) {
        u64 absent = 0;
        if (atomic_cas(l.at.entry + i, &absent, p->format->leaf((frame + i) << PAGE_BITS, rights, l.level)))
            continue;
        change->flush |= i > 0;   /* what was there for a moment may be cached */
        while (i--)
            clear(l.at.entry + i);
        return STATUS_EXISTS;
    }
    *done = l.entries << 9 * l.level;
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
            atomic_store_relaxed(&table[i], f->leaf(phys, f->rights(*word), level - 1) | f->keep(*word));
        }
        spare_link(p, &spare, at, word);
    }
    spare_free(p, &spare);
    return OK;
}

/* Walk to page, splitting each large page that reaches out of [start, end). */
static enum status walk_split(const struct ptab *p, u64 page, u64 start, u64 end, struct place *out, u64 *word)
{
    struct place at = walk(p, page, 0, word);
    while (at.level && ptab_is_present(p->format, *word)) {
        const u64 span = PTAB_SPAN(at.level), first = align_down(page, span);
        if (is_table(p, *word, at.level)) {
            at = place_down(p, at, *word, page);
            *word = atomic_load(at.entry);
            continue;
        }
        if (first >= start && first + span <= end)
            break;
        const enum status s = split(p, at, word);
        if (s != OK)
            return s;
    }
    *out = at;
    return OK;
}

enum status ptab_unmap(struct ptab *p, u64 page, u64 count, struct ptab_change *change, u64 *done)
{
    if (!count || !in_range(p, page, count))
        return STATUS_ARG;
    struct place at;
    u64 word;
    const enum status s = walk_split(p, page, page, page + count, &at, &word);
    if (s != OK)
        return s;
    const u64 entries = at.level ? 1 : rest_of(page, count, 1);
    for (u64 i = 0; i < entries; i++) {
        if (!ptab_is_present(p->format, atomic_load(at.entry + i)))
            continue;
        clear(at.entry + i);
        change->flush = true;
    }
    *done = at.level ? rest_of(page, count, at.level) : entries;
    return OK;
}

enum status ptab_split(struct ptab *p, u64 page)
{
    struct place at;
    u64 word;
    if (!in_range(p, page, 1))
        return OK;   /* the end of the address space is an edge of every page */
    return walk_split(p, page, page, ~0ul, &at, &word);
}

/* ---- Tables that die ---- */

static bool is_empty(const atomic_u64 *table)
{
    for (u32 i = 0; i < PTAB_ENTRIES; i++)
        if (atomic_load(&table[i]))
            return false;
    return true;
}

void ptab_reclaim(struct ptab *p, u64 page, struct ptab_change *change)
{
    struct quota *const kernel = &kern()->quota;
    for (u32 level = 1; level < PTAB_LEVELS; level++) {
        u64 word;
        const struct place at = walk(p, page, level, &word);
        if (at.level > level || !ptab_is_present(p->format, word))
            continue;
        atomic_u64 *const table = table_at(word & PTAB_ADDRESS);
        void *dead;
        if (!is_table(p, word, level) || !is_empty(table) || mem_alloc(kern()->mem, kernel, sizeof(struct ptab_dead), &dead) != OK)
            return;
        clear(at.entry);
        /* The space may be gone before its tables are: they are the kernel's from here on. */
        mem_recharge(p->quota, kernel, PAGE_SIZE);
        ((struct ptab_dead *)dead)->table = table;
        ((struct ptab_dead *)dead)->next = change->dead;
        change->dead = dead;
        change->flush = true;
    }
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

/* Every table once, deepest first: down into each table found, free it and go on behind it. Bound: the entries of all tables that name tables. */
void ptab_destroy(struct ptab *p)
{
    u64 table[PTAB_LEVELS];
    u32 next[PTAB_LEVELS] = { 0 };
    const u32 top = PTAB_LEVELS - 1;
    u32 level = top;
    table[top] = p->root;
    for (;;) {
        if (next[level] == (level == top ? p->format->machine_first : PTAB_ENTRIES)) {
            mem_free(kern()->mem, p->quota, table_at(table[level]), PAGE_SIZE);
            if (level == top)
                break;
            level++;
            continue;
        }
        const u64 word = atomic_load(table_at(table[level]) + next[level]++);
        if (!word || !is_table(p, word, level))
            continue;
        if (level == 1) {   /* below are leaves */
            mem_free(kern()->mem, p->quota, table_at(word & PTAB_ADDRESS), PAGE_SIZE);
            continue;
        }
        table[level - 1] = word & PTAB_ADDRESS;
        level--;
        next[level] = 0;
    }
    p->root = 0;
}
