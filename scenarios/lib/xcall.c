/* SPDX-License-Identifier: BSD-2-Clause */
/* See xcall.h. Who has the page: the caller until it ups request, the server until it ups answer. */
#include "xcall.h"
#include "hv.h"
#include "mem.h"

enum status xcall_late(const struct xcall_port *p, u64 *words, u64 deadline_tsc)
{
    const enum status s = hv_sm_down(p->answer, 0, deadline_tsc);
    if (s != OK)
        return s;
    *words = min(atomic_load(&p->page->words), (u64)XCALL_WORDS);
    return (enum status)atomic_load(&p->page->status);
}

enum status xcall(const struct xcall_port *p, u64 *words, u64 deadline_tsc)
{
    if (*words > XCALL_WORDS)
        return STATUS_ARG;
    atomic_store(&p->page->words, *words);
    const enum status s = hv_sm_up(p->request);
    return s == OK ? xcall_late(p, words, deadline_tsc) : s;
}

static enum status serve_one(const struct xcall_port *p, const struct thread *self, u64 *words)
{
    u64 mtr;
    *words = 0;
    const u64 asked = atomic_load(&p->page->words);
    if (asked > XCALL_WORDS)
        return STATUS_ARG;
    memcpy(self->utcb->word, p->page->word, asked * sizeof(u64));
    const enum status s = hv_call(p->portal, MTR(asked, 0), &mtr);
    if (s != OK)
        return s;
    *words = min(MTR_WORDS(mtr), (u64)XCALL_WORDS);
    memcpy(p->page->word, self->utcb->word, *words * sizeof(u64));
    return OK;
}

enum status xcall_serve(const struct xcall_port *p, const struct thread *self)
{
    for (;;) {
        u64 words;
        enum status s = hv_sm_down(p->request, 0, 0);
        if (s != OK)
            return s;
        s = serve_one(p, self, &words);
        atomic_store(&p->page->status, s);
        atomic_store(&p->page->words, words);
        s = hv_sm_up(p->answer);
        if (s != OK)
            return s;
    }
}
