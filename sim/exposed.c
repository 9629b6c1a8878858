/* SPDX-License-Identifier: BSD-2-Clause */
/* Which pages of the kernel's user level sees, and the pattern in new memory. */
#include <stdlib.h>
#include "exposed.h"

bool exposed_create(struct sim *s)
{
    s->exposed = calloc(1, sizeof(*s->exposed) + s->cpu_count * sizeof(struct exposed_cpu));
    if (!s->exposed)
        return false;
    const u32 first = (u32)((u64)s->map >> 32), varying = first ^ (u32)(((u64)s->map + s->map_bytes - 1) >> 32);
    s->exposed->same = varying ? ~0u << (32 - __builtin_clz(varying)) : ~0u;
    s->exposed->high = first & s->exposed->same;
    s->exposed->flags = calloc(s->ram_bytes / PAGE_SIZE, 1);
    return s->exposed->flags != NULL;
}

void exposed_destroy(struct sim *s)
{
    if (s->exposed)
        free(s->exposed->flags);
    free(s->exposed);
}

static void page_freed(struct exposed *e, u64 phys)
{
    if (e->flags[phys / PAGE_SIZE] & EXPOSED_SEEN)
        for (u32 i = 0; i < e->pages; i++)
            if (e->page[i].phys == phys)
                e->page[i].phys = 0;
    e->flags[phys / PAGE_SIZE] = 0;
}

void exposed_state(struct sim *s, u64 phys, u64 bytes, enum mem_state state)
{
    struct exposed *const e = exposed_judged(s);
    if (!e || (state != MEM_LIVE && state != MEM_FREE))
        return;
    for (u64 page = align_up(phys, PAGE_SIZE); page + PAGE_SIZE <= phys + bytes; page += PAGE_SIZE) {
        page_freed(e, page);
        e->flags[page / PAGE_SIZE] = state == MEM_LIVE ? EXPOSED_KERNEL : 0;
    }
    u32 *const word = (u32 *)(s->ram + align_up(phys, 4));
    for (u64 i = 0; state == MEM_LIVE && i < bytes / 4; i++)
        word[i] = EXPOSED_PATTERN;
}

static void page_seen(struct exposed *e, u64 phys, u64 root)
{
    u32 i = 0;
    while (i < e->pages && e->page[i].phys)
        i++;
    if (i == EXPOSED_PAGES)
        return;
    e->pages = max(e->pages, i + 1);
    e->page[i].phys = phys;
    e->page[i].root = root;
    e->flags[phys / PAGE_SIZE] |= EXPOSED_SEEN;
}

void exposed_user(struct sim_cpu *cpu, u64 phys, bool write)
{
    struct exposed *const e = exposed_judged(cpu->sim);
    if (!e || phys >= cpu->sim->ram_bytes)
        return;
    u8 *const flags = &e->flags[phys / PAGE_SIZE];
    if (!(*flags & EXPOSED_KERNEL))
        return;
    if (write)
        *flags |= EXPOSED_WRITTEN;
    if (!(*flags & EXPOSED_SEEN))
        page_seen(e, align_down(phys, PAGE_SIZE), cpu->cr3);
}
