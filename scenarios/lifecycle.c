/* SPDX-License-Identifier: BSD-2-Clause */
/* Destruction: PDs with an EC in each of its states are made and destroyed, on this CPU and on another. Does the kernel memory they were
 * charged come back, to the byte, each time? And does everything else go on?
 * A child runs this program's own text in a PD of its own; it has a stack, one or two semaphores and a portal, nothing else. */
#include "client.h"
#include "hv.h"
#include "print.h"

#define CPUS        4u
#define ROUNDS      5u
#define CYCLES      200u
#define BATCH       10u
#define POLLS       200u   /* of one millisecond: releases wait for an epoch of all CPUs */
#define CHILD_QUOTA 0x40000ul
#define STACK_BYTES 4096u

/* The parent's selectors. */
#define SEL_READY       4096u
#define SEL_NEVER       4097u
#define SEL_HOLD        4098u
#define SEL_HANDLER(c)  (4100u + (c))
#define SEL_PORTAL(c)   (4104u + (c))
#define SEL_CHILD_PD    4110u   /* and the two after it: one range to revoke */
#define SEL_CHILD_EC    4111u
#define SEL_CHILD_SC    4112u
#define CHILD_SELECTORS 3u
#define SEL_SLEEP       4115u   /* never upped */

/* The child's. */
#define CHILD_READY  1u
#define CHILD_NEVER  2u
#define CHILD_PORTAL 3u
#define CHILD_EVENT  32u   /* nothing there: an exception stops its EC */
#define CHILD_STACK  PROGRAM_MEMORY
#define CHILD_UTCB   PROGRAM_UTCB

static struct thread self, handlers[CPUS];
static u8 handler_stacks[CPUS][STACK_BYTES] aligned_to(16);

static void check(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

/* ---- What children do: no data of the program may be touched ---- */

static void child_blocked(void)
{
    (void)!hv_sm_up(CHILD_READY);
    (void)!hv_sm_down(CHILD_NEVER, 0, 0);
}

static void child_spinning(void)
{
    (void)!hv_sm_up(CHILD_READY);
    for (;;)
        hv_relax();
}

static void child_calling(void)
{
    u64 mtr;
    (void)!hv_call(CHILD_PORTAL, MTR(4, 0), &mtr);   /* the handler says ready and keeps the call */
}

static void child_dead(void)
{
    (void)!hv_sm_up(CHILD_READY);
    __builtin_trap();
}

static void child_hypercalls(void)
{
    (void)!hv_sm_up(CHILD_READY);
    for (;;)
        (void)!hv_null();
}

struct kind {
    const char *name;
    void (*entry)(void);
};
static const struct kind kinds[] = {
    { "blocked", child_blocked }, { "spinning", child_spinning }, { "calling", child_calling }, { "dead", child_dead },
    { "in hypercalls", child_hypercalls },
};

/* Serves one call and holds it; the caller is destroyed meanwhile. */
static void handler_entry(u64 id, u64 mtr)
{
    (void)!hv_sm_up(SEL_READY);
    (void)!hv_sm_down(SEL_HOLD, 0, 0);
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

/* ---- The parent ---- */

/* Sleep, so that nothing but the kernel itself moves on. */
static void pause_ms(void)
{
    const enum status s = hv_sm_down(SEL_SLEEP, 0, thread_tsc() + max(program_page()->tsc_khz, 1ul));
    check(s == STATUS_TIMEOUT ? OK : STATUS_ABORT, "sleep");
}

static void handler_make(u32 cpu)
{
    const struct thread_config c = {
        .number = 1 + cpu, .cpu = cpu, .ec = SEL_HANDLER(cpu), .stack_top = handler_stacks[cpu] + STACK_BYTES
    };
    check(thread_create_local(&c, &handlers[cpu]), "handler");
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_PORTAL(cpu), SEL_HANDLER(cpu), (u64)handler_entry, cpu), "portal");
}

static void give(u64 from, u64 to, u64 count, u64 rights, u64 type)
{
    check(hv_delegate(PROGRAM_SEL_PD, SEL_CHILD_PD, from, to, DELEGATE(count, rights, type, type)), "delegate");
}

static u64 pages_between(u64 start, u64 end)
{
    return (align_up(end, PAGE_SIZE) - start) >> PAGE_BITS;
}

static void child_make(const struct kind *kind, u32 cpu)
{
    const u64 text_pages = pages_between(IMAGE_START, (u64)image_text_end);
    check(hv_pd_create(PROGRAM_SEL_PD, SEL_CHILD_PD, CHILD_QUOTA, 0), "child PD");
    give(IMAGE_START >> PAGE_BITS, IMAGE_START >> PAGE_BITS, text_pages, RIGHT_R | RIGHT_X, SPACE_MEMORY);
    give(PROGRAM_MEMORY >> PAGE_BITS, CHILD_STACK >> PAGE_BITS, 1, RIGHT_R | RIGHT_W, SPACE_MEMORY);
    give(SEL_READY, CHILD_READY, 1, PERM_SM_UP, SPACE_OBJECT);
    give(SEL_NEVER, CHILD_NEVER, 1, PERM_SM_DOWN, SPACE_OBJECT);
    give(SEL_PORTAL(cpu), CHILD_PORTAL, 1, PERM_PORTAL_CALL, SPACE_OBJECT);
    check(hv_ec_create(SEL_CHILD_PD, SEL_CHILD_EC, CHILD_UTCB, (u64)kind->entry, CHILD_STACK + PAGE_SIZE - 8,
                       EC_CONFIG(cpu, EC_GLOBAL, CHILD_EVENT)),
          "child EC");
    const u32 priority = program_page()->priority - 1;   /* on this CPU the child waits until we wait for it */
    check(hv_sc_create(SEL_CHILD_PD, SEL_CHILD_SC, SEL_CHILD_EC, priority, max(program_page()->tsc_khz, 1ul)), "child SC");
}

static void used(u64 *used_bytes, u64 *limit_bytes)
{
    check(hv_pd_info(PROGRAM_SEL_PD, used_bytes, limit_bytes), "pd_info");
}

/* Wait until the account shows what it showed before. */
static void account_check(const struct kind *kind, u64 used_before, u64 limit_before)
{
    u64 used_now = 0, limit_now = 0;
    for (u32 i = 0; i < POLLS; i++) {
        used(&used_now, &limit_now);
        if (used_now == used_before && limit_now == limit_before)
            return;
        pause_ms();
    }
    print("lifecycle: %s: used %lu, was %lu; limit %lu, was %lu", kind->name, used_now, used_before, limit_now, limit_before);
    client_done(&self, 2);
}

static void round_do(const struct kind *kind, u32 cpu, bool calling)
{
    u64 used_before, limit_before;
    used(&used_before, &limit_before);
    child_make(kind, cpu);
    check(hv_sm_down(SEL_READY, 0, 0), "ready");
    check(hv_revoke(PROGRAM_SEL_PD, SEL_CHILD_PD, REVOKE(CHILD_SELECTORS, SPACE_OBJECT), REVOKE_SELF), "destroy");
    if (calling)
        check(hv_sm_up(SEL_HOLD), "let the handler go");
    account_check(kind, used_before, limit_before);
}

/* Each kind of object comes and goes. */
static void objects_do(void)
{
    static const struct kind objects = { "objects", 0 };
    u64 used_before, limit_before;
    used(&used_before, &limit_before);
    for (u32 i = 0; i < CYCLES; i++) {
        const u32 cpu = i % CPUS;
        const u64 utcb = PROGRAM_UTCB + (16 + i % BATCH) * PROGRAM_UTCB_STEP;   /* the last one's is given back an epoch later */
        check(hv_pd_create(PROGRAM_SEL_PD, SEL_CHILD_PD, PAGE_SIZE * 8, 0), "PD");
        check(hv_ec_create(PROGRAM_SEL_PD, SEL_CHILD_EC, utcb, 0, 0, EC_CONFIG(cpu, EC_LOCAL, CHILD_EVENT)), "EC");
        check(hv_portal_create(PROGRAM_SEL_PD, SEL_CHILD_SC, SEL_CHILD_EC, 0, i), "portal");
        check(hv_sm_create(SEL_CHILD_PD, SEL_CHILD_SC + 1, 0), "semaphore");
        check(hv_revoke(PROGRAM_SEL_PD, SEL_CHILD_PD, REVOKE(CHILD_SELECTORS + 1, SPACE_OBJECT), REVOKE_SELF), "destroy");
        if (i % BATCH == BATCH - 1)
            account_check(&objects, used_before, limit_before);
    }
    print("lifecycle: %u lives of each kind of object, nothing lost", CYCLES);
}

void program_main(u64 first, u64 utcb)
{
    self = thread_first();
    const u32 cpus = CPUS;
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_READY, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_NEVER, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_HOLD, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_SLEEP, 0), "semaphore");
    for (u32 cpu = 0; cpu < cpus; cpu++)
        handler_make(cpu);
    for (u32 k = 0; k < array_size(kinds); k++) {
        for (u32 i = 0; i < ROUNDS * cpus; i++)
            round_do(&kinds[k], i % cpus, kinds[k].entry == child_calling);
        print("lifecycle: %s: %u PDs destroyed, nothing lost", kinds[k].name, ROUNDS * cpus);
    }
    objects_do();
    client_done(&self, 0);
}
