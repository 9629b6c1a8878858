/* SPDX-License-Identifier: BSD-2-Clause */
/* Execution context: a thread. Its registers are a struct resume; to wait is to be in a state, never to have a parked stack.
 *
 * Invariant: an EC is touched on its home CPU only, except for the fields marked. `caller`/`callee` are two ends of one link while the
 * caller is EC_CALLING; EC_HELPING ones are in the callee's list `wanted`. Neither holds a reference: who is called can be destroyed.
 * An EC that another CPU wakes is popped from its queue, marked in `inbox_reason` under that queue's lock, then pushed to the inbox of its
 * home CPU; whoever sees the mark keeps its hands off the queue. */
#pragma once
#include "abi/utcb.h"
#include "machine.h"
#include "object.h"

struct sc;
struct vcpu;
struct sm;

enum ec_state {
    EC_READY,        /* runs when a scheduling context is given to it */
    EC_IDLE,         /* a local EC that waits for a call */
    EC_CALLING,      /* waits for callee's reply; its scheduling context runs the callee */
    EC_HELPING,      /* wants to call callee, which is busy: its scheduling context runs the callee until that is idle */
    EC_WAIT_SM,      /* in sm_down */
    EC_WAIT_TLB,     /* in tlb_wait */
    EC_DEAD,         /* stopped for good */
};

/* Flags. */
#define EC_FLAG_FAULTED  0x100u   /* an exception is to be delivered before it runs */
#define EC_FLAG_IN_FAULT 0x200u   /* its call is an exception message: the reply sets registers */
#define EC_FLAG_AWAITED  0x400u   /* killed in EC_WAIT_TLB: the wake-up is still to come */
#define EC_FLAG_DYING    0x800u   /* released as soon as no wake-up is under way any more */
#define EC_FLAG_PART     0x1000u  /* part of the answer to its call has arrived: ipc_message.c */

/* Reasons to be in an inbox. */
#define EC_INBOX_WAKE 0x1ul       /* wake_status is set */
#define EC_INBOX_SC   0x2ul       /* it was given a scheduling context */

struct ec_fault {
    u64 vector, error, address;
};

/* The typed items of a message on their way; what is left of it when it is preempted, out of user level's reach. */
struct ec_transfer {
    struct ec *to;                  /* the receiver; only compared: it may be gone */
    u64 mtr;
    struct utcb_window window[2];   /* the receiver's, as they stood at the beginning */
    u64 used[2];                    /* units of them that are taken */
    struct utcb_item item;          /* the current one, as it stood before its first unit */
    u64 number, done;               /* which one that is, its units that have arrived */
};

struct ec {
    struct object object;
    struct resume resume;          /* user registers; the machine writes them on a trap */
    enum ec_state state;
    u32 flags;                     /* EC_FLAG_* */
    u32 kind;                      /* EC_LOCAL, EC_FPU; constant: any CPU reads it */
    struct pd *pd;                 /* held: pd_hold */
    struct utcb *utcb;             /* kernel address of the two pages; user-writable: read a word once */
    u64 utcb_page;                 /* where they are in the PD */
    u64 event_base;
    u64 stack;                     /* local: RSP at each portal entry */

    struct ec *wanted;             /* EC_HELPING ones whose callee it is, linked by queue_next */
    struct ec *caller, *callee;    /* IPC links; caller of an EC_IDLE one: whose message it has part of, never followed */
    struct ec_transfer transfer;   /* of the message it sends */
    struct ec_fault fault;         /* of EC_FLAG_FAULTED and EC_FLAG_IN_FAULT */
    struct sc *helpers;            /* scheduling contexts that wait for this blocked EC, its own included, linked by sc.next */
    struct sm *sm;                 /* EC_WAIT_SM: the semaphore */
    u64 deadline;                  /* TSC; 0: none */
    struct ec *timeout_next, *timeout_prev;
    struct vcpu *vcpu;             /* inside vcpu_run */
    void *fpu;                     /* FPU image or NULL */

    /* Under the lock of the queue it is in; EC_HELPING: home CPU. */
    struct ec *queue_next, *queue_prev;   /* semaphore's or the TLB waiters' queue, or callee's list */

    /* Whoever wakes it, until it has arrived in the inbox. */
    struct ec *inbox_next;
    u64 wake_status;               /* enum status for RAX, or STATUS_RESTART */

    /* Any CPU; atomic. */
    atomic_u64 inbox_reason;       /* EC_INBOX_*; 0: not on its way */
    atomic_u64 own;                /* struct sc * bound to it, 0: none */
    u64 tlb_generation;
};

struct ec_config {
    u64 utcb, ip, sp, event_base;
    u32 cpu, flags;                /* flags: EC_LOCAL, EC_FPU */
};

/* pd is charged; the UTCB pages appear in it. STATUS_EXISTS: something is mapped there. */
must_check enum status ec_create(struct cpu *cpu, struct pd *pd, const struct ec_config *config, struct ec **out);
void ec_destroy(struct cpu *cpu, struct ec *ec);
/* Stop for good; callers get STATUS_ABORT. */
void ec_kill(struct cpu *cpu, struct ec *ec);
/* End of a wait: result of its hypercall (STATUS_RESTART: executed again), then runnable; from any CPU, under the lock of the queue the EC was
 * popped from. */
void ec_wake(struct cpu *cpu, struct ec *ec, enum status result);
/* The same on the home CPU. */
void ec_awake(struct cpu *cpu, struct ec *ec, enum status result);
/* No longer EC_HELPING: it asks again. */
void ec_help_end(struct ec *ec);
/* Lists linked by queue_next and queue_prev, newest first. */
void ec_list_push(struct ec **first, struct ec *ec);
void ec_list_remove(struct ec **first, struct ec *ec);
/* Rewind to the SYSCALL instruction: the one restart convention. */
void ec_restart(struct ec *ec);
