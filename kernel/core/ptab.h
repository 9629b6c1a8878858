/* SPDX-License-Identifier: BSD-2-Clause */
/* Page tables of any format: map, unmap and look up, one walk for host, EPT and NPT.
 *
 * A word changes only by compare-and-swap, in an order in which every intermediate state is a legal translation: a table is filled before it
 * is linked, a large page is split into an equal table. A and D bits set meanwhile by a walker are kept. A change that takes a right
 * away, or changes a frame, says so: the caller owes a flush. Emptied tables are unlinked by ptab_reclaim and deferred until
 * that flush is complete.
 * Concurrency: any number of walkers, and writers of different pages, at once. ptab_reclaim and ptab_destroy exclude other writers: the
 * spaces call all of this under kern.derive_lock. */
#pragma once
#include "abi/hypercall.h"
#include "abi/status.h"
#include "epoch.h"
#include "mem.h"

struct cpu;

#define PTAB_LEVELS  4u
#define PTAB_LEAF_LEVEL_MAX 2u   /* 1 GiB; the machine may allow less */
#define PTAB_ENTRIES 512u
#define PTAB_SPAN(level) (1ul << 9 * (level))   /* pages one entry of a level covers */

/* One format: a const table per kind, in kernel/x86/ptab_format.c. Level 0 maps 4 KiB, 1: 2 MiB, 2: 1 GiB. An absent entry is 0. */
struct ptab_format {
    const char *name;
    u64 address_bits;                    /* of what is translated: 47 for host (lower half), 48 nested */
    u32 machine_first;                   /* top-level entries from here on are the machine's own (mach_boot_root); 512: none */
    u64 leaf[RIGHT_MEMORY + 1];          /* bits of a leaf by rights, R among them; host: W and X together become W */
    u64 table;                           /* bits of an entry that names a table */
    u64 present;                         /* an entry is present if any of these bits is set */
    u32 (*rights)(u64 word);             /* of a leaf */
    u64 (*keep)(u64 word);               /* the A and D bits */
};
extern const struct ptab_format ptab_host, ptab_ept, ptab_npt;

/* What all three have in common: where the address stands, and the bit of a leaf above level 0. */
#define PTAB_ADDRESS 0x000ffffffffff000ul
#define PTAB_LARGE   bit(7)

static inline bool ptab_is_leaf(u64 word, u32 level)
{
    return level == 0 || word & PTAB_LARGE;
}

static inline bool ptab_is_present(const struct ptab_format *f, u64 word)
{
    return word & f->present;
}

static inline bool ptab_is_table(const struct ptab_format *f, u64 word, u32 level)
{
    return ptab_is_present(f, word) && !ptab_is_leaf(word, level);
}

static inline atomic_u64 *ptab_table(u64 phys)
{
    return mach_phys_to_virt(phys);
}

static inline u64 ptab_leaf(const struct ptab_format *f, u64 phys, u32 rights, u32 level)
{
    return phys | f->leaf[rights] | (level ? PTAB_LARGE : 0);
}

struct ptab {
    const struct ptab_format *format;
    u64 root;                            /* physical address of the top table */
    struct quota *quota;                 /* tables are charged to it */
    u64 page_end;                        /* pages 0 .. page_end - 1 exist */
    atomic_u64 recent;                   /* a table of leaves that writers used, linked as long as it stands here; 0: none */
    u32 leaf_level_max;
};

/* An unlinked table on its way to the allocator. */
struct ptab_dead {
    struct epoch_item item;
    struct ptab_dead *next;
    void *table;
};

struct ptab_change {
    bool flush;                          /* a present entry lost a right or changed its frame, or a table was unlinked */
    struct ptab_dead *dead;              /* unlinked tables, for ptab_release */
    atomic_u64 *last;                    /* where ptab_unmap was last: ptab_reclaim begins its search there */
};

must_check enum status ptab_init(struct ptab *p, const struct ptab_format *f, struct quota *q, u32 leaf_level_max);
/* ptab_map and ptab_unmap are bounded: each does a first part of the count pages (count > 0), at most the rest of one table or one large page, and
 * says how many in *done. Pages that do not exist: STATUS_ARG. A failing call changes nothing. */

/* Map count pages from page number `page` to frames from `frame` on, in as large a page as alignment and *p allow. STATUS_EXISTS if something is
 * mapped there. Missing tables: STATUS_QUOTA, STATUS_MEMORY. change->flush can only be set together with STATUS_EXISTS: another writer took
 * part of the same pages meanwhile; NULL: nobody does. No rights: the same without the last step. */
must_check enum status ptab_map(struct ptab *p, u64 page, u64 frame, u64 count, u32 rights, struct ptab_change *change, u64 *done);
/* Link the tables that ptab_map will need, so that it cannot fail for lack of memory. */
must_check static inline enum status ptab_reserve(struct ptab *p, u64 page, u64 frame, u64 count, u64 *done)
{
    return ptab_map(p, page, frame, count, 0, NULL, done);
}
/* Remove what is mapped there. Splits a large page that reaches beyond the range: STATUS_QUOTA, STATUS_MEMORY; never without such a page. */
must_check enum status ptab_unmap(struct ptab *p, u64 page, u64 count, struct ptab_change *change, u64 *done);
/* See to it that no large page reaches across the lower edge of `page`. Translations stay as they are: no flush is owed. */
must_check enum status ptab_split(struct ptab *p, u64 page);
/* Unlink the tables on the way to `page`, which the last ptab_unmap of this change was about, that have become empty. What cannot be unlinked for
 * lack of memory stays, empty. */
void ptab_reclaim(struct ptab *p, u64 page, struct ptab_change *change);
void ptab_release(struct cpu *cpu, struct ptab *p, struct ptab_change *change, u64 tlb_generation);   /* defer the dead tables */
/* Translate one page: true and the frame and rights if present. */
bool ptab_lookup(const struct ptab *p, u64 page, u64 *frame, u32 *rights);
void ptab_destroy(struct ptab *p);   /* nobody uses it any more: free every table */
