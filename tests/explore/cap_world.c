/* SPDX-License-Identifier: BSD-2-Clause */
/* Capabilities between two CPUs: is a right gone once its revocation has returned, and is what was derived meanwhile gone with it?
 * A child PD holds a copy of a semaphore's capability, or is given one. */
#include "kernel_world.h"

#define SM     SEL(0)
#define COPY   SEL(1)     /* in the child */
#define GRAND  SEL(2)     /* derived from the copy, in the child */
#define CHILD  SEL(3)
#define ACTOR  SEL(4)
#define USER   SEL(5)

static struct pd *child;
static u64 revoked;           /* the revocation has returned */
static u64 late;              /* the user began after that */
static u64 status[2];

static void begin(void (*actor)(void *), void (*user)(void *), struct pd *user_pd)
{
    kernel_world_thread(0, kernel_world()->pd, 10, ACTOR, actor, NULL);
    kernel_world_thread(1, user_pd, 10, USER, user, NULL);
    world_owe(2);
    kernel_world_ready();
}

/* The copy in the child, from the first PD's own. */
static void copy(u64 from, struct space_obj *space, u64 to)
{
    u64 done;
    world_assert(space_obj_delegate(space, from, &child->objects, to, 1, PERM_ALL, &done) == OK, "no copy");
}

static bool is_empty(struct pd *pd, u64 selector)
{
    const struct cap_slot *leaf = (const struct cap_slot *)pd->objects.leaf[selector / OBJ_LEAF_SLOTS].v;
    return !leaf || !leaf[selector % OBJ_LEAF_SLOTS].word.v;
}

static void open(void)
{
    kernel_world_open(2);
    kernel_world_sm(0, SM);
    child = kernel_world_pd(CHILD);
}

static void take_back(void *arg)
{
    (void)hv_revoke_from(FIXTURE_SEL_PD, SM, 1, 0);
    revoked = 1;
    world_paid();
}

/* ---- Use of the copy ---- */

static void use(void *arg)
{
    late = world_peek(&revoked);
    status[0] = hv_up(COPY);
    world_paid();
}

static void use_setup(void)
{
    open();
    copy(SM, &kernel_world()->pd->objects, COPY);
    begin(take_back, use, child);
}

static void use_end(void)
{
    world_assert(status[0] == STATUS_CAP || (status[0] == OK && !late), "up: %lu, after its revocation had returned", status[0]);
    world_assert(is_empty(child, COPY), "the copy is still there after its revocation");
}

KERNEL_WORLD(cap_use, .question = "Can a capability be used after its revocation has returned?", .cpus = 2, .setup = use_setup, .end = use_end);

/* ---- Derivation from the copy, while it goes ---- */

static void derive(void *arg)
{
    status[0] = hv_delegate(FIXTURE_SEL_PD, FIXTURE_SEL_PD, COPY, GRAND);
    world_paid();
}

static void derive_setup(void)
{
    open();
    copy(SM, &kernel_world()->pd->objects, COPY);
    begin(take_back, derive, child);
}

static void derive_end(void)
{
    world_assert(status[0] == OK || status[0] == STATUS_RANGE, "delegate: %lu", status[0]);
    world_assert(is_empty(child, COPY) && is_empty(child, GRAND), "something derived outlives the revocation");
}

KERNEL_WORLD(cap_derive, .question = "Is what is derived from a capability while it is revoked revoked with it?", .cpus = 2, .setup = derive_setup,
             .end = derive_end);

/* ---- Two delegations to one slot ---- */

static void give(void *arg)
{
    status[(u64)arg] = hv_delegate(FIXTURE_SEL_PD, CHILD, SM, COPY);
    world_paid();
}

static void give_first(void *arg)
{
    give((void *)0);
}

static void give_second(void *arg)
{
    give((void *)1);
}

static void slot_setup(void)
{
    open();
    begin(give_first, give_second, kernel_world()->pd);
}

static void slot_end(void)
{
    world_assert((status[0] == OK) != (status[1] == OK) && status[0] + status[1] == STATUS_EXISTS, "two delegations to one slot: %lu, %lu", status[0],
                 status[1]);
}

KERNEL_WORLD(cap_slot, .question = "Two CPUs fill one slot: does one win, and nothing of the other stay?", .cpus = 2, .setup = slot_setup,
             .end = slot_end);

/* ---- A capability is delegated while its origin, and with it the object, goes ---- */

static void destroy(void *arg)
{
    status[1] = hv_revoke(SM, 1);
    world_paid();
}

static void origin_setup(void)
{
    open();
    begin(give_first, destroy, kernel_world()->pd);
}

static void origin_end(void)
{
    world_assert(status[0] == OK || status[0] == STATUS_RANGE, "delegate: %lu", status[0]);
    world_assert(is_empty(child, COPY) && is_empty(kernel_world()->pd, SM), "a capability outlives what it was derived from");
}

KERNEL_WORLD(cap_origin, .question = "Does a delegation make a capability that outlives its origin?", .cpus = 2, .setup = origin_setup,
             .end = origin_end);

/* ---- Two revocations of one tree ---- */

static void take_back_copy(void *arg)
{
    status[1] = hv_revoke(COPY, 1);
    world_paid();
}

static void tree_setup(void)
{
    open();
    copy(SM, &kernel_world()->pd->objects, COPY);
    copy(COPY, &child->objects, GRAND);
    begin(take_back, take_back_copy, child);
}

static void tree_end(void)
{
    world_assert(is_empty(child, COPY) && is_empty(child, GRAND) && !is_empty(kernel_world()->pd, SM), "the wrong capabilities are left");
}

KERNEL_WORLD(cap_tree, .question = "Two revocations in one tree at the same time: is each capability taken once?", .cpus = 2, .setup = tree_setup,
             .end = tree_end);
