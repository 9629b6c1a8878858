/* SPDX-License-Identifier: BSD-2-Clause */
/* Cycles: objects of each kind are made, used and ended again and again, by a worker on each CPU, all at once. Does anything grow, or run out? What is
 * released takes an epoch: who finds the quota used up, or its pages still there, asks again. vCPUs are entered TAGS times in a life, each time with a new
 * VPID or ASID (their EFER is set), of which a CPU has 65,535, or some 15. */
#include "../guests/guest-life.h"
#include "life.h"
#include "print.h"

#define TAGS        16u
#define RETRIES     20000u
#define QUOTA       0x30000ul
#define STACK_BYTES 2048u
#define FAR_PAGE    0x10300ul
enum { EC, SC, HANDLER, PORTAL, SM, COPY, VCPU, PD, PD_EC, PD_SC, PD_SM, IDLE, READY, SELECTORS = 16 };
#define SEL(n)    (SEL_END + SELECTORS * t->cpu + (n))
#define UTCB(n)   (UTCB_AT(25 + t->cpu) + (n) * 0x2000)
#define STACK_TOP ((u64)cycle_stacks[t->cpu] + STACK_BYTES - 8)
enum { UTCB_IDLE, UTCB_STATE, UTCB_FIRST };   /* those of lives: three more, in turn */

static u8 cycle_stacks[CPUS][STACK_BYTES] aligned_to(16);
static u64 lives;
static atomic_u64 retries, entries;

typedef enum status cycle(const struct thread *t, u64 i);

static void rest(void)
{
    (void)!hv_sm_down(SEL_SLEEP, 0, thread_tsc() + program_page()->tsc_khz / 20);
}

static void end(const struct thread *t, u64 first, u64 count)
{
    if (hv_revoke(PROGRAM_SEL_PD, SEL(first), REVOKE(count, SPACE_OBJECT), REVOKE_SELF) != OK)
        __builtin_trap();
}

static u64 utcb_of(const struct thread *t, u64 i)
{
    return UTCB(UTCB_FIRST + i % 3);
}

/* ---- Who lives ---- */

static void lives_and_waits(void)
{
    for (;;)
        (void)!hv_sm_down(SEL_NEVER, 0, 0);
}

/* In a domain of its own. */
static void enters(void)
{
    (void)!hv_sm_up(O_READY);
    for (;;)
        (void)!hv_sm_down(PROGRAM_SEL_PARK, 0, 0);
}

static void answers(u64 id, u64 mtr)
{
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

/* ---- One life of each kind; whatever they made is ended, however far they came ---- */

static enum status thread_on(const struct thread *t, u64 i, u32 cpu)
{
    enum status s = hv_ec_create(PROGRAM_SEL_PD, SEL(EC), utcb_of(t, i), (u64)lives_and_waits, STACK_TOP, EC_CONFIG(cpu, EC_GLOBAL | EC_FPU, O_NO_EVENTS));
    if (s == OK)
        s = hv_sc_create(PROGRAM_SEL_PD, SEL(SC), SEL(EC), PRIORITY_OWNER, program_page()->tsc_khz);
    end(t, EC, 2);
    return s;
}

static enum status thread_here(const struct thread *t, u64 i)
{
    return thread_on(t, i, t->cpu);
}

static enum status thread_elsewhere(const struct thread *t, u64 i)
{
    return thread_on(t, i, (t->cpu + 1 + i % (CPUS - 1)) % CPUS);
}

static enum status time(const struct thread *t, u64 i)
{
    const enum status s = hv_sc_create(PROGRAM_SEL_PD, SEL(SC), SEL(IDLE), PRIORITY_OWNER, program_page()->tsc_khz);
    end(t, SC, 1);
    return s == STATUS_BUSY ? STATUS_EXISTS : s;   /* the last one is not gone yet */
}

static enum status handler(const struct thread *t, u64 i)
{
    u64 mtr;
    enum status s = hv_ec_create(PROGRAM_SEL_PD, SEL(HANDLER), utcb_of(t, i), 0, STACK_TOP, EC_CONFIG(t->cpu, EC_LOCAL, O_NO_EVENTS));
    if (s == OK)
        s = hv_portal_create(PROGRAM_SEL_PD, SEL(PORTAL), SEL(HANDLER), (u64)answers, i);
    if (s == OK)
        s = hv_call(SEL(PORTAL), MTR(1, 0), &mtr);
    end(t, HANDLER, 2);
    return s;
}

static enum status semaphore(const struct thread *t, u64 i)
{
    enum status s = hv_sm_create(PROGRAM_SEL_PD, SEL(SM), 0);
    if (s == OK)
        s = hv_sm_up(SEL(SM));
    if (s == OK)
        s = hv_sm_down(SEL(SM), 0, 0);
    end(t, SM, 1);
    return s;
}

static enum status capability(const struct thread *t, u64 i)
{
    const enum status s = hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, SEL_NEVER, SEL(COPY), DELEGATE(1, PERM_SM_UP, SPACE_OBJECT, SPACE_OBJECT));
    end(t, COPY, 1);
    return s;
}

/* Of its own page, which goes to another and to the guest, and is taken back. */
static enum status memory(const struct thread *t, u64 i)
{
    const u64 page = PAGE_OF(PROGRAM_MEMORY) + LIFE_CYCLE_PAGE + t->cpu, to = FAR_PAGE + 8 * t->cpu;
    enum status s = hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, page, to, DELEGATE(1, RIGHT_MEMORY, SPACE_MEMORY, SPACE_MEMORY));
    if (s == OK && program_page()->virt)
        s = hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, to, 0x100 + t->cpu, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_GUEST));
    if (hv_revoke(PROGRAM_SEL_PD, page, REVOKE(1, SPACE_MEMORY), 0) != OK)
        __builtin_trap();
    return s;
}

static enum status vcpu_enter(struct vcpu_state *state, u64 vcpu)
{
    state->dirty = VCPU_GROUP_EFER;
    const enum status s = hv_vcpu_run(vcpu);
    if (s != OK || state->exit.reason == VCPU_EXIT_KICKED)
        return s;
    atomic_add(&entries, 1);
    return state->exit.reason == VCPU_EXIT_IO && state->rip == LIFE_OUT ? OK : STATUS_ARG;
}

static enum status vcpu(const struct thread *t, u64 i)
{
    struct vcpu_state *const state = (struct vcpu_state *)UTCB(UTCB_STATE);
    enum status s = hv_vcpu_create(PROGRAM_SEL_PD, SEL(VCPU), t->cpu, (u64)state);
    if (s == OK)
        s = hv_vcpu_run(SEL(VCPU));
    if (s == OK) {
        for (u32 n = VCPU_SEG_ES; n <= VCPU_SEG_GS; n++)
            state->seg[n] = (struct vcpu_segment){ .limit = 0xffff, .attributes = n == VCPU_SEG_CS ? 0x9b : 0x93 };
        state->rip = LIFE_OUT;
        state->rflags = 0x202;
        state->dirty = VCPU_GROUP_SEG | VCPU_GROUP_RIP;
        s = hv_vcpu_run(SEL(VCPU));
    }
    for (u32 n = 0; s == OK && n < TAGS; n++)
        s = vcpu_enter(state, SEL(VCPU));
    end(t, VCPU, 1);
    return s;
}

static enum status give(const struct thread *t, u64 from, u64 to, u64 permissions)
{
    return hv_delegate(PROGRAM_SEL_PD, SEL(PD), from, to, DELEGATE(1, permissions, SPACE_OBJECT, SPACE_OBJECT));
}

/* With all kinds of objects in it; nothing of it runs. */
static enum status domain(const struct thread *t, u64 i)
{
    enum status s = hv_pd_create(PROGRAM_SEL_PD, SEL(PD), QUOTA, 0);
    if (s == OK)
        s = hv_ec_create(SEL(PD), SEL(PD_EC), PROGRAM_UTCB, 0, 0, EC_CONFIG(t->cpu, EC_GLOBAL, O_NO_EVENTS));
    if (s == OK)
        s = hv_sc_create(SEL(PD), SEL(PD_SC), SEL(PD_EC), PRIORITY_WITNESS, program_page()->tsc_khz);
    if (s == OK)
        s = hv_sm_create(SEL(PD), SEL(PD_SM), 1);
    if (s == OK)
        s = give(t, SEL(PD), PROGRAM_SEL_PD, PERM_ALL);
    end(t, PD, 4);
    return s;
}

/* Its thread has run. */
static enum status domain_entered(const struct thread *t, u64 i)
{
    enum status s = hv_pd_create(PROGRAM_SEL_PD, SEL(PD), QUOTA, 0);
    if (s != OK)
        return s;
    image_give(SEL(PD));
    s = give(t, SEL(READY), O_READY, PERM_SM_UP);
    if (s == OK)
        s = give(t, SEL_NEVER, PROGRAM_SEL_PARK, PERM_SM_DOWN);
    if (s == OK)
        s = hv_ec_create(SEL(PD), SEL(PD_EC), PROGRAM_UTCB, (u64)enters, STACK_TOP, EC_CONFIG(t->cpu, EC_GLOBAL, O_NO_EVENTS));
    if (s == OK)
        s = hv_sc_create(SEL(PD), SEL(PD_SC), SEL(PD_EC), PRIORITY_OWNER, program_page()->tsc_khz);
    if (s == OK)
        s = hv_sm_down(SEL(READY), 0, 0);
    end(t, PD, 3);
    return s;
}

static const struct {
    const char *name;
    cycle *life;
} kinds[] = {
    { "domains entered", domain_entered }, { "domains", domain }, { "threads", thread_here }, { "threads elsewhere", thread_elsewhere }, { "time", time },
    { "handlers", handler }, { "semaphores", semaphore }, { "capabilities", capability }, { "memory", memory }, { "vCPUs", vcpu },
};

/* ---- On each CPU ---- */

static u64 all_lives(const struct thread *t, u64 kind)
{
    u32 again = 0;
    for (u64 i = 0; i < lives;) {
        const enum status s = kinds[kind].life(t, i);
        if (s == OK) {
            i++;
            again = 0;
        } else if ((s == STATUS_QUOTA || s == STATUS_EXISTS) && again++ < RETRIES) {
            atomic_add(&retries, 1);
            rest();
        } else {
            return s;
        }
    }
    return OK;
}

static void everywhere(u64 kind)
{
    for (u32 cpu = 0; cpu < CPUS; cpu++)
        crew_start(cpu, HOG, (struct job){ all_lives, kind });
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        u64 status = OK;
        while (!crew_done(cpu, HOG, &status))   /* the runner's time is the bound */
            pause_us(10 * WAIT_US);
        check((enum status)status, "a life");
    }
}

static void lasting_make(void)
{
    for (u32 cpu = 0; cpu < CPUS; cpu++) {
        const struct thread there = { NULL, cpu }, *const t = &there;
        check(hv_sm_create(PROGRAM_SEL_PD, SEL(READY), 0), "semaphore");
        check(hv_ec_create(PROGRAM_SEL_PD, SEL(IDLE), UTCB(UTCB_IDLE), (u64)lives_and_waits, STACK_TOP, EC_CONFIG(cpu, EC_GLOBAL, O_NO_EVENTS)), "idle thread");
    }
    if (program_page()->virt)
        check(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PAGE_OF(PROGRAM_MEMORY), PAGE_OF(LIFE_OUT),
                          DELEGATE(1, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST)), "guest memory");
}

void cycles_run(u64 count)
{
    const u64 used = array_size(kinds) - !program_page()->virt;
    lasting_make();
    lives = min(count, 3ul);   /* what stays for good is made in these: tables of its guest space */
    for (u64 kind = 0; kind < used; kind++)
        everywhere(kind);
    pause_us(100 * WAIT_US);
    const struct account before = account(PROGRAM_SEL_PD);
    lives = count;
    for (u64 kind = 0; kind < used; kind++) {
        life_what[0] = "lives";
        life_what[1] = kinds[kind].name;
        life_what[2] = "on all CPUs";
        everywhere(kind);
        account_await(&before);
    }
    print("lifecycle: %lu lives of each of %lu kinds; nothing lost", CPUS * lives, used);
    print("figure: %lu entries of vCPUs with another tag; asked again %lu times", atomic_load(&entries), atomic_load(&retries));
}
