/* SPDX-License-Identifier: BSD-2-Clause */
/* A vCPU on CPU 0 and a kick from CPU 1: does the run, this one or the next, return, and no other? The same on VMX and SVM. */
#include "kernel_world.h"
#include "vcpu.h"

#define VCPU   SEL(0)
#define RUNNER SEL(1)
#define ACTOR SEL(2)
#define STATE  0x20000000ul

static struct vcpu *vcpu;
static u64 status, reason;

static void run(void *arg)
{
    status = program_hypercall(HYPERCALL_vcpu_run, VCPU, 0, 0, 0, 0, 0);
    world_paid();
}

static void run_and_look(void *arg)
{
    run(arg);
    reason = vcpu->state->exit.reason;
}

static void kick(void *arg)
{
    (void)program_hypercall(HYPERCALL_vcpu_kick, VCPU, 0, 0, 0, 0, 0);
    world_paid();
}

/* The first run only reports the state a vCPU starts in. */
static void make_vcpu(struct fixture *f)
{
    struct cpu *const cpu = fixture_cpu(f, 0);
    world_assert(vcpu_create(cpu, f->pd, 0, STATE >> PAGE_BITS, &vcpu) == OK, "no vCPU");
    world_assert(space_obj_insert(&f->pd->objects, VCPU, &vcpu->object) == OK, "selector is taken");
}

static void begin(void (*runs)(void *), void (*actor)(void *))
{
    struct fixture *const f = kernel_world_open(2);
    make_vcpu(f);
    struct ec *const runner = kernel_world_thread(0, f->pd, 10, RUNNER, runs, NULL);
    kernel_world_unlimited(runner);
    const u64 entry = runner->resume.rip;
    fixture_run(f, 0);
    world_assert(fixture_call(f, runner, HYPERCALL_vcpu_run, VCPU) == OK && vcpu->state->exit.reason == VCPU_EXIT_STARTUP, "no start");
    runner->resume.rip = entry;
    kernel_world_thread(1, f->pd, 10, ACTOR, actor, NULL);
    world_owe(2);
    kernel_world_ready();
}

static void kick_setup(void)
{
    begin(run_and_look, kick);
}

static void kick_end(void)
{
    world_assert(status == OK && reason == VCPU_EXIT_KICKED, "vcpu_run: %lu, exit %lu", status, reason);
}

KERNEL_WORLD(kick_run_vmx, .question = "Is a kick lost that comes while the guest is entered?", .cpus = 2, .vendor = SIM_VMX, .setup = kick_setup,
             .end = kick_end);
KERNEL_WORLD(kick_run_svm, .question = "Is a kick lost that comes while the guest is entered?", .cpus = 2, .vendor = SIM_SVM, .setup = kick_setup,
             .end = kick_end);

/* ---- The vCPU goes while it is run; its guest would run for ever ---- */

static void destroy(void *arg)
{
    (void)hv_revoke(VCPU, 1);
    world_paid();
}

static void destroy_setup(void)
{
    begin(run, destroy);
}

static void destroy_end(void)
{
    world_assert(status == STATUS_ABORT || status == STATUS_CAP, "vcpu_run: %lu", status);
}

KERNEL_WORLD(vcpu_destroy_vmx, .question = "Does a vCPU that goes while it is run end the run, and is it released once?", .cpus = 2, .vendor = SIM_VMX,
             .setup = destroy_setup, .end = destroy_end);
KERNEL_WORLD(vcpu_destroy_svm, .question = "Does a vCPU that goes while it is run end the run, and is it released once?", .cpus = 2, .vendor = SIM_SVM,
             .setup = destroy_setup, .end = destroy_end);
