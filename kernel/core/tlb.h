/* SPDX-License-Identifier: BSD-2-Clause */
/* TLB shootdown. Owns the request and done generations of every CPU and the list of ECs that wait for an acknowledgement.
 * Invariant: generation g is complete when every CPU has done what was requested of it up to g; only then frames and tables are released and the
 * hypercall returns. Nobody spins: the requester's EC blocks, the last acknowledgement wakes it and its hypercall is executed again.
 * Lock: generations none, they only grow; the list of waiters has one. Not handled: CPUs brought up during a shootdown (all are up). */
#pragma once
#include "abi/status.h"
#include "atomic.h"

struct cpu;
struct ec;
struct space_mem;

struct tlb_cpu {
    atomic_u64 requested;   /* newest generation asked of this CPU */
    atomic_u64 done;        /* newest generation it has completed */
    atomic_u64 kinds;       /* TLB_KIND_*: what the requests not yet done are about */
};

#define TLB_KIND_HOST  0x1u      /* translations of a host space */
#define TLB_KIND_GUEST 0x2u      /* nested translations */

/* CPUs to be asked for several changes at once. */
struct tlb_batch {
    u64 host, guest;        /* bitmaps of CPUs */
};
void tlb_batch_add(struct tlb_batch *b, struct space_mem *space);
u64 tlb_batch_request(struct cpu *cpu, const struct tlb_batch *b);   /* as tlb_request; 0 if nobody holds anything */

/* Ask every CPU that may hold translations of the space to drop them; this CPU does so at once. Returns the generation to wait for. */
u64 tlb_request(struct cpu *cpu, struct space_mem *space);
bool tlb_complete(u64 generation);
/* The newest generation that is not complete, 0: all are. kern.derive_lock is held: requests are made under it. */
u64 tlb_owed(void);
/* OK if complete; else blocks ec (STATUS_BLOCKED) and its hypercall is executed again once complete. */
must_check enum status tlb_wait(struct cpu *cpu, struct ec *ec, u64 generation);
/* Called on every IPI and before every guest entry: invalidate if asked, acknowledge, wake. */
void tlb_handle(struct cpu *cpu);
/* Load a host space (NULL: the machine's own tables) on this CPU: from here on it may hold translations of it, and none of the last one. */
void tlb_load(struct cpu *cpu, struct space_mem *space);
void tlb_switch(struct cpu *cpu, struct space_mem *space);   /* the same; not NULL, and not the one that is loaded */
