/* SPDX-License-Identifier: BSD-2-Clause */
/* The table "object x state x operation x who": what lifetime_test.c executes, cell by cell, on one booted kernel.
 *
 *   root --creates--> parent --creates--> owner --creates--> the subject, at selector SUBJECT (its companion: the SC of a thread, the portal of
 *                                                            a handler, at SUBJECT + 1)
 * Root has derived capabilities of all of them at the same selectors. A state is a function that brings the subject there, with partners of
 * root's own where it needs any. An operation is done by a thread of root on the subject's CPU 0 (HERE), on CPU 1 (THERE), or by the subject's
 * own thread (SELF). After each cell the kernel must be at rest, all is dismantled, and not a byte may be missing. */
#pragma once
#include "engine.h"
#include "kernel_fixture.h"
#include "vcpu.h"

enum {
    SEL_PARENT = 64, SEL_OWNER, SEL_NEVER, /* a semaphore nobody ups */ SEL_SPARE, SEL_HANDLER, SEL_ROOT, SEL_PARK, /* one per CPU */ SEL_ACTOR = 72,
    SUBJECT = 80, SUBJECT_COUNT = 4, PARTNER = 84, PARTNER_SELECTORS = 4, PARTNERS = 4, /* the last is who acts */ SEL_NEW = 104, SEL_EVENTS = 96, SEL_END = 128,
};
#define PARTNER_AT(n) (PARTNER + PARTNER_SELECTORS * (n))
static_assert(PARTNER_AT(PARTNERS - 1) <= SEL_EVENTS, "selectors overlap");

enum life_type { LIFE_PD, LIFE_EC, LIFE_SC, LIFE_PORTAL, LIFE_SM, LIFE_VCPU, LIFE_MEMORY, LIFE_TYPES };
enum life_by { HERE, THERE, SELF, LIFE_BYS };

/* Of states. */
#define S_HELD      0x1u    /* something else holds a reference: the last capability alone does not end it */
#define S_SELF      0x2u    /* its thread is current: it can act itself */
#define S_COMPANION 0x4u    /* SUBJECT + 1 is taken */
#define S_EARLY     0x8u    /* CPU 1 must not take a trap between the state and the operation: its thread runs before */
#define S_BRIEF     0x10u   /* over with the next trap on its CPU: one operation, no more */
#define S_CHANGES   0x20u   /* it leaves a leaf in the owner's or the parent's capability space */
#define S_REDUCED   0x40u   /* root's capability has no permissions */

/* What hypercalls answer in a state, if not OK. */
enum life_answer { A_SC, A_PORTAL, A_CALL, A_UP, A_DOWN, A_RUN, A_FETCH, A_MAP, ANSWERS };
#define BLOCKED 0x200u   /* the caller waits */
#define EITHER  0x201u   /* OK or ABORT, whatever was faster */
#define DIES    0x202u   /* is told nothing more */

struct life;
struct life_state {
    const char *name;
    enum life_type type;
    void (*make)(struct life *l);
    void (*last)(struct life *l);    /* after the actor has got its CPU: by CPU 1, no trap on CPU 0 */
    u32 flags;
    u16 answer[ANSWERS];
    u16 told[PARTNERS];              /* what partners that wait learn when the subject ends; 0: OK, or nothing is looked at */
};

struct life_partner {
    struct ec *ec;
    u64 told;
    bool waits, done;
};

struct life {
    struct fixture *f;
    enum sim_vendor vendor;
    struct fixture_books books;
    struct engine engine;
    struct ec *actor[2];
    struct sm *park[2];
    u64 utcb_first;
    /* Kept from cell to cell, until one ends or changes them. */
    struct pd *parent, *owner;
    struct fixture_books with_domains;
    u64 parent_used, owner_used;
    /* This cell. */
    const struct life_state *state;
    enum life_by by;
    struct ec *act;                  /* who acts */
    struct ec *self;                 /* the subject's thread */
    struct object *subject;
    struct life_partner partner[PARTNERS];
};

extern const struct life_state life_thread_states[], life_handler_states[], life_time_states[], life_passive_states[], life_space_states[];
extern const u32 life_thread_count, life_handler_count, life_time_count, life_passive_count, life_space_count;

/* lifetime.c: the kernel that all cells share, and one cell's way. */
struct life *life_open(enum sim_vendor vendor);
void life_close(struct life *l);
void life_begin(struct life *l, const struct life_state *state, enum life_by by);   /* in its state, the actor is current */
void life_rest(struct life *l);       /* everybody does what is due: waits again, replies, until nobody runs; then all is sound */
void life_told(struct life *l);       /* the subject has ended: partners know */
void life_actor(struct life *l, enum life_by by);   /* gets its CPU again */
void life_end(struct life *l, bool owner_ends);   /* dismantles all, the domains if they ended; not a byte is missing */
void life_part(struct life *l);       /* the domains end, too */
extern const char *life_cell;         /* its name, for messages */
void life_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define life_assert(condition, ...) ((condition) ? (void)0 : life_fail(__VA_ARGS__))

/* A hypercall of ec, which is current: its status, or BLOCKED. */
u64 life_call_(struct life *l, struct ec *ec, u64 number, const u64 *args, u32 count);
#define life_call(l, ec, ...) LIFE_CALL(l, ec, __VA_ARGS__, 0)
#define LIFE_CALL(l, ec, number, ...) life_call_(l, ec, number, (const u64[]){ __VA_ARGS__ }, sizeof((const u64[]){ __VA_ARGS__ }) / sizeof(u64) - 1)

/* What makers use. */
void life_hold(struct life *l, u64 selector, struct object *o);           /* original capability in owner, derived one in root */
void life_give(struct life *l, struct pd *to, u64 selector, u64 target, u64 count);   /* of root's capabilities */
void life_outfit(struct life *l, struct pd *pd);                          /* all that a thread of pd needs to act */
struct ec *life_ec(struct life *l, struct pd *pd, u32 flags, u64 selector);   /* held by owner */
struct sc *life_sc(struct life *l, struct ec *ec, u32 priority, u64 selector);
struct ec *life_thread(struct life *l, struct pd *pd, u32 priority);      /* the subject: SUBJECT and its SC; chosen */
struct ec *life_handler(struct life *l, struct pd *pd, u64 ec, u64 portal);
struct ec *life_partner(struct life *l, u32 n, u32 cpu, u32 priority);    /* a thread of root, chosen */
struct ec *life_server(struct life *l, u32 n);                            /* a handler of root; owner may call it */
struct sm *life_sm(struct life *l, u64 count, u64 selector);
struct vcpu *life_vcpu(struct life *l, u64 selector, u64 page, bool started);   /* of owner; VMM: who is current */
void life_waits(struct life *l, u32 n);                                   /* this partner must be told how it ended */
void life_run(struct life *l, struct ec *ec);                             /* its CPU chooses, and chooses it */
void life_preempt(struct life *l, u32 cpu);                               /* an interrupt waits there */
#define LIFE_STATE_PAGE(n) (0x50000ul + 8 * (n))
#define LIFE_PAGE          0x60000ul    /* where memory subjects are, in owner */
#define LIFE_SOURCE        (FIXTURE_MEMORY >> PAGE_BITS)
