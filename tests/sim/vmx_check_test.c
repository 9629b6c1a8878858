/* SPDX-License-Identifier: BSD-2-Clause */
/* Does each broken rule of VM entry stop the entry, in the way the manual says, and is it named by its id? Every case first enters its good state,
 * then the same state with one change. The last test counts which rows of the list of checks the cases reach. */
#include <string.h>
#include "unit.h"
#include "vmx_cases.h"

static struct vmx_profile private_profile;

static void apply_one(struct world *w, const struct check_op *op)
{
    u64 *at;
    if (op->field & F_RAM)
        at = sim_phys(w->s, op->field & ~F_RAM, 8);
    else if (op->field == F_CPU_EFER)
        at = &w->cpu->efer;
    else if (op->field == F_APIC_BASE)
        at = &w->cpu->apic.base;
    else if (op->field > 0xd000 && op->field < 0xe000)
        at = &private_profile.caps[(op->field - 0xd001) / 2];
    else
        at = &w->vmcs->field[VMX_SLOT(op->field)];
    *at = op->how == SET ? op->value : op->how == OR ? *at | op->value : *at & ~op->value;
}

static void apply(struct world *w, const struct check_op *ops)
{
    for (u32 i = 0; i < OPS_MAX && ops[i].how; i++)
        apply_one(w, &ops[i]);
}

static void prepare(struct world *w, const struct check_case *c)
{
    w->cpu->apic.base &= ~bit(10);
    world_good(w, c->base);
    private_profile = vmx_wide;
    vmx_of(w->cpu)->machine->profile = c->profile == HASWELL ? &vmx_haswell : c->profile == WIDE ? &vmx_wide : &private_profile;
    world_event(w, &(struct engine_event){ .kind = EVENT_CPUID });
    apply(w, c->need);
}

/* Both directions of one case; true: as expected. */
static bool enters(struct world *w, const struct check_case *c)
{
    world_enter(w);
    if (sim_virt_last_check(w->cpu))
        return false;
    if (c->profile != HASWELL)
        return w->finding && strstr(w->finding, "runs no guests");
    return !w->finding && w->trap == TRAP(TRAP_GUEST_EXIT, 0) && world_reason(w) == VMX_REASON_CPUID;
}

static bool good_enters(struct world *w, const struct check_case *c)
{
    prepare(w, c);
    return enters(w, c);
}

static bool refused_as_told(struct world *w, const struct check_case *c)
{
    const bool controls = c->letter == 'C' || c->letter == 'X' || c->letter == 'N', host = c->letter == 'H';
    if (w->finding || sim_virt_last_check(w->cpu) != VCPU_CHECK(c->letter, c->number))
        return false;
    if (controls || host)
        return w->trap == TRAP(TRAP_GUEST_FAILED, 0) && w->info == 2 &&
               world_field(w, VMCS_INSN_ERROR) == (host ? VMX_ERROR_HOST : VMX_ERROR_CONTROLS);
    const u32 reason = c->letter == 'M' ? VMX_REASON_FAIL_MSR : VMX_REASON_FAIL_STATE;
    return w->trap == TRAP(TRAP_GUEST_EXIT, 0) && world_reason(w) == (reason | VMX_REASON_FAILED) &&
           world_field(w, VMCS_EXIT_QUALIFICATION) == c->qualification && !w->vmcs->launched;
}

static void run_cases(const struct check_case *cases, size_t count)
{
    struct world *w = world_create(SIM_VMX);
    u32 wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const struct check_case *c = &cases[i];
        if (!good_enters(w, c)) {
            const u32 id = sim_virt_last_check(w->cpu);
            print_error("case %zu, %c%02u: its good state: check %c%02u, %s\n", i, c->letter, c->number, id ? id >> 8 : '-', id & 0xff,
                        w->finding ? w->finding : "no finding");
            wrong++;
        }
        prepare(w, c);
        apply(w, c->broken);
        world_enter(w);
        if (!refused_as_told(w, c)) {
            const u32 id = sim_virt_last_check(w->cpu);
            print_error("case %zu, %c%02u: broken: check %c%02u, reason %x, %s\n", i, c->letter, c->number, id ? id >> 8 : '-', id & 0xff,
                        world_reason(w), w->finding ? w->finding : "no finding");
            wrong++;
        }
    }
    world_destroy(w);
    assert_int_equal(wrong, 0);
}

static void controls(void **state)
{
    run_cases(vmx_cases_controls, vmx_cases_controls_count);
}

static void host(void **state)
{
    run_cases(vmx_cases_host, vmx_cases_host_count);
}

static void guest(void **state)
{
    run_cases(vmx_cases_guest, vmx_cases_guest_count);
}

static void segments(void **state)
{
    run_cases(vmx_cases_segments, vmx_cases_segments_count);
}

static void non_register(void **state)
{
    run_cases(vmx_cases_state, vmx_cases_state_count);
}

static void not_too_strict(void **state)
{
    struct world *w = world_create(SIM_VMX);
    u32 wrong = 0;
    for (size_t i = 0; i < vmx_cases_good_count; i++) {
        const struct check_case *c = &vmx_cases_good[i];
        prepare(w, c);
        apply(w, c->broken);
        if (enters(w, c))
            continue;
        const u32 id = sim_virt_last_check(w->cpu);
        print_error("good state %zu: check %c%02u, %s\n", i, id ? id >> 8 : '-', id & 0xff, w->finding ? w->finding : "no finding");
        wrong++;
    }
    world_destroy(w);
    assert_int_equal(wrong, 0);
}

/* P: the instruction itself. */
static void instruction(void **state)
{
    static const struct {
        u8 number, info;
        u32 error;
    } rows[] = { { 4, 1, 0 }, { 5, 1, 0 }, { 6, 2, VMX_ERROR_MOV_SS }, { 7, 2, VMX_ERROR_LAUNCH_NOT_CLEAR },
                 { 8, 2, VMX_ERROR_RESUME_NOT_LAUNCHED } };
    struct world *w = world_create(SIM_VMX);
    struct vmx_cpu *c = vmx_of(w->cpu);
    c->vmfails = true;
    for (size_t i = 0; i < array_size(rows); i++) {
        world_good(w, BASE_LONG);
        world_event(w, &(struct engine_event){ .kind = EVENT_CPUID });
        world_enter(w);
        assert_int_equal(sim_virt_last_check(w->cpu), 0);
        world_good(w, BASE_LONG);
        w->resume = (struct resume){ .kind = RESUME_GUEST_VMX, .guest = rows[i].number == 8 };
        w->vmcs->launched = rows[i].number == 7;
        c->mov_ss = rows[i].number == 6;
        c->current = rows[i].number == 4 ? NULL : w->vmcs;
        if (rows[i].number == 5)
            *(u32 *)sim_phys(w->s, AT_VMCS, 4) |= 1u << 31;
        w->trap = sim_vmx.enter(w->cpu, &w->resume, &w->info);
        assert_int_equal(sim_virt_last_check(w->cpu), VCPU_CHECK('P', rows[i].number));
        assert_int_equal(w->trap, TRAP(TRAP_GUEST_FAILED, 0));
        assert_int_equal(w->info, rows[i].info);
        if (rows[i].error)
            assert_int_equal(world_field(w, VMCS_INSN_ERROR), rows[i].error);
    }
    world_good(w, BASE_LONG);
    c->on = false;
    world_enter(w);
    assert_non_null(w->finding);
    assert_int_equal(sim_virt_last_check(w->cpu), VCPU_CHECK('P', 1));
    world_destroy(w);
}

/* The list of checks: per letter one digit per row, how many separate conditions it has. */
static const struct {
    char letter;
    const char *rows;
} list[] = {
    { 'P', "11111111" },
    { 'C', "11111111" "2" "1111" "3" "11111111" "2" "111111111111111" "2" "1111" },
    { 'X', "11111111" },
    { 'N', "11111111111111" },
    { 'H', "22112" "11124" "17215" "21222" },
    { 'G', "21211" "11111" "21112" "24112" "2" },
    { 'S', "11166" "64411" "44632" "46616" "6522" },
    { 'R', "1111111" },
    { 'A', "11111" "11111" "11111" "11211" "11112" },
    { 'M', "1121211" },
};

/* Rows that nothing here can reach, and why. */
static const struct {
    char letter;
    u8 number;
    const char *why;
} missing[] = {
    { 'P', 2, "the machine enters guests at CPL 0 only" },
    { 'C', 43, "no profile has HLAT, PASID translation or tertiary address fields" },
    { 'N', 14, "N13 fires first outside SMM, and there is no SMM" },
    { 'H', 20, "no profile has FRED or loads SPEC_CTRL" },
    { 'G', 19, "no profile has user interrupts" },
    { 'G', 20, "no profile loads RTIT_CTL with a meaning, or LBR_CTL" },
    { 'G', 21, "no profile has FRED" },
    { 'A', 7, "no SMM" },
    { 'A', 14, "no SMM" },
    { 'A', 24, "no SMM" },
};

static bool is_missing(char letter, u32 number)
{
    for (size_t i = 0; i < array_size(missing); i++)
        if (missing[i].letter == letter && missing[i].number == number)
            return true;
    return false;
}

static const struct {
    const struct check_case *cases;
    const size_t *count;
} tables[] = {
    { vmx_cases_controls, &vmx_cases_controls_count }, { vmx_cases_host, &vmx_cases_host_count },
    { vmx_cases_guest, &vmx_cases_guest_count },       { vmx_cases_segments, &vmx_cases_segments_count },
    { vmx_cases_state, &vmx_cases_state_count },
};

static u32 cases_of(char letter, u32 number)
{
    u32 n = letter == 'P' && number != 2;   /* `instruction` above; P03 is an exit: virt_event_test.c */
    for (size_t t = 0; t < array_size(tables); t++)
        for (size_t i = 0; i < *tables[t].count; i++)
            n += tables[t].cases[i].letter == letter && tables[t].cases[i].number == number;
    return n;
}

/* A case on the profile that runs guests: a program can meet this check. */
static bool is_probed(char letter, u32 number)
{
    bool found = letter == 'P';
    for (size_t t = 0; t < array_size(tables); t++)
        for (size_t i = 0; i < *tables[t].count; i++)
            found = found || (tables[t].cases[i].letter == letter && tables[t].cases[i].number == number && tables[t].cases[i].profile == HASWELL);
    return found;
}

/* What is claimed is probed: a row without a case must be listed as missing, and the other way round. Every row has its words. */
static void score(void **state)
{
    u32 total = 0, reached = 0, probed = 0, atoms = 0, atoms_total = 0, cases = 0;
    for (size_t l = 0; l < array_size(list); l++) {
        u32 r = 1;
        for (; list[l].rows[r - 1]; r++) {
            const u32 n = cases_of(list[l].letter, r), all = (u32)(list[l].rows[r - 1] - '0');
            assert_int_equal(n != 0, !is_missing(list[l].letter, r));
            assert_non_null(sim_virt_check_text(VCPU_CHECK(list[l].letter, r)));
            total++;
            reached += n != 0;
            probed += n && is_probed(list[l].letter, r);
            cases += n;
            atoms += min(n, all);
            atoms_total += all;
        }
        assert_null(sim_virt_check_text(VCPU_CHECK(list[l].letter, r)));
    }
    assert_int_equal(total, 177);
    assert_int_equal(atoms_total, 282);
    assert_int_equal(reached, 177 - array_size(missing));
    print_message("VMX entry checks: %u/%u rows: %u probed, %u model-only, %zu unreachable; %u/%u separate conditions; %u cases\n", reached,
                  total, probed, reached - probed, array_size(missing), atoms, atoms_total, cases);
}

TEST_GROUP(sim_vmx_check, cmocka_unit_test(controls), cmocka_unit_test(host), cmocka_unit_test(guest), cmocka_unit_test(segments),
           cmocka_unit_test(non_register), cmocka_unit_test(not_too_strict),
           cmocka_unit_test(instruction), cmocka_unit_test(score));
