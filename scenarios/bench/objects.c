/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows: objects made and destroyed, and a vCPU's exit. Destroyed is what has given its memory back when the time is taken, not some time later.
 * The guest is one page of CPUID instructions in real mode. */
#include "bench.h"
#include "abi/vcpu.h"

#define NEW_QUOTA     0x10000ul   /* of the PD that is made and destroyed: enough for its empty spaces */
#define LIFE_PRIORITY 20u         /* above our own */
#define LIFE_BUDGET   1000000ul
#define GUEST_PAGE    1u
#define CPUID_BYTES   2u

enum { SEL_NEW = SEL_OBJECTS, SEL_NEW_SC, SEL_VCPU };   /* SEL_NEW and the next are one range to destroy */

static struct vcpu_state *const state = (struct vcpu_state *)PROGRAM_FREE;
static u64 lives;

HV_INLINE enum status destroy(u64 count)
{
    return hv_revoke(PROGRAM_SEL_PD, SEL_NEW, REVOKE(count, SPACE_OBJECT), REVOKE_SELF);
}

static struct sample row_create_sm(void)
{
    const struct sample s = SAMPLE(hv_sm_create(PROGRAM_SEL_PD, SEL_NEW, 0));
    check(destroy(1), "destroy");
    return s;
}

static struct sample row_create_portal(void)
{
    const struct sample s = SAMPLE(hv_portal_create(PROGRAM_SEL_PD, SEL_NEW, SEL_HANDLER, PROGRAM_PARK, 0));
    check(destroy(1), "destroy");
    return s;
}

static u64 used(void)
{
    u64 used_bytes, limit_bytes;
    check(hv_pd_info(PROGRAM_SEL_PD, &used_bytes, &limit_bytes), "pd_info");
    return used_bytes;
}

static void life_entry(void)
{
    lives++;
    (void)!hv_sm_down(SEL_NEVER, 0, 0);
}

/* It runs, and waits, before sc_create returns. */
HV_INLINE enum status thread_life(void)
{
    const u64 config = EC_CONFIG(PROGRAM_CPU, EC_GLOBAL, CHILD_EVENT);
    enum status s = hv_ec_create(PROGRAM_SEL_PD, SEL_NEW, (u64)UTCB_OF(NUMBER_NEW), (u64)life_entry, (u64)stack_top(NUMBER_NEW) - 8, config);
    if (s != OK)
        return s;
    s = hv_sc_create(PROGRAM_SEL_PD, SEL_NEW_SC, SEL_NEW, LIFE_PRIORITY, LIFE_BUDGET);
    if (s != OK)
        return s;
    return destroy(2);
}

static struct sample row_thread(void)
{
    const u64 used_before = used(), lives_before = lives;
    const struct sample s = SAMPLE(thread_life());
    require(lives == lives_before + 1, "the thread has run");
    require(used() == used_before, "its memory is back");
    return s;
}

HV_INLINE enum status pd_life(void)
{
    const enum status s = hv_pd_create(PROGRAM_SEL_PD, SEL_NEW, NEW_QUOTA, 0);
    return s != OK ? s : destroy(1);
}

static struct sample row_pd(void)
{
    const u64 used_before = used();
    const struct sample s = SAMPLE(pd_life());
    require(used() == used_before, "its memory is back");
    return s;
}

HV_INLINE enum status cpuid_answer(void)
{
    state->gpr[0] = state->gpr[1] = state->gpr[2] = state->gpr[3] = 1;
    state->rip += CPUID_BYTES;
    state->dirty = VCPU_GROUP_GPR | VCPU_GROUP_RIP;
    return hv_vcpu_run(SEL_VCPU);
}

/* Exit to exit, the entry and the next CPUID between them, from the VMM's side. */
static struct sample row_exit(void)
{
    const struct sample s = SAMPLE(cpuid_answer());
    require(state->exit.reason == VCPU_EXIT_CPUID, "CPUID exit");
    return s;
}

void exits_do(u64 count)
{
    for (u64 i = 0; i < count; i++) {
        state->rip = GUEST_PAGE << PAGE_BITS;   /* the page would end */
        check(cpuid_answer(), "vcpu_run");
        require(state->exit.reason == VCPU_EXIT_CPUID, "CPUID exit");
    }
}

void objects_set_up(void)
{
    u8 *const code = (u8 *)(PAGE_GUEST << PAGE_BITS);
    for (u32 i = 0; i < PAGE_SIZE; i += CPUID_BYTES) {
        code[i] = 0x0f;
        code[i + 1] = 0xa2;
    }
    const u64 config = DELEGATE(1, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST);
    check(hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, PAGE_GUEST, GUEST_PAGE, config), "guest RAM");
    check(hv_vcpu_create(PROGRAM_SEL_PD, SEL_VCPU, PROGRAM_CPU, (u64)state), "vCPU");
    check(hv_vcpu_run(SEL_VCPU), "its first exit");
    for (u32 i = VCPU_SEG_ES; i <= VCPU_SEG_GS; i++)
        state->seg[i] = (struct vcpu_segment){ .limit = 0xffff, .attributes = i == VCPU_SEG_CS ? 0x9b : 0x93 };
    state->rip = GUEST_PAGE << PAGE_BITS;
    state->dirty = VCPU_GROUP_SEG | VCPU_GROUP_RIP;
    check(hv_vcpu_run(SEL_VCPU), "its first CPUID");
}

const struct row rows_objects[] = {
    { "create-sm", row_create_sm },
    { "create-portal", row_create_portal },
    { "thread", row_thread },
    { "pd", row_pd },
    { "exit", row_exit },
    { NULL, NULL },
};
