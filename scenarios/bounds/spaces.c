/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: delegate, revoke, lookup. What a row grows with stands in its name's comment; how far it is driven here, in the constants. */
#include "bounds.h"

#define SLOTS       4096u     /* capabilities delegated at once */
#define CHILDREN    1024u     /* of one capability */
#define EMPTY_SLOTS 12288u    /* looked through for nothing */
#define RANGES      256u      /* of one page each */

/* ---- Capabilities ---- */

/* SLOTS capabilities from SEL_RANGE on, and empty slots from SEL_EMPTY on whose leaves are there. */
static void slots_prepare(void)
{
    objects_copy(PROGRAM_SEL_PD, SEL_GIFT, SEL_RANGE, 1);
    for (u32 n = 1; n < SLOTS; n *= 2)
        objects_copy(PROGRAM_SEL_PD, SEL_RANGE, SEL_RANGE + n, n);
    objects_copy(PROGRAM_SEL_PD, SEL_RANGE, SEL_EMPTY, SLOTS);
    take(SEL_EMPTY, SLOTS, SPACE_OBJECT, REVOKE_SELF);
}

static void slots_give(void)
{
    objects_copy(PROGRAM_SEL_PD, SEL_RANGE, SEL_EMPTY, SLOTS);
}

static void slots_undo(void)
{
    take(SEL_GIFT, 1, SPACE_OBJECT, 0);
}

static void children_prepare(void)
{
    for (u32 i = 0; i < CHILDREN; i++)
        objects_copy(PROGRAM_SEL_PD, SEL_GIFT, SEL_RANGE + i, 1);
}

static void children_take(void)
{
    take(SEL_GIFT, 1, SPACE_OBJECT, 0);
}

static void empty_take(void)
{
    take(SEL_EMPTY, EMPTY_SLOTS, SPACE_OBJECT, REVOKE_SELF);
}

/* ---- Memory ---- */

/* To where no large page fits. */
static void run_give(void)
{
    memory_copy(PROGRAM_SEL_PD, PAGE_RUN, PAGE_FREE, RUN_PAGES);
}

static void run_take(void)
{
    take(PAGE_RUN, RUN_PAGES, SPACE_MEMORY, 0);
}

/* RANGES neighbours, each a range of its own, all derived from one. */
static void ranges_prepare(void)
{
    for (u32 i = 0; i < RANGES; i++)
        memory_copy(PROGRAM_SEL_PD, PAGE_RUN + i, PAGE_FREE + i, 1);
}

static void ranges_give(void)
{
    memory_copy(SEL_CHILD, PAGE_FREE, PAGE_FREE, RANGES);
}

static void ranges_undo(void)
{
    take(PAGE_RUN, RANGES, SPACE_MEMORY, 0);
}

/* None of them is of this page. */
static void passed_take(void)
{
    take(PAGE_RUN + RANGES, 1, SPACE_MEMORY, 0);
}

static void page_lookup(void)
{
    u64 base, rights;
    check(hv_lookup(PROGRAM_SEL_PD, SPACE_MEMORY, PAGE_FREE + RANGES / 2, &base, &rights), "lookup");
    require(rights == (RIGHT_R | RIGHT_W), "rights");
}

const struct row rows_spaces[] = {
    { "delegate-objects", slots_prepare, slots_give, slots_undo },
    { "revoke-objects", children_prepare, children_take, 0 },
    { "revoke-empty", 0, empty_take, 0 },
    { "delegate-memory", 0, run_give, 0 },
    { "revoke-memory", 0, run_take, 0 },
    { "delegate-ranges", ranges_prepare, ranges_give, ranges_undo },
    { "revoke-passed", ranges_prepare, passed_take, 0 },
    { "lookup", 0, page_lookup, ranges_undo },
    { 0, 0, 0, 0 },
};
