/* SPDX-License-Identifier: BSD-2-Clause */
/* A capability space: selectors 0 .. SEL_COUNT - 1 to (object, permissions), each slot with its derivation node.
 * Invariant: a slot's word is written under kern.derive_lock and read without; an object stays readable until the trap in which it was
 * looked up has ended (epoch). Each slot holds one reference to its object. */
#pragma once
#include "abi/hypercall.h"
#include "derive.h"
#include "mem.h"
#include "object.h"

struct cap_slot {
    atomic_u64 word;           /* object address (64-byte aligned) | permissions, 0: empty */
    struct derive derive;      /* kind SPACE_OBJECT */
    u64 selector;
    struct space_obj *space;
};
static_assert(sizeof(struct cap_slot) == 64, "64 slots per page");

#define OBJ_LEAF_SLOTS 64u

struct space_obj {
    struct quota *quota;
    atomic_u64 *leaf;          /* SEL_COUNT / 64 addresses of struct cap_slot [64] in one page; never unlinked before the space dies */
    atomic_u64 leaf_end;       /* no leaf lies there or behind; only grows */
    u32 cleared;               /* whoever clears it: leaves that this pass has behind it */
};

must_check enum status space_obj_init(struct space_obj *s, struct quota *q);
/* Object if the slot holds type with all of perms. STATUS_CAP, STATUS_PERM. */
must_check enum status space_obj_lookup(const struct space_obj *s, u64 selector, enum object_type type, u32 perms, struct object **out);
/* What a selector holds: false if nothing. */
bool space_obj_peek(const struct space_obj *s, u64 selector, u32 *type, u32 *perms);
/* The selector's slot, made if need be and empty now: an insert there cannot fail for lack of memory. STATUS_ARG, STATUS_EXISTS, STATUS_QUOTA,
 * STATUS_MEMORY. The slot stays as long as the space. */
must_check enum status space_obj_reserve(struct space_obj *s, u64 selector, struct cap_slot **slot);
/* The first capability to a new object, all permissions. Takes over the caller's reference. STATUS_EXISTS: somebody was faster. */
must_check enum status space_obj_fill(struct cap_slot *slot, struct object *o);
must_check enum status space_obj_insert(struct space_obj *s, u64 selector, struct object *o);   /* both */
/* Copy count > 0 capabilities with at most perms. Every source slot must hold one (STATUS_RANGE), every target slot be empty (STATUS_EXISTS).
 * All checks and allocations come first: a failing call leaves nothing, but for target slots that somebody filled meanwhile. Bounded steps:
 * with STATUS_RESTART *done of them are finished; go on with the rest. */
must_check enum status space_obj_delegate(struct space_obj *from, u64 selector, struct space_obj *to, u64 target, u64 count, u32 perms, u64 *done);
/* Take back everything derived from the slots, and with self the slots too. STATUS_ARG, or bounded steps: STATUS_RESTART means call again
 * with the same arguments. *done slots are passed. Without it all are looked at each time. */
must_check enum status space_obj_revoke_rest(struct cpu *cpu, struct space_obj *s, u64 selector, u64 count, bool self, u64 *done);
must_check static inline enum status space_obj_revoke(struct cpu *cpu, struct space_obj *s, u64 selector, u64 count, bool self)
{
    return space_obj_revoke_rest(cpu, s, selector, count, self, NULL);
}
/* The space dies: empty it, of all that was in it at the beginning. What was derived from it lives on under its parents, or goes too where it
 * had none. STATUS_RESTART or OK. */
must_check enum status space_obj_clear(struct cpu *cpu, struct space_obj *s);
void space_obj_destroy(struct space_obj *s);   /* after init, or when clear is done and no CPU looks any more: frees the leaves */

#define OBJ_PERM_MASK 0x3ful   /* of a slot's word: low bits of a 64-byte aligned address */

/* space_obj_lookup, inline: for the shortest paths. */
must_check static inline enum status space_obj_find(const struct space_obj *s, u64 selector, enum object_type type, u32 perms, struct object **out)
{
    if (unlikely(selector >= SEL_COUNT))
        return STATUS_CAP;
    const struct cap_slot *const leaf = (const struct cap_slot *)atomic_load(&s->leaf[selector / OBJ_LEAF_SLOTS]);
    if (unlikely(!leaf))
        return STATUS_CAP;
    const u64 word = atomic_load(&leaf[selector % OBJ_LEAF_SLOTS].word);
    struct object *const o = (struct object *)(word & ~OBJ_PERM_MASK);
    if (unlikely(!o || o->type != type))
        return STATUS_CAP;
    if (unlikely(perms & ~word))
        return STATUS_PERM;
    *out = o;
    return OK;
}
