/* SPDX-License-Identifier: BSD-2-Clause */
/* kill-backend: does a VM notice that the backend it uses, and another VM, are destroyed and made anew all the time? This is the supervisor. It
 * runs three VMs twice, first undisturbed, then with `restarts` restarts of the backend and of VM 3, at moments that `seed` chooses;
 * the exits of VMs 1 and 2 must have the same hash both times. The work is dealt out in portions, one per restart, so that each meets
 * VMs at work. After each destruction the kernel memory it freed must be back before anything is made anew, at the end all of it.
 * Arguments: "rounds N restarts N seed N". */
#include "client.h"
#include "hv.h"
#include "kill.h"
#include "mem.h"
#include "print.h"
#include "spawn.h"

#define POLLS 10000u   /* of a millisecond, in which others get time, too */

/* One leaf of the object space, so that it is paid for once. Instance 0 is the backend. */
#define SEL_SLEEP        4096u          /* never upped */
#define SEL_PHASE        4097u          /* the semaphores of a phase, one range to revoke */
#define SEL_READY        4097u
#define SEL_ENDED        4098u
#define SEL_BACK(vm)     (4099u + (vm))
#define SEL_GO(vm)       (4103u + (vm))
#define PHASE_SELECTORS  10u
#define SEL_INSTANCE(n)  (4112u + SPAWN_COUNT * (n))
#define BACKEND          0u

#define DISK_BYTES       align_up(sizeof(struct kill_disk), PAGE_SIZE)   /* then the instances */
#define INSTANCE_BYTES   0x20000ul
#define QUOTA_BYTES      0x60000ul
#define PRIORITY         10u            /* of all instances; ours is higher */
#define FOR_EVER         0xfffffffful   /* rounds */

struct account {
    u64 used, limit;
};

struct result {
    struct kill_report vm[KILL_VMS];   /* by number; 0 is not used */
    u64 at_work;                       /* lives of the victim in which its guest ran */
};

static struct thread self;
static u64 rounds, restarts, seed, calm_tsc;

static void must(enum status s, const char *what)
{
    if (s != OK)
        client_fail(&self, what, s);
}

static u64 random_below(u64 bound)
{
    seed = seed * 6364136223846793005ul + 1442695040888963407ul;
    return (seed >> 33) % max(bound, 1ul);
}

static void pause_tsc(u64 ticks)
{
    if (hv_sm_down(SEL_SLEEP, 0, thread_tsc() + ticks) != STATUS_TIMEOUT)
        must(STATUS_ABORT, "sleep");
}

/* ---- The account: what kernel memory this PD's children and objects use ---- */

static struct account account(void)
{
    struct account a;
    must(hv_pd_info(PROGRAM_SEL_PD, &a.used, &a.limit), "pd_info");
    return a;
}

/* Releases take epochs of all CPUs; and who helps a handler that died lets go of it when it gets time. */
static void account_await(const struct account *before, const char *when)
{
    struct account now = account();
    for (u32 i = 0; i < POLLS && (now.used != before->used || now.limit != before->limit); i++) {
        pause_tsc(program_page()->tsc_khz);
        now = account();
    }
    if (now.used == before->used && now.limit == before->limit)
        return;
    print("kill-backend: %s: used %lu, was %lu; limit %lu, was %lu", when, now.used, before->used, now.limit, before->limit);
    client_done(&self, 2);
}

/* ---- Instances ---- */

static struct spawn instance(u32 n, const char *args)
{
    return (struct spawn){
        .args = args,
        .selector = SEL_INSTANCE(n),
        .quota_bytes = QUOTA_BYTES,
        .pd_flags = n == BACKEND || n == KILL_VICTIM ? 0 : PD_FLAG_CONSOLE,
        .cpu = kill_cpu(n),
        .priority = PRIORITY,
        .address = PROGRAM_MEMORY + DISK_BYTES + n * INSTANCE_BYTES,
        .memory_bytes = n == BACKEND ? 0 : KILL_RAM_BYTES + PAGE_SIZE,
    };
}

static const struct kill_report *report_of(u32 vm)
{
    const struct spawn s = instance(vm, "");
    return (const struct kill_report *)(spawn_memory(&s) + KILL_RAM_BYTES);
}

static void give(u32 n, u64 from, u64 to, u64 count, u64 permissions)
{
    must(hv_delegate(PROGRAM_SEL_PD, SEL_INSTANCE(n) + SPAWN_PD, from, to, DELEGATE(count, permissions, SPACE_OBJECT, SPACE_OBJECT)), "delegate");
}

static void destroy(u32 n)
{
    must(hv_revoke(PROGRAM_SEL_PD, SEL_INSTANCE(n), REVOKE(SPAWN_COUNT, SPACE_OBJECT), REVOKE_SELF), "destroy");
}

static void backend_make(void)
{
    const struct spawn s = instance(BACKEND, "backend");
    must(spawn_prepare(&s), "backend");
    must(hv_delegate(PROGRAM_SEL_PD, s.selector + SPAWN_PD, PROGRAM_MEMORY >> PAGE_BITS, PROGRAM_MEMORY >> PAGE_BITS,
                     DELEGATE(DISK_BYTES >> PAGE_BITS, RIGHT_R | RIGHT_W, SPACE_MEMORY, SPACE_MEMORY)),
         "disk");
    give(BACKEND, SEL_READY, KILL_SEL_READY, 1, PERM_SM_UP);
    must(spawn_start(&s), "backend");
    must(hv_sm_down(SEL_READY, 0, 0), "ready");
}

/* A victim's last calls fail: it must have no way to complain. */
static void vm_make(u32 vm)
{
    char args[48];
    print_format(args, sizeof(args), "vm %u %lu", vm, vm == KILL_VICTIM ? FOR_EVER : rounds);
    const struct spawn s = instance(vm, args);
    must(spawn_prepare(&s), "VM");
    give(vm, SEL_BACK(vm), KILL_SEL_BACK, 1, PERM_SM_DOWN);
    give(vm, SEL_GO(vm), KILL_SEL_GO, 1, PERM_SM_DOWN);
    if (vm != KILL_VICTIM) {
        give(vm, SEL_ENDED, KILL_SEL_ENDED, 1, PERM_SM_UP);
        give(vm, PROGRAM_SEL_CONSOLE, PROGRAM_SEL_CONSOLE, 1, PERM_ALL);
        give(vm, PROGRAM_SEL_SERVICE(s.cpu), PROGRAM_SEL_SERVICE(s.cpu), 1, PERM_PORTAL_CALL);
        give(vm, PROGRAM_SEL_EVENT(s.cpu), PROGRAM_SEL_EVENT(s.cpu), EC_EVENTS, PERM_PORTAL_CALL);
    }
    must(spawn_start(&s), "VM");
}

/* Straight from the backend to the VM: the portal goes when the backend does. */
static void backend_offer(u32 vm)
{
    must(hv_delegate(SEL_INSTANCE(BACKEND) + SPAWN_PD, SEL_INSTANCE(vm) + SPAWN_PD, KILL_SEL_SERVE(vm), KILL_SEL_PORTAL,
                     DELEGATE(1, PERM_PORTAL_CALL, SPACE_OBJECT, SPACE_OBJECT)),
         "portal");
    must(hv_sm_up(SEL_BACK(vm)), "back");
}

/* ---- Phases ---- */

static void victims_make(void)
{
    const bool vm_first = random_below(2);
    if (vm_first)
        vm_make(KILL_VICTIM);
    backend_make();
    if (!vm_first)
        vm_make(KILL_VICTIM);
    for (u32 vm = 1; vm <= KILL_VMS; vm++)
        backend_offer(vm);
}

static void victims_destroy(void)
{
    const u32 first = random_below(2) ? BACKEND : KILL_VICTIM;
    destroy(first);
    pause_tsc(random_below(2) ? random_below(calm_tsc / restarts / 4) : 0);
    destroy(BACKEND + KILL_VICTIM - first);
}

static void rounds_grant(u64 count)
{
    for (u64 i = 0; i < count; i++)
        for (u32 vm = 1; vm < KILL_VICTIM; vm++)
            must(hv_sm_up(SEL_GO(vm)), "go");
}

static void semaphores_make(void)
{
    must(hv_sm_create(PROGRAM_SEL_PD, SEL_READY, 0), "semaphore");
    must(hv_sm_create(PROGRAM_SEL_PD, SEL_ENDED, 0), "semaphore");
    for (u32 vm = 1; vm <= KILL_VMS; vm++) {
        must(hv_sm_create(PROGRAM_SEL_PD, SEL_BACK(vm), 0), "semaphore");
        must(hv_sm_create(PROGRAM_SEL_PD, SEL_GO(vm), vm == KILL_VICTIM ? FOR_EVER : 0), "semaphore");
    }
}

/* One life of VMs 1 and 2. kills == 0: undisturbed. */
static void storm(u64 kills, struct result *r)
{
    const struct account before = account();
    victims_make();
    for (u64 i = 0; i < kills; i++) {
        rounds_grant(rounds / kills);
        pause_tsc(random_below(2 * calm_tsc / kills));
        victims_destroy();
        account_await(&before, "after a destruction");
        r->at_work += report_of(KILL_VICTIM)->exits > 0;
        victims_make();
    }
    rounds_grant(kills ? rounds % kills : rounds);
    for (u32 vm = 1; vm < KILL_VICTIM; vm++)
        must(hv_sm_down(SEL_ENDED, 0, 0), "end");
}

static void phase(u64 kills, struct result *r)
{
    const struct account before = account();
    memset((void *)PROGRAM_MEMORY, 0, DISK_BYTES);
    semaphores_make();
    for (u32 vm = 1; vm < KILL_VICTIM; vm++)
        vm_make(vm);
    storm(kills, r);
    for (u32 n = 0; n <= KILL_VMS; n++)
        destroy(n);
    must(hv_revoke(PROGRAM_SEL_PD, SEL_PHASE, REVOKE(PHASE_SELECTORS, SPACE_OBJECT), REVOKE_SELF), "semaphores");
    account_await(&before, "after a phase");
    for (u32 vm = 1; vm < KILL_VICTIM; vm++)
        r->vm[vm] = *report_of(vm);
}

static void arguments(const char *s)
{
    if (!str_word(&s, "rounds") || !str_number(&s, &rounds) || !str_word(&s, "restarts") || !str_number(&s, &restarts) ||
        !str_word(&s, "seed") || !str_number(&s, &seed) || *s)
        must(STATUS_ARG, "arguments");
    if (!restarts || rounds < restarts || rounds >= FOR_EVER)
        must(STATUS_ARG, "at least one restart, and a round for each");
}

/* false: a guest noticed. */
static bool compare(u32 vm, const struct kill_report *calm, const struct kill_report *stormy)
{
    print("kill-backend: VM %u: %lu exits, hash 0x%016lx undisturbed", vm, calm->exits, calm->hash);
    print("kill-backend: VM %u: %lu exits, hash 0x%016lx over %lu restarts", vm, stormy->exits, stormy->hash, restarts);
    print("figure: VM %u: %lu requests aborted, %lu refused", vm, stormy->aborted, stormy->refused);
    return calm->exits == stormy->exits && calm->hash == stormy->hash;
}

static void memory_check(void)
{
    const struct spawn s = instance(KILL_VMS, "");
    if (spawn_bytes(&s) > INSTANCE_BYTES || program_page()->memory_bytes < s.address + INSTANCE_BYTES - PROGRAM_MEMORY)
        must(STATUS_ARG, "memory for the instances");
}

static u64 supervise(void)
{
    struct result calm = { 0 }, stormy = { 0 };
    memory_check();
    arguments(program_page()->args);
    must(hv_sm_create(PROGRAM_SEL_PD, SEL_SLEEP, 0), "semaphore");
    const struct account before = account();
    const u64 start = thread_tsc();
    phase(0, &calm);
    calm_tsc = thread_tsc() - start;
    phase(restarts, &stormy);
    account_await(&before, "at the end");
    bool same = true, load = stormy.at_work;
    for (u32 vm = 1; vm < KILL_VICTIM; vm++) {
        same &= compare(vm, &calm.vm[vm], &stormy.vm[vm]);
        load &= stormy.vm[vm].aborted || stormy.vm[vm].refused;
    }
    print("figure: VM %u: at work in %lu of %lu lives", KILL_VICTIM, stormy.at_work, restarts);
    print("figure: kernel memory before and after: %lu bytes", before.used);
    print("kill-backend: %s", !same ? "the exits differ" : !load ? "nobody was disturbed" : "nobody noticed");
    return !same || !load;
}

void program_main(u64 first, u64 utcb)
{
    const char *args = program_page()->args;
    self = thread_first();
    if (str_word(&args, "vm"))
        vm_main(args);
    if (str_word(&args, "backend"))
        backend_main();
    client_done(&self, supervise());
}
