/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls to a portal whose handler lives on another CPU: two semaphores, a shared page, and a thread there that makes the call for the caller.
 *
 *     caller                 port's thread, on the handler's CPU          handler
 *     words into the page
 *     up request  ---------> down request
 *                            words into its UTCB, call ------------------> ...
 *                            words into the page <------------------------ reply
 *     down answer <--------- up answer
 *
 * A port is one caller's at a time. Its thread has the priority that the caller would have there: it waits while nobody asks, and while it calls, the
 * handler runs on its time, and whoever the handler serves is helped with it. So a port stands for a priority, and a server has one for each that it serves.
 * The two sides need not trust each other: each reads the page's words once, and sizes are judged. Not handled: typed items; a caller that gave up
 * (STATUS_TIMEOUT) asks again only when the answer that is late has been taken by xcall_late. */
#pragma once
#include "abi/status.h"
#include "atomic.h"
#include "client.h"

#define XCALL_WORDS 500u

struct xcall_page {
    atomic_u64 words;            /* there and back */
    atomic_u64 status;           /* of the call */
    u64 word[XCALL_WORDS];
};
static_assert(sizeof(struct xcall_page) <= PAGE_SIZE, "one page");

struct xcall_port {
    struct xcall_page *page;     /* zeroed at first, mapped by both */
    u64 request, answer;         /* selectors of semaphores, count 0 */
    u64 portal;                  /* server's side only */
};

/* Caller: page->word[0 .. *words - 1] there, the answer back, its length in *words. deadline_tsc 0: for ever. STATUS_ARG: too many words. */
must_check enum status xcall(const struct xcall_port *p, u64 *words, u64 deadline_tsc);
/* After STATUS_TIMEOUT: wait for the answer that is late. */
must_check enum status xcall_late(const struct xcall_port *p, u64 *words, u64 deadline_tsc);
/* Server: serve until a semaphore is gone. self: the calling thread, on the CPU of the portal's handler. */
enum status xcall_serve(const struct xcall_port *p, const struct thread *self);
