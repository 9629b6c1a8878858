/* SPDX-License-Identifier: BSD-2-Clause */
/* What a CPU does: kern_boot once, then for ever: run what the kernel returned until a trap, kern_trap. Its fiber is its kernel stack. */
#include <string.h>
#include "arch/x86.h"
#include "exposed.h"
#include "held.h"
#include "irq.h"
#include "memory.h"
#include "snapshot.h"
#include "start.h"
#include "store_buffer.h"
#include "timer.h"
#include "translations.h"
#include "virt_model.h"

#define SLICE_DEFAULT 5000u

/* What a slice may be cut to: 0 is the default. */
static const u32 slice_steps[] = { 0, 1, 2, 3, 7, 20, 100, 1000 };

static u64 cpu_slice(struct sim_cpu *cpu)
{
    struct sim *s = cpu->sim;
    if (!s->quiet && !s->world)
        timer_choose(cpu);   /* there the look just before has asked */
    const u32 short_steps = s->quiet ? 0 : slice_steps[choice(array_size(slice_steps), CHOICE_SLICE)];
    const u64 steps = short_steps ? short_steps : s->config.slice ? s->config.slice : SLICE_DEFAULT;
    return s->timer_next > s->clock ? min(steps, s->timer_next - s->clock) : 1;   /* a timer is seen on time */
}

/* A program that is in the kernel all the time never uses up a slice: let others go on all the same, or a run of zeros is not fair. */
static void cpu_turn(struct sim_cpu *cpu)
{
    if (cpu->turn < SLICE_DEFAULT)
        return;
    cpu->turn = 0;
    sim_yield(cpu);
}

/* After a slice. EVENT_END and an engine that cannot go on end the run. */
static void cpu_account(struct sim_cpu *cpu, bool able, const struct engine_event *e, const char *what)
{
    struct sim *s = cpu->sim;
    if (!able)
        sim_end(s, SIM_ENGINE, "the %s engine cannot go on", what);
    if (e->kind == EVENT_END)
        sim_end(s, SIM_STOPPED, "CPU %u: the %s engine has nothing more to run", cpu->id, what);
    s->result.instructions += e->steps;
    cpu->turn += e->steps + 1;
    sim_time(cpu, e->steps);
    if (e->kind == EVENT_WAIT && s->world) {   /* a loop there would be explored turn by turn */
        irq_held(cpu) ? sim_yield(cpu) : sim_wait(cpu);
        return;
    }
    if (e->kind == EVENT_WAIT)
        sim_pass(cpu);
    if (e->kind == EVENT_SLICE || e->kind == EVENT_WAIT) {
        cpu->turn = 0;
        sim_yield(cpu);
    }
}

void sim_guest_slice(struct sim_cpu *cpu, struct sim_guest *guest, struct engine_event *event)
{
    struct engine *e = cpu->sim->config.guest;
    *event = (struct engine_event){ .kind = EVENT_END };
    const bool able = !e || e->guest(e, cpu, guest, cpu_slice(cpu), event);
    cpu_account(cpu, able, event, "guest");
}

static u64 cpu_interrupt(struct sim_cpu *cpu)
{
    return TRAP(TRAP_INTERRUPT, sim_irq_accept(cpu));
}

/* Inline, as what an engine returns to lies on a stack that the processor predicts wrongly after a switch of fibers: fiber.h. */
static inline __attribute__((always_inline)) u64 cpu_user(struct sim_cpu *cpu, struct resume *r, u64 *info)
{
    struct engine *e = cpu->sim->config.user;
    if (r->rip > 0x00007ffffffff000ul)
        sim_broken(RULE_RESUME_RIP, "CPU %u: kernel resumes user mode at 0x%lx, above USER_END", cpu->id, r->rip);
    r->rflags = (r->rflags & RFLAGS_USER) | RFLAGS_IF | RFLAGS_ONE;
    for (;;) {
        cpu_turn(cpu);
        sim_look(cpu, cpu_user);
        if (sim_irq_pending(cpu))
            return cpu_interrupt(cpu);
        struct engine_event event;   /* the rest is of guests; this is the hot path */
        event.kind = EVENT_END;
        event.error = 0;
        event.error_valid = false;
        event.address = event.steps = 0;
        const bool able = !e || e->user(e, cpu, r, cpu_slice(cpu), &event);
        cpu_account(cpu, able, &event, "user");
        if (event.kind == EVENT_SYSCALL)
            return TRAP(TRAP_SYSCALL, 0);
        if (event.kind == EVENT_EXCEPTION) {
            if (event.vector == VECTOR_PF)
                cpu->cr2 = event.address;
            *info = event.error_valid ? event.error : 0;
            return TRAP(TRAP_EXCEPTION, event.vector);
        }
        if (event.kind != EVENT_SLICE && event.kind != EVENT_WAIT)
            sim_end(cpu->sim, SIM_ENGINE, "the user engine reported event %d", event.kind);
    }
}

static u64 cpu_idle(struct sim_cpu *cpu)
{
    for (;;) {
        sim_look(cpu, cpu_idle);
        if (sim_irq_pending(cpu))
            return cpu_interrupt(cpu);
        irq_held(cpu) ? sim_yield(cpu) : sim_wait(cpu);
    }
}

static u64 cpu_window(struct sim_cpu *cpu)
{
    cpu->in_nmi = false;
    sim_look(cpu, cpu_window);
    return sim_irq_pending(cpu) ? cpu_interrupt(cpu) : TRAP(TRAP_NONE, 0);
}

static u64 cpu_guest(struct sim_cpu *cpu, struct resume *r, u64 *info)
{
    const struct virt_model *v = cpu->sim->virt;
    const enum sim_vendor wanted = r->kind == RESUME_GUEST_VMX ? SIM_VMX : SIM_SVM;
    if (!v || v->vendor != wanted)
        sim_broken(RULE_VIRT_MISSING, "CPU %u: enters a guest with %s on a machine without it", cpu->id, wanted == SIM_VMX ? "VMX" : "SVM");
    return v->enter(cpu, r, info);
}

static inline u64 cpu_run(struct sim_cpu *cpu, struct resume *r, u64 *info)
{
    switch (r->kind) {
    case RESUME_USER:
        cpu->state = CPU_USER;
        return cpu_user(cpu, r, info);
    case RESUME_GUEST_VMX:
    case RESUME_GUEST_SVM:
        cpu->state = CPU_GUEST;
        return cpu_guest(cpu, r, info);
    case RESUME_IDLE:
        cpu->state = CPU_IDLE;
        return cpu_idle(cpu);
    case RESUME_WINDOW:
        cpu->state = CPU_IDLE;
        return cpu_window(cpu);
    }
    sim_broken(RULE_RESUME_KIND, "CPU %u: kernel resumes kind %lu, which does not exist", cpu->id, r->kind);
}

static void cpu_protected(const struct sim_cpu *cpu)
{
    const struct sim_profile *p = &cpu->sim->profile;
    const u64 cr4 = (p->smep ? CR4_SMEP : 0) | (p->smap ? CR4_SMAP : 0) | (p->umip ? CR4_UMIP : 0);
    if (cr4 & ~cpu->cr4 || !(cpu->cr0 & CR0_WP) || (p->nx && !(cpu->efer & EFER_NXE)))
        sim_broken(RULE_CR_PROTECT, "CPU %u: user mode with CR0 = 0x%lx, CR4 = 0x%lx, EFER = 0x%lx", cpu->id, cpu->cr0, cpu->cr4, cpu->efer);
}

/* What the kernel returned must be usable: the machine will write to it. */
static void cpu_check(struct sim_cpu *cpu, struct resume *r)
{
    const u64 offset = (u64)r - (u64)cpu->sim->ram;
    if (!r || offset >= cpu->sim->ram_bytes || offset % 8)
        sim_broken(RULE_RESUME_RAM, "CPU %u: kernel returned a resume structure outside RAM", cpu->id);
    memory_check(cpu->sim, r, sizeof(*r), "resume structure");
    if (cpu->in_nmi && r->kind != RESUME_WINDOW)
        sim_broken(RULE_RESUME_NMI, "CPU %u: goes on with NMIs blocked by an exit that took one: a window comes first (SDM 3C 28.5.5)", cpu->id);
    if (r->kind == RESUME_USER)
        cpu_protected(cpu);
    leak_resume(cpu, r);
    if (!cpu->kern_cpu)
        sim_broken(RULE_RESUME_CPU, "CPU %u: kern_boot returned before mach_cpu_set", cpu->id);
}

void start_run(struct sim_cpu *cpu, struct resume *r)
{
    struct sim *s = cpu->sim;
    for (;;) {
        cpu_check(cpu, r);
        if (r->kind != RESUME_IDLE)
            store_drain(cpu);   /* HLT waits for no store */
        if (s->shutdown) {
            sim_hash_event(s, HASH_SHUTDOWN, cpu->id, s->result.code, 0, 0);
            sim_end(s, SIM_SHUTDOWN, "%s", "");
        }
        cpu->resume = r;
        undo_write(s, r, sizeof(*r));
        sim_hash_event(s, HASH_RESUME, cpu->id, r->kind, r->kind == RESUME_USER ? r->rip : 0, 0);
        u64 info = 0;
        const u64 trap = cpu_run(cpu, r, &info);
        cpu->state = CPU_KERNEL;
        cpu->turn_outside = true;
        s->result.traps++;
        sim_hash_event(s, HASH_TRAP, cpu->id, TRAP_KIND(trap), TRAP_VECTOR(trap), info);
        leak_trap(cpu, r->kind <= RESUME_GUEST_SVM ? r : NULL);
        fetch_begin(cpu);
        if (TRAP_KIND(trap) == TRAP_SYSCALL)
            held_begin(cpu, r);
        r = s->upcall.trap(cpu->kern_cpu, trap, info);
        held_end(cpu);
    }
}

static void cpu_main(void *arg)
{
    struct sim_cpu *cpu = arg;
    struct sim *s = cpu->sim;
    const bool boot = cpu == &s->cpu[0];
    start_run(cpu, s->upcall.boot(boot ? BOOT_MAGIC_MULTIBOOT2 : BOOT_MAGIC_AP, boot ? s->boot_info : 0));
}

void start_registers(struct sim_cpu *cpu)
{
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cr2 = 0;
    cpu->cr3 = cpu->sim->boot_root;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | (cpu->sim->profile.nx ? EFER_NXE : 0);
    cpu->xcr0 = XCR0_X87;
    cpu->pat = PAT_RESET;
    cpu->dr[6] = DR6_INIT;
    cpu->dr[7] = DR7_INIT;
    memset(cpu->fpu, 0, sizeof(cpu->fpu));
    memcpy(cpu->fpu, &(u16){ 0x37f }, 2);           /* FCW */
    memcpy(cpu->fpu + 24, &(u32){ 0x1f80 }, 4);     /* MXCSR */
    translations_reset(cpu);
    cpu->store_count = 0;
    cpu->kern_cpu = NULL;
    cpu->nmi = cpu->in_nmi = false;
    irq_reset(cpu);
}

void start_init(struct sim_cpu *cpu)
{
    cpu->state = CPU_OFF;
    cpu->sim->steppable &= ~bit(cpu->id);
    cpu->sim->spinning &= ~bit(cpu->id);
    start_registers(cpu);
    timer_update(cpu);
    if (cpu->sim->virt && cpu->sim->virt->cpu_reset)
        cpu->sim->virt->cpu_reset(cpu);
}

void start_fiber(struct sim_cpu *cpu, void (*entry)(void *cpu))
{
    size_t bytes;
    void *stack = memory_stack(cpu->sim, cpu->id, &bytes);
    fiber_init(&cpu->fiber, stack, bytes, entry, cpu);
    cpu->state = CPU_KERNEL;
    cpu->sim->steppable |= bit(cpu->id);
}

void start_up(struct sim_cpu *cpu, u32 vector)
{
    if (cpu->state != CPU_OFF)
        return;
    if (vector != START_VECTOR)
        sim_broken(RULE_IPI_START, "start-up IPI with vector 0x%x: the start-up code is at 0x%x", vector, START_VECTOR);
    cpu->tsc_skew = choice(8, CHOICE_SKEW);
    start_fiber(cpu, cpu_main);
}

void start_boot(struct sim_cpu *cpu)
{
    start_fiber(cpu, cpu_main);
}
