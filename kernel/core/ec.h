/* SPDX-License-Identifier: BSD-2-Clause */
/* Execution context: a thread. Its registers are a struct resume; to wait is to be in a state, never to have a parked stack.
 *
 * Invariant: an EC is touched on its home CPU only, except: `inbox_next` while it is handed over by another CPU's wake-up.
 * `caller`/`callee` are two ends of one link. */
#pragma once
#include "abi/utcb.h"
#include "machine.h"
#include "object.h"

struct sc;
struct portal;
struct vcpu;
struct sm;

enum ec_state {
    EC_READY,        /* runs when a scheduling context is given to it */
    EC_IDLE,         /* a local EC that waits for a call */
    EC_CALLING,      /* waits for callee's reply; its scheduling context runs the callee */
    EC_WAIT_SM,      /* in sm_down */
    EC_WAIT_TLB,     /* in tlb_wait */
    EC_DEAD,         /* stopped for good */
};

struct ec {
    struct object object;
    struct resume resume;          /* user registers; the machine writes them on a trap */
    enum ec_state state;
    u32 flags;                     /* EC_LOCAL, EC_FPU */
    struct pd *pd;                 /* one reference */
    struct utcb *utcb;             /* kernel address of the two pages; user-writable: read a word once */
    u64 utcb_page;                 /* where they are in the PD */
    u64 event_base;
    u64 stack;                     /* local: RSP at each portal entry */

    struct ec *caller, *callee;    /* IPC links */
    struct portal *portal;         /* called while serving: for the trace and for reply */
    struct sc *sc;                 /* the scheduling context it blocked with: goes on when it is woken */
    struct sc *helpers;            /* scheduling contexts that wait for this blocked EC, linked by sc.next */
    struct ec *queue_next, *queue_prev;   /* semaphore's or the TLB waiters' queue */
    struct sm *sm;                 /* the semaphore it waits for */
    u64 deadline;                  /* TSC; 0: none */
    struct ec *timeout_next;
    u64 wake_status;               /* enum status for RAX, or STATUS_RESTART */
    struct ec *inbox_next;
    atomic_u64 tlb_pending;        /* CPUs whose acknowledgement is awaited */
    u64 tlb_generation;
    struct vcpu *vcpu;             /* inside vcpu_run */
    void *fpu;                     /* FPU image or NULL */
};

struct ec_config {
    u64 utcb, ip, sp, event_base;
    u32 cpu, flags;
};

must_check enum status ec_create(struct cpu *cpu, struct pd *pd, const struct ec_config *config, struct ec **out);
void ec_destroy(struct cpu *cpu, struct ec *ec);
/* Stop for good; callers get STATUS_ABORT. */
void ec_kill(struct cpu *cpu, struct ec *ec);
/* Result of its hypercall, then runnable again; from any CPU. */
void ec_wake(struct cpu *cpu, struct ec *ec, enum status result);
/* Rewind to the SYSCALL instruction: the one restart convention. */
void ec_restart(struct ec *ec);
