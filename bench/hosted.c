/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast is the kernel in the process, beside what Linux does alike in the same run? A line each, nanoseconds of CPU time, the median of ROUNDS:
 *
 *     ipc OURS LINUX      call and reply without words, same PD | a byte through a pipe to another process and one back
 *     map OURS LINUX      one page to another PD and back | mmap, a write, munmap of a page
 *     exit OURS           a guest's CPUID to the next: guest and VMM are a few lines of C, so this is kernel, model and checks
 *     boot OURS           machine made, kernel booted, until its first user instruction
 *
 * The whole machine runs, checkers on: user programs are C functions (program.h), as in scenarios' and worlds' tests. Both processes of the pipe are on
 * one CPU, where a round trip is no wait; CPU time of both counts, so that others on this computer do not flatter us. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "abi/hypercall.h"
#include "abi/info.h"
#include "abi/status.h"
#include "abi/vcpu.h"
#include "program.h"
#include "sim.h"

#define ROUNDS   5u
#define CALLS    100000u
#define MAPS     50000u
#define EXITS    50000u
#define PIPES    20000u
#define BOOTS    20u
#define RAM      (64ul << 20)
#define UTCB     0x10000000ul
#define STATE    0x20000000ul
#define BUDGET   1000000000ul   /* a second of the machine's time */
#define QUOTA    0x100000ul
#define SEL_EC     ROOT_SEL_FREE
#define SEL_PORTAL (ROOT_SEL_FREE + 1)
#define SEL_PD     (ROOT_SEL_FREE + 2)
#define SEL_CALLER (ROOT_SEL_FREE + 3)
#define SEL_SC     (ROOT_SEL_FREE + 4)
#define SEL_SM     (ROOT_SEL_FREE + 5)
#define SEL_VCPU   (ROOT_SEL_FREE + 6)
#define TARGET     0x40000ul   /* page in the other PD; its neighbour is mapped, too */

static struct engine *engine;
static u64 root_entry, handler_entry, caller_entry;
static double ours_ipc, ours_map, ours_exit;

static void fail(const char *what)
{
    fprintf(stderr, "hosted: %s\n", what);
    exit(2);
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cpu_ns(void)
{
    return now(CLOCK_PROCESS_CPUTIME_ID);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of ROUNDS measurements, each the mean of `times`. */
static double median(double (*round)(u32 times), u32 times)
{
    double ns[ROUNDS];
    for (u32 i = 0; i < ROUNDS; i++)
        ns[i] = round(times) / times;
    qsort(ns, ROUNDS, sizeof(*ns), ascending);
    return ns[ROUNDS / 2];
}

/* ---- Ours: on a fiber of the root program ---- */

static void must(u64 status, const char *what)
{
    if (status != OK)
        fail(what);
}

static void handler(void *arg)
{
    program_hypercall(HYPERCALL_reply, MTR(0, 0), 0, 0, 0, 0, 0);
}

static double call_round(u32 times)
{
    const double start = cpu_ns();
    for (u32 i = 0; i < times; i++)
        must(program_hypercall(HYPERCALL_call, SEL_PORTAL, MTR(0, 0), 0, 0, 0, 0), "call");
    return cpu_ns() - start;
}

static u64 page_give(u64 from, u64 to)
{
    return program_hypercall(HYPERCALL_delegate, ROOT_SEL_PD, SEL_PD, from, to, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY), 0);
}

static double map_round(u32 times)
{
    const u64 page = INFO_PAGE >> PAGE_BITS;
    const double start = cpu_ns();
    for (u32 i = 0; i < times; i++) {
        must(page_give(page, TARGET), "map");
        must(program_hypercall(HYPERCALL_revoke, ROOT_SEL_PD, page, REVOKE(1, SPACE_MEMORY), 0, 0, 0), "unmap");
    }
    return cpu_ns() - start;
}

static bool guest_cpuid(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    *out = (struct engine_event){ .kind = EVENT_CPUID, .insn_len = 2, .steps = 1 };
    return true;
}

static double exit_round(u32 times)
{
    const u64 rip_to_rdx[] = { 0x1000, 2, 1, 1, 1, 1 };
    const u32 dirty = VCPU_GROUP_GPR | VCPU_GROUP_RIP;
    const double start = cpu_ns();
    for (u32 i = 0; i < times; i++) {
        user_store(STATE + offset_of(struct vcpu_state, rip), rip_to_rdx, sizeof(rip_to_rdx));
        user_store(STATE + offset_of(struct vcpu_state, dirty), &dirty, sizeof(dirty));
        must(program_hypercall(HYPERCALL_vcpu_run, SEL_VCPU, 0, 0, 0, 0, 0), "vcpu_run");
    }
    const double ns = cpu_ns() - start;
    struct vcpu_exit exit;
    user_load(&exit, STATE + offset_of(struct vcpu_state, exit), sizeof(exit));
    if (exit.reason != VCPU_EXIT_CPUID)
        fail("no CPUID exit");
    return ns;
}

/* A thread without FPU state, as its handler is: as in the row ipc of the other ruler. */
static void caller(void *arg)
{
    ours_ipc = median(call_round, CALLS);
    ours_map = median(map_round, MAPS);
    ours_exit = median(exit_round, EXITS);
    program_hypercall(HYPERCALL_shutdown, 0, 0, 0, 0, 0, 0);
}

static void root(void *arg)
{
    const u64 local = EC_CONFIG(0, EC_LOCAL, ROOT_SEL_EVENT), global = EC_CONFIG(0, EC_GLOBAL, ROOT_SEL_EVENT);
    must(program_hypercall(HYPERCALL_ec_create, ROOT_SEL_PD, SEL_EC, UTCB, 0, 0, local), "handler");
    must(program_hypercall(HYPERCALL_portal_create, ROOT_SEL_PD, SEL_PORTAL, SEL_EC, handler_entry, 0, 0), "portal");
    must(program_hypercall(HYPERCALL_pd_create, ROOT_SEL_PD, SEL_PD, QUOTA, 0, 0, 0), "PD");
    must(page_give(root_entry >> PAGE_BITS, TARGET + 1), "neighbour");
    must(program_hypercall(HYPERCALL_ec_create, ROOT_SEL_PD, SEL_CALLER, UTCB + 2 * PAGE_SIZE, caller_entry, 0, global), "caller");
    must(program_hypercall(HYPERCALL_vcpu_create, ROOT_SEL_PD, SEL_VCPU, 0, STATE, 0, 0), "vCPU");
    must(program_hypercall(HYPERCALL_vcpu_run, SEL_VCPU, 0, 0, 0, 0, 0), "its first exit");
    must(program_hypercall(HYPERCALL_sm_create, ROOT_SEL_PD, SEL_SM, 0, 0, 0, 0), "semaphore");
    must(program_hypercall(HYPERCALL_sc_create, ROOT_SEL_PD, SEL_SC, SEL_CALLER, PRIORITY_COUNT - 1, BUDGET, 0), "caller's time");
    program_hypercall(HYPERCALL_sm_down, SEL_SM, 0, 0, 0, 0, 0);
}

static struct engine guest = { .name = "cpuid", .guest = guest_cpuid };

static struct sim *machine(struct engine *user, const void *bundle, u64 bytes)
{
    const struct sim_config config = {
        .cpus = 1, .ram_bytes = RAM, .vendor = SIM_VMX, .x2apic = true, .bundle = bundle, .bundle_bytes = bytes, .user = user, .guest = &guest,
    };
    struct sim *s = sim_create(&config);
    if (!s)
        fail("no machine");
    return s;
}

static void ours(const void *bundle, u64 bytes)
{
    struct sim *s = machine(engine, bundle, bytes);
    if (sim_run(s, ~0ul) != SIM_SHUTDOWN)
        fail(sim_result(s)->message);
    sim_destroy(s);
}

/* ---- Boot: an engine that is at its end as soon as it is asked to run anything ---- */

static bool first_instruction(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    *out = (struct engine_event){ .kind = EVENT_END };
    return true;
}

static const void *boot_bundle;
static u64 boot_bytes;

static double boot_round(u32 times)
{
    struct engine none = { .name = "none", .user = first_instruction };
    double ns = 0;
    for (u32 i = 0; i < times; i++) {
        const double start = cpu_ns();
        struct sim *s = machine(&none, boot_bundle, boot_bytes);
        const enum sim_end end = sim_run(s, ~0ul);
        ns += cpu_ns() - start;
        if (end != SIM_STOPPED)
            fail(sim_result(s)->message);
        sim_destroy(s);
    }
    return ns;
}

/* ---- Linux ---- */

static void echo(int in, int out)
{
    char c;
    while (read(in, &c, 1) == 1)
        if (write(out, &c, 1) != 1)
            _exit(1);
    _exit(0);
}

static double children_ns(void)
{
    struct rusage r;
    getrusage(RUSAGE_CHILDREN, &r);
    return ((double)r.ru_utime.tv_sec + (double)r.ru_stime.tv_sec) * 1e9 + ((double)r.ru_utime.tv_usec + (double)r.ru_stime.tv_usec) * 1e3;
}

static double pipe_round(u32 times)
{
    int there[2], back[2];
    char c = 0;
    if (pipe(there) || pipe(back))
        fail("pipe");
    const double before = children_ns();
    const pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(there[1]);
        close(back[0]);
        echo(there[0], back[1]);
    }
    close(there[0]);
    close(back[1]);
    const double start = cpu_ns();
    for (u32 i = 0; i < times; i++)
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
            fail("the other process has gone");
    const double own = cpu_ns() - start;
    close(there[1]);
    close(back[0]);
    waitpid(child, NULL, 0);
    return own + children_ns() - before;
}

static double mmap_round(u32 times)
{
    const double start = cpu_ns();
    for (u32 i = 0; i < times; i++) {
        volatile char *p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            fail("mmap");
        *p = 1;
        munmap((void *)p, PAGE_SIZE);
    }
    return cpu_ns() - start;
}

static void one_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        fail("sched_setaffinity");
}

int main(void)
{
    one_cpu();
    const double linux_pipe = median(pipe_round, PIPES), linux_map = median(mmap_round, MAPS);
    engine = program_engine();
    if (!engine)
        fail("no engine");
    root_entry = program_entry(engine, root, NULL);
    handler_entry = program_entry(engine, handler, NULL);
    caller_entry = program_entry(engine, caller, NULL);
    boot_bundle = program_bundle(root_entry, &boot_bytes);
    if (!boot_bundle)
        fail("no bundle");
    ours(boot_bundle, boot_bytes);
    printf("ipc %.1f %.1f\nmap %.1f %.1f\nexit %.1f\nboot %.1f\n", ours_ipc, linux_pipe, ours_map, linux_map, ours_exit, median(boot_round, BOOTS));
    return 0;
}
