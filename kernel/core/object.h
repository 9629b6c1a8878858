/* SPDX-License-Identifier: BSD-2-Clause */
/* What all kernel objects have in common: a type, a reference count, a home, a way to be released.
 * Invariant: refs counts capability slots and kernel pointers that outlive a trap; at 0 the object is released after an epoch, on its home
 * CPU. Objects are 64-byte aligned, so that a capability word has room for permissions. */
#pragma once
#include "atomic.h"
#include "epoch.h"

enum object_type { OBJ_NONE, OBJ_PD, OBJ_EC, OBJ_SC, OBJ_PORTAL, OBJ_SM, OBJ_VCPU, OBJ_COUNT };

struct pd;
struct cpu;

#define OBJECT_DEAD bit(63)   /* of refs: object.c */

struct object {
    u32 type;                  /* enum object_type; constant */
    u32 cpu;                   /* home CPU of EC, SC, portal, vCPU: where it runs and is released */
    atomic_u64 refs;
    struct pd *pd;             /* charged for it; held: pd_hold */
    struct epoch_item release;
};

void object_init(struct object *o, enum object_type type, struct pd *pd, u32 cpu);   /* refs = 1; holds pd (pd_hold; may be NULL) */
void object_ref(struct object *o);
/* At 0: after an epoch, on the home CPU (PD and SM: on any), x_destroy(cpu, x) once. It frees x and drops the reference to the PD. */
void object_unref(struct cpu *cpu, struct object *o);
/* Is it queued for release, or released? Its threads, if it is a PD, may still run. */
static inline bool object_is_dead(const struct object *o)
{
    return atomic_load(&o->refs) & OBJECT_DEAD;
}

/* Values of enum status that stay inside the kernel. */
#define STATUS_RESTART ((enum status)0x100)   /* preempted: execute the hypercall again from its SYSCALL instruction */
#define STATUS_BLOCKED ((enum status)0x101)   /* the EC waits; whoever wakes it has set its result, or it is executed again */
#define STATUS_SWITCH  ((enum status)0x102)   /* the EC's result is settled otherwise; resume whatever is current */
