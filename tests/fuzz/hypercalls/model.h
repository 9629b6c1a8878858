/* SPDX-License-Identifier: BSD-2-Clause */
/* The reference model: what docs/hypercalls.md and abi/ say that a kernel holds. Objects are reached by capabilities; capabilities and pages are
 * each a tree of who got it from whom, page by page; an object that nothing names any more ends at once. Written to be read, not to be fast.
 *
 * Not modelled: what a guest does, exceptions, how long anything takes, page tables and ranges (their number is the kernel's business: the books
 * are compared with those that are there). */
#pragma once
#include "abi/hypercall.h"
#include "abi/status.h"
#include "object.h"

struct model;
struct m_object;

/* Who got it from whom. */
struct m_node {
    struct m_node *parent, *child, *next, *prev;   /* prev: among siblings */
};

struct m_slot {
    struct m_node node;
    struct m_object *object;   /* NULL: empty */
    u32 perms;
};

struct m_page {
    struct m_node node;
    struct m_space *space;
    struct m_page *next;       /* of its bucket */
    u64 page, frame;
    u32 rights;
};

#define M_BUCKETS 1024u
struct m_space {
    bool made;                 /* guest: at first use */
    u64 end;                   /* pages 0 .. end - 1 exist */
    u64 count;
    struct m_page *bucket[M_BUCKETS];
};

#define M_LEAF_SLOTS 64u
#define M_LEAVES     (SEL_COUNT / M_LEAF_SLOTS)

enum m_state { M_READY, M_IDLE, M_CALLING, M_HELPING, M_WAITING };

struct m_object {
    enum object_type type;
    struct m_object *next;     /* of all */
    void *kernel;              /* the kernel's object: only its address, for comparison */
    struct m_object *pd;       /* charged for it; NULL: the kernel */
    u64 bytes;                 /* so much */
    u32 cpu;
    u64 refs;                  /* capabilities, and objects that need it */

    /* PD. */
    u64 limit, used, users;    /* used: in the kernel, before the hypercall at hand. users: objects charged to it, ECs in it, vCPUs shown in it, 1 until its object space is emptied */
    u32 flags;
    bool disowned;
    struct m_slot *leaf[M_LEAVES];
    struct m_space space[2];   /* host, guest */

    /* EC; vCPU: the PD that has its state pages. */
    struct m_object *home;
    u64 page, frame;           /* UTCB or state pages */
    bool local;
    u64 stack;
    enum m_state state;
    struct m_object *caller, *callee, *sm, *sc, *queue_next;
    u64 deadline;
    bool woken;                /* its registers are to be looked at: */
    enum status woken_status;
    u64 woken_mtr;             /* ~0: RSI is no result */
    u64 woken_deadline;        /* a deadline that may have passed first */

    /* SC, portal: whose. */
    struct m_object *ec;
    u32 priority;
    u64 ip, id;

    /* SM. */
    u64 count;
    struct m_object *first;

    /* vCPU. */
    bool started, kicked;
};

struct model {
    struct m_object *objects, *root;
    u32 cpus;
    bool virt;                 /* there are vCPUs */
    u32 groups_missing;        /* vCPU state groups that this machine has not */
};

struct m_object *m_object_new(struct model *m, enum object_type type, struct m_object *pd, u64 bytes, u32 cpu);
void m_pd_init(struct m_object *pd, u64 limit, u32 flags, u64 guest_end);
struct m_object *m_object_at(const struct model *m, const void *kernel);   /* by address; NULL */

struct m_slot *m_slot_at(const struct m_object *pd, u64 selector);        /* NULL: its leaf does not exist */
struct m_slot *m_slot_make(struct m_object *pd, u64 selector);
bool m_slot_held(const struct m_object *pd, u64 selector);
void m_slot_fill(struct m_slot *slot, struct m_object *o, u32 perms, struct m_slot *from);   /* from NULL: an original */
void m_slot_drop(struct m_slot *slot);                                     /* it alone: its children are its parent's */
void m_slot_revoke(struct m_slot *slot, bool self);                       /* what was derived from it, and with self it */

struct m_page *m_page_at(const struct m_space *s, u64 page);
void m_page_add(struct m_space *s, u64 page, u64 frame, u32 rights, struct m_page *from);
void m_page_drop(struct m_page *p);
void m_page_revoke(struct m_page *p, bool self);
bool m_pages_any(const struct m_space *s, u64 page, u64 count);           /* is one of them there? */
u64 m_pages_run(const struct m_space *s, u64 page, u64 count);            /* how many are there, from the first on */

/* model_life.c */
void m_wake(struct m_object *ec, enum status status);                     /* end of a wait; of any kind */
void m_sm_wake(struct m_object *sm, enum status status);                  /* its first waiter */
void m_sm_leave(struct m_object *ec);
void m_collect(struct model *m);                                          /* what nobody names any more ends, and all that follows from it */
