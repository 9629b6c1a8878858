/* SPDX-License-Identifier: BSD-2-Clause */
/* Protection domain: an object space, a host memory space, a guest memory space, and the quota all that is charged to. */
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
};

must_check enum status pd_create(struct cpu *cpu, struct pd *parent, u64 quota_bytes, u32 flags, struct pd **out);
void pd_destroy(struct cpu *cpu, struct pd *pd);
/* The guest space is made when first used. */
must_check enum status pd_guest(struct pd *pd, struct space_mem **out);
