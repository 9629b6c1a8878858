/* SPDX-License-Identifier: BSD-2-Clause */
/* The cells: each scene is made, on one CPU after the other, one of its targets ends, then all of it. After the target's end: who waited for it knows, who did
 * not still waits, what went on goes on or has stopped, and the capability is gone. After all of it: everybody knows, and not a byte is missing. */
#include "../guests/guest-life.h"
#include "life.h"
#include "print.h"

#define SAME_LOOKS 5u   /* at a counter that stands still */
#define WATCH_US   100u

static const struct scene *scene;
static const struct target *target;
static u32 cells, by_type[LIFE_TYPES];

static u32 step_cpu(const struct step *s)
{
    return s->elsewhere ? life.other : life.home;
}

/* ---- In its state ---- */

static u64 hog(const struct thread *t, u64 arg)
{
    for (atomic_add(&life.hogs, 1); !atomic_load(&life.release);)
        hv_relax();
    return OK;
}

/* By the program's threads and by the guest. */
static u64 counted(void)
{
    return atomic_load(&life.count) + atomic_load32(LIFE_MEMORY_WORD);
}

static void counts_on(const char *what)
{
    const u64 before = counted();
    EVENTUALLY(counted() > before + 1, what);
}

static void stands_still(void)
{
    u64 last = counted();
    for (u32 looks = 0, same = 0; same < SAME_LOOKS; looks++) {
        pause_us(WATCH_US);
        const u64 now = counted();
        same = now == last ? same + 1 : 0;
        last = now;
        if (looks == WAITS)
            life_fail("what was ended goes on", now);
    }
}

/* Nobody there moves any more. */
static void settle(u32 cpu)
{
    if (!(scene->flags & (SCENE_COUNTS | SCENE_HOG)))
        crew_settle(cpu);
}

static bool has_partner(u32 n)
{
    return n < PARTNERS && scene->step[n].job.work;
}

static bool partner_done(u32 n, u64 *result)
{
    return crew_done(step_cpu(&scene->step[n]), (enum worker)scene->step[n].worker, result);
}

static bool early(u32 n)
{
    return n == 0 && scene->flags & SCENE_EARLY;
}

static void partner_start(u32 n)
{
    crew_start(step_cpu(&scene->step[n]), (enum worker)scene->step[n].worker, scene->step[n].job);
}

static void before_maker(void)
{
    if (scene->flags & SCENE_HOG) {
        crew_start(life.home, HOG, (struct job){ hog, 0 });
        EVENTUALLY(atomic_load(&life.hogs), "the hog does not run");
    }
    if (scene->flags & SCENE_FIRST) {
        partner_start(0);
        EVENTUALLY(atomic_load(&life.holds), "the handler is not called");
    }
}

static void make(void)
{
    before_maker();
    owner_make(scene->make);
    for (u64 selector = O_SM; selector <= O_VCPU; selector++)
        owner_copy(selector);
    if (scene->flags & SCENE_BUSY)
        counts_on("it does not begin");
    else
        settle(life.home);
    for (u32 n = scene->flags & SCENE_FIRST ? 1 : 0; has_partner(n); n++) {
        partner_start(n);
        if (early(n))
            EVENTUALLY(partner_done(n, &(u64){ 0 }), "the first partner is not done");
        else
            settle(step_cpu(&scene->step[n]));
    }
    if (!(scene->flags & SCENE_HOG)) {
        if (scene->flags & SCENE_COUNTS)
            counts_on("it does not go on");
        return;
    }
    pause_us(WATCH_US);
    if (counted())
        life_fail("it runs beside the hog", 0);
}

/* ---- Its end, and what comes of that ---- */

static bool owner_ends(void)
{
    return target->type == LIFE_PD && !target->count;
}

static u64 end(const struct thread *t, u64 arg)
{
    if (owner_ends())
        return hv_revoke(PROGRAM_SEL_PD, SEL_OWNER, REVOKE(1, SPACE_OBJECT), REVOKE_SELF);
    if (target->type != LIFE_MEMORY)
        return hv_revoke(SEL_OWNER, target->first, REVOKE(target->count, SPACE_OBJECT), REVOKE_SELF);
    if (target->first)
        return hv_revoke(SEL_OWNER, PAGE_OF(LIFE_WORD), REVOKE(1, SPACE_GUEST), REVOKE_SELF);
    return hv_revoke(SEL_OWNER, PAGE_OF(UTCB_AT(U_PAGE)), REVOKE(1, SPACE_MEMORY), REVOKE_SELF);
}

static bool held(u64 pd, enum space_type type, u64 unit)
{
    u64 base, rights;
    check(hv_lookup(pd, type, unit, &base, &rights), "lookup");
    return rights;
}

static void is_gone(void)
{
    for (u64 selector = O_SM; owner_ends() && selector <= O_VCPU; selector++)
        EVENTUALLY(!held(PROGRAM_SEL_PD, SPACE_OBJECT, SEL_COPY + selector), "a capability of who has ended is still held");
    for (u64 selector = target->first; target->type != LIFE_MEMORY && selector < target->first + target->count; selector++) {
        if (held(SEL_OWNER, SPACE_OBJECT, selector) || held(PROGRAM_SEL_PD, SPACE_OBJECT, SEL_COPY + selector))
            life_fail("the capability is still held", selector);
    }
    if (target->type != LIFE_MEMORY)
        return;
    const bool guest = target->first;
    if (held(SEL_OWNER, guest ? SPACE_GUEST : SPACE_MEMORY, guest ? PAGE_OF(LIFE_WORD) : PAGE_OF(UTCB_AT(U_PAGE))))
        life_fail("the page is still held", 0);
    if (!guest && held(SEL_OWNER, SPACE_MEMORY, PAGE_OF(UTCB_AT(U_PAGE2))))
        life_fail("what came of the page is still held", 0);
}

static void told_check(u8 wanted, u64 told)
{
    if (wanted == TOLD_GONE ? told != STATUS_ABORT && told != STATUS_CAP : told != wanted - 1u)
        life_fail("somebody was told", told);
}

static void partners_wait(void)
{
    u64 told;
    for (u32 n = 0; has_partner(n); n++)
        if (partner_done(n, &told) != early(n))
            life_fail("a partner is not where it should be", n);
}

static void partners_after(void)
{
    u64 told = 0;
    for (u32 n = 0; has_partner(n); n++) {
        if (target->told[n]) {
            EVENTUALLY(partner_done(n, &told), "a partner is not told");
            told_check(target->told[n], told);
        } else if (partner_done(n, &told) && !early(n)) {
            life_fail("a partner was told too early", told);
        }
    }
}

/* What ends with its domain ends one after the other: the thread may still see what it waited for go. */
static void thread_after(void)
{
    if (target->thread)
        EVENTUALLY(atomic_load(&life.told), "the thread is not told");
    const u64 told = atomic_load(&life.told);
    if (told)
        told_check(owner_ends() ? TOLD_GONE : target->thread, told - 1);
}

static void after(void)
{
    if (scene->flags & SCENE_HOG)
        atomic_store(&life.release, 1);
    settle(life.home);
    if (target->stops)
        stands_still();
    else if (scene->flags & SCENE_COUNTS)
        counts_on("what should go on does not");
    partners_after();
    thread_after();
    is_gone();
}

static void dismantle(void)
{
    owner_end();
    atomic_store(&life.release, 1);
    crew_home(life.home);
    for (u32 n = 0; has_partner(n); n++) {
        const u64 told = crew_wait(step_cpu(&scene->step[n]), (enum worker)scene->step[n].worker);
        if (!target->told[n])
            told_check(scene->told[n], told);
    }
    if (scene->flags & SCENE_HOG)
        (void)crew_wait(life.home, HOG);
}

static void cell(const struct scene *s, const struct target *t, bool there)
{
    const struct account before = account(PROGRAM_SEL_PD);
    scene = s;
    target = t;
    atomic_store32(LIFE_MEMORY_WORD, 0);
    life = (struct life){ .home = cells % CPUS, .other = (cells % CPUS + 1 + cells / CPUS % (CPUS - 1)) % CPUS };
    life_what[0] = s->name;
    life_what[1] = t->name;
    life_what[2] = there ? "from another CPU" : "from this CPU";
    make();
    partners_wait();
    check((enum status)crew_do(there ? life.other : life.home, ACTOR, (struct job){ end, 0 }), "the end");
    after();
    dismantle();
    account_await(&before);
    cells++;
    by_type[t->type]++;
}

static void scenes(const struct scene *first, u32 count)
{
    for (const struct scene *s = first; s < first + count; s++) {
        if (s->flags & SCENE_VIRT && !program_page()->virt)
            continue;
        for (u32 i = 0; i < s->targets; i++) {
            cell(s, &s->target[i], false);
            cell(s, &s->target[i], true);
        }
    }
}

void cells_run(void)
{
    scenes(thread_scenes, thread_scene_count);
    scenes(handler_scenes, handler_scene_count);
    scenes(passive_scenes, passive_scene_count);
    scenes(space_scenes, space_scene_count);
    print("lifecycle: %u cells: %u of threads, %u time, %u portals, %u semaphores, %u vCPUs, %u domains, %u memory; nothing lost", cells, by_type[LIFE_EC],
          by_type[LIFE_SC], by_type[LIFE_PORTAL], by_type[LIFE_SM], by_type[LIFE_VCPU], by_type[LIFE_PD], by_type[LIFE_MEMORY]);
}
