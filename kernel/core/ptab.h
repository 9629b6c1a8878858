/* SPDX-License-Identifier: BSD-2-Clause */
/* Page tables of any format: map, unmap, protect and look up, one walk for host, EPT and NPT.
 *
 * A word changes only by compare-and-swap, in an order in which every intermediate state is a legal translation: a table is filled before it
 * is linked, a large page is split into an equal table. A and D bits set meanwhile by a walker are kept. A change that takes a right
 * away, or changes a frame, says so: the caller owes a flush. Tables emptied by unmap are unlinked and deferred until
 * that flush is complete. Concurrency: several writers and walkers at once. */
#pragma once
#include "abi/status.h"
#include "mem.h"

struct cpu;

/* One format: a const table per kind, in kernel/x86/ptab_format.c. Level 0 maps 4 KiB, 1: 2 MiB, 2: 1 GiB. */
struct ptab_format {
    const char *name;
    u32 levels;                          /* 4 */
    u32 leaf_level_max;                  /* largest page size: 0, 1 or 2; the machine may allow less */
    u64 address_bits;                    /* of what is translated: 47 for host (lower half), 48 nested */
    u64 (*leaf)(u64 phys, u32 rights, u32 level);   /* rights: RIGHT_*; W and X together become W */
    u64 (*table)(u64 phys);
    bool (*is_present)(u64 word);
    bool (*is_leaf)(u64 word, u32 level);
    u64 (*phys)(u64 word, u32 level);
    u32 (*rights)(u64 word);             /* of a leaf */
    u64 (*keep)(u64 word);               /* the A and D bits */
};
extern const struct ptab_format ptab_host, ptab_ept, ptab_npt;

struct ptab {
    const struct ptab_format *format;
    u64 root;                            /* physical address of the top table */
    struct quota *quota;                 /* tables are charged to it */
    u32 leaf_level_max;
};

struct ptab_change {
    bool flush;                          /* a present entry lost a right or changed its frame */
    struct ptab_dead *dead;              /* unlinked tables, for ptab_release */
};

must_check enum status ptab_init(struct ptab *p, const struct ptab_format *f, struct quota *q, u32 leaf_level_max);
/* Map count pages from page number `page` to frames from `frame` on. Uses large pages where alignment allows. Nothing may be mapped there
 * (STATUS_EXISTS). On failure nothing is changed. Not bounded: callers pass at most 512 pages (any number of which form large pages) per step. */
must_check enum status ptab_map(struct ptab *p, u64 page, u64 frame, u64 count, u32 rights);
/* Remove what is mapped in [page, page + count); splits large pages at the edges: STATUS_QUOTA/MEMORY then, with nothing changed. */
must_check enum status ptab_unmap(struct ptab *p, u64 page, u64 count, struct ptab_change *change);
/* Translate one page: true and the frame and rights if present. */
bool ptab_lookup(const struct ptab *p, u64 page, u64 *frame, u32 *rights);
void ptab_release(struct cpu *cpu, struct ptab *p, struct ptab_change *change, u64 tlb_generation);   /* defer the dead tables */
void ptab_destroy(struct ptab *p);   /* nobody uses it any more: free every table */
