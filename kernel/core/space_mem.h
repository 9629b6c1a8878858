/* SPDX-License-Identifier: BSD-2-Clause */
/* A memory space: the host-virtual or guest-physical memory of a PD. Owns the ranges (each a derivation node: page, frame, count, rights), an
 * index of them by page, and the page table that follows from them.
 * Invariant: a page is mapped iff a range covers it, to its frame, with its rights (host, W and X together: W); a CPU that may hold a
 * translation is in `cpus`. Lock: kern.derive_lock. */
#pragma once
#include "derive.h"
#include "mem_index.h"
#include "ptab.h"

struct cpu;
struct pd;

struct mem_range {
    struct derive derive;      /* kind SPACE_MEMORY or SPACE_GUEST */
    struct space_mem *space;
    u64 page, frame, count;
    u32 rights;
    u32 height;                /* index: a balanced tree by page, private to mem_index.c */
    struct mem_range *child[2], *parent;
};

struct space_mem {
    struct ptab ptab;
    struct mem_range *index;   /* root of the index */
    struct quota *quota;       /* ranges and tables are charged to it */
    u64 tag;                   /* guest: VPID or ASID source; see virt */
    atomic_u64 cpus;           /* CPUs that may hold translations of it */
};

/* Takes no lock: the space is not known yet. */
must_check enum status space_mem_init(struct space_mem *s, const struct ptab_format *f, struct quota *q, u32 leaf_level_max, u64 page_end);
/* An original range: at boot, for root; UTCB and state pages. Not bounded by steps. STATUS_ARG, STATUS_EXISTS, STATUS_QUOTA, STATUS_MEMORY:
 * nothing is mapped then, tables made on the way may stay, empty. */
must_check enum status space_mem_insert(struct space_mem *s, u64 page, u64 frame, u64 count, u32 rights);
/* What is left of a delegation. */
struct mem_delegation {
    struct space_mem *from, *to;
    u64 page, target, count;
    u32 rights;
    bool begun;                 /* part of it is done */
    /* Private to space_mem.c. */
    struct mem_range *stock;    /* nodes not used yet, linked by child[0] */
    struct mem_range *source;   /* the range that covers page, as long as derive_lock is held; NULL: look again */
    struct mem_range *last;     /* the range that grows, likewise; NULL: a new one is entered */
    struct mem_place place;     /* of target, likewise */
};

/* Delegate count pages; every page of the source must be covered (STATUS_RANGE) and every page of the target empty
 * (STATUS_EXISTS). Rights must include R, as no format can map a page without (STATUS_ARG), and are cut to what the source has. Bounded steps:
 * *done pages are finished when STATUS_RESTART is returned: go on with the rest, and say that it is begun if *done is not 0.
 * All checks and allocations come first: on a failing status nothing of this call stays but empty tables, unless another CPU changed
 * one of the two ranges meanwhile: then *done pages were finished. */
must_check enum status space_mem_delegate_part(struct mem_delegation *d, u64 *done);
/* The same from the beginning. */
must_check static inline enum status space_mem_delegate(struct space_mem *from, u64 page, struct space_mem *to, u64 target, u64 count, u32 rights, u64 *done)
{
    struct mem_delegation d = { .from = from, .to = to, .page = page, .target = target, .count = count, .rights = rights };
    return space_mem_delegate_part(&d, done);
}
/* Take back everything derived from [page, page + count), and with self the range too; exact on partial ranges. Bounded steps:
 * STATUS_RESTART means call again with the same arguments. On OK, *generation is what the caller must wait for (0: nothing): the newest one, as
 * what another revoke has just taken is gone only with its flush.
 * What reaches over an edge is split first, charged to whoever holds it: STATUS_QUOTA or STATUS_MEMORY then, and no right was taken (some were, if
 * another CPU delegated over an edge meanwhile). A
 * revoke whose edges are those of earlier delegations needs no split and cannot fail: nobody can hinder it by using up its quota. */
must_check enum status space_mem_revoke(struct cpu *cpu, struct space_mem *s, u64 page, u64 count, bool self, u64 *generation);
bool space_mem_lookup(struct space_mem *s, u64 page, u64 *frame, u32 *rights);   /* what is held: X may be more than what is entered */
/* The space dies: bounded steps; what was derived from it lives on under its parents. STATUS_RESTART or OK; then its tables map nothing. */
must_check enum status space_mem_clear(struct cpu *cpu, struct space_mem *s, u64 *generation);
