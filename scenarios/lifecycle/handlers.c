/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenes of handlers and portals, with clients. The portal keeps its handler, and a call goes on without its portal: both must go, or the owner, for a client to
 * be told. Partners' jobs: what they do, until they are told. */
#include "life.h"

/* ---- Jobs of partners ---- */

static u64 call(const struct thread *t, u64 portal, enum serve what, u64 words)
{
    u64 mtr;
    t->utcb->word[0] = what;
    return hv_call(portal, MTR(words, 0), &mtr);
}

u64 job_call(const struct thread *t, u64 portal)
{
    return call(t, portal, SERVE_ANSWER, 1);
}

u64 job_call_wait(const struct thread *t, u64 portal)
{
    return call(t, portal ? portal : SEL_PORTAL_OF(t->cpu), SERVE_WAIT, 1);
}

u64 job_call_loop(const struct thread *t, u64 portal)
{
    u64 s;
    for (s = OK; s == OK; atomic_add(&life.count, 1))
        s = call(t, portal, SERVE_ANSWER, UTCB_WORDS);
    return s;
}

static u64 owner_used(void)
{
    u64 used = 0, limit;
    return hv_pd_info(SEL_OWNER, &used, &limit) == OK ? used : 0;
}

/* Gone means that its pages are no longer paid for. */
u64 job_end_second(const struct thread *t, u64 arg)
{
    const u64 before = owner_used();
    const enum status s = hv_revoke(SEL_OWNER, O_EC2, REVOKE(2, SPACE_OBJECT), REVOKE_SELF);
    while (s == OK && owner_used() + UTCB_PAGES * PAGE_SIZE > before)
        (void)!hv_sm_down(SEL_SLEEP, 0, thread_tsc() + program_page()->tsc_khz / 10);
    return s;
}

/* ---- Handlers ---- */

static void answers(u64 id, u64 mtr)
{
    (void)!hv_reply(MTR(MTR_WORDS(mtr), 0));
    __builtin_trap();
}

static void spins(u64 id, u64 mtr)
{
    for (;;)
        atomic_add(&life.count, 1);
}

static void waits(u64 id, u64 mtr)
{
    (void)!hv_sm_down(PROGRAM_SEL_PARK, 0, 0);
    __builtin_trap();
}

static void calls(u64 id, u64 mtr)
{
    u64 got;
    *owner_utcb_word(U_HANDLER) = SERVE_WAIT;
    (void)!hv_call(O_SERVER, MTR(1, 0), &got);
    __builtin_trap();
}

static void dies(u64 id, u64 mtr)
{
    __builtin_trap();
}

/* ---- Their clients in the owner ---- */

static void faults(void *arg)
{
    thread_undefined();
    __builtin_trap();
}

static void calls_once(void *arg)
{
    u64 mtr;
    owner_tell(hv_call(O_PORTAL, MTR(0, 0), &mtr));
}

/* ---- Makers ---- */

static void make_idle(void)
{
    owner_handler(answers);
}

static void make_spins(void)
{
    owner_handler(spins);
}

static void make_waits(void)
{
    owner_handler(waits);
}

static void make_calls(void)
{
    owner_handler(calls);
}

static void make_dies(void)
{
    owner_handler(dies);
}

static void make_orphan(void)
{
    owner_handler(waits);
    owner_thread(U_EC2, O_EC2, life.home, O_NO_EVENTS, calls_once, NULL);
}

/* An exception of the second thread: its event portal is the handler's. */
static void make_exception(void)
{
    owner_handler(waits);
    owner_must(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, O_PORTAL, O_NO_EVENTS + 6, DELEGATE(1, PERM_PORTAL_CALL, SPACE_OBJECT, SPACE_OBJECT)));
    owner_thread(U_EC2, O_EC2, life.home, O_NO_EVENTS, faults, NULL);
}

#define HANDLER  AIM(LIFE_EC, "its capability", O_HANDLER, 1)
#define PORTAL   AIM(LIFE_PORTAL, "its portal", O_PORTAL, 1)
#define BOTH     AIM(LIFE_PORTAL, "handler and portal", O_HANDLER, 2)
#define CLIENT   AIM(LIFE_EC, "its client", O_EC2, 2)
#define ABORT    TOLD(STATUS_ABORT)
#define CALL(n)  { PARTNER + (n), false, { job_call, SEL_COPY + O_PORTAL } }
#define SERVING  TARGETS({ HANDLER }, { PORTAL }, { BOTH, .told = { ABORT } }, { OWNER_ENDS, .told = { ABORT } }), .step = { CALL(0) }, .told = { ABORT }

const struct scene handler_scenes[] = {
    { "handler idle", make_idle, TARGETS({ HANDLER }, { PORTAL }, { BOTH }, { OWNER_ENDS }) },
    { "handler serving on another PD's time", make_spins, .step = { CALL(0) }, .told = { ABORT }, .flags = SCENE_COUNTS,
      TARGETS({ HANDLER }, { PORTAL }, { BOTH, .stops = true, .told = { ABORT } }, { OWNER_ENDS, .stops = true, .told = { ABORT } }) },
    { "handler serving and waiting", make_waits, SERVING },
    { "handler serving and calling", make_calls, SERVING },
    { "handler helped", make_waits, .step = { CALL(0), CALL(1) }, .told = { ABORT, TOLD_GONE },
      TARGETS({ HANDLER }, { PORTAL }, { BOTH, .told = { ABORT, TOLD_GONE } }, { OWNER_ENDS, .told = { ABORT, TOLD_GONE } }) },
    { "handler dead", make_dies, .step = { CALL(0) }, .told = { ABORT }, .flags = SCENE_EARLY,
      TARGETS({ HANDLER }, { PORTAL }, { BOTH }, { OWNER_ENDS }) },
    { "handler whose client has ended", make_orphan, TARGETS({ HANDLER }, { PORTAL }, { BOTH }, { OWNER_ENDS }),
      .step = { { PARTNER, false, { job_end_second, 0 } } }, .told = { TOLD(OK) }, .flags = SCENE_EARLY },
    { "handler serving its own domain", make_orphan, TARGETS({ HANDLER }, { PORTAL }, { BOTH, .thread = ABORT }, { CLIENT }, { OWNER_ENDS }) },
    { "handler of an exception", make_exception, TARGETS({ HANDLER }, { PORTAL }, { BOTH }, { CLIENT }, { OWNER_ENDS }) },
    { "handler called again and again", make_idle, .step = { { PARTNER, false, { job_call_loop, SEL_COPY + O_PORTAL } } }, .told = { TOLD_GONE },
      .flags = SCENE_COUNTS, TARGETS({ HANDLER }, { PORTAL, .stops = true, .told = { TOLD_GONE } }, { BOTH, .stops = true, .told = { TOLD_GONE } },
                                     { OWNER_ENDS, .stops = true, .told = { TOLD_GONE } }) },
};
const u32 handler_scene_count = array_size(handler_scenes);
