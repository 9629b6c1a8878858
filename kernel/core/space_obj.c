/* SPDX-License-Identifier: BSD-2-Clause */
/* Capability spaces: a two-level table of slots. Owns leaves, slots and the reference each filled slot has to its object.
 *
 *   space.leaf -> page of 512 addresses -> leaf: page of 64 slots { word, derivation node }
 *
 * Invariant: a slot is in the derivation tree iff its word is not 0. Words and leaf addresses are written under kern.derive_lock and read
 * without; a leaf is complete before it is linked.
 * Lock: kern.derive_lock, for at most STEP slots at a time. */
#include "space_obj.h"
#include "cpu.h"
#include "kern.h"

#define LEAVES    (SEL_COUNT / OBJ_LEAF_SLOTS)
#define STEP      64u
#define LEAF_STEP 8u    /* leaves looked through for nothing */

static_assert(LEAVES * sizeof(u64) == PAGE_SIZE && PERM_ALL <= OBJ_PERM_MASK, "layout");

static struct object *word_object(u64 word)
{
    return (struct object *)(word & ~OBJ_PERM_MASK);
}

/* The slot or NULL; selector < SEL_COUNT. */
static struct cap_slot *slot_at(const struct space_obj *s, u64 selector)
{
    struct cap_slot *leaf = (struct cap_slot *)atomic_load(&s->leaf[selector / OBJ_LEAF_SLOTS]);
    return leaf ? &leaf[selector % OBJ_LEAF_SLOTS] : NULL;
}

/* The slot if it holds something, else NULL. */
static struct cap_slot *slot_held(const struct space_obj *s, u64 selector)
{
    struct cap_slot *slot = slot_at(s, selector);
    return slot && atomic_load(&slot->word) ? slot : NULL;
}

/* Not none. */
static inline bool range_ok(u64 selector, u64 count)
{
    return count - 1 < SEL_COUNT && selector <= SEL_COUNT - count;
}

enum status space_obj_lookup(const struct space_obj *s, u64 selector, enum object_type type, u32 perms, struct object **out)
{
    return space_obj_find(s, selector, type, perms, out);
}

bool space_obj_peek(const struct space_obj *s, u64 selector, u32 *type, u32 *perms)
{
    const struct cap_slot *slot = selector < SEL_COUNT ? slot_at(s, selector) : NULL;
    const u64 word = slot ? atomic_load(&slot->word) : 0;
    if (!word)
        return false;
    *type = word_object(word)->type;
    *perms = (u32)(word & OBJ_PERM_MASK);
    return true;
}

enum status space_obj_init(struct space_obj *s, struct quota *q)
{
    s->quota = q;
    void *page;
    const enum status st = mem_alloc(kern()->mem, q, PAGE_SIZE, &page);
    if (st == OK)
        s->leaf = page;
    return st;
}

/* Make the slot exist. derive_lock held. */
static enum status leaf_make(struct space_obj *s, u64 selector)
{
    atomic_u64 *const where = &s->leaf[selector / OBJ_LEAF_SLOTS];
    if (atomic_load(where))
        return OK;
    void *page;
    const enum status st = mem_alloc(kern()->mem, s->quota, PAGE_SIZE, &page);
    if (st != OK)
        return st;
    struct cap_slot *leaf = page;
    for (u32 i = 0; i < OBJ_LEAF_SLOTS; i++) {
        leaf[i].selector = align_down(selector, (u64)OBJ_LEAF_SLOTS) + i;
        leaf[i].space = s;
    }
    atomic_store(where, (u64)leaf);
    atomic_store(&s->leaf_end, max(atomic_load(&s->leaf_end), selector / OBJ_LEAF_SLOTS + 1));
    return OK;
}

static seldom enum status reserve_leaf(struct space_obj *s, u64 selector, struct cap_slot **slot)
{
    lock_take(&kern()->derive_lock);
    const enum status st = leaf_make(s, selector);
    lock_drop(&kern()->derive_lock);
    return st == OK ? space_obj_reserve(s, selector, slot) : st;
}

enum status space_obj_reserve(struct space_obj *s, u64 selector, struct cap_slot **slot)
{
    if (unlikely(selector >= SEL_COUNT))
        return STATUS_ARG;
    *slot = slot_at(s, selector);
    if (unlikely(!*slot))
        return reserve_leaf(s, selector, slot);
    return atomic_load(&(*slot)->word) ? STATUS_EXISTS : OK;
}

enum status space_obj_fill(struct cap_slot *slot, struct object *o)
{
    lock_take(&kern()->derive_lock);
    const bool empty = !atomic_load(&slot->word);
    if (likely(empty)) {
        derive_init(&slot->derive, SPACE_OBJECT);
        atomic_store(&slot->word, (u64)o | PERM_ALL);
    }
    lock_drop(&kern()->derive_lock);
    return empty ? OK : STATUS_EXISTS;
}

enum status space_obj_insert(struct space_obj *s, u64 selector, struct object *o)
{
    struct cap_slot *slot;
    const enum status st = space_obj_reserve(s, selector, &slot);
    return st == OK ? space_obj_fill(slot, o) : st;
}

/* ---- Delegate ---- */

struct delegation {
    struct space_obj *from, *to;
    u64 selector, target, count;
    u32 perms;
};

/* What can fail, for all that is left: so that filling cannot. Preempted only while it makes leaves, which are progress that stays. */
static enum status delegate_check(const struct delegation *d, u64 done)
{
    enum status st = OK;
    for (u64 i = done; i < d->count && st == OK; i++) {
        lock_take(&kern()->derive_lock);
        for (const u64 end = min(i + STEP, d->count); i < end && st == OK; i++)
            if (!slot_held(d->from, d->selector + i))
                st = STATUS_RANGE;
            else if (slot_held(d->to, d->target + i))
                st = STATUS_EXISTS;
        i--;
        lock_drop(&kern()->derive_lock);
    }
    for (u64 i = done; i < d->count && st == OK; i = align_down(d->target + i + OBJ_LEAF_SLOTS, (u64)OBJ_LEAF_SLOTS) - d->target) {
        if (slot_at(d->to, d->target + i))
            continue;
        lock_take(&kern()->derive_lock);
        st = leaf_make(d->to, d->target + i);
        lock_drop(&kern()->derive_lock);
        if (st == OK && mach_preempt_pending())
            st = STATUS_RESTART;
    }
    return st;
}

/* derive_lock held. from, to: NULL if there is no such slot. */
static inline enum status copy(struct cap_slot *from, struct cap_slot *to, u32 perms)
{
    const u64 word = from ? atomic_load(&from->word) : 0;
    if (unlikely(!word))
        return STATUS_RANGE;
    if (unlikely(!to || atomic_load(&to->word)))
        return STATUS_EXISTS;
    object_ref(word_object(word));
    derive_add(&from->derive, &to->derive, SPACE_OBJECT);
    atomic_store(&to->word, word & (~OBJ_PERM_MASK | perms));
    return OK;
}

static out_of_line enum status delegate_many(const struct delegation *d, u64 *done)
{
    enum status st = delegate_check(d, 0);
    while (st == OK && *done < d->count) {
        lock_take(&kern()->derive_lock);
        for (u32 n = 0; n < STEP && *done < d->count && st == OK; n++) {
            st = copy(slot_at(d->from, d->selector + *done), slot_at(d->to, d->target + *done), d->perms);
            *done += st == OK;
        }
        lock_drop(&kern()->derive_lock);
        if (st == OK && *done < d->count && mach_preempt_pending())
            st = STATUS_RESTART;
    }
    return st;
}

enum status space_obj_delegate(struct space_obj *from, u64 selector, struct space_obj *to, u64 target, u64 count, u32 perms, u64 *done)
{
    *done = 0;
    if (!range_ok(selector, count) || !range_ok(target, count) || perms & ~PERM_ALL)
        return STATUS_ARG;
    /* One capability into a leaf that exists: what could fail is looked at when it is copied. */
    struct cap_slot *const slot = slot_at(to, target);
    if (unlikely(count != 1 || !slot))
        return delegate_many(&(struct delegation){ from, to, selector, target, count, perms }, done);
    lock_take(&kern()->derive_lock);
    const enum status st = copy(slot_at(from, selector), slot, perms);
    lock_drop(&kern()->derive_lock);
    *done = st == OK;
    return st;
}

/* ---- Revoke ---- */

/* derive_lock held. */
static void slot_empty(struct cpu *cpu, struct cap_slot *slot)
{
    const u64 word = atomic_xchg(&slot->word, 0);
    derive_remove(&slot->derive);
    object_unref(cpu, word_object(word));
}

/* Up to *budget slots of what was derived from slot, and with self the slot. True: all of it. derive_lock held. */
static bool revoke_slot(struct cpu *cpu, struct cap_slot *slot, bool self, u32 *budget)
{
    struct derive *d;
    while ((d = derive_first(&slot->derive))) {
        if (!*budget)
            return false;
        --*budget;
        slot_empty(cpu, container_of(d, struct cap_slot, derive));
    }
    if (self) {
        if (!*budget)
            return false;
        --*budget;
        slot_empty(cpu, slot);
    }
    return true;
}

enum status space_obj_revoke_rest(struct cpu *cpu, struct space_obj *s, u64 selector, u64 count, bool self, u64 *done)
{
    if (!range_ok(selector, count))
        return STATUS_ARG;
    for (u64 i = done ? *done : 0; i < count;) {
        u32 budget = STEP;
        lock_take(&kern()->derive_lock);
        for (const u64 end = min(i + STEP, count); i < end; i++) {
            struct cap_slot *slot = slot_held(s, selector + i);
            if (slot && !revoke_slot(cpu, slot, self, &budget))
                break;
        }
        lock_drop(&kern()->derive_lock);
        /* Who begins anew looks at empty slots again: then a step that took nothing is never the last. */
        if (i < count && (done || budget < STEP) && mach_preempt_pending()) {
            if (done)
                *done = i;
            return STATUS_RESTART;
        }
    }
    return OK;
}

/* Takes up to STEP slots, says how many. An original capability goes with all that was derived from it:
 * otherwise what it names could live on, named only by itself, and nobody could ever take it back. */
static u32 leaf_clear(struct cpu *cpu, struct space_obj *s, u32 index)
{
    struct cap_slot *leaf = slot_at(s, index * OBJ_LEAF_SLOTS);
    u32 budget = STEP;
    if (!leaf)
        return 0;
    lock_take(&kern()->derive_lock);
    for (u32 i = 0; i < OBJ_LEAF_SLOTS && budget; i++) {
        if (!atomic_load(&leaf[i].word))
            continue;
        if (derive_is_original(&leaf[i].derive)) {
            revoke_slot(cpu, &leaf[i], true, &budget);
        } else {
            slot_empty(cpu, &leaf[i]);
            budget--;
        }
    }
    lock_drop(&kern()->derive_lock);
    return STEP - budget;
}

enum status space_obj_clear(struct cpu *cpu, struct space_obj *s)
{
    while (s->cleared < atomic_load(&s->leaf_end)) {   /* bound: leaves, capabilities in them and derived from those */
        const u32 taken = leaf_clear(cpu, s, s->cleared);
        s->cleared += taken < STEP;   /* what others put there meanwhile is left: they could go on for ever */
        if ((taken || s->cleared % LEAF_STEP == 0) && mach_preempt_pending())
            return STATUS_RESTART;
    }
    s->cleared = 0;
    return OK;
}

void space_obj_destroy(struct space_obj *s)
{
    for (u32 i = 0; i < atomic_load(&s->leaf_end); i++) {
        struct cap_slot *leaf = slot_at(s, i * OBJ_LEAF_SLOTS);
        if (leaf)
            mem_free(kern()->mem, s->quota, leaf, PAGE_SIZE);
    }
    mem_free(kern()->mem, s->quota, s->leaf, PAGE_SIZE);
    s->leaf = NULL;
}
