/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenes of domains and memory. The domain is one that the owner made; memory is the owner's page U_PAGE, which the coordinator takes back. */
#include "life.h"

#define QUOTA 0x30000ul

static u8 inner_stack[2048] aligned_to(16);

/* Whose page is taken away while they write to it end with a page fault. */
static void writes(void *arg)
{
    for (;; atomic_add(&life.count, 1))
        *(volatile u64 *)(UTCB_AT(U_PAGE) + PAGE_SIZE / 2) = 1;   /* not the guest's word */
}

static void counts(void)
{
    for (;;)
        atomic_add(&life.count, 1);
}

/* ---- Makers ---- */

static void make_nothing(void)
{
}

static void make_itself(void)
{
    owner_must(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PROGRAM_SEL_PD, O_PD, DELEGATE(1, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT)));
}

static void make_inner(void)
{
    owner_must(hv_pd_create(PROGRAM_SEL_PD, O_PD, QUOTA, 0));
}

static void make_inner_full(void)
{
    make_inner();
    owner_must(hv_sm_create(O_PD, O_SM, 0));
    owner_must(hv_delegate(PROGRAM_SEL_PD, O_PD, O_SM, 1, DELEGATE(1, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT)));
    owner_must(hv_delegate(PROGRAM_SEL_PD, O_PD, O_PD, 2, DELEGATE(1, PERM_ALL, SPACE_OBJECT, SPACE_OBJECT)));
    owner_must(hv_delegate(PROGRAM_SEL_PD, O_PD, PAGE_OF(UTCB_AT(U_PAGE)), 0x1000, DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)));
}

/* A thread on the other CPU; the owner has the capabilities to it. */
static void make_inner_runs(void)
{
    make_inner();
    image_give(O_PD);
    owner_must(hv_ec_create(O_PD, O_PD_EC, UTCB_AT(U_INNER), (u64)counts, (u64)inner_stack + sizeof(inner_stack) - 8,
                            EC_CONFIG(life.other, EC_GLOBAL, O_NO_EVENTS)));
    owner_must(hv_sc_create(O_PD, O_PD_SC, O_PD_EC, PRIORITY_OWNER, max(program_page()->tsc_khz, 1ul)));
}

static void make_written(void)
{
    owner_thread(U_EC, O_EC, life.home, O_NO_EVENTS, writes, NULL);
}

static void make_written_elsewhere(void)
{
    make_written();
    owner_thread(U_CPU + life.other, O_CPU, life.other, O_NO_EVENTS, writes, NULL);
}

static void make_passed_on(void)
{
    make_inner();
    owner_must(hv_delegate(PROGRAM_SEL_PD, O_PD, PAGE_OF(UTCB_AT(U_PAGE)), PAGE_OF(UTCB_AT(U_PAGE)), DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)));
    owner_must(hv_delegate(O_PD, PROGRAM_SEL_PD, PAGE_OF(UTCB_AT(U_PAGE)), PAGE_OF(UTCB_AT(U_PAGE2)), DELEGATE(1, RIGHT_R, SPACE_MEMORY, SPACE_MEMORY)));
}

#define INNER AIM(LIFE_PD, "the inner one", O_PD, 1)
#define ALL   AIM(LIFE_PD, "the inner one, its thread and time", O_PD, 3)
#define PAGE  AIM(LIFE_MEMORY, "the page", 0, 0)

const struct scene space_scenes[] = {
    { "domain at rest", make_nothing, TARGETS({ PAGE }, { OWNER_ENDS }) },
    { "domain that holds itself", make_itself, TARGETS({ AIM(LIFE_PD, "the copy", O_PD, 1) }, { OWNER_ENDS }) },
    { "domain in a domain", make_inner, TARGETS({ INNER }, { OWNER_ENDS }) },
    { "domain with all things in a domain", make_inner_full, TARGETS({ INNER }, { AIM(LIFE_SM, "a semaphore", O_SM, 1) }, { PAGE }, { OWNER_ENDS }) },
    { "domain in a domain, running on another CPU", make_inner_runs, .flags = SCENE_COUNTS,
      TARGETS({ INNER }, { ALL, .stops = true }, { OWNER_ENDS, .stops = true }) },
    { "memory written to", make_written, TARGETS({ PAGE, .stops = true }, { OWNER_ENDS, .stops = true }), .flags = SCENE_COUNTS },
    { "memory written to on two CPUs", make_written_elsewhere, TARGETS({ PAGE, .stops = true }, { OWNER_ENDS, .stops = true }), .flags = SCENE_COUNTS },
    { "memory passed on and back", make_passed_on, TARGETS({ PAGE }, { INNER }, { OWNER_ENDS }) },
};
const u32 space_scene_count = array_size(space_scenes);
