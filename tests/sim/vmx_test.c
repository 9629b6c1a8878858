/* SPDX-License-Identifier: BSD-2-Clause */
/* Do the VMX instructions succeed, fail with the right error number, or are found out, as the manual says? */
#include <string.h>
#include "unit.h"
#include "virt_fixture.h"

#define REVISION 0x4f5252u

/* One call, for sim_unit_expect_panic. */
struct call {
    struct sim_cpu *cpu;
    enum { VMXON, VMCLEAR, VMPTRLD, VMREAD, VMWRITE, INVEPT, INVVPID } insn;
    u64 a, b, c;
    bool ok;
};

static void do_call(void *arg)
{
    struct call *c = arg;
    switch (c->insn) {
    case VMXON: c->ok = sim_vmx.vmxon(c->cpu, c->a); break;
    case VMCLEAR: c->ok = sim_vmx.vmclear(c->cpu, c->a); break;
    case VMPTRLD: c->ok = sim_vmx.vmptrld(c->cpu, c->a); break;
    case VMREAD: c->a = sim_vmx.vmread(c->cpu, (u32)c->a); break;
    case VMWRITE: sim_vmx.vmwrite(c->cpu, (u32)c->a, c->b); break;
    case INVEPT: c->ok = sim_vmx.invept(c->cpu, c->a, c->b); break;
    case INVVPID: c->ok = sim_vmx.invvpid(c->cpu, c->a, (u32)c->b, c->c); break;
    }
}

/* VMsucceed, or VMfailValid with the error number. */
static void errors(void **state)
{
    const u64 eptp = AT_NESTED | EPTP_WB | EPTP_WALK4;
    const struct {
        u32 insn, error;   /* 0: succeeds */
        u64 a, b, c;
    } rows[] = {
        { VMXON, VMX_ERROR_VMXON, AT_VMXON, 0, 0 },
        { VMCLEAR, VMX_ERROR_VMCLEAR_ADDR, AT_OTHER + 8, 0, 0 },
        { VMCLEAR, VMX_ERROR_VMCLEAR_ADDR, bit(40), 0, 0 },
        { VMCLEAR, VMX_ERROR_VMCLEAR_VMXON, AT_VMXON, 0, 0 },
        { VMCLEAR, 0, AT_OTHER, 0, 0 },
        { VMPTRLD, VMX_ERROR_VMPTRLD_ADDR, AT_OTHER + 1, 0, 0 },
        { VMPTRLD, VMX_ERROR_VMPTRLD_ADDR, bit(45), 0, 0 },
        { VMPTRLD, VMX_ERROR_VMPTRLD_VMXON, AT_VMXON, 0, 0 },
        { VMPTRLD, VMX_ERROR_VMPTRLD_REVISION, AT_LIST, 0, 0 },
        { VMPTRLD, VMX_ERROR_VMPTRLD_REVISION, AT_APIC_PAGE, 0, 0 },
        { VMPTRLD, 0, AT_VMCS, 0, 0 },
        { INVEPT, VMX_ERROR_INVALIDATE, 0, 0, 0 },
        { INVEPT, VMX_ERROR_INVALIDATE, 3, eptp, 0 },
        { INVEPT, VMX_ERROR_INVALIDATE, INVEPT_SINGLE, eptp | 0x800, 0 },
        { INVEPT, 0, INVEPT_SINGLE, eptp, 0 },
        { INVEPT, 0, INVEPT_ALL, 0, 0 },
        { INVVPID, VMX_ERROR_INVALIDATE, 4, 1, 0 },
        { INVVPID, VMX_ERROR_INVALIDATE, INVVPID_SINGLE, 0, 0 },
        { INVVPID, VMX_ERROR_INVALIDATE, INVVPID_SINGLE, 0x10000, 0 },
        { INVVPID, VMX_ERROR_INVALIDATE, INVVPID_ADDRESS, 1, bit(50) },
        { INVVPID, 0, INVVPID_ADDRESS, 1, 0x1000 },
        { INVVPID, 0, INVVPID_SINGLE, 1, 0 },
        { INVVPID, 0, INVVPID_ALL, 0, 0 },
        { INVVPID, 0, 3, 1, 0 },
    };
    struct world *w = world_create(SIM_VMX);
    *(u32 *)sim_phys(w->s, AT_APIC_PAGE, 4) = REVISION | 1u << 31;   /* a shadow VMCS, which this processor lacks */
    for (size_t i = 0; i < array_size(rows); i++) {
        world_set(w, VMCS_INSN_ERROR, 0);
        struct call c = { w->cpu, rows[i].insn, rows[i].a, rows[i].b, rows[i].c, false };
        if (sim_unit_expect_panic(w->s, do_call, &c))
            fail_msg("row %zu: a finding", i);
        if (c.ok != !rows[i].error || world_field(w, VMCS_INSN_ERROR) != rows[i].error)
            fail_msg("row %zu: ok %d, error %lu", i, c.ok, world_field(w, VMCS_INSN_ERROR));
    }
    world_destroy(w);
}

/* Without a current VMCS there is no place for an error number. */
static void fail_invalid(void **state)
{
    struct world *w = world_create(SIM_VMX);
    assert_true(sim_vmx.vmclear(w->cpu, AT_VMCS));
    assert_null(vmx_of(w->cpu)->current);
    assert_false(sim_vmx.vmptrld(w->cpu, AT_VMXON));
    assert_false(sim_vmx.vmxon(w->cpu, AT_VMXON));
    assert_int_equal(world_field(w, VMCS_INSN_ERROR), 0);
    world_destroy(w);
}

/* What software must not do, and the words that must be in the finding. */
static void findings(void **state)
{
    static const struct {
        u32 insn;
        u64 a;
        u32 cpu;
        const char *words;
    } rows[] = {
        { VMXON, AT_VMXON, 1, "VMXE" },            /* the second CPU has not prepared anything */
        { VMCLEAR, AT_OTHER, 1, "outside VMX operation" },
        { VMPTRLD, AT_OTHER, 0, "before any VMCLEAR" },
        { VMREAD, VMCS_PREEMPTION_TIMER, 0, "lacks" },
        { VMREAD, 0x6c20, 0, "lacks" },
        { VMREAD, VMCS_GUEST_CR0 | 1, 0, "lacks" },
        { VMWRITE, VMCS_EXIT_REASON, 0, "read-only" },
        { VMWRITE, VMCS_XSS_EXIT_BITMAP, 0, "lacks" },
        { VMREAD, VMCS_GUEST_CR0, 1, "outside VMX operation" },
        { INVEPT, INVEPT_ALL, 1, "outside VMX operation" },
        { INVVPID, INVVPID_ALL, 1, "outside VMX operation" },
    };
    struct world *w = world_create(SIM_VMX);
    for (size_t i = 0; i < array_size(rows); i++) {
        struct call c = { &w->s->cpu[rows[i].cpu], rows[i].insn, rows[i].a, 0, 0, false };
        const char *message = sim_unit_expect_panic(w->s, do_call, &c);
        if (!message || !strstr(message, rows[i].words))
            fail_msg("row %zu: %s", i, message ? message : "no finding");
    }
    world_destroy(w);
}

static void second_cpu(struct world *w)
{
    struct sim_cpu *cpu = &w->s->cpu[1];
    cpu->feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;
    cpu->cr4 |= CR4_VMXE;
    *(u32 *)sim_phys(w->s, AT_LIST, 4) = REVISION;
    assert_true(sim_vmx.vmxon(cpu, AT_LIST));
}

/* A VMCS belongs to one CPU from VMPTRLD to VMCLEAR. */
static void two_cpus(void **state)
{
    struct world *w = world_create(SIM_VMX);
    second_cpu(w);
    struct call load = { .cpu = &w->s->cpu[1], .insn = VMPTRLD, .a = AT_VMCS }, clear = load;
    clear.insn = VMCLEAR;
    assert_non_null(sim_unit_expect_panic(w->s, do_call, &load));
    assert_non_null(sim_unit_expect_panic(w->s, do_call, &clear));
    assert_true(sim_vmx.vmclear(w->cpu, AT_VMCS));
    assert_null(sim_unit_expect_panic(w->s, do_call, &load));
    assert_true(load.ok);
    world_destroy(w);
}

/* Launch state: VMLAUNCH needs clear and makes launched, VMCLEAR makes clear; fields survive. */
static void launch_state(void **state)
{
    struct world *w = world_create(SIM_VMX);
    for (u32 i = 0; i < 2; i++) {
        assert_false(w->vmcs->launched);
        world_event(w, &(struct engine_event){ .kind = EVENT_CPUID });
        world_enter(w);
        assert_null(w->finding);
        assert_true(w->vmcs->launched);
        world_event(w, &(struct engine_event){ .kind = EVENT_CPUID });
        world_enter(w);
        assert_int_equal(w->trap, TRAP(TRAP_GUEST_EXIT, 0));
        assert_true(sim_vmx.vmclear(w->cpu, AT_VMCS));
        assert_true(sim_vmx.vmptrld(w->cpu, AT_VMCS));
        assert_int_equal(world_field(w, VMCS_GUEST_RIP), 0x1000);
    }
    world_destroy(w);
}

/* Fields have their width; a 64-bit field has a high half of its own. */
static void widths(void **state)
{
    struct world *w = world_create(SIM_VMX);
    struct sim_cpu *cpu = w->cpu;
    sim_vmx.vmwrite(cpu, VMCS_GUEST_CS_SEL, 0x12345);
    sim_vmx.vmwrite(cpu, VMCS_GUEST_CS_LIMIT, 0x123456789);
    sim_vmx.vmwrite(cpu, VMCS_TSC_OFFSET, 0x1111111122222222);
    sim_vmx.vmwrite(cpu, VMCS_TSC_OFFSET | 1, 0x33333333);
    sim_vmx.vmwrite(cpu, VMCS_GUEST_RIP, ~0ul);
    assert_int_equal(sim_vmx.vmread(cpu, VMCS_GUEST_CS_SEL), 0x2345);
    assert_int_equal(sim_vmx.vmread(cpu, VMCS_GUEST_CS_LIMIT), 0x23456789);
    assert_int_equal(sim_vmx.vmread(cpu, VMCS_TSC_OFFSET), 0x3333333322222222);
    assert_int_equal(sim_vmx.vmread(cpu, VMCS_TSC_OFFSET | 1), 0x33333333);
    assert_int_equal(sim_vmx.vmread(cpu, VMCS_GUEST_RIP), ~0ul);
    world_destroy(w);
}

/* No two fields share a place in the model's store. */
static void slots(void **state)
{
    static const u32 fields[] = {
#define FIELD(encoding, name) encoding,
        VMCS_FIELD_LIST(FIELD)
#undef FIELD
    };
    static u32 owner[VMX_SLOTS];
    memset(owner, 0xff, sizeof(owner));
    for (size_t i = 0; i < array_size(fields); i++) {
        assert_true(VMX_SLOT(fields[i]) < VMX_SLOTS);
        assert_int_equal(owner[VMX_SLOT(fields[i])], ~0u);
        owner[VMX_SLOT(fields[i])] = fields[i];
    }
}

/* The region is the processor's while the VMCS is active, and no region may lie in freed memory. */
static void regions(void **state)
{
    struct world *w = world_create(SIM_VMX);
    struct call clear = { .cpu = w->cpu, .insn = VMCLEAR, .a = AT_VMCS }, load = { .cpu = w->cpu, .insn = VMPTRLD, .a = AT_VMCS };
    u64 *const word = sim_phys(w->s, AT_VMCS + 0x800, 8);
    assert_null(sim_unit_expect_panic(w->s, do_call, &clear));
    *word = 5;   /* nobody's: allowed */
    assert_null(sim_unit_expect_panic(w->s, do_call, &load));
    assert_null(sim_unit_expect_panic(w->s, do_call, &load));
    *word = 6;
    const char *message = sim_unit_expect_panic(w->s, do_call, &clear);
    assert_non_null(message);
    assert_non_null(strstr(message, "written by software"));
    *word = 5;
    assert_null(sim_unit_expect_panic(w->s, do_call, &clear));
    mach_mem_state(sim_phys(w->s, AT_VMCS, PAGE_SIZE), PAGE_SIZE, MEM_FREE);
    message = sim_unit_expect_panic(w->s, do_call, &load);
    assert_non_null(message);
    assert_non_null(strstr(message, "freed"));
    mach_mem_state(sim_phys(w->s, AT_VMCS, PAGE_SIZE), PAGE_SIZE, MEM_LIVE);
    world_destroy(w);
}

static void reset(void **state)
{
    struct world *w = world_create(SIM_VMX);
    struct mach_cpuid r = { 0 };
    assert_true(sim_vmx.vmclear(w->cpu, AT_VMCS));
    sim_vmx.cpu_reset(w->cpu);
    assert_false(vmx_of(w->cpu)->on);
    const u64 bad[] = { AT_VMXON + 8, bit(40) | AT_VMXON, 0x30000000, AT_APIC_PAGE };   /* the last has no revision */
    for (size_t i = 0; i < array_size(bad); i++) {
        assert_false(sim_vmx.vmxon(w->cpu, bad[i]));
        assert_false(vmx_of(w->cpu)->on);
    }
    assert_true(sim_vmx.vmxon(w->cpu, AT_VMXON));
    sim_vmx.cpu_reset(w->cpu);
    assert_false(vmx_of(w->cpu)->on);
    sim_vmx.cpuid(w->cpu, 1, 0, &r);
    assert_int_equal(r.ecx, CPUID_1_ECX_VMX);
    sim_vmx.cpuid(w->cpu, 7, 0, &r);
    assert_int_equal(r.ebx, 0);
    world_destroy(w);
}

static void msrs(void **state)
{
    struct world *w = world_create(SIM_VMX);
    struct sim_cpu *cpu = &w->s->cpu[1];
    u64 value = 0;
    assert_int_equal(sim_vmx.msr_read(cpu, MSR_VMX_BASIC, &value), MSR_DONE);
    assert_int_equal(VMX_BASIC_REVISION(value), REVISION);
    assert_int_equal(sim_vmx.msr_write(cpu, MSR_VMX_BASIC, 0), MSR_GP);
    assert_int_equal(sim_vmx.msr_read(cpu, MSR_VMX_PROC3, &value), MSR_GP);
    assert_int_equal(sim_vmx.msr_read(cpu, MSR_VMX_VMFUNC, &value), MSR_GP);
    assert_int_equal(sim_vmx.msr_read(cpu, 0x500, &value), MSR_NOT_MINE);
    assert_int_equal(sim_vmx.msr_read(cpu, MSR_VMX_MISC, &value), MSR_DONE);
    assert_int_equal(value, 0x401e5);   /* CR3 targets 4; HLT, shutdown, wait-for-SIPI; LMA saved; timer rate 5 */
    assert_int_equal(sim_vmx.msr_read(cpu, MSR_VMX_EPT_VPID, &value), MSR_DONE);
    assert_int_equal(value, 0xf0106334141);
    assert_int_equal(sim_vmx.msr_write(cpu, MSR_FEATURE_CONTROL, 2), MSR_GP);
    assert_int_equal(sim_vmx.msr_write(cpu, MSR_FEATURE_CONTROL, FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK), MSR_DONE);
    assert_int_equal(sim_vmx.msr_write(cpu, MSR_FEATURE_CONTROL, FEATURE_CONTROL_VMX), MSR_GP);
    assert_int_equal(sim_vmx.msr_read(cpu, MSR_FEATURE_CONTROL, &value), MSR_DONE);
    assert_int_equal(value, FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK);
    assert_null(sim_vmx.cr_write(w->cpu, 4, w->cpu->cr4));
    assert_non_null(sim_vmx.cr_write(w->cpu, 4, w->cpu->cr4 & ~CR4_VMXE));
    assert_non_null(sim_vmx.cr_write(w->cpu, 0, w->cpu->cr0 & ~CR0_PG));
    world_destroy(w);
}

TEST_GROUP(sim_vmx, cmocka_unit_test(errors), cmocka_unit_test(fail_invalid), cmocka_unit_test(findings), cmocka_unit_test(two_cpus),
           cmocka_unit_test(launch_state), cmocka_unit_test(widths), cmocka_unit_test(slots),
           cmocka_unit_test(regions), cmocka_unit_test(reset), cmocka_unit_test(msrs));
