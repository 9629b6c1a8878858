/* SPDX-License-Identifier: BSD-2-Clause */
/* Protection domain: an object space, a host memory space, a guest memory space, and the quota all that is charged to.
 * Two counts: object.refs are its capabilities; when nobody names it any more its object space is emptied, and with it goes what its own
 * threads have made and only they could name. `users` are the objects charged to it and its ECs; at 0 the rest goes. So a PD ends although
 * capabilities in it name its own threads and objects. */
#pragma once
#include "object.h"
#include "space_mem.h"
#include "space_obj.h"

struct pd {
    struct object object;          /* object.pd: the parent, NULL for root */
    struct quota quota;            /* handed on by the parent; returned when the PD is released */
    struct space_obj objects;
    struct space_mem memory;       /* host virtual */
    struct space_mem guest;        /* guest physical; ptab.root 0 until first used */
    u32 flags;                     /* PD_FLAG_* */
    atomic_u64 users;              /* 1 until its object space is empty, and 1 per object charged to it, EC in it, vCPU shown in it */
};

must_check enum status pd_create(struct cpu *cpu, struct pd *parent, u64 quota_bytes, u32 flags, struct pd **out);
void pd_destroy(struct cpu *cpu, struct pd *pd);
/* One user more, one user less: at 0 the PD is released. NULL: nothing. */
void pd_hold(struct pd *pd);
void pd_drop(struct cpu *cpu, struct pd *pd);
/* Memory for an object, charged to pd (NULL: to the kernel), and its end: gives the memory back and drops object.pd. */
must_check enum status pd_alloc(struct pd *pd, u64 bytes, void **out);
void pd_release(struct cpu *cpu, struct object *o, u64 bytes);
struct quota *pd_quota(struct pd *pd);
/* Frees memory at `page` of pd that the kernel has mapped there: takes the pages back from whoever has them. Bounded steps: STATUS_RESTART,
 * or OK and the TLB generation after which the frames may be freed. Any other status: try again later. */
must_check enum status pd_unmap(struct cpu *cpu, struct pd *pd, u64 page, const void *memory, u64 pages, u64 *generation);
/* The guest space is made when first used. */
must_check enum status pd_guest(struct pd *pd, struct space_mem **out);
struct space_mem *pd_guest_made(struct pd *pd);   /* NULL: not used yet */
