/* SPDX-License-Identifier: BSD-2-Clause */
/* Call and reply. What becomes of the typed items is compared one by one: message.c. */
#include "predict.h"

static bool mtr_legal(u64 mtr)
{
    return MTR_WORDS(mtr) <= UTCB_WORDS && MTR_ITEMS(mtr) <= UTCB_ITEMS && !((mtr & ~bit(63)) >> 32);
}

/* Would whoever waits for the handler wait for himself? */
static bool loop(const struct m_object *caller, const struct m_object *handler)
{
    while (handler != caller && (handler->state == M_CALLING || handler->state == M_HELPING))
        handler = handler->callee;
    return handler == caller;
}

enum status m_ipc_call(struct m_call *c)
{
    const enum status s = m_cap(c, c->a[0], OBJ_PORTAL, PERM_PORTAL_CALL, &c->object);
    if (s != OK)
        return s;
    const struct m_object *const handler = c->object->ec;
    if (!mtr_legal(c->a[1]))
        return STATUS_ARG;
    if (handler->cpu != c->ec->cpu)
        return STATUS_CPU;
    if (handler->state == M_IDLE)
        return STATUS_SWITCH;
    return loop(c->ec, handler) ? STATUS_BUSY : STATUS_RESTART;
}

enum status m_ipc_reply(struct m_call *c)
{
    return c->ec->local && mtr_legal(c->a[0]) ? STATUS_SWITCH : STATUS_ARG;
}

struct m_object *m_receiver(const struct m_call *c)
{
    if (c->status != STATUS_SWITCH)
        return NULL;
    return c->op->number == HYPERCALL_call ? c->object->ec : c->ec->caller;
}

void m_ipc_apply(struct m_call *c)
{
    struct m_object *const other = m_receiver(c);
    if (c->status == STATUS_RESTART) {
        c->ec->state = M_HELPING;
        c->ec->callee = c->object->ec;
    } else if (c->status == STATUS_SWITCH && c->op->number == HYPERCALL_call) {
        c->ec->state = M_CALLING;
        c->ec->callee = other;
        other->state = M_READY;
        other->caller = c->ec;
    } else if (c->status == STATUS_SWITCH) {
        c->ec->state = M_IDLE;
        c->ec->caller = NULL;
        if (!other)
            return;
        m_wake(other, OK);
        other->woken_mtr = c->a[0] & 0xfffffffful;
    }
}
