/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's workers, one of each kind per CPU, and its handlers. A worker waits at its semaphore, does a job, keeps the result, waits again. A
 * handler (one per CPU) answers, spins or waits, as its caller wants; those that have lost their caller are brought home by the witness's call. */
#include "life.h"
#include "mem.h"
#include "print.h"

#define STACK_BYTES 2048u

struct member {
    struct thread thread;
    struct job job;
    u64 result;
    atomic_u64 asked, done;   /* jobs */
};

static struct member crew[CPUS][WORKERS];
static struct thread handlers[CPUS];
static u8 stacks[CPUS][WORKERS][STACK_BYTES] aligned_to(16), handler_stacks[CPUS][STACK_BYTES] aligned_to(16);
struct life life;
struct thread self;
const char *life_what[3] = { "start", "", "" };

void life_fail(const char *what, u64 value)
{
    print("lifecycle: %s, %s, %s: %s (%lu)", life_what[0], life_what[1], life_what[2], what, value);
    client_done(&self, 2);
}

void check(enum status s, const char *what)
{
    if (s != OK)
        life_fail(what, s);
}

void pause_us(u64 us)
{
    const enum status s = hv_sm_down(SEL_SLEEP, 0, thread_tsc() + max(program_page()->tsc_khz * us / 1000, 1ul));
    check(s == STATUS_TIMEOUT ? OK : STATUS_ABORT, "sleep");
}

struct account account(u64 pd)
{
    struct account a;
    check(hv_pd_info(pd, &a.used, &a.limit), "pd_info");
    return a;
}

void account_await(const struct account *before)
{
    struct account now = account(PROGRAM_SEL_PD);
    for (u32 i = 0; i < WAITS && (now.used != before->used || now.limit != before->limit); i++) {
        pause_us(WAIT_US);
        now = account(PROGRAM_SEL_PD);
    }
    if (now.used != before->used)
        life_fail("bytes are still charged", now.used - before->used);
    if (now.limit != before->limit)
        life_fail("bytes of quota are missing", before->limit - now.limit);
}

/* ---- Workers ---- */

static u64 sem_of(const struct member *m)
{
    return SEL_WORK + (u64)(m - &crew[0][0]);
}

static void worker_entry(void *arg)
{
    struct member *const m = arg;
    for (;;) {
        if (hv_sm_down(sem_of(m), 0, 0) != OK)
            __builtin_trap();
        m->result = m->job.work(&m->thread, m->job.arg);
        atomic_store(&m->done, atomic_load(&m->asked));
    }
}

void crew_start(u32 cpu, enum worker w, struct job job)
{
    struct member *const m = &crew[cpu][w];
    if (atomic_load(&m->done) != atomic_load(&m->asked))
        life_fail("a worker has work already", w);
    m->job = job;
    atomic_add(&m->asked, 1);
    check(hv_sm_up(sem_of(m)), "a worker's semaphore");
}

bool crew_done(u32 cpu, enum worker w, u64 *result)
{
    const struct member *const m = &crew[cpu][w];
    if (atomic_load(&m->done) != atomic_load(&m->asked))
        return false;
    *result = m->result;
    return true;
}

u64 crew_wait(u32 cpu, enum worker w)
{
    u64 result = 0;
    for (u32 i = 0; !crew_done(cpu, w, &result); i++) {
        if (i == WAITS)
            life_fail("a worker never ends", w);
        pause_us(WAIT_US);
    }
    return result;
}

u64 crew_do(u32 cpu, enum worker w, struct job job)
{
    crew_start(cpu, w, job);
    return crew_wait(cpu, w);
}

static u64 nothing(const struct thread *t, u64 arg)
{
    return OK;
}

void crew_settle(u32 cpu)
{
    crew_do(cpu, WITNESS, (struct job){ nothing, 0 });
}

/* Who helped it, and is not gone yet, may make it wait again. */
void crew_home(u32 cpu)
{
    u64 status = OK, let_go = 0;
    crew_start(cpu, WITNESS, (struct job){ job_call, SEL_PORTAL_OF(cpu) });
    for (u32 i = 0; !crew_done(cpu, WITNESS, &status); i++) {
        for (; let_go < atomic_load(&life.holds); let_go++)
            check(hv_sm_up(SEL_HOLD), "hold");
        if (i == WAITS)
            life_fail("the handler does not answer", 0);
        pause_us(WAIT_US);
    }
    check((enum status)status, "the handler");
}

/* ---- Handlers ---- */

static void serve(u64 id, u64 mtr)
{
    const u64 what = MTR_WORDS(mtr) ? handlers[id].utcb->word[0] : (u64)SERVE_ANSWER;
    while (what == SERVE_SPIN && !atomic_load(&life.release))
        atomic_add(&life.count, 1);
    if (what == SERVE_WAIT) {
        atomic_add(&life.holds, 1);
        (void)!hv_sm_down(SEL_HOLD, 0, 0);
    }
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

static void serve_exception(u64 id, u64 mtr)
{
    atomic_add(&life.holds, 1);
    (void)!hv_sm_down(SEL_HOLD, 0, 0);
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

/* ---- Setting up ---- */

static void worker_make(u32 cpu, enum worker w)
{
    static const u8 priority[WORKERS] = { PRIORITY_WITNESS, PRIORITY_PARTNER, PRIORITY_PARTNER + 1, PRIORITY_HOG, PRIORITY_ACTOR };
    struct member *const m = &crew[cpu][w];
    const u32 n = cpu * WORKERS + w;
    const struct thread_config c = {
        .number = 1 + n, .cpu = cpu, .priority = priority[w], .ec = SEL_WORKER + 2 * n, .sc = SEL_WORKER + 2 * n + 1,
        .stack_top = stacks[cpu][w] + STACK_BYTES, .entry = worker_entry, .arg = m,
    };
    check(hv_sm_create(PROGRAM_SEL_PD, sem_of(m), 0), "semaphore");
    check(thread_create(&c, &m->thread), "worker");
}

static void handler_make(u32 cpu)
{
    const struct thread_config c = {
        .number = 1 + CPUS * WORKERS + cpu, .cpu = cpu, .ec = SEL_SERVER + cpu, .stack_top = handler_stacks[cpu] + STACK_BYTES
    };
    check(thread_create_local(&c, &handlers[cpu]), "handler");
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_PORTAL_OF(cpu), SEL_SERVER + cpu, (u64)serve, cpu), "portal");
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_EVENT_OF(cpu), SEL_SERVER + cpu, (u64)serve_exception, cpu), "portal");
}

void crew_make(void)
{
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_SLEEP, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_READY, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_HOLD, 0), "semaphore");
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_NEVER, 0), "semaphore");
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        handler_make(cpu);
        for (u32 w = 0; w < WORKERS; w++)
            worker_make(cpu, (enum worker)w);
    }
}
