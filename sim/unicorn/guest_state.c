/* SPDX-License-Identifier: BSD-2-Clause */
/* struct sim_guest to the state of a core and back. Segment attributes only change their place. */
#include "guest.h"
#include <string.h>
#include "abi/vcpu.h"

#define CR0_PE     0x1u
#define CR4_OSFXSR 0x200u
#define CR4_SMAP   0x200000u
#define EFER_LMA   0x400u
#define RFLAGS_IF  0x200u
#define RFLAGS_VM  0x20000u
#define DR6_CAUSES 0xe00fu
#define VECTOR_DB  1u
#define FLAGS_B    0x400000u   /* of a lib_segment */
#define FLAGS_L    0x200000u
#define FLAGS_P    0x8000u
#define FLAGS_BUSY 0x200u      /* of a TSS: the library's TR never has it, the hardware's always */

/* Then the library starts without a cause in DR6 and leaves those of the #DB it stops at; the guest's DR6 waits in struct sim_guest. */
static bool reports_debug(const struct sim_guest *g)
{
    return g->exceptions >> VECTOR_DB & 1;
}

static void load_segment(struct lib_segment *to, const struct vcpu_segment *from)
{
    to->selector = from->selector;
    to->base = from->base;
    to->limit = from->limit;
    to->flags = from->attributes & VCPU_SEG_UNUSABLE ? (from->attributes & 0x60) << 8 : (from->attributes & 0xf0ff) << 8;
}

/* The library keeps a null selector as "not present". */
static void store_segment(struct vcpu_segment *to, const struct lib_segment *from)
{
    to->selector = (u16)from->selector;
    to->base = from->base;
    to->limit = from->limit;
    to->attributes = from->flags >> 8 & 0xf0ff;
    if (!(from->flags & FLAGS_P))
        to->attributes = VCPU_SEG_UNUSABLE | (to->attributes & 0x60);
}

static u32 privilege(const struct lib_env *env)
{
    if (!(env->cr[0] & CR0_PE))
        return 0;
    return env->rflags & RFLAGS_VM ? 3 : env->seg[VCPU_SEG_SS].flags >> 13 & 3;
}

/* The flags under which the library translates instructions: mode, sizes, whether segment bases matter. */
void guest_hflags(struct core *c)
{
    struct lib_env *env = c->env;
    const struct lib_segment *cs = &env->seg[VCPU_SEG_CS], *ss = &env->seg[VCPU_SEG_SS], *ds = &env->seg[VCPU_SEG_DS];
    const bool protected = env->cr[0] & CR0_PE;
    u32 h = (env->hflags & LIB_SHADOW) | LIB_GUEST | privilege(env) | (u32)(env->cr[0] & 0xe) << LIB_CR0_SHIFT;
    h |= (protected ? LIB_PE : 0) | (env->cr[4] & CR4_OSFXSR ? LIB_OSFXSR : 0) | (env->cr[4] & CR4_SMAP ? LIB_SMAP : 0);
    if (env->efer & EFER_LMA)
        h |= LIB_LMA;
    if (h & LIB_LMA && cs->flags & FLAGS_L) {
        h |= LIB_CS64 | LIB_CS32 | LIB_SS32;
    } else {
        h |= (cs->flags & FLAGS_B ? LIB_CS32 : 0) | (ss->flags & FLAGS_B ? LIB_SS32 : 0);
        if (!protected || env->rflags & RFLAGS_VM || !(h & LIB_CS32) || ds->base || env->seg[VCPU_SEG_ES].base || ss->base)
            h |= LIB_ADDSEG;
    }
    env->hflags = h;
}

void guest_load(struct core *c, const struct sim_guest *g)
{
    struct lib_env *env = c->env;
    memcpy(env->gpr, g->gpr, sizeof(env->gpr));
    env->rip = g->rip;
    env->rflags = g->rflags | 2;
    for (u32 i = 0; i < 6; i++)
        load_segment(&env->seg[i], &g->seg[i]);
    load_segment(&env->ldtr, &g->seg[VCPU_SEG_LDTR]);
    load_segment(&env->tr, &g->seg[VCPU_SEG_TR]);
    env->tr.flags &= ~FLAGS_BUSY;
    env->gdtr.base = g->gdtr.base;
    env->gdtr.limit = g->gdtr.limit;
    env->idtr.base = g->idtr.base;
    env->idtr.limit = g->idtr.limit;
    env->cr[0] = g->cr0;
    env->cr[2] = g->cr2;
    env->cr[3] = g->cr3;
    env->cr[4] = g->cr4;
    env->efer = g->efer;
    env->a20_mask = -1;
    *c->msrs = (struct lib_msrs){.sysenter_cs = (u32)g->sysenter_cs, .sysenter_esp = g->sysenter_esp, .sysenter_eip = g->sysenter_eip,
                                 .star = g->star, .lstar = g->lstar, .cstar = g->cstar, .fmask = g->fmask,
                                 .kernel_gs = g->kernel_gs, .tsc_aux = g->tsc_aux};
    c->exception->dr[6] = reports_debug(g) ? g->dr6 & ~DR6_CAUSES : g->dr6;   /* DR7 stays off: breakpoints are not modelled */
    env->hflags = g->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS) ? LIB_SHADOW : 0;
    env->hflags2 = (env->hflags2 & ~LIB_NMI_BLOCKED) | (g->interruptibility & VCPU_BLOCKED_NMI ? LIB_NMI_BLOCKED : 0);
    guest_hflags(c);
}

/* STI and MOV SS leave the same mark in the library; STI needs IF = 1, so a guest with IF = 0 executed the other. */
static u32 interruptibility(const struct lib_env *env, u32 before)
{
    u32 blocked = env->hflags2 & LIB_NMI_BLOCKED ? VCPU_BLOCKED_NMI : 0;
    const u32 both = VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS;
    if (env->hflags & LIB_SHADOW)
        blocked |= !(env->rflags & RFLAGS_IF) ? VCPU_BLOCKED_MOV_SS : before & both ? before & both : VCPU_BLOCKED_STI;
    return blocked;
}

void guest_store(const struct core *c, struct sim_guest *g)
{
    const struct lib_env *env = c->env;
    memcpy(g->gpr, env->gpr, sizeof(g->gpr));
    g->rip = env->rip;
    g->rflags = env->rflags;
    for (u32 i = 0; i < 6; i++)
        store_segment(&g->seg[i], &env->seg[i]);
    store_segment(&g->seg[VCPU_SEG_LDTR], &env->ldtr);
    store_segment(&g->seg[VCPU_SEG_TR], &env->tr);
    g->seg[VCPU_SEG_TR].attributes |= FLAGS_BUSY >> 8;
    g->gdtr.base = env->gdtr.base;
    g->gdtr.limit = env->gdtr.limit;
    g->idtr.base = env->idtr.base;
    g->idtr.limit = env->idtr.limit;
    g->cr2 = env->cr[2];
    g->kernel_gs = c->msrs->kernel_gs;   /* SWAPGS */
    if (!reports_debug(g))
        g->dr6 = c->exception->dr[6];
    g->interruptibility = interruptibility(env, g->interruptibility);
}
