/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel memory: a buddy allocator over the kernel's pool, with size classes below a page, and the quotas it is charged to.
 * Invariant: every live byte is charged to exactly one quota; a failing call changes nothing.
 * Lock: mem.lock, innermost but for a semaphore's. Not handled: giving memory back to user level. */
#pragma once
#include "abi/status.h"
#include "lock.h"

#define MEM_ORDERS    12u             /* blocks of 4 KiB << 0..11 */
#define MEM_ALIGN     64ul            /* of every allocation; a power-of-two size is aligned to itself up to a page */
#define MEM_BYTES_MAX (PAGE_SIZE << (MEM_ORDERS - 1))

struct quota {
    atomic_u64 used;     /* bytes */
    atomic_u64 limit;    /* bytes, including what was handed on to children */
};

struct mem;   /* the allocator: in kernel memory, made by mem_init */

/* Bytes a request is charged: its size class. */
u64 mem_charge(u64 bytes);
/* Make an allocator over physical memory [start, start + bytes) (page-aligned, in the direct map). Its own tables lie inside.
 * NULL: too small to hold anything but the tables. */
struct mem *mem_init(u64 start, u64 bytes);
/* Zeroed memory. STATUS_QUOTA, STATUS_MEMORY; *out untouched on failure. */
must_check enum status mem_alloc(struct mem *m, struct quota *q, u64 bytes, void **out);
void mem_free(struct mem *m, struct quota *q, void *p, u64 bytes);   /* bytes as asked for */
u64 mem_free_bytes(struct mem *m);
/* Charge live memory to another quota, whatever its limit: for memory that outlives its owner by an epoch. */
void mem_recharge(struct quota *from, struct quota *to, u64 bytes);
/* Move bytes of limit from one quota to another: STATUS_QUOTA if not that much is unused. */
must_check enum status quota_transfer(struct quota *from, struct quota *to, u64 bytes);
