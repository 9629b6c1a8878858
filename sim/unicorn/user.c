/* SPDX-License-Identifier: BSD-2-Clause */
/* User mode of a simulated CPU: 64-bit, flat, CPL 3, through the CPU's own page tables. Whatever leaves user mode becomes an event; nothing is
 * delivered here. Not handled: an IDT gate with DPL 3 for anything but INT3 and INTO. */
#include <string.h>
#include "abi/hypercall.h"
#include "pool.h"

#define RFLAGS_FIXED 0x202ul      /* reserved bit 1, IF */
#define RFLAGS_DENIED 0x3f23000ul /* IOPL, VM, VIF, VIP and above */
#define GDT_LINEAR   0xffffffffffffe000ul   /* seen by segment loads only: the library reads descriptors as supervisor */
#define GDT_LIMIT    0x2fu
#define CR0_TS       0x8u
#define CR0_EM       0x4u
#define CR4_OSFXSR   0x200u

struct user_run {
    struct sim_cpu *cpu;
    struct core *core;
};

static enum core_answer user_translate(void *arg, u64 linear, u32 access, enum core_mode mode, struct core_page *page)
{
    struct user_run *r = arg;
    struct sim_translation t;
    struct sim_fault fault;
    if (mode != CORE_CPL3 && (linear & ~PAGE_MASK) == GDT_LINEAR) {
        *page = (struct core_page){.frame = CORE_SCRATCH >> PAGE_BITS, .rights = RIGHT_R};
        return CORE_OK;
    }
    if ((u64)((s64)linear << 16 >> 16) != linear) {   /* not canonical: no page fault (Intel SDM 1, 3.3.7.1) */
        page->vector = 13;
        return CORE_FAULT;
    }
    if (!sim_translate(r->cpu, linear, access, mode == CORE_CPL3, &t, &fault)) {
        page->vector = fault.vector;
        page->error = fault.error;
        return CORE_FAULT;
    }
    page->frame = t.phys >> PAGE_BITS;
    page->rights = t.rights;
    return page->frame < r->core->frames ? CORE_OK : CORE_LEAVE;
}

static bool user_execute(void *arg, u32 code)
{
    struct user_run *r = arg;
    u64 *gpr = r->core->env->gpr;
    if (code == INTERCEPT_CPUID) {
        const struct mach_cpuid c = sim_cpuid(r->cpu, (u32)gpr[RAX], (u32)gpr[RCX]);
        gpr[RAX] = c.eax, gpr[RBX] = c.ebx, gpr[RCX] = c.ecx, gpr[RDX] = c.edx;
    } else {
        const u64 tsc = sim_user_tsc(r->cpu, r->core->executed);
        gpr[RAX] = (u32)tsc;
        gpr[RDX] = tsc >> 32;
    }
    return true;
}
static const struct core_client client = {user_translate, user_execute};

/* Flat 64-bit segments and the GDT they come from; a task register without an I/O map, so that a port is #GP. */
static void load_segments(struct lib_env *env)
{
    for (u32 i = 0; i < 6; i++)
        env->seg[i] = (struct lib_segment){.selector = 0x23, .limit = ~0u, .flags = 0xcff300};   /* read-write data, DPL 3 */
    env->seg[VCPU_SEG_CS] = (struct lib_segment){.selector = 0x2b, .limit = ~0u, .flags = 0xaffb00};
    env->tr = (struct lib_segment){.selector = 0x38, .flags = 0x8b00};
    env->ldtr = (struct lib_segment){0};
    env->gdtr = (struct lib_segment){.base = GDT_LINEAR, .limit = GDT_LIMIT};
    env->idtr = (struct lib_segment){0};
    env->efer = 0x501;         /* SCE, LME, LMA */
    env->cr[0] = 0x80000033;
    env->cr[4] = 0x620;
    env->a20_mask = -1;
}

static void load(struct core *c, const struct sim_cpu *cpu, const struct resume *regs)
{
    struct lib_env *env = c->env;
    if (env->seg[VCPU_SEG_CS].selector != 0x2b)
        load_segments(env);
    memcpy(env->gpr, regs->gpr, sizeof(env->gpr));
    env->rip = regs->rip;
    env->rflags = (regs->rflags & ~RFLAGS_DENIED) | RFLAGS_FIXED;
    env->hflags = 3 | LIB_CS32 | LIB_SS32 | LIB_PE | LIB_LMA | LIB_CS64 | (u32)(cpu->cr0 & 0xe) << LIB_CR0_SHIFT |
                  (cpu->cr4 & CR4_OSFXSR ? LIB_OSFXSR : 0);
    c->msrs->tsc_aux = cpu->tsc_aux;
}

static void exception(struct engine_event *out, u32 vector, u32 error, u64 address)
{
    out->kind = EVENT_EXCEPTION;
    out->vector = vector;
    out->error = error;
    out->error_valid = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
    out->address = address;
}

/* True: *out is filled and regs may need what this says of RIP. */
static bool describe(struct core *c, struct resume *regs, struct engine_event *out)
{
    const struct core_stop *s = &c->stop;
    switch (s->kind) {
    case STOP_SLICE:
        out->kind = EVENT_SLICE;
        return true;
    case STOP_SYSCALL:
        out->kind = EVENT_SYSCALL;
        regs->rip += s->bytes;
        regs->gpr[RCX] = regs->rip;
        regs->gpr[R11] = regs->rflags;
        return true;
    case STOP_EXCEPTION:
        exception(out, s->vector, s->error, s->address);
        return true;
    case STOP_INT:
        if (s->vector == 3 || s->vector == 4) {
            regs->rip += s->bytes;
            exception(out, s->vector, 0, 0);
        } else {
            exception(out, 13, s->vector << 3 | 2, 0);   /* the gate's DPL is 0 (Intel SDM 3A, 6.12.1.2) */
        }
        return true;
    case STOP_IO:
    case STOP_INTERCEPT:
    case STOP_INVLPG:
    case STOP_LMSW:
        exception(out, 13, 0, 0);
        return true;
    case STOP_CLIENT:
        pool_report(c, "user mode reaches an address outside RAM");
        return false;
    default:
        pool_report(c, "user mode cannot go on");
        return false;
    }
}

bool engine_user(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    struct unicorn_engine *u = container_of(e, struct unicorn_engine, engine);
    struct core *c = pool_core(u, cpu, CORE_USER, cpu->cr3, 0);
    if (!c)
        return false;
    struct user_run run = {cpu, c};
    const bool fpu = !(cpu->cr0 & (CR0_TS | CR0_EM));
    load(c, cpu, regs);
    if (fpu)
        fpu_load(c, cpu->fpu);
    c->client = &client;
    c->arg = &run;
    c->window = false;
    c->event = 0;
    core_run(c, steps);
    if (fpu)
        fpu_store(c, cpu->fpu);
    memcpy(regs->gpr, c->env->gpr, sizeof(regs->gpr));
    regs->rip = c->env->rip;
    regs->rflags = c->env->rflags;
    *out = (struct engine_event){.steps = c->executed};
    return describe(c, regs, out);
}
