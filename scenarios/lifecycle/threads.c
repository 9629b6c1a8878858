/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenes of threads. Targets: the capability to the EC (its time keeps it), the one to its time, both, the owner, and what it waits for. */
#include "../guests/guest-life.h"
#include "life.h"

#define FAR (bit(62))

static void thread(void (*entry)(void *), u64 event_base)
{
    owner_thread(U_EC, O_EC, life.home, event_base, entry, NULL);
}

static enum status call(enum serve what)
{
    u64 mtr;
    *owner_utcb_word(U_EC) = what;
    return hv_call(O_SERVER, MTR(1, 0), &mtr);
}

/* ---- What they do ---- */

static void spins(void *arg)
{
    for (;;)
        atomic_add(&life.count, 1);
}

static void hypercalls(void *arg)
{
    for (;; atomic_add(&life.count, 1))
        (void)!hv_null();
}

static void is_there(void *arg)
{
    for (;;)
        hv_relax();
}

static void waits(void *arg)
{
    owner_tell(hv_sm_down(O_SM, 0, 0));
}

static void waits_until(void *arg)
{
    owner_tell(hv_sm_down(O_SM, 0, FAR));
}

static void times_out(void *arg)
{
    for (;; atomic_add(&life.count, 1))
        (void)!hv_sm_down(PROGRAM_SEL_PARK, 0, thread_tsc() + program_page()->tsc_khz / 20);
}

static void calls_spinner(void *arg)
{
    owner_tell(call(SERVE_SPIN));
}

static void calls_waiter(void *arg)
{
    owner_tell(call(SERVE_WAIT));
}

static void calls_on(void *arg)
{
    for (;; atomic_add(&life.count, 1)) {
        u64 mtr;
        *owner_utcb_word(U_EC) = SERVE_ANSWER;
        (void)!hv_call(O_SERVER, MTR(UTCB_WORDS, 0), &mtr);
    }
}

static void faults(void *arg)
{
    thread_undefined();
    __builtin_trap();
}

static void maps(void *arg)
{
    const u64 from = PAGE_OF(UTCB_AT(U_PAGE)), to = PAGE_OF(UTCB_AT(U_PAGE2));
    for (;; atomic_add(&life.count, 1)) {
        (void)!hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, from, to, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY));
        (void)!hv_revoke(PROGRAM_SEL_PD, to, REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
    }
}

static void creates(void *arg)
{
    for (;; atomic_add(&life.count, 1)) {
        (void)!hv_sm_create(PROGRAM_SEL_PD, O_TEMPORARY, 0);
        (void)!hv_revoke(PROGRAM_SEL_PD, O_TEMPORARY, REVOKE(1, SPACE_OBJECT), REVOKE_SELF);
    }
}

static void runs(void *arg)
{
    owner_tell(hv_vcpu_run(O_VCPU));
}

/* It must not look at the state page: that goes with the vCPU. */
static void runs_on(void *arg)
{
    enum status s;
    for (s = OK; s == OK; atomic_add(&life.count, 1))
        s = hv_vcpu_run(O_VCPU);
    owner_tell(s);
}

/* ---- Makers ---- */

static void make_fresh(void)
{
    owner_must(hv_ec_create(PROGRAM_SEL_PD, O_EC, UTCB_AT(U_EC), 0, 0, EC_CONFIG(life.home, EC_GLOBAL | EC_FPU, O_NO_EVENTS)));
}

static void make_spins(void)
{
    thread(spins, O_NO_EVENTS);
}

static void make_hypercalls(void)
{
    thread(hypercalls, O_NO_EVENTS);
}

static void make_waits(void)
{
    owner_must(hv_sm_create(PROGRAM_SEL_PD, O_SM, 0));
    thread(waits, O_NO_EVENTS);
}

static void make_waits_until(void)
{
    owner_must(hv_sm_create(PROGRAM_SEL_PD, O_SM, 0));
    thread(waits_until, O_NO_EVENTS);
}

static void make_times_out(void)
{
    thread(times_out, O_NO_EVENTS);
}

static void make_calls_spinner(void)
{
    thread(calls_spinner, O_NO_EVENTS);
}

static void make_calls_waiter(void)
{
    thread(calls_waiter, O_NO_EVENTS);
}

static void make_calls_on(void)
{
    thread(calls_on, O_NO_EVENTS);
}

static void make_dead(void)
{
    thread(faults, O_NO_EVENTS);
}

static void make_in_fault(void)
{
    thread(faults, O_EVENTS);
}

/* With a thread of the same domain on another CPU, so that each page taken back is a shootdown. */
static void make_maps(void)
{
    thread(maps, O_NO_EVENTS);
    owner_thread(U_CPU + life.other, O_CPU + 2 * life.other, life.other, O_NO_EVENTS, is_there, NULL);
}

static void make_creates(void)
{
    thread(creates, O_NO_EVENTS);
}

static void make_in_guest(void)
{
    owner_vcpu(LIFE_COUNT, true);
    thread(runs, O_NO_EVENTS);
}

static void make_exits(void)
{
    owner_vcpu(LIFE_OUT, true);
    thread(runs_on, O_NO_EVENTS);
}

static void make_everywhere(void)
{
    for (u32 cpu = 0; cpu < CPUS; cpu++)
        owner_thread(U_CPU + cpu, O_CPU + 2 * cpu, cpu, O_NO_EVENTS, spins, NULL);
}

#define EC    AIM(LIFE_EC, "its thread", O_EC, 1)
#define TIME  AIM(LIFE_SC, "its time", O_SC, 1)
#define BOTH  AIM(LIFE_EC, "thread and time", O_EC, 2)
#define SM    AIM(LIFE_SM, "the semaphore", O_SM, 1)
#define VCPU  AIM(LIFE_VCPU, "the vCPU", O_VCPU, 1)
#define GUEST AIM(LIFE_MEMORY, "the guest's page", 1, 0)
#define GOES  TARGETS({ EC }, { TIME, .stops = true }, { BOTH, .stops = true }, { OWNER_ENDS, .stops = true }), .flags = SCENE_COUNTS
#define STAYS TARGETS({ EC }, { TIME }, { BOTH }, { OWNER_ENDS })
#define WAITS_AT_SM TARGETS({ EC }, { TIME }, { BOTH }, { SM, .thread = TOLD(STATUS_ABORT) }, { OWNER_ENDS })

const struct scene thread_scenes[] = {
    { "thread without time", make_fresh, TARGETS({ EC }, { OWNER_ENDS }) },
    { "thread running", make_spins, GOES },
    { "thread in hypercalls", make_hypercalls, GOES },
    { "thread ready", make_spins, TARGETS({ EC }, { TIME, .stops = true }, { BOTH, .stops = true }, { OWNER_ENDS, .stops = true }), .flags = SCENE_HOG | SCENE_COUNTS },
    { "thread waiting", make_waits, WAITS_AT_SM },
    { "thread waiting until", make_waits_until, WAITS_AT_SM },
    { "thread timing out", make_times_out, GOES },
    { "thread calling, its time runs the handler", make_calls_spinner, GOES },
    { "thread calling who waits", make_calls_waiter, STAYS },
    { "thread helping", make_calls_waiter, STAYS, .step = { { PARTNER, false, { job_call_wait, 0 } } }, .told = { TOLD(OK) }, .flags = SCENE_FIRST },
    { "thread calling again and again", make_calls_on, GOES },
    { "thread dead", make_dead, STAYS },
    { "thread in its exception", make_in_fault, STAYS },
    { "thread mapping", make_maps, GOES },
    { "thread creating", make_creates, GOES },
    { "thread in its guest", make_in_guest, .flags = SCENE_VIRT | SCENE_COUNTS,
      TARGETS({ EC }, { TIME, .stops = true }, { BOTH, .stops = true }, { VCPU, .stops = true, .thread = TOLD(STATUS_ABORT) },
              { GUEST, .stops = true, .thread = TOLD(OK) }, { OWNER_ENDS, .stops = true }) },
    { "thread with a guest that exits", make_exits, .flags = SCENE_VIRT | SCENE_COUNTS,
      TARGETS({ EC }, { TIME, .stops = true }, { BOTH, .stops = true }, { VCPU, .stops = true, .thread = TOLD_GONE },
              { GUEST }, { OWNER_ENDS, .stops = true }) },
    { "threads on all CPUs", make_everywhere, .flags = SCENE_COUNTS,
      TARGETS({ AIM(LIFE_EC, "all of them", O_CPU, 2 * CPUS), .stops = true }, { OWNER_ENDS, .stops = true }) },
};
const u32 thread_scene_count = array_size(thread_scenes);
