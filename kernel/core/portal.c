/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals: entry points into local ECs. A portal never changes after creation but for its id. */
#include "portal.h"
#include "ec.h"
#include "pd.h"

enum status portal_create(struct cpu *cpu, struct pd *pd, struct ec *handler, u64 ip, u64 id, struct portal **out)
{
    void *p;
    const enum status s = pd_alloc(pd, sizeof(struct portal), &p);
    if (s != OK)
        return s;
    struct portal *const portal = p;
    object_init(&portal->object, OBJ_PORTAL, pd, handler->object.cpu);
    object_ref(&handler->object);
    portal->ec = handler;
    portal->ip = ip;
    atomic_store(&portal->id, id);
    *out = portal;
    return OK;
}

void portal_destroy(struct cpu *cpu, struct portal *portal)
{
    object_unref(cpu, &portal->ec->object);
    pd_release(cpu, &portal->object, sizeof(*portal));
}
