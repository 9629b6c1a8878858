/* SPDX-License-Identifier: BSD-2-Clause */
/* Portal: an entry point into a local EC. */
#pragma once
#include "object.h"

struct ec;

struct portal {
    struct object object;
    struct ec *ec;                 /* handler; one reference */
    u64 ip;
    atomic_u64 id;                 /* RDI at entry; any CPU */
};

must_check enum status portal_create(struct cpu *cpu, struct pd *pd, struct ec *handler, u64 ip, u64 id, struct portal **out);
void portal_destroy(struct cpu *cpu, struct portal *portal);
