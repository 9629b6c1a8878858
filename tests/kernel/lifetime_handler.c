/* SPDX-License-Identifier: BSD-2-Clause */
/* The states a handler can be in, and its portal: the EC at SUBJECT and the portal at SUBJECT + 1, or the other way round. */
#include "ec.h"
#include "lifetime.h"
#include "sc.h"
#include "sm.h"

enum { LOW = 20, MIDDLE = 30, HIGH = 40 };

static u64 portal_of(const struct life *l)
{
    return l->state->type == LIFE_PORTAL ? SUBJECT : SUBJECT + 1;
}

static struct ec *handler(struct life *l)
{
    return life_handler(l, l->owner, portal_of(l) == SUBJECT ? SUBJECT + 1 : SUBJECT, portal_of(l));
}

static void idle(struct life *l)
{
    handler(l);
}

/* By partner 0, a thread of root; the handler runs. */
static struct ec *call(struct life *l)
{
    struct ec *const ec = handler(l), *const client = life_partner(l, 0, 0, LOW);
    assert_int_equal(life_call(l, client, HYPERCALL_call, portal_of(l), 0), BLOCKED);
    life_waits(l, 0);
    return ec;
}

static void called(struct life *l)
{
    l->self = call(l);
}

static void called_waits(struct life *l)
{
    assert_int_equal(life_call(l, call(l), HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
}

static void called_calling(struct life *l)
{
    life_server(l, 1);
    assert_int_equal(life_call(l, call(l), HYPERCALL_call, PARTNER_AT(1) + 1, 0), BLOCKED);
}

static void called_helping(struct life *l)
{
    struct ec *const server = life_server(l, 1), *const other = life_partner(l, 2, 0, LOW);
    assert_int_equal(life_call(l, other, HYPERCALL_call, PARTNER_AT(1) + 1, 0), BLOCKED);
    assert_int_equal(life_call(l, server, HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
    struct ec *const ec = call(l);
    assert_int_equal(life_call(l, ec, HYPERCALL_call, PARTNER_AT(1) + 1, 0), BLOCKED);
    assert_int_equal(ec->state, EC_HELPING);
}

/* Partner 1 wants it, too. */
static void helped(struct life *l)
{
    struct ec *const ec = call(l);
    struct ec *const second = life_partner(l, 1, 0, MIDDLE);
    assert_int_equal(life_call(l, second, HYPERCALL_call, portal_of(l), 0), BLOCKED);
    life_waits(l, 1);
    assert_ptr_equal(l->f->k->cpu[0]->current, ec);
    l->self = ec;
}

static void helped_waits(struct life *l)
{
    helped(l);
    assert_int_equal(life_call(l, l->self, HYPERCALL_sm_down, SEL_NEVER, 0, 0), BLOCKED);
}

/* Its client is gone: nobody's time runs it. */
static void orphan(struct life *l)
{
    struct ec *const ec = call(l);
    assert_int_equal(space_obj_revoke(fixture_cpu(l->f, 0), &l->f->pd->objects, PARTNER_AT(0), 2, true), OK);
    fixture_settle(l->f);
    l->partner[0].waits = false;
    assert_null(ec->caller);
    assert_int_equal(ec->state, EC_READY);
}

static void dead(struct life *l)
{
    call(l);
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
}

/* Partner 0's exception: its event base is the fixture's, 32. */
static void serving_exception(struct life *l)
{
    l->self = handler(l);
    life_give(l, l->f->pd, portal_of(l), 32 + 3, 1);
    life_partner(l, 0, 0, LOW);
    fixture_trap(l->f, 0, TRAP(TRAP_EXCEPTION, 3), 0);
    assert_ptr_equal(l->f->k->cpu[0]->current, l->self);
}

/* Part of partner 0's message has come. */
static void receiving(struct life *l)
{
    struct ec *const ec = handler(l), *const from = life_partner(l, 0, 0, LOW);
    ec->utcb->window[SPACE_OBJECT] = (struct utcb_window){ .base = 2 * OBJ_LEAF_SLOTS, .count = 1 };
    from->utcb->item[0] = (struct utcb_item){ .base = SEL_SPARE, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    life_preempt(l, 0);
    assert_int_equal(life_call(l, from, HYPERCALL_call, portal_of(l), MTR(0, 1)), BLOCKED);
    life_waits(l, 0);
    assert_ptr_equal(ec->caller, from);
    l->owner_used += PAGE_SIZE;   /* a leaf, it stays */
}

/* Part of its reply has gone to partner 0, which lives in the parent: a leaf was made there. */
static void replying(struct life *l)
{
    struct ec *const ec = handler(l);
    struct ec *const client = life_ec(l, l->parent, EC_GLOBAL, SUBJECT + 2);
    sc_start(fixture_cpu(l->f, 0), life_sc(l, client, LOW, SUBJECT + 3));
    life_run(l, client);
    life_give(l, l->parent, portal_of(l), portal_of(l), 1);
    life_give(l, l->parent, SEL_NEVER, SEL_NEVER, 1);
    client->utcb->window[SPACE_OBJECT] = (struct utcb_window){ .base = 2 * OBJ_LEAF_SLOTS, .count = 1 };
    assert_int_equal(life_call(l, client, HYPERCALL_call, portal_of(l), 0), BLOCKED);
    ec->utcb->item[0] = (struct utcb_item){ .base = SEL_SPARE, .count = 1, .rights = PERM_ALL, .type = SPACE_OBJECT };
    life_preempt(l, 0);
    assert_int_equal(life_call(l, ec, HYPERCALL_reply, MTR(0, 1)), BLOCKED);
    assert_true(client->flags & EC_FLAG_PART);
    l->self = ec;
}

#define HANDLER .type = LIFE_EC, .flags = S_HELD | S_COMPANION
#define ACTS    .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_SELF
#define LOCAL   .answer = { [A_SC] = STATUS_ARG }
#define PORTAL  .type = LIFE_PORTAL, .flags = S_COMPANION
#define WANTED  .answer = { [A_CALL] = BLOCKED }
const struct life_state life_handler_states[] = {
    { "handler idle", .make = idle, HANDLER, LOCAL },
    { "handler called", .make = called, ACTS, LOCAL, .told = { STATUS_ABORT } },
    { "handler called and waiting", .make = called_waits, HANDLER, LOCAL, .told = { STATUS_ABORT } },
    { "handler called and calling", .make = called_calling, HANDLER, LOCAL, .told = { STATUS_ABORT } },
    { "handler called and helping", .make = called_helping, HANDLER, LOCAL, .told = { STATUS_ABORT } },
    { "handler helped", .make = helped, ACTS, LOCAL, .told = { STATUS_ABORT, STATUS_CAP } },
    { "handler helped and waiting", .make = helped_waits, HANDLER, LOCAL, .told = { STATUS_ABORT, STATUS_CAP } },
    { "handler without client", .make = orphan, HANDLER, LOCAL },
    { "handler dead", .make = dead, HANDLER, LOCAL, .told = { STATUS_ABORT } },
    { "handler serving an exception", .make = serving_exception, ACTS, LOCAL, .told = { DIES } },
    { "handler receiving", .make = receiving, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_CHANGES, LOCAL, .told = { STATUS_CAP } },
    { "handler replying", .make = replying, .type = LIFE_EC, .flags = S_HELD | S_COMPANION | S_SELF | S_CHANGES, LOCAL },
    { "portal idle", .make = idle, PORTAL, WANTED },
    { "portal busy", .make = called, .type = LIFE_PORTAL, .flags = S_COMPANION | S_SELF, WANTED, .told = { STATUS_ABORT } },
    { "portal wanted by a second", .make = helped_waits, PORTAL, WANTED, .told = { STATUS_ABORT, STATUS_CAP } },
    { "portal of who calls", .make = called_calling, PORTAL, WANTED, .told = { STATUS_ABORT } },
    { "portal without client", .make = orphan, PORTAL, WANTED },
    { "portal dead", .make = dead, PORTAL, .answer = { [A_CALL] = STATUS_ABORT }, .told = { STATUS_ABORT } },
    { "portal of an exception", .make = serving_exception, .type = LIFE_PORTAL, .flags = S_COMPANION | S_SELF, WANTED, .told = { DIES } },
    { "portal receiving", .make = receiving, .type = LIFE_PORTAL, .flags = S_COMPANION | S_CHANGES, WANTED, .told = { STATUS_CAP } },
};
const u32 life_handler_count = array_size(life_handler_states);
