/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue with many producers and one consumer, of nodes that lie in what is queued.
 *
 * A push is two writes, wait-free: exchange `newest`, then link from the node that was newest. Between the two, what was pushed is cut off,
 * and so is all that others push after it: mpsc_pop then says BUSY.
 * Wake-ups need no word of their own: a push that finds the queue empty says so, and whoever was told EMPTY sleeps until then.
 * One address space; nodes are owned by the queue from push to pop. Not handled: a producer that stops for ever between its two writes. */
#pragma once
#include "atomic.h"

struct mpsc_node {
    atomic_u64 next;               /* struct mpsc_node *; 0: the newest, or not linked yet */
};

struct mpsc {
    atomic_u64 newest aligned_to(64);              /* any producer: struct mpsc_node * */
    struct mpsc_node *oldest aligned_to(64);       /* the consumer */
    struct mpsc_node stub;                         /* the newest node while the queue is empty */
};

enum mpsc_status {
    MPSC_OK,
    MPSC_EMPTY,   /* the next push will return true */
    MPSC_BUSY,    /* a producer is between its writes: look again soon */
};

void mpsc_init(struct mpsc *q);
bool mpsc_push(struct mpsc *q, struct mpsc_node *n);   /* any CPU. True: the consumer may have been told EMPTY, wake it */
must_check enum mpsc_status mpsc_pop(struct mpsc *q, struct mpsc_node **out);   /* MPSC_OK: *out is the caller's */
