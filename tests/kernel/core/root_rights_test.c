/* SPDX-License-Identifier: BSD-2-Clause */
/* What does root hold when it starts, and does the info page tell the truth? Boots the whole machine; a scripted engine is the root program and
 * asks by hypercalls. */
#include <string.h>
#include "abi/hypercall.h"
#include "abi/info.h"
#include "abi/vcpu.h"
#include "bundle_fixture.h"
#include "sim.h"
#include "sim_mem.h"
#include "unit.h"

enum { SELECTORS = ROOT_SEL_FREE + 2, CREATE = SELECTORS, CALLS };

/* One lookup per selector, then a semaphore for a slot that is said to be empty. */
struct script {
    struct engine engine;
    struct info info;
    u32 calls;
    u64 rights[SELECTORS], created;
};

static void ask(struct resume *regs, u64 number, u64 a, u64 b, u64 c)
{
    regs->gpr[RDI] = number;
    regs->gpr[RSI] = a;
    regs->gpr[RDX] = b;
    regs->gpr[R8] = c;
}

static bool user(struct engine *e, struct sim_cpu *cpu, struct resume *regs, u64 steps, struct engine_event *out)
{
    struct script *const s = (struct script *)e;
    struct sim_fault fault;
    const u32 n = s->calls++;
    if (!n && !sim_user_load(cpu, INFO_PAGE, &s->info, sizeof(s->info), &fault))
        s->info.magic = 0;
    if (n && n <= SELECTORS)
        s->rights[n - 1] = regs->gpr[RAX] == 0 ? regs->gpr[RDX] : ~0ul;
    if (n == CREATE + 1)
        s->created = regs->gpr[RAX];
    if (n < SELECTORS)
        ask(regs, HYPERCALL_lookup, ROOT_SEL_PD, SPACE_OBJECT, n);
    else if (n == CREATE)
        ask(regs, HYPERCALL_sm_create, ROOT_SEL_PD, ROOT_SEL_FREE, 0);
    else
        ask(regs, HYPERCALL_shutdown, 0, 0, 0);
    regs->rip += 2;
    *out = (struct engine_event){ .kind = EVENT_SYSCALL, .steps = 1 };
    return true;
}

static void first_capabilities(void **state)
{
    static u8 bundle[FIXTURE_BUNDLE];
    struct script s = { .engine = { .name = "script", .user = user }, .created = ~0ul };
    bundle_fixture(bundle);
    struct sim *sim = sim_create(&(struct sim_config){
            .cpus = 2, .ram_bytes = 64ul << 20, .vendor = (enum sim_vendor)(u64)*state, .bundle = bundle, .bundle_bytes = sizeof(bundle),
                    .user = &s.engine });
    assert_non_null(sim);
    assert_int_equal(sim_run(sim, 10000000), SIM_SHUTDOWN);
    assert_int_equal(s.calls, CALLS + 1);
    for (u32 i = 0; i < SELECTORS; i++)
        assert_int_equal(s.rights[i], i == ROOT_SEL_PD || i == ROOT_SEL_EC || i == ROOT_SEL_SC ? PERM_ALL : 0);
    assert_int_equal(s.created, 0);
    assert_int_equal(s.info.magic, INFO_MAGIC);
    assert_in_range(s.info.tsc_khz, 1000, 100000000);
    const u32 groups[] = { 0, VCPU_GROUP_ALL, VCPU_GROUP_ALL & ~VCPU_GROUP_PDPTE };   /* none, VMX, SVM */
    assert_int_equal(s.info.vcpu_capabilities, groups[(u64)*state]);
    sim_destroy(sim);
}

#define ROW(vendor) { "first_capabilities (" #vendor ")", first_capabilities, NULL, NULL, (void *)(u64)SIM_##vendor }
TEST_GROUP(root_rights, ROW(VMX), ROW(SVM), ROW(NONE));
