/* SPDX-License-Identifier: BSD-2-Clause */
/* See spawn.h. Memory of an instance, from `address` up: writable data of the image, program page, PROGRAM_MEMORY. */
#include "spawn.h"
#include "hv.h"
#include "mem.h"

static u64 data_bytes(void)
{
    return align_up((u64)image_end, PAGE_SIZE) - (u64)image_data;
}

u64 spawn_bytes(const struct spawn *s)
{
    return data_bytes() + PAGE_SIZE + s->memory_bytes;
}

u64 spawn_memory(const struct spawn *s)
{
    return s->address + data_bytes() + PAGE_SIZE;
}

static void fill(const struct spawn *s)
{
    struct program *const p = (struct program *)(s->address + data_bytes());
    memset((void *)s->address, 0, spawn_bytes(s));
    memcpy((void *)s->address, image_data, (u64)image_bss - (u64)image_data);
    *p = *program_page();
    p->cpu = s->cpu;
    p->priority = s->priority;
    p->memory_bytes = s->memory_bytes;
    str_copy(p->args, s->args, sizeof(p->args));
}

/* [from, from + bytes) of this program appears at `to`. */
static enum status pages_give(const struct spawn *s, u64 from, u64 to, u64 bytes, u64 rights)
{
    const u64 pages = align_up(bytes, PAGE_SIZE) >> PAGE_BITS;
    if (!pages)
        return OK;
    return hv_delegate(PROGRAM_SEL_PD, s->selector + SPAWN_PD, from >> PAGE_BITS, to >> PAGE_BITS,
                       DELEGATE(pages, rights, SPACE_MEMORY, SPACE_MEMORY));
}

static enum status memory_give(const struct spawn *s)
{
    const u64 rodata = align_up((u64)image_text_end, PAGE_SIZE), page = s->address + data_bytes();
    enum status st = pages_give(s, IMAGE_START, IMAGE_START, (u64)image_text_end - IMAGE_START, RIGHT_R | RIGHT_X);
    if (st == OK)
        st = pages_give(s, rodata, rodata, (u64)image_rodata_end - rodata, RIGHT_R);
    if (st == OK)
        st = pages_give(s, s->address, (u64)image_data, data_bytes(), RIGHT_R | RIGHT_W);
    if (st == OK)
        st = pages_give(s, page, PROGRAM_PAGE, PAGE_SIZE, RIGHT_R);
    if (st == OK)
        st = pages_give(s, PROGRAM_PARK, PROGRAM_PARK, PAGE_SIZE, RIGHT_R | RIGHT_X);
    if (st == OK)
        st = pages_give(s, page + PAGE_SIZE, PROGRAM_MEMORY, s->memory_bytes, RIGHT_MEMORY);
    if (st == OK)
        st = pages_give(s, PROGRAM_GUEST, PROGRAM_GUEST, program_page()->guest_bytes, RIGHT_R);
    return st;
}

static enum status object_give(const struct spawn *s, u64 from, u64 to, u64 permissions)
{
    return hv_delegate(PROGRAM_SEL_PD, s->selector + SPAWN_PD, from, to, DELEGATE(1, permissions, SPACE_OBJECT, SPACE_OBJECT));
}

enum status spawn_prepare(const struct spawn *s)
{
    const u64 pd = s->selector + SPAWN_PD, ec = s->selector + SPAWN_EC;
    fill(s);
    enum status st = hv_pd_create(PROGRAM_SEL_PD, pd, s->quota_bytes, s->pd_flags);
    if (st == OK)
        st = memory_give(s);
    if (st == OK)
        st = hv_ec_create(pd, ec, PROGRAM_UTCB, IMAGE_START, 0, EC_CONFIG(s->cpu, EC_GLOBAL, PROGRAM_SEL_EVENT(s->cpu)));
    if (st == OK)
        st = object_give(s, pd, PROGRAM_SEL_PD, PERM_ALL);
    if (st == OK)
        st = object_give(s, ec, PROGRAM_SEL_EC, PERM_ALL);
    if (st == OK)
        st = object_give(s, PROGRAM_SEL_PARK, PROGRAM_SEL_PARK, PERM_SM_DOWN);
    return st;
}

enum status spawn_start(const struct spawn *s)
{
    const u64 budget = program_page()->tsc_khz * PROGRAM_BUDGET_US / 1000;
    return hv_sc_create(s->selector + SPAWN_PD, s->selector + SPAWN_SC, s->selector + SPAWN_EC, s->priority, max(budget, 1ul));
}
