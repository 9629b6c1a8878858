/* SPDX-License-Identifier: BSD-2-Clause */
/* Life and death of kernel objects. Owns the reference count and the way from the last reference to the destroyer of the type.
 *
 *   refs 0 -> OBJECT_DEAD set, epoch_defer -> (epoch) -> home CPU -> x_destroy, which may go on in further epochs with the same item
 *
 * Invariant: an object is queued for release at most once: OBJECT_DEAD is set exactly while it is. A lookup that was under way when the last
 * reference went may take a new one within the epoch; then the release only clears OBJECT_DEAD and the object lives on.
 * Lock: none. */
#include "object.h"
#include "apic.h"
#include "cpu.h"
#include "ec.h"
#include "pd.h"
#include "portal.h"
#include "sc.h"
#include "sm.h"
#include "vcpu.h"

static void object_release(struct cpu *cpu, struct epoch_item *item);

void object_init(struct object *o, enum object_type type, struct pd *pd, u32 cpu)
{
    o->type = type;
    o->cpu = cpu;
    o->pd = pd;
    o->release.next = NULL;
    o->release.release = object_release;
    atomic_store(&o->refs, 1);
    pd_hold(pd);
}

void object_ref(struct object *o)
{
    atomic_add(&o->refs, 1);
}

void object_unref(struct cpu *cpu, struct object *o)
{
    if (atomic_fetch_add(&o->refs, -1ul) != 1)
        return;
    /* Whoever makes it OBJECT_DEAD queues it. A reference taken meanwhile wins. */
    u64 none = 0;
    if (atomic_cas(&o->refs, &none, OBJECT_DEAD))
        epoch_defer(cpu, &o->release, 0);
}

static void object_destroy(struct cpu *cpu, struct object *o)
{
    switch (o->type) {
    case OBJ_PD:
        pd_destroy(cpu, container_of(o, struct pd, object));
        break;
    case OBJ_EC:
        ec_destroy(cpu, container_of(o, struct ec, object));
        break;
    case OBJ_SC:
        sc_destroy(cpu, container_of(o, struct sc, object));
        break;
    case OBJ_PORTAL:
        portal_destroy(cpu, container_of(o, struct portal, object));
        break;
    case OBJ_SM:
        sm_destroy(cpu, container_of(o, struct sm, object));
        break;
    case OBJ_VCPU:
        vcpu_destroy(cpu, container_of(o, struct vcpu, object));
        break;
    default:
        mach_panic("object_destroy: not an object");
    }
}

/* Hand it to the CPU that it runs on. The list is taken over as a whole, so that there is no ABA. */
static void object_send(struct cpu *cpu, struct cpu *home, struct epoch_item *item)
{
    u64 first = atomic_load(&home->released);
    do
        item->next = (struct epoch_item *)first;
    while (!atomic_cas(&home->released, &first, (u64)item));
    if (!first)
        apic_ipi(cpu, home);
}

/* The epoch is over: nobody but a new owner can still reach it. */
static void object_release(struct cpu *cpu, struct epoch_item *item)
{
    struct object *o = container_of(item, struct object, release);
    if (o->type != OBJ_PD && o->type != OBJ_SM && o->cpu != cpu->id) {
        object_send(cpu, kern()->cpu[o->cpu], item);
        return;
    }
    u64 refs = atomic_load(&o->refs);
    while (refs != OBJECT_DEAD) {
        /* Somebody took a reference. If it is gone again by now, refs is OBJECT_DEAD and the loop ends. */
        if (atomic_cas(&o->refs, &refs, refs & ~OBJECT_DEAD))
            return;
    }
    object_destroy(cpu, o);
}
