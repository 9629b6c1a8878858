/* SPDX-License-Identifier: BSD-2-Clause */
/* Scheduling contexts: bound to one EC for life. Any CPU may create one for an EC of another; `own` of the EC decides a race. */
#include "sc.h"
#include "cpu.h"
#include "ec.h"
#include "pd.h"

enum status sc_create(struct cpu *cpu, struct pd *pd, struct ec *ec, u32 priority, u64 budget, struct sc **out)
{
    void *p;
    const enum status s = pd_alloc(pd, sizeof(struct sc), &p);
    if (s != OK)
        return s;
    struct sc *const sc = p;
    object_init(&sc->object, OBJ_SC, pd, ec->object.cpu);
    sc->priority = priority;
    sc->budget = sc->left = budget;
    sc->ec = ec;
    u64 none = 0;   /* complete before it is bound: a message about an earlier SC of the EC may start it at once */
    if (!atomic_cas(&ec->own, &none, (u64)sc)) {
        pd_release(cpu, &sc->object, sizeof(*sc));
        return STATUS_BUSY;
    }
    object_ref(&ec->object);
    *out = sc;
    return OK;
}

void sc_start(struct cpu *cpu, struct sc *sc)
{
    if (sc->object.cpu != cpu->id) {
        sched_send(cpu, sc->ec, EC_INBOX_SC);
        return;
    }
    if (sc->started)
        return;
    sc->started = true;
    sched_ready(cpu, sc);
}

void sc_destroy(struct cpu *cpu, struct sc *sc)
{
    sched_remove(cpu, sc);
    atomic_store(&sc->ec->own, 0);
    object_unref(cpu, &sc->ec->object);
    pd_release(cpu, &sc->object, sizeof(*sc));
}
