/* SPDX-License-Identifier: BSD-2-Clause */
/* Protection domains: created in one go, released in steps, each bounded and in an epoch of its own:
 *
 *   refs 0  -> capabilities in it -> users - 1
 *   users 0 -> capabilities that came since, host memory, guest memory -> TLB generation -> tables, quota, memory
 *
 * Invariant: nothing is charged to the quota of a PD that ends; its whole limit goes back to the parent. Memory stays mapped until the last
 * EC is gone: UTCBs and state pages are taken back by who owns them, and only then the space. */
#include "pd.h"
#include "cpu.h"

struct quota *pd_quota(struct pd *pd)
{
    return pd ? &pd->quota : &kern()->quota;
}

enum status pd_alloc(struct pd *pd, u64 bytes, void **out)
{
    return mem_alloc(kern()->mem, pd_quota(pd), bytes, out);
}

void pd_release(struct cpu *cpu, struct object *o, u64 bytes)
{
    struct pd *const pd = o->pd;
    mem_free(kern()->mem, pd_quota(pd), o, bytes);
    pd_drop(cpu, pd);
}

/* Frees the tables, gives the quota back, then the PD itself. Nobody can reach it. */
static seldom void pd_free(struct cpu *cpu, struct pd *pd)
{
    if (pd->objects.leaf)
        space_obj_destroy(&pd->objects);
    if (pd->memory.ptab.root)
        ptab_destroy(&pd->memory.ptab);
    if (pd->guest.ptab.root)
        ptab_destroy(&pd->guest.ptab);
    if (quota_transfer(&pd->quota, pd_quota(pd->object.pd), atomic_load(&pd->quota.limit)) != OK)
        mach_panic("pd: memory is still charged to a protection domain that is gone");
    pd_release(cpu, &pd->object, sizeof(*pd));
}

static seldom enum status pd_fill(struct pd *pd, u64 quota_bytes)
{
    enum status s = quota_transfer(pd_quota(pd->object.pd), &pd->quota, quota_bytes);
    if (s != OK)
        return s;
    s = space_obj_init(&pd->objects, &pd->quota);
    if (s != OK)
        return s;
    return space_mem_init(&pd->memory, &ptab_host, &pd->quota, kern()->host_leaf_level, USER_END >> PAGE_BITS);
}

seldom enum status pd_create(struct cpu *cpu, struct pd *parent, u64 quota_bytes, u32 flags, struct pd **out)
{
    void *p;
    enum status s = pd_alloc(parent, sizeof(struct pd), &p);
    if (s != OK)
        return s;
    struct pd *const pd = p;
    object_init(&pd->object, OBJ_PD, parent, cpu->id);
    pd->flags = flags;
    pd_hold(pd);
    s = pd_fill(pd, quota_bytes);
    if (s != OK) {
        pd_free(cpu, pd);
        return s;
    }
    *out = pd;
    return OK;
}

static seldom void pd_finish(struct cpu *cpu, struct epoch_item *item)
{
    pd_free(cpu, container_of(item, struct pd, object.release));
}

static seldom enum status pd_unmap_all(struct cpu *cpu, struct pd *pd, u64 *generation)
{
    u64 host = 0, guest = 0;
    enum status s = space_mem_clear(cpu, &pd->memory, &host);
    if (s == OK && pd->guest.ptab.root)
        s = space_mem_clear(cpu, &pd->guest, &guest);
    *generation = max(host, guest);
    return s;
}

static seldom void pd_memory_step(struct cpu *cpu, struct epoch_item *item)
{
    struct pd *const pd = container_of(item, struct pd, object.release);
    u64 generation = 0;
    item->release = pd_unmap_all(cpu, pd, &generation) == OK ? pd_finish : pd_memory_step;
    epoch_defer(cpu, item, generation);
}

/* Once it is empty it stays so: nobody can reach it. */
static seldom void pd_step(struct cpu *cpu, struct epoch_item *item)
{
    struct pd *const pd = container_of(item, struct pd, object.release);
    if (space_obj_clear(cpu, &pd->objects) == OK) {
        pd_memory_step(cpu, item);
        return;
    }
    item->release = pd_step;
    epoch_defer(cpu, item, 0);
}

void pd_hold(struct pd *pd)
{
    if (pd)
        atomic_add(&pd->users, 1);
}

void pd_drop(struct cpu *cpu, struct pd *pd)
{
    if (!pd || atomic_fetch_add(&pd->users, -1ul) != 1)
        return;
    pd->object.release.release = pd_step;
    epoch_defer(cpu, &pd->object.release, 0);
}

/* Nobody names it: nobody can give it new users but those it has. */
static seldom void pd_disown(struct cpu *cpu, struct epoch_item *item)
{
    struct pd *const pd = container_of(item, struct pd, object.release);
    if (space_obj_clear(cpu, &pd->objects) == OK) {
        pd_drop(cpu, pd);
        return;
    }
    item->release = pd_disown;
    epoch_defer(cpu, item, 0);
}

void pd_destroy(struct cpu *cpu, struct pd *pd)
{
    pd_disown(cpu, &pd->object.release);
}

/* The owner may have revoked pages itself, and mapped something else there since: those are not touched. */
static u64 run_length(struct pd *pd, u64 page, u64 frame, u64 pages)
{
    u64 n = 0, mapped;
    u32 rights;
    while (n < pages && space_mem_lookup(&pd->memory, page + n, &mapped, &rights) && mapped == frame + n)
        n++;
    return n;
}

enum status pd_unmap(struct cpu *cpu, struct pd *pd, u64 page, const void *memory, u64 pages, u64 *generation)
{
    const u64 frame = mach_virt_to_phys(memory) >> PAGE_BITS;
    for (u64 i = 0, n; i < pages; i += max(n, 1ul)) {
        n = run_length(pd, page + i, frame + i, pages - i);   /* in one piece, so that no range has to be split */
        const enum status s = n ? space_mem_revoke(cpu, &pd->memory, page + i, n, true, generation) : OK;
        if (s != OK)
            return s;
    }
    /* What was revoked in an earlier step, or by whoever had it, may still be under way. */
    lock_take(&kern()->derive_lock);
    *generation = tlb_owed();
    lock_drop(&kern()->derive_lock);
    return OK;
}

seldom enum status pd_guest(struct pd *pd, struct space_mem **out)
{
    struct kern *const k = kern();
    if (!k->virt)
        return STATUS_FEATURE;
    lock_take(&k->derive_lock);
    enum status s = OK;
    if (!pd->guest.ptab.root)
        s = space_mem_init(&pd->guest, k->virt->format, &pd->quota, k->virt->leaf_level_max(), bit(k->virt->format->address_bits - PAGE_BITS));
    lock_drop(&k->derive_lock);
    if (s == OK)
        *out = &pd->guest;
    return s;
}

seldom struct space_mem *pd_guest_made(struct pd *pd)
{
    lock_take(&kern()->derive_lock);
    const bool made = pd->guest.ptab.root;
    lock_drop(&kern()->derive_lock);
    return made ? &pd->guest : NULL;
}
