/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls on CPU 0 while CPU 1 takes away who takes part: is every caller told, and is the handler free for the next? */
#include "ec.h"
#include "kernel_world.h"

#define HANDLER SEL(0)   /* its portal: + 1 */
#define PORTAL  (HANDLER + 1)
#define CLIENT  SEL(1)
#define SECOND  SEL(2)
#define ACTOR   SEL(3)
#define SM      SEL(4)
#define CHILD   SEL(5)
#define NEW_ID  0x1234ul

static struct ec *handler;
static u64 called[2], waited, deadline, victim, victims, id;

static void client(void *arg)
{
    called[(u64)arg] = hv_call(PORTAL);
    world_paid();
}

/* Long enough for whatever the other CPU does to happen meanwhile, if it is let go on. */
static void serve(void *arg)
{
    for (u32 i = 0; i < 4; i++)
        program_wait();
}

static void serve_and_wait(void *arg)
{
    waited = hv_down(SM, deadline);
}

static void destroyer(void *arg)
{
    (void)hv_revoke(victim, victims);
    world_paid();
}

static void begin(struct pd *pd, void (*run)(void *))
{
    handler = kernel_world_handler(0, pd, HANDLER, run, NULL);
    kernel_world_thread(0, kernel_world()->pd, 10, CLIENT, client, (void *)0);
}

/* CPU 1 takes `count` selectors from `first` on. */
static void finish(u64 first, u64 count, u32 owed)
{
    victim = first;
    victims = count;
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, destroyer, NULL);
    world_owe(owed);
    kernel_world_ready();
}

/* ---- The handler goes, and its portal ---- */

static void handler_setup(void)
{
    begin(kernel_world_open(2)->pd, serve);
    finish(HANDLER, 2, 2);
}

static void told_end(void)
{
    world_assert(called[0] == OK || called[0] == STATUS_ABORT || called[0] == STATUS_CAP, "call: %lu", called[0]);
}

KERNEL_WORLD(ipc_handler, .question = "Is a caller told when the handler goes while it calls?", .cpus = 2, .setup = handler_setup, .end = told_end);

/* ---- The portal goes, the handler stays ---- */

static void portal_setup(void)
{
    begin(kernel_world_open(2)->pd, serve);
    finish(PORTAL, 1, 2);
}

static void portal_end(void)
{
    world_assert(called[0] == OK || called[0] == STATUS_CAP, "call: %lu", called[0]);
    world_assert(handler->state == EC_IDLE && !handler->caller, "the handler is not free after the call: state %u", handler->state);
}

KERNEL_WORLD(ipc_portal, .question = "Does a call get through, or nothing of it, when the portal goes?", .cpus = 2, .setup = portal_setup,
             .end = portal_end);

/* ---- The portal gets another id meanwhile ---- */

static void rename_portal(void *arg)
{
    world_assert(program_hypercall(HYPERCALL_portal_ctrl, PORTAL, NEW_ID, 0, 0, 0, 0) == OK, "portal_ctrl fails");
    world_paid();
}

static void serve_by_id(void *arg)
{
    id = world_peek(&handler->resume.gpr[RDI]);   /* what it was entered with: it has made no hypercall yet */
}

static void rename_setup(void)
{
    begin(kernel_world_open(2)->pd, serve_by_id);
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, rename_portal, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void rename_end(void)
{
    portal_end();
    world_assert(called[0] == OK && (id == NEW_ID || id == HANDLER), "call: %lu, the handler was told of portal 0x%lx", called[0], id);
}

KERNEL_WORLD(ipc_rename, .question = "A portal gets another id while it is called: is the handler told the old one or the new?", .cpus = 2,
             .setup = rename_setup, .end = rename_end);

/* ---- The handler's PD goes, with all in it ---- */

static void pd_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    struct pd *const child = kernel_world_pd(CHILD);
    u64 done;
    /* First in the tables of the handler's UTCB: so they stay when that goes, and nobody has to look through all of one to find that it is empty. */
    world_assert(space_mem_delegate(&f->pd->memory, FIXTURE_MEMORY >> PAGE_BITS, &child->memory, align_down(f->utcb_next >> PAGE_BITS, 512ul), 1,
                                    RIGHT_R, &done) == OK, "no page");
    begin(child, serve);
    kernel_world_give(CHILD, HANDLER, 2);
    finish(CHILD, 1, 2);
}

KERNEL_WORLD(ipc_pd, .question = "Is a caller told when the PD of the handler goes?", .cpus = 2, .setup = pd_setup, .end = told_end);

/* ---- The client goes while it is served; another one wants to be served next ---- */

static void client_doomed(void *arg)
{
    called[0] = hv_call(PORTAL);
}

static void client_setup(void)
{
    struct fixture *const f = kernel_world_open(2);
    handler = kernel_world_handler(0, f->pd, HANDLER, serve, NULL);
    kernel_world_thread(0, f->pd, 10, CLIENT, client_doomed, NULL);
    kernel_world_thread(0, f->pd, 5, SECOND, client, (void *)1);
    finish(CLIENT, 2, 2);
}

static void client_end(void)
{
    world_assert(called[1] == OK, "the second client's call: %lu", called[1]);
    world_assert(handler->state == EC_IDLE && !handler->caller, "the handler is not free after the call: state %u", handler->state);
}

KERNEL_WORLD(ipc_client, .question = "Is the handler free for others when its client goes before the reply?", .cpus = 2, .setup = client_setup,
             .end = client_end);

/* ---- The handler waits, with a deadline, on the client's time ---- */

static void upper(void *arg)
{
    (void)hv_up(SM);
    world_paid();
}

static void wait_setup(void)
{
    kernel_world_open(2);
    kernel_world_sm(0, SM);
    deadline = kernel_world_soon(1);
    begin(kernel_world()->pd, serve_and_wait);
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, upper, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void wait_end(void)
{
    world_assert(called[0] == OK && (waited == OK || waited == STATUS_TIMEOUT), "call: %lu, the handler's wait: %lu", called[0], waited);
}

KERNEL_WORLD(ipc_wait, .question = "A handler that waits on its client's time: does the client go on when the wait ends?", .cpus = 2,
             .setup = wait_setup, .end = wait_end);

/* ---- A handler that waits goes; who waits there with it? ---- */

static void wait_handler_setup(void)
{
    kernel_world_open(2);
    kernel_world_sm(0, SM);
    deadline = kernel_world_soon(1);
    begin(kernel_world()->pd, serve_and_wait);
    finish(HANDLER, 2, 2);
}

KERNEL_WORLD(ipc_wait_handler, .question = "Is the client told when a handler goes that waits on its time?", .cpus = 2, .setup = wait_handler_setup,
             .end = told_end);
