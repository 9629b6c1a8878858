/* SPDX-License-Identifier: BSD-2-Clause */
/* Epochs. Owns the lists of what waits to be released and the epoch each CPU has seen.
 *
 * deferring CPU                          other CPUs
 *   unlink the thing                       trap begins, may have found the thing
 *   epoch + 1 (full barrier) = e           ...
 *   item.epoch = e                         trap ends: seen = epoch (>= e)
 *   release when all seen >= e             tell the CPUs that wait for it
 *
 * Invariant: `waits` is published before `seen` of others is read, `seen` before `waits` of others is read (both by exchange: full
 * barriers): of two CPUs that miss each other at least one notices. Lock: none. */
#include "epoch.h"
#include "apic.h"
#include "cpu.h"
#include "kern.h"
#include "tlb.h"

void epoch_init(struct cpu *cpu)
{
    struct epoch_cpu *e = &cpu->epoch;
    e->first = NULL;
    e->last = &e->first;
    e->asked = 0;
    e->tlb_done = 0;
    atomic_store(&e->waits, 0);
    atomic_store(&e->seen, atomic_load(&kern()->epoch));
}

void epoch_defer(struct cpu *cpu, struct epoch_item *item, u64 tlb_generation)
{
    struct epoch_cpu *e = &cpu->epoch;
    item->next = NULL;
    item->generation = tlb_generation;
    item->epoch = atomic_fetch_add(&kern()->epoch, 1) + 1;
    *e->last = item;
    e->last = &item->next;
    cpu->due |= DUE_RELEASE;
}

static bool is_online(u32 id)
{
    return atomic_load(&kern()->cpus_online) & bit(id);
}

/* The epoch every CPU has seen. */
static u64 seen_by_all(void)
{
    u64 seen = ~0ul;
    for (u32 i = 0; i < kern()->cpu_count; i++)
        if (is_online(i))
            seen = min(seen, atomic_load(&kern()->cpu[i]->epoch.seen));
    return seen;
}

/* What the epoch of this CPU's trap held back may be due elsewhere now. */
static void tell_waiters(struct cpu *cpu)
{
    for (u32 i = 0; i < kern()->cpu_count; i++) {
        if (i == cpu->id || !is_online(i))
            continue;
        const u64 waits = atomic_load(&kern()->cpu[i]->epoch.waits);
        if (waits && waits <= seen_by_all())
            apic_ipi(cpu, kern()->cpu[i]);
    }
}

/* Objects that other CPUs found to be released here. The list is a chain of at most all dead objects of this CPU: they join the queue
 * again, so that the number released per trap stays bounded. */
static void take_released(struct cpu *cpu)
{
    struct epoch_cpu *e = &cpu->epoch;
    if (!atomic_load(&cpu->released))
        return;
    struct epoch_item *item = (struct epoch_item *)atomic_xchg(&cpu->released, 0);
    while (item) {
        struct epoch_item *next = item->next;
        item->next = e->first;   /* their epochs are over: to the front */
        if (!e->first)
            e->last = &item->next;
        e->first = item;
        item = next;
    }
}

static bool is_due(const struct epoch_item *item, u64 seen)
{
    return item->epoch <= seen && tlb_complete(item->generation);
}

/* One at least, however many interrupts come. */
static void release_due(struct cpu *cpu)
{
    struct epoch_cpu *e = &cpu->epoch;
    const u64 seen = seen_by_all();
    for (u32 n = 0; n < EPOCH_BATCH && e->first && is_due(e->first, seen) && !(n && mach_preempt_pending()); n++) {
        struct epoch_item *item = e->first;
        e->first = item->next;
        if (!e->first)
            e->last = &e->first;
        item->release(cpu, item);   /* may defer more */
    }
}

static void ask_laggards(struct cpu *cpu)
{
    struct epoch_cpu *e = &cpu->epoch;
    if (e->asked >= e->first->epoch)
        return;
    e->asked = e->first->epoch;
    /* This CPU too: what was deferred by a release is of an epoch after the one it has just seen, and it may be about to idle. */
    for (u32 i = 0; i < kern()->cpu_count; i++)
        if (is_online(i) && atomic_load(&kern()->cpu[i]->epoch.seen) < e->first->epoch)
            apic_ipi(cpu, kern()->cpu[i]);
}

void epoch_quiesce(struct cpu *cpu)
{
    struct epoch_cpu *e = &cpu->epoch;
    const u64 epoch = atomic_load(&kern()->epoch), done = atomic_load(&cpu->tlb.done);
    if (atomic_load(&e->seen) != epoch || e->tlb_done != done) {
        e->tlb_done = done;
        atomic_xchg(&e->seen, epoch);
        tell_waiters(cpu);
    }
    take_released(cpu);
    if (likely(!e->first))
        return;
    release_due(cpu);
    atomic_xchg(&e->waits, e->first ? e->first->epoch : 0);
    cpu->due = (cpu->due & ~DUE_RELEASE) | (e->first ? DUE_RELEASE : 0);
    if (!e->first)
        return;
    if (is_due(e->first, seen_by_all()))
        apic_ipi(cpu, cpu);   /* more than one batch: go on in a trap of its own */
    else
        ask_laggards(cpu);
}
