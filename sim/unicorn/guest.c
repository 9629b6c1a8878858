/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest mode of a simulated CPU: loads struct sim_guest into a core, runs until something the model must know, stores it back. Events to be
 * injected are delivered by the library through the guest's IDT or real-mode vectors before the first instruction.
 * Not handled: hardware breakpoints, task switches as exits, a guest's segment limits (the library checks none). */
#include "guest.h"
#include "abi/vcpu.h"

#define CR0_TS   0x8u
#define CR0_EM   0x4u
#define EFER_NXE 0x800u
#define CR4_TSD  0x4u

/* RDTSC runs here unless it is intercepted; CPUID never. */
static bool guest_execute(void *arg, u32 code)
{
    struct guest_run *r = arg;
    struct lib_env *env = r->core->env;
    if (code != INTERCEPT_RDTSC || r->g->intercept_rdtsc || (env->cr[4] & CR4_TSD && env->hflags & LIB_CPL))
        return false;
    const u64 tsc = sim_tsc(r->cpu) + r->out->steps + r->core->executed + r->g->tsc_offset;
    env->gpr[RAX] = (u32)tsc;
    env->gpr[RDX] = tsc >> 32;
    return true;
}
static const struct core_client client = {guest_translate, guest_execute};

/* Linear translations belong to these registers: the core keeps none across a change of them. */
static void check_paging(struct core *c, const struct sim_guest *g)
{
    const struct lib_env *env = c->env;
    const u64 changed = ((env->cr[0] ^ g->cr0) & 0x80010001ul) | (env->cr[3] ^ g->cr3) | (env->cr[4] ^ g->cr4) | (env->efer ^ g->efer);
    if (changed)
        core_flush(c);
}

/* Run until *out is filled. False: the library gave up. Each turn takes a step, so that faults without end do end the slice. */
static bool run(struct guest_run *r, u64 steps)
{
    struct core *c = r->core;
    do {
        if (r->out->steps >= steps && (c->event >> 8 & 7) == 3)
            return true;   /* EVENT_SLICE with an exception still to be delivered */
        r->outside = false;
        core_run(c, steps > r->out->steps ? steps - r->out->steps : 0);
        r->out->steps += c->executed || c->stop.kind == STOP_SLICE ? c->executed : 1;
        if (c->stop.kind == STOP_LIBRARY || (c->stop.kind == STOP_CLIENT && r->outside)) {
            pool_report(c, r->outside ? "a guest reaches an address outside RAM" : "a guest cannot go on");
            return false;
        }
    } while (!guest_describe(r));
    return true;
}

bool engine_guest(struct engine *e, struct sim_cpu *cpu, struct sim_guest *g, u64 steps, struct engine_event *out)
{
    struct unicorn_engine *u = container_of(e, struct unicorn_engine, engine);
    const bool svm = cpu->sim->config.vendor == SIM_SVM;
    struct core *c = pool_core(u, cpu, CORE_GUEST, g->nested_root, g->nested_tag);
    if (!c)
        return false;
    struct guest_run r = {.cpu = cpu, .core = c, .g = g, .out = out};
    r.nested = (struct sim_nested){svm ? SIM_NPT : SIM_EPT, g->nested_root, g->nested_tag, svm && cpu->efer & EFER_NXE};
    *out = (struct engine_event){0};
    check_paging(c, g);
    guest_load(c, g);
    const bool fpu = !(g->cr0 & (CR0_TS | CR0_EM));
    if (fpu)
        fpu_load(c, cpu->fpu);
    c->client = &client;
    c->arg = &r;
    c->window = g->want_window;
    c->event = g->event & VCPU_EVENT_VALID ? g->event : 0;
    c->event_bytes = 0;
    c->pass = 0;
    const bool able = run(&r, steps);
    if (fpu)
        fpu_store(c, cpu->fpu);
    guest_store(c, g);
    g->event = c->event;
    if (c->event && c->event_bytes)
        out->insn_len = c->event_bytes;
    return able;
}
