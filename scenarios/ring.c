/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring between two PDs on two CPUs: "producer" sends one page of its memory, writable, in a call; ring and slots lie in it. The consumer sleeps on
 * a semaphore while the ring is empty; now and then the producer waits until it is. A lost wake-up is a scenario that never ends. */
#include "ring.h"
#include "client.h"
#include "hv.h"
#include "print.h"

#define COUNT       20000u
#define PAUSE_EVERY 100u    /* elements */
#define SLOTS       16u
#define STACK_BYTES 8192u

#define SEL_READY  4096u
#define SEL_WAKE   4097u
#define SEL_SHARED 4098u
#define SEL_PORTAL 4099u
#define SEL_EC     4100u

#define WINDOW_PAGE (PROGRAM_FREE >> PAGE_BITS)

struct shared {
    struct ring ring;
    struct { u64 number, complement; } slot[SLOTS];
};
static_assert(sizeof(struct shared) <= PAGE_SIZE, "one page");

static struct thread self;

static void check(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

static void consumer_sleep(void *arg)
{
    check(hv_sm_down(SEL_WAKE, SM_DOWN_ZERO, 0), "sleep");
}

static void consumer_wake(void *arg)
{
    check(hv_sm_up(SEL_WAKE), "wake");
}

static struct ring_end ring_side(struct shared *shared)
{
    return (struct ring_end){ .ring = &shared->ring, .slot = (u8 *)shared->slot, .slots = SLOTS, .slot_bytes = sizeof(shared->slot[0]),
                              .sleep = consumer_sleep, .wake = consumer_wake };
}

/* ---- Consumer: takes the page by a handler on the producer's CPU ---- */

static struct thread handler;
static u8 handler_stack[STACK_BYTES] aligned_to(16);

static void handler_entry(u64 id, u64 mtr)
{
    const bool good = MTR_ITEMS(mtr) == 1 && handler.utcb->item[0].base == WINDOW_PAGE && hv_sm_up(SEL_SHARED) == OK;
    (void)!hv_reply(good ? MTR(0, 0) : MTR(1, 0));
    __builtin_trap();
}

static void consumer(void)
{
    const struct thread_config config = { .number = 1, .cpu = 0, .ec = SEL_EC, .stack_top = handler_stack + STACK_BYTES };
    check(thread_create_local(&config, &handler), "handler");
    handler.utcb->window[SPACE_MEMORY] = (struct utcb_window){ WINDOW_PAGE, 1 };
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_PORTAL, SEL_EC, (u64)handler_entry, 0), "portal");
    check(client_register(&self, "ring", SEL_PORTAL, PERM_PORTAL_CALL), "register");
    check(hv_sm_up(SEL_READY), "ready");
    check(hv_sm_down(SEL_SHARED, 0, 0), "shared");
    struct shared *shared = (struct shared *)PROGRAM_FREE;
    struct ring_end c = ring_side(shared);
    for (u64 n = 0; n < COUNT; n++) {
        const u64 *slot = ring_wait(&c);
        if (slot[0] != n || slot[1] != ~n)
            client_fail(&self, "element", STATUS_ABORT);
        ring_take(&c);
    }
    print("ring: %u elements in order", COUNT);
}

/* ---- Producer ---- */

static void producer(void)
{
    struct shared *shared = (struct shared *)PROGRAM_MEMORY;
    check(hv_sm_down(SEL_READY, 0, 0), "ready");
    check(client_lookup(&self, "ring", SEL_PORTAL), "lookup");
    self.utcb->item[0] = (struct utcb_item){ .base = PROGRAM_MEMORY >> PAGE_BITS, .count = 1, .rights = RIGHT_R | RIGHT_W, .type = SPACE_MEMORY };
    u64 mtr;
    check(hv_call(SEL_PORTAL, MTR(0, 1), &mtr), "call");
    check(mtr == MTR(0, 0) ? self.utcb->item[0].status : STATUS_ABORT, "page");
    struct ring_end p = ring_side(shared);
    for (u64 n = 0; n < COUNT; n++) {
        u64 *slot;
        while (!(slot = ring_free(&p)))
            hv_relax();
        slot[0] = n;
        slot[1] = ~n;
        ring_put(&p);
        while (n % PAUSE_EVERY == 0 && !atomic_load(&shared->ring.asleep))
            hv_relax();
    }
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    check(client_semaphore(&self, "ready", SEL_READY), "semaphore");
    check(client_semaphore(&self, "wake", SEL_WAKE), "semaphore");
    if (self.cpu) {
        check(hv_sm_create(PROGRAM_SEL_PD, SEL_SHARED, 0), "semaphore");
        consumer();
    } else {
        producer();
    }
    client_done(&self, 0);
}
