/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPUs, each world on VMX and on SVM: kicks, memory that goes, ends, hand-overs. The guest is a list of slices: in each it reads one page through
 * the nested tables of its machine, then it halts. The vCPU and all that belongs to it are a child PD's, which goes after each run. */
#include "irq.h"
#include "kernel_world.h"
#include "machine_model.h"
#include "vcpu.h"

#define CHILD  SEL(0)
#define VCPU   SEL(1)
#define ACTOR  SEL(2)
#define RUNNER SEL(3)
#define SECOND SEL(4)
#define OTHER  SEL(5)    /* the second vCPU */
#define PAGE   (FIXTURE_MEMORY >> PAGE_BITS)
#define GUEST  0x123ul   /* guest page number */
#define STATE  0x20001ul /* page number of the state pages in the child */
#define FOREVER (~0ul)

static struct engine engine;
static struct vcpu *vcpu[2];
static u64 slices;               /* that the guest has left before it halts; FOREVER: it stays inside, and sleeps until an interrupt comes */
static bool reads;               /* its page, in each slice */
static u64 status[2], reason[2], revoked, kicked;

/* ---- The guest ---- */

static bool guest_reads(struct sim_cpu *cpu, const struct sim_guest *g, struct engine_event *out)
{
    const bool vmx = cpu->sim->config.vendor == SIM_VMX;
    const struct sim_nested n = { .format = vmx ? SIM_EPT : SIM_NPT, .root = g->nested_root, .tag = g->nested_tag, .nxe = true };
    struct sim_translation t;
    struct sim_nested_fault fault;
    const u64 late = world_peek(&revoked);
    if (sim_nested_translate(cpu, &n, GUEST << PAGE_BITS, RIGHT_R, false, &t, &fault) == SIM_NESTED_OK) {
        world_assert(!late, "the guest reads a page after its revocation has returned");
        return true;
    }
    *out = (struct engine_event){ .kind = EVENT_NESTED_FAULT, .gpa = GUEST << PAGE_BITS, .access = RIGHT_R };
    return false;
}

static bool guest_slice(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    *out = (struct engine_event){ .kind = EVENT_SLICE, .steps = 1 };
    g->event = 0;
    if (reads && !guest_reads(cpu, g, out))
        return true;
    if (slices == FOREVER && !irq_held(cpu))
        sim_wait(cpu);   /* no slices that differ in nothing: their number would have no bound */
    if (!slices)
        *out = (struct engine_event){ .kind = EVENT_HLT, .insn_len = 1 };
    else if (slices != FOREVER)
        slices--;
    return true;
}

/* ---- Set-up ---- */

/* A vCPU whose first run, which shows the reset state, is over. */
static struct vcpu *make_vcpu(struct pd *owner, u32 home, u64 selector, u64 state)
{
    struct fixture *const f = kernel_world();
    struct ec *const nobody = fixture_ec(f, home, f->pd, EC_GLOBAL, selector + 1);
    struct vcpu *v;
    world_assert(vcpu_create(fixture_cpu(f, home), owner, home, state, &v) == OK, "no vCPU");
    world_assert(space_obj_insert(&f->pd->objects, selector, &v->object) == OK, "selector %lu is taken", selector);
    world_assert(vcpu_run(fixture_cpu(f, home), nobody, v) == OK && v->state->exit.reason == VCPU_EXIT_STARTUP, "the vCPU does not start");
    return v;
}

static struct pd *begin(u32 cpus, u64 guest_slices, bool guest_reads_page)
{
    struct fixture *const f = kernel_world_open(cpus);
    engine = (struct engine){ .name = "slices", .guest = guest_slice };
    f->sim->config.guest = &engine;
    slices = guest_slices;
    reads = guest_reads_page;
    struct pd *const child = kernel_world_pd(CHILD);
    struct space_mem *space;
    u64 done;
    world_assert(pd_guest(child, &space) == OK, "no guest space");
    world_assert(space_mem_delegate(&f->pd->memory, PAGE, space, GUEST, 1, RIGHT_MEMORY, &done) == OK, "no page");
    /* First entries of the tables: those stay, and nobody has to look through all of one to find that it is empty. */
    world_assert(space_mem_delegate(&f->pd->memory, PAGE + 1, space, 0, 1, RIGHT_R, &done) == OK &&
                 space_mem_delegate(&f->pd->memory, PAGE + 1, &child->memory, align_down(STATE, 512ul), 1, RIGHT_R, &done) == OK, "no page");
    vcpu[0] = make_vcpu(child, 0, VCPU, STATE);
    return child;
}

static void finish(u32 owed)
{
    world_owe(owed);
    kernel_world_ready();
}

/* ---- What threads do ---- */

static void run(void *arg)
{
    const u64 n = (u64)arg;
    status[n] = program_hypercall(HYPERCALL_vcpu_run, n ? OTHER : VCPU, 0, 0, 0, 0, 0);
    if (status[n] == OK)
        reason[n] = vcpu[n]->state->exit.reason;
    world_paid();
}

static void kick(void *arg)
{
    status[1] = program_hypercall(HYPERCALL_vcpu_kick, VCPU, 0, 0, 0, 0, 0);
    kicked = 1;
    world_paid();
}

static void take_page(void *arg)
{
    status[1] = program_hypercall(HYPERCALL_revoke, FIXTURE_SEL_PD, PAGE, 1ul << 4 | SPACE_MEMORY, 0, 0, 0);
    revoked = 1;
    world_paid();
}

/* Who runs it returns first or is told; its state pages go with it, so nobody looks at them. */
static void run_taken(void *arg)
{
    status[0] = program_hypercall(HYPERCALL_vcpu_run, VCPU, 0, 0, 0, 0, 0);
    world_paid();
}

static void take_vcpu(void *arg)
{
    status[1] = hv_revoke(VCPU, 1);
    world_paid();
}

#define BOTH(id, ...)                                                                                                  \
    KERNEL_WORLD(id##_vmx, .vendor = SIM_VMX, .steps = 5000, __VA_ARGS__);                                            \
    KERNEL_WORLD(id##_svm, .vendor = SIM_SVM, .steps = 5000, __VA_ARGS__)


/* ---- A kick ends a run ---- */

static void with(void (*actor)(void *))
{
    kernel_world_thread(0, kernel_world()->pd, 10, RUNNER, run, (void *)0);
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, actor, NULL);
    finish(2);
}

static void kick_setup(void)
{
    begin(2, FOREVER, false);
    with(kick);
}

static void kick_end(void)
{
    world_assert(status[0] == OK && status[1] == OK && reason[0] == VCPU_EXIT_KICKED, "run: %lu, exit %lu, kick: %lu", status[0], reason[0], status[1]);
}

/* The end of the budget would wake the guest too: that is too late. */
static void kick_check(void)
{
    const struct sim_cpu *const cpu = &kernel_world()->sim->cpu[0];
    world_assert(!kicked || cpu->state != CPU_GUEST || !vcpu[0]->kick.v || irq_held(cpu), "the guest goes on, though the kick has returned");
}

BOTH(vcpu_kick, .question = "Does a kick end a run that is about to begin?", .cpus = 2, .setup = kick_setup, .end = kick_end, .check = kick_check);

/* ---- Memory goes under a guest that reads it ---- */

static void memory_setup(void)
{
    begin(2, FOREVER, true);
    with(take_page);
}

static void memory_end(void)
{
    world_assert(status[1] == OK && status[0] == OK && reason[0] == VCPU_EXIT_MMIO, "run: %lu, exit %lu, revoke: %lu", status[0], reason[0], status[1]);
}

BOTH(vcpu_memory, .question = "Can a guest read a page after its revocation has returned?", .cpus = 2,
     .setup = memory_setup, .end = memory_end);

static void one_tag_setup(void)
{
    begin(2, FOREVER, true);
    kernel_world()->k->cpu[0]->virt.tag_limit = 1;   /* a fresh one is the old one */
    with(take_page);
}

BOTH(vcpu_one_tag, .question = "And if the only VPID or ASID has to be used again?", .cpus = 2, .setup = one_tag_setup, .end = memory_end);

/* ---- The vCPU goes while it runs ---- */

static void halted_end(void)
{
    world_assert((status[0] == OK && reason[0] == VCPU_EXIT_HLT) || status[0] == STATUS_CAP, "run: %lu, exit %lu", status[0], reason[0]);
}

static void end_setup(void)
{
    begin(2, 2, true);
    kernel_world_thread(0, kernel_world()->pd, 10, RUNNER, run_taken, NULL);
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, take_vcpu, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void taken_end(void)
{
    const bool ended = status[0] == OK || status[0] == STATUS_ABORT || status[0] == STATUS_CAP;
    world_assert(status[1] == OK && ended, "run: %lu, revoke: %lu", status[0], status[1]);
}

BOTH(vcpu_end, .question = "Does a vCPU that goes end its run, and is it taken apart on its own CPU?", .cpus = 2,
     .setup = end_setup, .end = taken_end);

/* ---- Its EC goes: the vCPU stays, and another EC runs it ---- */

static void run_doomed(void *arg)
{
    (void)program_hypercall(HYPERCALL_vcpu_run, VCPU, 0, 0, 0, 0, 0);
}

static void take_runner(void *arg)
{
    status[1] = hv_revoke(RUNNER, 2);
    world_paid();
}

static void abandon_setup(void)
{
    begin(2, FOREVER, false);
    kernel_world_thread(0, kernel_world()->pd, 10, RUNNER, run_doomed, NULL);
    kernel_world_thread(1, kernel_world()->pd, 10, ACTOR, take_runner, NULL);
    finish(1);
}

static void abandon_end(void)
{
    world_assert(status[1] == OK && !vcpu[0]->runner && !vcpu[0]->running.v, "the EC is gone, and its vCPU runs");
}

BOTH(vcpu_abandon, .question = "An EC is killed inside a run: does the run end?", .cpus = 2,
     .setup = abandon_setup, .end = abandon_end);

/* ---- Two CPUs want to run one vCPU ---- */

static void run_elsewhere(void *arg)
{
    status[1] = program_hypercall(HYPERCALL_vcpu_run, VCPU, 0, 0, 0, 0, 0);
    world_paid();
}

static void elsewhere_setup(void)
{
    begin(2, 1, true);
    with(run_elsewhere);
}

static void elsewhere_end(void)
{
    world_assert(status[1] == STATUS_CPU, "another CPU's run: %lu", status[1]);
    halted_end();
}

BOTH(vcpu_elsewhere, .question = "Is a vCPU's hardware state on two CPUs?", .cpus = 2, .setup = elsewhere_setup, .end = elsewhere_end);

/* ---- Its state pages go while its VMM reads them ---- */

static void read_state(void *arg)
{
    for (u32 i = 0; i < 2; i++) {
        (void)user_load64(STATE << PAGE_BITS);   /* a fault is the end of this thread */
        (void)hv_null();
    }
}

static void state_setup(void)
{
    struct pd *const child = begin(2, 0, false);
    kernel_world_thread(0, kernel_world()->pd, 10, ACTOR, take_vcpu, NULL);
    kernel_world_thread(1, child, 10, RUNNER, read_state, NULL);
    finish(1);
}

BOTH(vcpu_state, .question = "Are the state pages freed only after no CPU can translate to them?", .cpus = 2, .setup = state_setup);

/* ---- Two guests one after the other, and the tags may be used up in between ---- */

static void run_and_use_up(void *arg)
{
    run(arg);
    struct virt_cpu *const c = &kernel_world()->k->cpu[0]->virt;
    c->tag_next = c->tag_limit + 1;
}

static void two_guests(void (*first)(void *))
{
    struct pd *const child = begin(1, 0, true);
    vcpu[1] = make_vcpu(child, 0, OTHER, STATE + VCPU_STATE_PAGES);
    kernel_world_thread(0, kernel_world()->pd, 20, RUNNER, first, (void *)0);
    kernel_world_thread(0, kernel_world()->pd, 10, SECOND, run, (void *)1);
    finish(2);
}

static void twins_setup(void)
{
    two_guests(run);
}

static void tags_setup(void)
{
    two_guests(run_and_use_up);
}

static void tags_end(void)
{
    world_assert(reason[0] == VCPU_EXIT_HLT && reason[1] == VCPU_EXIT_HLT, "exits %lu and %lu", reason[0], reason[1]);
}

BOTH(vcpu_twins, .question = "Has each vCPU a VPID or ASID of its own?", .cpus = 1, .setup = twins_setup, .end = tags_end);
BOTH(vcpu_tags, .question = "A VPID or ASID is used again: are the translations of its last owner gone?", .cpus = 1,
     .setup = tags_setup, .end = tags_end);
