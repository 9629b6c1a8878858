/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenes of semaphores and vCPUs: partners on two CPUs wait at them, count with them, run them. */
#include "../guests/guest-life.h"
#include "life.h"

/* ---- Jobs of partners ---- */

u64 job_down(const struct thread *t, u64 sm)
{
    return hv_sm_down(sm, 0, 0);
}

u64 job_down_until(const struct thread *t, u64 sm)
{
    return hv_sm_down(sm, 0, bit(62));
}

u64 job_down_loop(const struct thread *t, u64 sm)
{
    enum status s;
    for (s = OK; s == OK; atomic_add(&life.count, 1))
        s = hv_sm_down(sm, 0, 0);
    return s;
}

u64 job_up_loop(const struct thread *t, u64 sm)
{
    enum status s;
    do
        s = hv_sm_up(sm);
    while (s == OK);
    return s;
}

u64 job_run(const struct thread *t, u64 vcpu)
{
    return hv_vcpu_run(vcpu);
}

u64 job_run_loop(const struct thread *t, u64 vcpu)
{
    enum status s;
    for (s = OK; s == OK; atomic_add(&life.count, 1))
        s = hv_vcpu_run(vcpu);
    return s;
}

u64 job_kick_loop(const struct thread *t, u64 vcpu)
{
    enum status s;
    do {
        s = hv_vcpu_kick(vcpu);
        (void)!hv_null();
    } while (s == OK);
    return s;
}

/* ---- Makers ---- */

static void make_semaphore(void)
{
    owner_must(hv_sm_create(PROGRAM_SEL_PD, O_SM, 3));
}

static void make_waited(void)
{
    owner_must(hv_sm_create(PROGRAM_SEL_PD, O_SM, 0));
}

static void make_never_run(void)
{
    owner_vcpu(0, false);
}

static void make_counts(void)
{
    owner_vcpu(LIFE_COUNT, true);
}

static void make_exits(void)
{
    owner_vcpu(LIFE_OUT, true);
}

static void make_stands(void)
{
    make_exits();
    owner_must(hv_vcpu_run(O_VCPU));
}

static void runs(void *arg)
{
    owner_tell(hv_vcpu_run(O_VCPU));
}

/* Its run ends with the thread that ran it. */
static void make_abandoned(void)
{
    make_counts();
    owner_thread(U_EC2, O_EC2, life.home, O_NO_EVENTS, runs, NULL);
}

#define SM          AIM(LIFE_SM, "the semaphore", O_SM, 1)
#define VCPU        AIM(LIFE_VCPU, "the vCPU", O_VCPU, 1)
#define GUEST       AIM(LIFE_MEMORY, "the guest's page", 1, 0)
#define ABORT       TOLD(STATUS_ABORT)
#define ON(w, far, job, what) { w, far, { job, SEL_COPY + (what) } }

const struct scene passive_scenes[] = {
    { "semaphore above zero", make_semaphore, TARGETS({ SM }, { OWNER_ENDS }) },
    { "semaphore with waiters on two CPUs", make_waited, .told = { ABORT, ABORT, ABORT },
      .step = { ON(PARTNER, false, job_down, O_SM), ON(PARTNER, true, job_down, O_SM), ON(PARTNER2, true, job_down_until, O_SM) },
      TARGETS({ SM, .told = { ABORT, ABORT, ABORT } }, { OWNER_ENDS, .told = { ABORT, ABORT, ABORT } }) },
    { "semaphore between two CPUs", make_waited, .told = { TOLD_GONE, TOLD_GONE }, .flags = SCENE_COUNTS,
      .step = { ON(PARTNER, false, job_down_loop, O_SM), ON(PARTNER, true, job_up_loop, O_SM) },
      TARGETS({ SM, .stops = true, .told = { TOLD_GONE, TOLD_GONE } }, { OWNER_ENDS, .stops = true, .told = { TOLD_GONE, TOLD_GONE } }) },
    { "vCPU never run", make_never_run, TARGETS({ VCPU }, { GUEST }, { OWNER_ENDS }), .flags = SCENE_VIRT },
    { "vCPU started", make_exits, TARGETS({ VCPU }, { GUEST }, { OWNER_ENDS }), .flags = SCENE_VIRT },
    { "vCPU in an exit", make_stands, TARGETS({ VCPU }, { GUEST }, { OWNER_ENDS }), .flags = SCENE_VIRT },
    { "vCPU whose runner has ended, run again", make_abandoned, .flags = SCENE_VIRT | SCENE_BUSY | SCENE_EARLY | SCENE_COUNTS,
      .step = { { PARTNER, false, { job_end_second, 0 } }, ON(PARTNER2, false, job_run, O_VCPU) }, .told = { TOLD(OK), ABORT },
      TARGETS({ VCPU, .stops = true, .told = { 0, ABORT } }, { GUEST, .stops = true, .told = { 0, TOLD(OK) } },
              { OWNER_ENDS, .stops = true, .told = { 0, ABORT } }) },
    { "vCPU running another PD's thread", make_counts, .flags = SCENE_VIRT | SCENE_COUNTS, .step = { ON(PARTNER, false, job_run, O_VCPU) }, .told = { ABORT },
      TARGETS({ VCPU, .stops = true, .told = { ABORT } }, { GUEST, .stops = true, .told = { TOLD(OK) } },
              { OWNER_ENDS, .stops = true, .told = { ABORT } }) },
    { "vCPU kicked by another CPU", make_exits, .flags = SCENE_VIRT | SCENE_COUNTS, .told = { TOLD_GONE, TOLD_GONE },
      .step = { ON(PARTNER, false, job_run_loop, O_VCPU), ON(PARTNER, true, job_kick_loop, O_VCPU) },
      TARGETS({ VCPU, .stops = true, .told = { TOLD_GONE, TOLD_GONE } }, { GUEST }, { OWNER_ENDS, .stops = true, .told = { TOLD_GONE, TOLD_GONE } }) },
};
const u32 passive_scene_count = array_size(passive_scenes);
