/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: memory and capabilities delegated to the child, and taken back. The child has used a page before it is taken from it, so that a
 * translation of it may be cached. Derived rights are children of one right, side by side. */
#include "bench.h"

#define CHILD_ITEM 64u   /* the first of the child's selectors that capabilities go to */
enum { SEL_TOUCH = SEL_SPACES };

HV_INLINE enum status page_take(void)
{
    return hv_revoke(PROGRAM_SEL_PD, PAGE_SHARED, REVOKE(1, SPACE_MEMORY), 0);
}

static struct sample row_map(void)
{
    const struct sample s = SAMPLE(page_give(PAGE_SHARED));
    check(page_take(), "unmap");
    return s;
}

static void touch_entry(u64 id, u64 mtr)
{
    (void)*(const volatile u64 *)(PAGE_SHARED << PAGE_BITS);
    (void)!hv_reply(MTR(0, 0));
    __builtin_trap();
}

static struct sample row_unmap(void)
{
    u64 mtr;
    check(page_give(PAGE_SHARED), "map");
    check(hv_call(SEL_TOUCH, MTR(0, 0), &mtr), "touch");
    return SAMPLE(page_take());
}

HV_INLINE enum status item_give(u64 to)
{
    return hv_delegate(PROGRAM_SEL_PD, SEL_CHILD, SEL_SM, to, DELEGATE(1, PERM_SM_UP, SPACE_OBJECT, SPACE_OBJECT));
}

HV_INLINE enum status item_take(void)
{
    return hv_revoke(PROGRAM_SEL_PD, SEL_SM, REVOKE(1, SPACE_OBJECT), 0);
}

static struct sample row_delegate(void)
{
    const struct sample s = SAMPLE(item_give(CHILD_ITEM));
    check(item_take(), "revoke");
    return s;
}

static struct sample revoke(u32 children)
{
    for (u32 i = 0; i < children; i++)
        check(item_give(CHILD_ITEM + i), "delegate");
    return SAMPLE(item_take());
}

static struct sample row_revoke_0(void)
{
    return revoke(0);
}

static struct sample row_revoke_1(void)
{
    return revoke(1);
}

static struct sample row_revoke_10(void)
{
    return revoke(10);
}

void spaces_set_up(void)
{
    portal_make(SEL_TOUCH, SEL_CHILD_EC, touch_entry);
}

const struct row rows_spaces[] = {
    { "map", row_map },
    { "unmap", row_unmap },
    { "delegate", row_delegate },
    { "revoke-0", row_revoke_0 },
    { "revoke-1", row_revoke_1 },
    { "revoke-10", row_revoke_10 },
    { NULL, NULL },
};
