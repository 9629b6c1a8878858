/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: objects made where nothing is yet, not even a leaf for the capability; what they are told later; their release; vCPUs.
 * The guest is one page of CPUID instructions in real mode. */
#include "bounds.h"
#include "abi/vcpu.h"

#define PD_QUOTA    0x500000ul
#define BATCH       20u          /* more objects than are released in one trap */
#define PD_LEAVES   512u         /* leaves of capabilities, and page tables, of a PD that ends */
#define LEAF_SLOTS  64u
#define PRIORITY    100u         /* above all others */
#define BUDGET      1000000ul
#define FAR_UTCB    (PROGRAM_FREE + (1ul << 40))   /* no tables there */
#define CPUID_BYTES 2u
#define TABLE_PAGES 512u

enum { SEL_VCPU = SEL_OBJECTS, SEL_LEAF = SEL_EMPTY + 4096, SEL_NEW_PD = SEL_LEAF, SEL_NEW_EC = SEL_NEW_PD + LEAF_SLOTS,
       SEL_NEW_SC = SEL_NEW_EC + LEAF_SLOTS, SEL_NEW_PORTAL = SEL_NEW_SC + LEAF_SLOTS, SEL_NEW_SM = SEL_NEW_PORTAL + LEAF_SLOTS,
       SEL_NEW_VCPU = SEL_NEW_SM + LEAF_SLOTS, SEL_BATCH = SEL_NEW_VCPU + LEAF_SLOTS };

static struct vcpu_state *const state = (struct vcpu_state *)(PAGE_STATE << PAGE_BITS);

/* ---- Made ---- */

static void pd_make(void)
{
    check(hv_pd_create(PROGRAM_SEL_PD, SEL_NEW_PD, PD_QUOTA, 0), "PD");
}

static void ec_make(void)
{
    check(hv_ec_create(PROGRAM_SEL_PD, SEL_NEW_EC, FAR_UTCB, PROGRAM_PARK, 0, EC_CONFIG(CPU_MAIN, EC_FPU, CHILD_EVENT)), "EC");
}

/* It runs, and waits, before sc_create returns. */
static void sc_make(void)
{
    check(hv_sc_create(PROGRAM_SEL_PD, SEL_NEW_SC, SEL_NEW_EC, PRIORITY, BUDGET), "SC");
}

static void portal_make(void)
{
    check(hv_portal_create(PROGRAM_SEL_PD, SEL_NEW_PORTAL, SEL_CALLS + 3, PROGRAM_PARK, 0), "portal");
}

static void sm_make(void)
{
    check(hv_sm_create(PROGRAM_SEL_PD, SEL_NEW_SM, 0), "semaphore");
}

static void vcpu_make(void)
{
    check(hv_vcpu_create(SEL_NEW_PD, SEL_NEW_VCPU, CPU_MAIN, FAR_UTCB + (1ul << 39)), "vCPU");
}

/* ---- Told ---- */

static void info_act(void)
{
    u64 used, limit;
    check(hv_pd_info(PROGRAM_SEL_PD, &used, &limit), "pd_info");
}

static void time_act(void)
{
    u64 used;
    check(hv_sc_info(SEL_POOL + 1, &used), "sc_info");
}

static void clock_act(void)
{
    u64 tsc;
    check(hv_clock(&tsc), "clock");
}

static void trace_act(void)
{
    check(hv_trace(SEL_VCPU, TRACE_KIND_BYTES(1, 24), 0x1000, 1, 2, 3), "trace");
}

static void console_act(void)
{
    const u64 word = 0x2d2d2d2d2d2d2d2dul, last = 0x0a2d2d2d2d2d2d2dul;
    check(hv_console(word, word, word, last, 4 * sizeof(u64)), "console");
}

/* ---- Released ---- */

static void new_drop(void)
{
    take(SEL_NEW_PD, 6 * LEAF_SLOTS, SPACE_OBJECT, REVOKE_SELF);
}

/* The leaf of the capability comes first: it stays. */
static void note(void)
{
    objects_copy(PROGRAM_SEL_PD, SEL_GIFT, SEL_BATCH, 1);
    take(SEL_GIFT, 1, SPACE_OBJECT, 0);
    memory_note();
}

/* ECs whose UTCBs have tables of their own, all at once. */
static void batch_prepare(void)
{
    note();
    for (u32 i = 0; i < BATCH; i++)
        check(hv_ec_create(PROGRAM_SEL_PD, SEL_BATCH + i, FAR_UTCB + ((u64)i << 30), 0, 0, EC_CONFIG(CPU_MAIN, EC_LOCAL | EC_FPU, CHILD_EVENT)), "EC");
}

static void batch_drop(void)
{
    take(SEL_BATCH, BATCH, SPACE_OBJECT, REVOKE_SELF);
    memory_back();
}

/* A PD with many leaves, tables and ranges. */
static void full_prepare(void)
{
    note();
    check(hv_pd_create(PROGRAM_SEL_PD, SEL_BATCH, PD_QUOTA, 0), "PD");
    for (u32 i = 0; i < PD_LEAVES; i++) {
        objects_copy(SEL_BATCH, SEL_GIFT, i * LEAF_SLOTS, 1);
        memory_copy(SEL_BATCH, PAGE_RUN, PAGE_FREE + i * TABLE_PAGES, 1);
    }
}

static void full_drop(void)
{
    take(SEL_BATCH, 1, SPACE_OBJECT, REVOKE_SELF);
    memory_back();
}

/* ---- vCPUs ---- */

static void run(u32 dirty, u32 want)
{
    state->rip = 0x1000;
    state->dirty = dirty;
    state->want = want;
    check(hv_vcpu_run(SEL_VCPU), "vcpu_run");
    require(state->exit.reason == VCPU_EXIT_CPUID, "CPUID exit");
}

/* All groups in. */
static void run_act(void)
{
    run(state->capabilities & VCPU_GROUP_ALL, 0);
}

/* All groups out. */
static void exit_act(void)
{
    run(VCPU_GROUP_RIP, state->capabilities & VCPU_GROUP_ALL);
}

static void fetch_act(void)
{
    check(hv_vcpu_fetch(SEL_VCPU, state->capabilities & VCPU_GROUP_ALL), "vcpu_fetch");
}

static void kick_act(void)
{
    check(hv_vcpu_kick(SEL_VCPU), "vcpu_kick");
}

static void kick_undo(void)
{
    state->dirty = 0;
    check(hv_vcpu_run(SEL_VCPU), "kicked");
    require(state->exit.reason == VCPU_EXIT_KICKED, "kicked");
}

void objects_set_up(void)
{
    u8 *const code = (u8 *)(PAGE_GUEST << PAGE_BITS);
    for (u32 i = 0; i < PAGE_SIZE; i += CPUID_BYTES) {
        code[i] = 0x0f;
        code[i + 1] = 0xa2;
    }
    const u64 config = DELEGATE(1, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST);
    take(PAGE_STATE, 2, SPACE_MEMORY, REVOKE_SELF);   /* the state pages come in their place */
    check(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PAGE_GUEST, 1, config), "guest RAM");
    check(hv_vcpu_create(PROGRAM_SEL_PD, SEL_VCPU, CPU_MAIN, (u64)state), "vCPU");
    check(hv_vcpu_run(SEL_VCPU), "its first exit");
    fetch_act();
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        state->seg[i] = (struct vcpu_segment){ .limit = 0xffff, .attributes = i == VCPU_SEG_CS ? 0x9b : 0x93 };
    run(VCPU_GROUP_SEG | VCPU_GROUP_RIP, VCPU_GROUP_ALL);
}

const struct row rows_objects[] = {
    { "pd-create", 0, pd_make, 0 },
    { "ec-create", 0, ec_make, 0 },
    { "sc-create", 0, sc_make, 0 },
    { "portal-create", 0, portal_make, 0 },
    { "sm-create", 0, sm_make, 0 },
    { "vcpu-create", 0, vcpu_make, new_drop },
    { "pd-info", 0, info_act, 0 },
    { "sc-info", 0, time_act, 0 },
    { "clock", 0, clock_act, 0 },
    { "trace", 0, trace_act, 0 },
    { "console", 0, console_act, 0 },
    { "vcpu-run", 0, run_act, 0 },
    { "guest-exit", 0, exit_act, 0 },
    { "vcpu-fetch", 0, fetch_act, 0 },
    { "vcpu-kick", 0, kick_act, kick_undo },
    { "release-ecs", batch_prepare, batch_drop, 0 },
    { "release-pd", full_prepare, full_drop, 0 },
    { 0, 0, 0, 0 },
};
