/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's allocator. Owns the pool: a struct page per page of it, in front of the pages themselves.
 *
 *   | struct mem | struct page [pages] | ... padding | usable pages ......................... |
 *
 * Free blocks are linked by page index in struct page, never through the free memory itself: freed memory is told to the checkers and
 * nobody, not even the allocator, may touch it. Buddies are relative to the start of the pool.
 * Lock: mem.lock for all but the quotas, which are atomics. Not handled: NUMA, defragmentation. */
#include "mem.h"
#include "machine.h"

#define NONE    (~0u)
#define CLASSES 10u
#define SLOT_BYTES_MAX 2048ul

/* Multiples of MEM_ALIGN, so that slots stay aligned; those between the powers of two waste little of a page. */
static const u16 class_bytes[CLASSES] = { 64, 128, 192, 256, 384, 512, 768, 1024, 1344, 2048 };

enum page_state {
    PAGE_RESERVED,   /* the allocator's own tables */
    PAGE_INSIDE,     /* not the first page of its block */
    PAGE_FREE,       /* first page of a free block of 2^order pages */
    PAGE_BLOCK,      /* first page of a live block of 2^order pages */
    PAGE_SLOTS,      /* cut into slots of class `order` */
};

struct page {
    u32 next, prev;   /* in a list of free blocks, or of pages with a free slot */
    u64 slots;        /* PAGE_SLOTS: bitmap of free slots */
    u8 state, order;
    u16 used;         /* PAGE_SLOTS: live slots */
    u32 reserved;
};
static_assert(sizeof(struct page) == 24, "0.6 % of the pool");

struct mem {
    struct lock lock;        /* first: tests that act inside a step look whether it is held */
    /* Constant. */
    u32 pages;
    u8 *base;
    /* lock. */
    u64 free_bytes;
    u32 free[MEM_ORDERS];    /* free blocks by order */
    u32 slots[CLASSES];      /* pages with a free slot, by class */
    struct page page[];
};

/* The class of each number of MEM_ALIGN bytes. */
static const u8 class_index[] = {
    [0 ... 1] = 0, [2] = 1, [3] = 2, [4] = 3, [5 ... 6] = 4, [7 ... 8] = 5, [9 ... 12] = 6, [13 ... 16] = 7, [17 ... 21] = 8, [22 ... 32] = 9,
};
static_assert(array_size(class_index) == SLOT_BYTES_MAX / MEM_ALIGN + 1, "one for each");

/* At most SLOT_BYTES_MAX. */
static u32 class_of(u64 bytes)
{
    return class_index[(bytes + MEM_ALIGN - 1) / MEM_ALIGN];
}

static u32 order_of(u64 bytes)
{
    u32 order = 0;
    while (PAGE_SIZE << order < bytes)
        order++;
    return order;
}

u64 mem_charge(u64 bytes)
{
    if (bytes <= SLOT_BYTES_MAX)
        return class_bytes[class_of(bytes)];
    return bytes > MEM_BYTES_MAX ? bytes : PAGE_SIZE << order_of(bytes);
}

/* ---- Lists of pages ---- */

static void list_push(struct mem *m, u32 *head, u32 i)
{
    m->page[i].prev = NONE;
    m->page[i].next = *head;
    if (*head != NONE)
        m->page[*head].prev = i;
    *head = i;
}

static void list_remove(struct mem *m, u32 *head, u32 i)
{
    const struct page *p = &m->page[i];
    if (p->next != NONE)
        m->page[p->next].prev = p->prev;
    if (p->prev != NONE)
        m->page[p->prev].next = p->next;
    else
        *head = p->next;
}

/* ---- Blocks of pages ---- */

static void block_push(struct mem *m, u32 i, u32 order)
{
    m->page[i].state = PAGE_FREE;
    m->page[i].order = (u8)order;
    list_push(m, &m->free[order], i);
}

/* First page of a block of 2^order pages, or NONE. */
static u32 block_take(struct mem *m, u32 order)
{
    u32 o = order;
    while (o < MEM_ORDERS && m->free[o] == NONE)
        o++;
    if (o == MEM_ORDERS)
        return NONE;
    const u32 i = m->free[o];
    list_remove(m, &m->free[o], i);
    while (o > order) {
        o--;
        block_push(m, i + (1u << o), o);
    }
    m->page[i].state = PAGE_BLOCK;
    m->page[i].order = (u8)order;
    return i;
}

static void block_give(struct mem *m, u32 i, u32 order)
{
    for (; order < MEM_ORDERS - 1; order++) {
        const u32 buddy = i ^ 1u << order;
        if (buddy >= m->pages || m->page[buddy].state != PAGE_FREE || m->page[buddy].order != order)
            break;
        list_remove(m, &m->free[order], buddy);
        m->page[max(i, buddy)].state = PAGE_INSIDE;
        i = min(i, buddy);
    }
    block_push(m, i, order);
}

/* ---- Slots of a page ---- */

static u8 *page_base(const struct mem *m, u32 i)
{
    return m->base + (u64)i * PAGE_SIZE;
}

static u32 slots_page(struct mem *m, u32 class)
{
    const u32 i = block_take(m, 0);
    if (i == NONE)
        return NONE;
    struct page *p = &m->page[i];
    p->state = PAGE_SLOTS;
    p->order = (u8)class;
    p->used = 0;
    p->slots = ~0ul >> (64 - PAGE_SIZE / class_bytes[class]);
    list_push(m, &m->slots[class], i);
    return i;
}

/* One of page i, which has one. */
static inline void *slot_of(struct mem *m, u32 i, u32 class)
{
    struct page *const p = &m->page[i];
    const u32 slot = (u32)__builtin_ctzl(p->slots);
    p->slots &= p->slots - 1;
    p->used++;
    return page_base(m, i) + slot * class_bytes[class];
}

static void *slot_take(struct mem *m, u32 class)
{
    const u32 i = m->slots[class] != NONE ? m->slots[class] : slots_page(m, class);
    if (i == NONE)
        return NULL;
    void *const slot = slot_of(m, i, class);
    if (!m->page[i].slots)
        list_remove(m, &m->slots[class], i);
    return slot;
}

/* The page was full, or is empty now: it changes its list. */
static out_of_line void slot_moves_page(struct mem *m, u32 i, u32 class)
{
    if (m->page[i].used == PAGE_SIZE / class_bytes[class] - 1)
        list_push(m, &m->slots[class], i);
    if (m->page[i].used)
        return;
    list_remove(m, &m->slots[class], i);
    block_give(m, i, 0);
}

static inline void slot_give(struct mem *m, u32 i, u32 class, const void *where)
{
    struct page *const p = &m->page[i];
    const u32 bytes = class_bytes[class], offset = (u32)((u64)where & PAGE_MASK), slot = offset / bytes;
    const u64 before = p->slots;
    if (unlikely(p->state != PAGE_SLOTS || p->order != class || before & bit(slot) || offset != slot * bytes))
        mach_panic("mem_free: slot is not live or of another size");
    p->slots = before | bit(slot);
    p->used--;
    if (unlikely(!before || !p->used))
        slot_moves_page(m, i, class);
}

/* ---- Quotas ---- */

static inline enum status quota_charge(struct quota *q, u64 bytes)
{
    u64 used = atomic_load(&q->used);
    do {
        const u64 limit = atomic_load(&q->limit);
        if (used > limit || bytes > limit - used)
            return STATUS_QUOTA;
    } while (!atomic_cas(&q->used, &used, used + bytes));
    /* A quota_transfer may have come and gone between our look at the limit and the swap, leaving `used` as it was: look again. */
    if (likely(used + bytes <= atomic_load(&q->limit)))
        return OK;
    atomic_add(&q->used, -bytes);
    return STATUS_QUOTA;
}

enum status quota_transfer(struct quota *from, struct quota *to, u64 bytes)
{
    const enum status s = quota_charge(from, bytes);
    if (s != OK)
        return s;
    /* The limit first: the other way round somebody could use what is leaving. */
    atomic_add(&from->limit, -bytes);
    atomic_add(&from->used, -bytes);
    atomic_add(&to->limit, bytes);
    return OK;
}

void mem_recharge(struct quota *from, struct quota *to, u64 bytes)
{
    atomic_add(&to->used, mem_charge(bytes));
    atomic_add(&from->used, -mem_charge(bytes));
}

/* ---- The allocator ---- */

static inline enum status hand_out(u8 *p, u64 bytes, u64 charge, void **out)
{
    mach_mem_state(p, bytes, MEM_LIVE);
    if (charge > bytes)
        mach_mem_state(p + bytes, charge - bytes, MEM_REDZONE);
    mach_zero(p, bytes);
    *out = p;
    return OK;
}

/* p was taken, NULL: there is none. The lock is held. */
static enum status taken(struct mem *m, struct quota *q, u8 *p, u64 bytes, u64 charge, void **out)
{
    m->free_bytes -= p ? charge : 0;
    lock_drop(&m->lock);
    if (p)
        return hand_out(p, bytes, charge, out);
    atomic_add(&q->used, -charge);
    return STATUS_MEMORY;
}

/* A slot for which a page changes its list. Charged, the lock is held. */
static seldom enum status alloc_last(struct mem *m, struct quota *q, u64 bytes, void **out)
{
    const u32 class = class_of(bytes);
    return taken(m, q, slot_take(m, class), bytes, class_bytes[class], out);
}

static out_of_line enum status alloc_block(struct mem *m, struct quota *q, u64 bytes, void **out)
{
    if (bytes > MEM_BYTES_MAX || mach_fault(MACH_FAULT_ALLOC))
        return STATUS_MEMORY;
    const u32 order = order_of(bytes);
    const u64 charge = PAGE_SIZE << order;
    const enum status s = quota_charge(q, charge);
    if (s != OK)
        return s;
    lock_take(&m->lock);
    const u32 i = block_take(m, order);
    return taken(m, q, i == NONE ? NULL : page_base(m, i), bytes, charge, out);
}

enum status mem_alloc(struct mem *m, struct quota *q, u64 bytes, void **out)
{
    if (bytes > SLOT_BYTES_MAX)
        return alloc_block(m, q, bytes, out);
    const u32 class = class_of(bytes);
    const u64 charge = class_bytes[class];
    const enum status s = mach_fault(MACH_FAULT_ALLOC) ? STATUS_MEMORY : quota_charge(q, charge);
    if (unlikely(s != OK))
        return s;
    lock_take(&m->lock);
    const u32 i = m->slots[class];
    if (unlikely(i == NONE || !(m->page[i].slots & (m->page[i].slots - 1))))
        return alloc_last(m, q, bytes, out);
    u8 *const p = slot_of(m, i, class);
    m->free_bytes -= charge;
    lock_drop(&m->lock);
    return hand_out(p, bytes, charge, out);
}

static void given(struct mem *m, struct quota *q, u64 charge)
{
    m->free_bytes += charge;
    lock_drop(&m->lock);
    atomic_add(&q->used, -charge);
}

/* Page i, or none of the pool. */
static out_of_line void free_block(struct mem *m, struct quota *q, void *p, u64 bytes, u64 i)
{
    const u64 charge = mem_charge(bytes);
    if (i >= m->pages)
        mach_panic("mem_free: not in the pool");
    lock_take(&m->lock);
    mach_mem_state(p, charge, MEM_FREE);
    const struct page *const page = &m->page[i];
    if (page->state != PAGE_BLOCK || p != page_base(m, (u32)i) || charge != PAGE_SIZE << page->order)
        mach_panic("mem_free: block is not live or of another size");
    block_give(m, (u32)i, page->order);
    given(m, q, charge);
}

void mem_free(struct mem *m, struct quota *q, void *p, u64 bytes)
{
    const u64 i = (u64)((u8 *)p - m->base) >> PAGE_BITS;
    if (unlikely(i >= m->pages || bytes > SLOT_BYTES_MAX)) {
        free_block(m, q, p, bytes, i);
        return;
    }
    const u32 class = class_of(bytes);
    const u64 charge = class_bytes[class];
    lock_take(&m->lock);
    mach_mem_state(p, charge, MEM_FREE);   /* behind a locked operation: no store to it is on its way any more */
    slot_give(m, (u32)i, class, p);
    given(m, q, charge);
}

u64 mem_free_bytes(struct mem *m)
{
    lock_take(&m->lock);
    const u64 bytes = m->free_bytes;
    lock_drop(&m->lock);
    return bytes;
}

struct mem *mem_init(u64 start, u64 bytes)
{
    const u64 pages = min(bytes >> PAGE_BITS, (u64)NONE - 1);
    const u64 own = align_up(sizeof(struct mem) + pages * sizeof(struct page), PAGE_SIZE) >> PAGE_BITS;
    if (own >= pages)
        return NULL;
    struct mem *m = mach_phys_to_virt(start);
    mach_mem_state(m, own << PAGE_BITS, MEM_LIVE);
    mach_zero(m, own << PAGE_BITS);
    m->base = (u8 *)m;
    m->pages = (u32)pages;
    m->free_bytes = (pages - own) << PAGE_BITS;
    for (u32 o = 0; o < MEM_ORDERS; o++)
        m->free[o] = NONE;
    for (u32 c = 0; c < CLASSES; c++)
        m->slots[c] = NONE;
    for (u64 i = own; i < pages; i++)
        m->page[i].state = PAGE_INSIDE;
    for (u64 i = own; i < pages;) {
        u32 order = min((u32)__builtin_ctzl(i), MEM_ORDERS - 1);
        while (i + (1ul << order) > pages)
            order--;
        block_push(m, (u32)i, order);
        i += 1ul << order;
    }
    mach_mem_state(m->base + (own << PAGE_BITS), (pages - own) << PAGE_BITS, MEM_FREE);
    return m;
}
