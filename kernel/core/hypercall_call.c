/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls that create nothing: IPC, semaphores, information, console. */
#include "hypercall.h"
#include "cpu.h"
#include "ipc.h"

#define CONSOLE_BYTES 32u

enum status sys_null(struct cpu *cpu, struct ec *ec, const struct sys_null_args *a)
{
    return OK;
}

enum status sys_call(struct cpu *cpu, struct ec *ec, const struct sys_call_args *a)
{
    struct portal *portal;
    const enum status s = cap_portal(ec, a->portal, PERM_PORTAL_CALL, &portal);
    if (unlikely(s != OK))
        return s;
    return ipc_call(cpu, ec, portal, a->mtr);
}

enum status sys_reply(struct cpu *cpu, struct ec *ec, const struct sys_reply_args *a)
{
    return ipc_reply(cpu, ec, a->mtr);
}

enum status sys_sm_up(struct cpu *cpu, struct ec *ec, const struct sys_sm_up_args *a)
{
    struct sm *sm;
    const enum status s = cap_sm(ec, a->sm, PERM_SM_UP, &sm);
    if (s != OK)
        return s;
    return sm_up(cpu, sm);
}

enum status sys_sm_down(struct cpu *cpu, struct ec *ec, const struct sys_sm_down_args *a)
{
    struct sm *sm;
    const enum status s = cap_sm(ec, a->sm, PERM_SM_DOWN, &sm);
    if (s != OK)
        return s;
    if (a->flags & ~(u64)SM_DOWN_ZERO)
        return STATUS_ARG;
    return sm_down(cpu, ec, sm, a->flags & SM_DOWN_ZERO, a->deadline_tsc);
}

enum status sys_portal_ctrl(struct cpu *cpu, struct ec *ec, const struct sys_portal_ctrl_args *a)
{
    struct portal *portal;
    const enum status s = cap_portal(ec, a->portal, PERM_PORTAL_CTRL, &portal);
    if (s != OK)
        return s;
    atomic_store(&portal->id, a->id);
    return OK;
}

enum status sys_pd_info(struct cpu *cpu, struct ec *ec, const struct sys_pd_info_args *a)
{
    struct pd *pd;
    const enum status s = cap_pd(ec, a->pd, PERM_PD_CREATE, &pd);
    if (s != OK)
        return s;
    sys_result(ec, atomic_load(&pd->quota.used), atomic_load(&pd->quota.limit));
    return OK;
}

enum status sys_sc_info(struct cpu *cpu, struct ec *ec, const struct sys_sc_info_args *a)
{
    struct sc *sc;
    const enum status s = cap_sc(ec, a->sc, PERM_SC_CTRL, &sc);
    if (s != OK)
        return s;
    if (sc->object.cpu != cpu->id)
        return STATUS_CPU;
    sched_account(cpu);
    ec->resume.gpr[RSI] = sc->used;
    return OK;
}

enum status sys_console(struct cpu *cpu, struct ec *ec, const struct sys_console_args *a)
{
    if (!(ec->pd->flags & PD_FLAG_CONSOLE))
        return STATUS_PERM;
    if (a->bytes > CONSOLE_BYTES)
        return STATUS_ARG;
    const u64 words[CONSOLE_BYTES / 8] = {a->word0, a->word1, a->word2, a->word3};
    mach_console_write((const char *)words, (u32)a->bytes);
    return OK;
}

enum status sys_shutdown(struct cpu *cpu, struct ec *ec, const struct sys_shutdown_args *a)
{
    if (!(ec->pd->flags & PD_FLAG_SHUTDOWN))
        return STATUS_PERM;
    if (cpu->trace)
        trace_end(cpu);
    mach_shutdown((u32)a->code);
    return OK;
}
