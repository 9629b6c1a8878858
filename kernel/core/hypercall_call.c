/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercalls that ask or say something: information, portals, console, the end. */
#include "hypercall.h"
#include "cpu.h"

#define CONSOLE_BYTES 32u

SYS(portal_ctrl)
{
    struct portal *portal;
    const enum status s = cap_portal(ec, a->portal, PERM_PORTAL_CTRL, &portal);
    if (s != OK)
        return s;
    atomic_store(&portal->id, a->id);
    return OK;
}

SYS(pd_info)
{
    struct pd *pd;
    const enum status s = cap_pd(ec, a->pd, PERM_PD_CREATE, &pd);
    if (s != OK)
        return s;
    sys_result(ec, atomic_load(&pd->quota.used), atomic_load(&pd->quota.limit));
    return OK;
}

SYS(sc_info)
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

SYS(console)
{
    if (!(ec->pd->flags & PD_FLAG_CONSOLE))
        return STATUS_PERM;
    if (a->bytes > CONSOLE_BYTES)
        return STATUS_ARG;
    const u64 words[CONSOLE_BYTES / 8] = {a->word0, a->word1, a->word2, a->word3};
    mach_console_write((const char *)words, (u32)a->bytes);
    return OK;
}

SYS(shutdown)
{
    if (!(ec->pd->flags & PD_FLAG_SHUTDOWN))
        return STATUS_PERM;
    if (cpu->trace)
        trace_end(cpu, (u32)a->code);
    mach_shutdown((u32)a->code);
    return OK;
}
