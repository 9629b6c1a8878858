/* SPDX-License-Identifier: BSD-2-Clause */
/* A kernel and its model, and operations on both. Whatever differs ends the process: fuzz_fail. */
#pragma once
#include "kernel_fixture.h"
#include "predict.h"

#define FUZZ_CPUS  3u
#define FUZZ_CLEAN 0
#define FUZZ_DIFFERS 1

/* What was tried. How often each hypercall came out how: last row: all that there is not; last columns: blocked, delivered, helping. */
#define TALLY_ROWS    (HYPERCALL_COUNT + 1)
#define TALLY_COLUMNS (STATUS_COUNT + 3)
struct tally {
    u64 n[TALLY_ROWS][TALLY_COLUMNS], skipped;
    u64 preempted;                /* executed again from its SYSCALL, in all */
    u64 rewritten, rewritten_seen;   /* items: the kernel read the new value */
};

struct fuzz {
    struct fixture *f;
    struct fixture_books books;        /* before anything */
    struct model m;
    struct ec *driver[FUZZ_CPUS];      /* a thread of root on each CPU, above all others in priority, which never dies */
    u64 number;                        /* of the operation, from 0 */
    u64 compare_every;                 /* everything is compared after so many operations, and when there is not memory enough, or no room */
    struct tally *tally;
    /* The operation at hand. */
    const struct op *op;
    struct m_call *call;
    u64 accesses;                      /* to what user level shares with the kernel */
    bool rewritten, refused;           /* refused: after capabilities and values were found good */
};

struct fuzz *fuzz_open(enum sim_vendor vendor, u32 cpus, u64 compare_every, struct tally *tally);
void fuzz_do(struct fuzz *z, const struct op *op);
void fuzz_close(struct fuzz *z);   /* everything is taken apart; nothing is left */
_Noreturn void fuzz_fail(const struct fuzz *z, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct m_object *fuzz_current(struct fuzz *z, u32 cpu);   /* who runs there; NULL: idle */

/* May this status have come out instead of the predicted one, for lack of memory? used: before the call. */
bool fuzz_status_allowed(const struct fuzz *z, const struct m_call *c, enum status predicted, enum status seen);

/* message.c */
static inline bool message_is(const struct m_call *c)
{
    return c->op->number == HYPERCALL_call || c->op->number == HYPERCALL_reply;
}
void message_prepare(struct fuzz *z, struct m_call *c);
void message_rewrite(struct fuzz *z, struct m_call *c);
void message_compare(struct fuzz *z, struct m_call *c);
/* compare.c */
void compare_states(struct fuzz *z);   /* threads, semaphores, who runs */
void compare_all(struct fuzz *z);      /* capabilities, pages, books */
/* dismantle.c */
void dismantle(struct fuzz *z);
