/* SPDX-License-Identifier: BSD-2-Clause */
/* TLB shootdown by generations. Owns tlb_cpu of every CPU and kern.tlb_waiters.
 *
 * requester                                   requested CPU
 *   page table word changed (locked)            IPI, or a guest entry
 *   read space.cpus; kinds |= what              read requested = r, kinds := 0
 *   draw g; requested = g; IPI  ------------.   invalidate
 *   wait: list, then look again             '-> done = r (never more), wake who is complete
 *
 * Invariant: done <= requested; done = r is stored after an invalidation that began after requested = r was read.
 * Lock: kern.tlb_lock for the list; everything else is atomic and only grows. */
#include "tlb.h"
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "space_mem.h"

static void invalidate(struct cpu *cpu, u64 kinds)
{
    if (kinds & TLB_KIND_HOST)
        mach_cr3_write(mach_cr3_read());   /* no PCID, no global pages below the kernel's half: drops them all */
    if (kinds & TLB_KIND_GUEST && cpu->kern->virt)
        cpu->kern->virt->flush(cpu);
}

void tlb_switch(struct cpu *cpu, struct space_mem *space)
{
    struct space_mem *const old = cpu->space;
    /* Announce before the first walk: pairs with a requester, who changes a word and then reads `cpus`. */
    atomic_or(&space->cpus, cpu->self);
    cpu->space = space;
    mach_cr3_write(space->ptab.root);   /* no PCID: drops all translations of the old space */
    if (old)
        atomic_and(&old->cpus, ~cpu->self);
}

void tlb_load(struct cpu *cpu, struct space_mem *space)
{
    struct space_mem *const old = cpu->space;
    if (old == space)
        return;
    if (space) {
        tlb_switch(cpu, space);
        return;
    }
    cpu->space = NULL;
    mach_cr3_write(mach_boot_root());
    atomic_and(&old->cpus, ~cpu->self);
}

void tlb_batch_add(struct tlb_batch *b, struct space_mem *space)
{
    const u64 cpus = atomic_load(&space->cpus);
    if (space->ptab.format == &ptab_host)
        b->host |= cpus;
    else
        b->guest |= cpus;
}

static u64 kinds_for(const struct tlb_batch *b, u32 id)
{
    return (b->host & bit(id) ? TLB_KIND_HOST : 0) | (b->guest & bit(id) ? TLB_KIND_GUEST : 0);
}

static void request(struct cpu *cpu, struct cpu *target, u64 generation)
{
    u64 requested = atomic_load(&target->tlb.requested);
    while (requested < generation)
        if (atomic_cas(&target->tlb.requested, &requested, generation))
            break;
    apic_ipi(cpu, target);
}

u64 tlb_batch_request(struct cpu *cpu, const struct tlb_batch *b)
{
    const u64 all = b->host | b->guest, others = all & ~bit(cpu->id);
    if (!all)
        return 0;
    /* What it is about comes before the generation is drawn: a CPU that completes a later generation completes this one with it, so it
     * must have seen these kinds. If they are taken early, so is the invalidation. */
    for (u64 left = others; left; left &= left - 1)
        atomic_or(&kern()->cpu[__builtin_ctzl(left)]->tlb.kinds, kinds_for(b, (u32)__builtin_ctzl(left)));
    const u64 generation = atomic_fetch_add(&kern()->tlb_generation, 1) + 1;
    if (unlikely(cpu->trace))
        trace_shootdown(cpu, generation, others);
    invalidate(cpu, kinds_for(b, cpu->id));
    for (u64 left = others; left; left &= left - 1)
        request(cpu, kern()->cpu[__builtin_ctzl(left)], generation);
    return generation;
}

u64 tlb_request(struct cpu *cpu, struct space_mem *space)
{
    struct tlb_batch b = { 0 };
    tlb_batch_add(&b, space);
    return tlb_batch_request(cpu, &b);
}

bool tlb_complete(u64 generation)
{
    if (!generation)
        return true;
    for (u32 i = 0; i < kern()->cpu_count; i++) {
        const struct tlb_cpu *t = &kern()->cpu[i]->tlb;
        /* done first: read the other way round, a request and its acknowledgement between the two reads would be seen as neither. */
        const u64 done = atomic_load(&t->done);
        if (done < generation && done < atomic_load(&t->requested))
            return false;
    }
    return true;
}

u64 tlb_owed(void)
{
    const u64 generation = atomic_load(&kern()->tlb_generation);
    return tlb_complete(generation) ? 0 : generation;
}

enum status tlb_wait(struct cpu *cpu, struct ec *ec, u64 generation)
{
    struct kern *k = cpu->kern;
    if (tlb_complete(generation))
        return OK;
    lock_take(&k->tlb_lock);
    ec->tlb_generation = generation;
    ec->state = EC_WAIT_TLB;
    ec_list_push(&k->tlb_waiters, ec);
    /* The last acknowledgement may have come before the list was locked; then nobody would wake it. Pairs with tlb_handle. */
    const bool complete = tlb_complete(generation);
    if (complete) {
        ec_list_remove(&k->tlb_waiters, ec);
        ec->state = EC_READY;
    }
    lock_drop(&k->tlb_lock);
    if (complete)
        return OK;
    sched_block(cpu);
    return STATUS_BLOCKED;
}

/* Bound: the ECs that wait. */
static void wake_complete(struct cpu *cpu)
{
    struct kern *k = cpu->kern;
    lock_take(&k->tlb_lock);
    for (struct ec *ec = k->tlb_waiters, *next; ec; ec = next) {
        next = ec->queue_next;
        if (!tlb_complete(ec->tlb_generation))
            continue;
        ec_list_remove(&k->tlb_waiters, ec);
        ec_wake(cpu, ec, STATUS_RESTART);   /* under the lock, as ec.h asks */
    }
    lock_drop(&k->tlb_lock);
}

void tlb_handle(struct cpu *cpu)
{
    const u64 requested = atomic_load(&cpu->tlb.requested);
    if (requested == atomic_load(&cpu->tlb.done))
        return;
    invalidate(cpu, atomic_xchg(&cpu->tlb.kinds, 0));
    if (unlikely(cpu->trace))
        trace_flushed(cpu, requested);
    atomic_store(&cpu->tlb.done, requested);
    wake_complete(cpu);
}
