/* SPDX-License-Identifier: BSD-2-Clause */
/* Do entries live exactly as long as their tag says, and is a tag that is used again with stale entries found? EPTP, VPID and ASID (Intel SDM 3C
 * 29.4, AMD APM 2 15.16); then the same through VM entries and the instructions themselves. */
#include "translation.h"
#include "virt_fixture.h"

#define GUEST  0x9000ul    /* a VMCS or VMCB */
#define GUEST2 0xa000ul

static struct walk_root ept(u32 set)
{
    return (struct walk_root){ .kind = WALK_EPT, .tag = TABLE(set, 3), .root = TABLE(set, 3) | EPTP };
}

static struct walk_root npt(u32 set, u32 asid)
{
    return (struct walk_root){ .kind = WALK_NPT, .tag = asid, .root = TABLE(set, 3), .nxe = true };
}

static void enter(struct walk_root root, u32 vpid, u64 owner)
{
    translations_enter(sim_this(), &root, vpid, owner);
}

static void leave(u32 vpid)
{
    translations_leave(sim_this(), vpid);
}

struct entering {
    struct walk_root root;
    u32 vpid;
    u64 owner;
};

static void enter_it(void *arg)
{
    const struct entering *e = arg;
    enter(e->root, e->vpid, e->owner);
}

static const char *entering(struct walk_root root, u32 vpid, u64 owner)
{
    struct entering e = { root, vpid, owner };
    return sim_unit_expect_panic(sim_here, enter_it, &e) ?: "fine";
}

static void leave_it(void *arg)
{
    leave(*(u32 *)arg);
}

static enum sim_nested_result nested(struct walk_root root, u64 gpa)
{
    const struct sim_nested n = { .format = root.kind == WALK_EPT ? SIM_EPT : SIM_NPT, .root = root.root, .tag = (u32)root.tag, .nxe = true };
    return sim_nested_translate(sim_this(), &n, gpa, RIGHT_R, false, &out, &nested_fault);
}

/* ---- EPT ---- */

static void only_invept_drops_guest_physical_entries(void **state)
{
    struct sim *s = *state;
    struct sim_cpu *cpu = sim_this();
    map_set(1, RIGHT_MEMORY, OTHER | EPT);
    enter(ept(1), 5, GUEST);
    poke(entry(1, 0, VA), 0);
    FINDS(s, OTHER, "[TLB-FREED] freed 0x301000: CPU 0 may still translate 0x123456789000 to it; an INVEPT is missing");
    sim_tlb_flush_vpid(cpu, true, 0);
    sim_tlb_flush_engine(cpu);                        /* what the guest's own INVLPG and CR3 loads do */
    FINDS(s, OTHER, "[TLB-FREED]");
    assert_int_equal(nested(ept(1), VA), SIM_NESTED_VIOLATION);
    asker.answer = 1;
    assert_int_equal(nested(ept(1), VA), SIM_NESTED_VIOLATION);   /* dropped by the first one */
    asker.answer = 0;
    FINDS(s, OTHER, "[TLB-FREED]");                   /* another linear address may lead there still */
    sim_tlb_flush_ept(cpu, false, TABLE(0, 3));       /* another EPTP */
    FINDS(s, OTHER, "[TLB-FREED]");
    sim_tlb_flush_ept(cpu, false, TABLE(1, 3) | 0x46);   /* low bits are no part of the tag */
    assert_null(free_page(s, OTHER));
}

static void a_missing_right_faults_once(void **state)
{
    map_set(1, RIGHT_MEMORY, OTHER | (EPT & ~(u64)RIGHT_R) | RIGHT_X);
    poke(entry(1, 0, VA), OTHER | RIGHT_X);
    enter(ept(1), 5, GUEST);
    poke(entry(1, 0, VA), OTHER | EPT);
    asker.answer = 1;
    assert_int_equal(nested(ept(1), VA), SIM_NESTED_VIOLATION);
    assert_int_equal(nested_fault.present, RIGHT_X);
    assert_int_equal(nested(ept(1), VA), SIM_NESTED_OK);
}

static void a_lazy_flush_before_the_next_load_is_legal(void **state)
{
    struct sim *s = *state;
    for (u32 flushed = 0; flushed < 2; flushed++) {
        map_set(1, RIGHT_MEMORY, OTHER | EPT);
        enter(ept(1), 5, GUEST);
        leave(5);
        poke(entry(1, 0, VA), 0);
        assert_null(free_page(s, OTHER));             /* nobody walks there now */
        if (flushed)
            sim_tlb_flush_ept(sim_this(), true, 0);
        const char *found = entering(ept(1), 5, GUEST);
        assert_true(flushed ? !strcmp(found, "fine") : !!strstr(found, "[TLB-TAG] CPU 0 loads EPTP 0x204000, which may still translate to"));
        leave(5);
        sim_tlb_flush_ept(sim_this(), true, 0);
    }
}

static void a_table_that_went_while_the_tag_was_away(void **state)
{
    struct sim *s = *state;
    map_set(1, RIGHT_MEMORY, OTHER | EPT);
    enter(ept(1), 5, GUEST);
    leave(5);
    poke(entry(1, 1, VA), 0);
    assert_null(free_page(s, TABLE(1, 0)));
    assert_non_null(strstr(entering(ept(1), 5, GUEST), "which may still walk through 0x"));
}

/* The frame came back to the same place after a flush: what leads there now was made after the free. */
static void memory_that_was_allocated_again(void **state)
{
    struct sim *s = *state;
    map_set(1, RIGHT_MEMORY, OTHER | EPT);
    enter(ept(1), 5, GUEST);
    leave(5);
    poke(entry(1, 0, VA), 0);
    sim_tlb_flush_ept(sim_this(), true, 0);
    assert_null(free_page(s, OTHER));
    poke(entry(1, 0, VA), OTHER | EPT);
    assert_string_equal(entering(ept(1), 5, GUEST), "fine");
}

/* In a guest the CPU does not walk the host's tables; what it keeps of them is judged when it is back. Without VPID nothing is kept. */
static void host_entries_while_a_guest_runs(void **state)
{
    struct sim *s = *state;
    for (u32 vpid = 0; vpid < 6; vpid += 5) {
        map_set(0, HOST, FRAME | HOST);
        enter(ept(1), vpid, GUEST);
        poke(entry(0, 0, VA), 0);
        assert_null(free_page(s, FRAME));
        FINDS(s, TABLE(0, 3), "[TLB-ROOT]");          /* CR3 will be loaded again */
        FINDS(s, TABLE(1, 3), "[TLB-ROOT]");
        const char *found = sim_unit_expect_panic(s, leave_it, &vpid);
        assert_true(vpid ? found && strstr(found, "[TLB-TAG] CPU 0 loads PCID 0x0") : !found);
    }
}

static void global_host_entries_go_with_vpid_0(void **state)
{
    mach_cr4_write(mach_cr4_read() | CR4_PGE);
    for (u32 vpid = 0; vpid < 6; vpid += 5) {
        poke(entry(0, 0, VA), FRAME | HOST | PTE_G);
        enter(ept(1), vpid, GUEST);
        leave(vpid);
        poke(entry(0, 0, VA), 0);
        mach_cr3_write(TABLE(0, 3));
        assert_true(may_read(FRAME));
        enter(ept(1), vpid, GUEST);
        leave(vpid);
        assert_int_equal(may_read(FRAME), vpid != 0);
    }
}

static void a_vpid_belongs_to_one_guest(void **state)
{
    struct sim_cpu *cpu = sim_this();
    enter(ept(1), 5, GUEST);
    leave(5);
    enter(ept(1), 5, GUEST);
    leave(5);
    assert_string_equal(entering(ept(1), 6, GUEST2), "fine");
    leave(6);
    assert_string_equal(entering(ept(0), 5, GUEST2), "fine");        /* combined entries are tagged by EPTP too */
    leave(5);
    sim_tlb_flush_vpid(cpu, false, 6);
    assert_non_null(strstr(entering(ept(1), 5, GUEST2), "[TLB-TAG] CPU 0 enters the guest at 0xa000 under VPID 0x5"));
    sim_tlb_flush_vpid(cpu, false, 5);
    assert_string_equal(entering(ept(1), 5, GUEST2), "fine");
    leave(5);
    sim_tlb_flush_ept(cpu, false, TABLE(1, 3));                      /* drops combined ones of that EPTP */
    assert_string_equal(entering(ept(1), 5, GUEST), "fine");
    leave(5);
    sim_tlb_flush_vpid(cpu, true, 0);
    assert_string_equal(entering(ept(1), 5, GUEST2), "fine");
    leave(5);
    assert_string_equal(entering(ept(1), 0, GUEST), "fine");         /* no VPID: nothing is kept */
    leave(0);
    assert_string_equal(entering(ept(1), 0, GUEST2), "fine");
}

/* What stood in a table only while the tag was away was never read, whoever put it there. */
static void what_others_did_while_the_tag_was_away(void **state)
{
    u64 *counter = mach_phys_to_virt(THIRD);
    poke(entry(0, 0, VA), FRAME | PTE_P | PTE_U);
    mach_cr3_write(TABLE(0, 3));
    enter(ept(1), 5, GUEST);
    sim_unit_cpu(*state, 1);
    mach_cr3_write(TABLE(0, 3));
    asker.answer = 0;
    assert_true(read_as_user());                                     /* this walker sets A */
    poke(entry(0, 0, VA), 0);
    sim_unit_cpu(*state, 0);
    poke(entry(3, 0, VA), THIRD | HOST);
    poke(entry(0, 1, VA), TABLE(3, 0) | HOST);
    poke(entry(0, 1, VA), TABLE(0, 0) | HOST);
    leave(5);
    assert_int_equal(stale_count(), 0);
    /* Nor what stood there for longer than is remembered. */
    poke(entry(0, 0, VA), FRAME | HOST);
    mach_cr3_write(TABLE(0, 3));
    enter(ept(1), 5, GUEST);
    poke(entry(0, 0, VA), OTHER | HOST);
    for (u64 i = 1; i <= 20000; i++)
        poke(counter, i << 3);
    poke(entry(0, 0, VA), THIRD | HOST);
    leave(5);
    assert_int_equal(stale_count(), 0);
}

/* ---- NPT ---- */

static void only_a_flush_at_vmrun_or_a_fresh_asid_drops_nested_changes(void **state)
{
    struct sim *s = *state;
    struct sim_cpu *cpu = sim_this();
    map_set(1, HOST, OTHER | HOST);
    enter(npt(1, 3), 0, GUEST);
    leave(0);
    poke(entry(1, 0, VA), 0);
    cpu->efer |= EFER_SVME;
    sim_svm.invlpga(cpu, VA, 3);                      /* one linear address, of many that may lead there */
    enter(npt(1, 3), 0, GUEST);
    FINDS(s, OTHER, "TLB_CONTROL at a VMRUN or a fresh ASID is missing");
    asker.answer = 1;
    assert_int_equal(nested(npt(1, 3), VA), SIM_NESTED_OK);
    leave(0);
    enter(npt(1, 4), 0, GUEST);                       /* fresh on this CPU */
    assert_int_equal(nested(npt(1, 4), VA), SIM_NESTED_VIOLATION);
    assert_null(free_page(s, OTHER));
    leave(0);
    sim_tlb_flush_npt(cpu, false, 4);
    assert_non_null(strstr(entering(npt(1, 3), 0, GUEST), "[TLB-TAG] CPU 0 loads ASID 0x3"));
}

static void an_asid_belongs_to_one_guest(void **state)
{
    enter(npt(1, 3), 0, GUEST);
    leave(0);
    assert_non_null(strstr(entering(npt(1, 3), 0, GUEST2), "under ASID 0x3, which may hold translations of the one at 0x9000"));
    assert_non_null(strstr(entering(npt(0, 3), 0, GUEST), "[TLB-TAG]"));   /* or other tables */
    sim_tlb_flush_npt(sim_this(), true, 0);
    assert_string_equal(entering(npt(0, 3), 0, GUEST2), "fine");
}

/* Under one ASID: a table entry of the first root leads on, but its top-level words are not read under the second. */
static void a_root_is_read_only_while_it_is_loaded(void **state)
{
    map_set(1, HOST, OTHER | HOST);
    map_set(3, HOST, THIRD | HOST);
    assert_int_equal(nested(npt(1, 3), VA), SIM_NESTED_OK);
    assert_int_equal(nested(npt(2, 3), VA + bit(39)), SIM_NESTED_VIOLATION);
    poke(entry(1, 3, VA), TABLE(3, 2) | HOST);
    asker.answer = 1;
    assert_int_equal(nested(npt(2, 3), VA), SIM_NESTED_OK);
    assert_int_equal(out.phys, OTHER);
    assert_int_equal(asker.bound, 2);
    poke(entry(1, 0, VA), FRAME | HOST);
    assert_int_equal(nested(npt(2, 3), VA), SIM_NESTED_OK);
    assert_int_equal(asker.bound, 3);                 /* by the old way there */
}

/* TLB_CONTROL 1 is about all of the TLB: the host's global pages too. */
static void flush_all_is_for_the_host_too(void **state)
{
    mach_cr4_write(mach_cr4_read() | CR4_PGE);
    for (u32 all = 0; all < 2; all++) {
        poke(entry(0, 0, VA), FRAME | HOST | PTE_G);
        poke(entry(0, 0, VA), 0);
        sim_tlb_flush_npt(sim_this(), all, 3);
        assert_int_equal(may_read(FRAME), !all);
    }
}

/* What was freed behind the mark is not held against a tag that is loaded after a rollback. */
static void frees_are_rolled_back(void **state)
{
    struct sim *s = *state;
    map_set(1, RIGHT_MEMORY, OTHER | EPT);
    enter(ept(1), 5, GUEST);
    leave(5);
    poke(entry(1, 0, VA), THIRD | EPT);
    translations_mark(s);
    assert_null(free_page(s, OTHER));
    translations_rollback(s);
    assert_string_equal(entering(ept(1), 5, GUEST), "fine");
    leave(5);
    assert_null(free_page(s, OTHER));
    translations_mark(s);
    translations_rollback(s);
    assert_non_null(strstr(entering(ept(1), 5, GUEST), "[TLB-TAG]"));
}

/* ---- Through the instructions ---- */

static void again(struct world *w)
{
    static const struct engine_event cpuid = { .kind = EVENT_CPUID };
    world_event(w, &cpuid);
    world_enter(w);
}

static void tlb_control(void **state)
{
    static const struct { u32 control; bool covers; } row[] = { { SVM_TLB_KEEP, false }, { SVM_TLB_ASID_LOCAL, false },
                                                                { SVM_TLB_ASID, true }, { SVM_TLB_ALL, true } };
    for (u32 i = 0; i < array_size(row); i++) {
        struct world *w = world_create(SIM_SVM);
        again(w);
        assert_null(w->finding);
        u64 *nested_leaf = sim_phys(w->s, AT_NESTED + 3 * PAGE_SIZE, 8);
        poke(nested_leaf, 0);
        assert_null(free_page(w->s, AT_GUEST));
        world_vmcb(w)->tlb_control = (u8)row[i].control;
        again(w);
        assert_int_equal(w->finding == NULL, row[i].covers);
        if (w->finding)
            assert_non_null(strstr(w->finding, "[TLB-TAG] CPU 0 loads ASID"));
        world_destroy(w);
    }
}

static void invept_and_invvpid(void **state)
{
    for (u32 i = 0; i < 3; i++) {
        struct world *w = world_create(SIM_VMX);
        again(w);
        assert_null(w->finding);
        poke(sim_phys(w->s, AT_NESTED + 3 * PAGE_SIZE, 8), 0);
        assert_null(free_page(w->s, AT_GUEST));
        if (i)
            assert_true(i == 1 ? sim_vmx.invvpid(w->cpu, INVVPID_ALL, 0, 0) : sim_vmx.invept(w->cpu, INVEPT_SINGLE, world_field(w, VMCS_EPTP)));
        again(w);
        assert_int_equal(w->finding == NULL, i == 2);
        if (w->finding)
            assert_non_null(strstr(w->finding, "[TLB-TAG] CPU 0 loads EPTP"));
        world_destroy(w);
    }
}

static void which_invvpid_frees_a_vpid(void **state)
{
    for (u64 type = INVVPID_ADDRESS; type <= INVVPID_ALL + 1; type++) {
        struct world *w = world_create(SIM_VMX);
        enter(ept(1), 5, GUEST);
        leave(5);
        assert_true(sim_vmx.invvpid(w->cpu, type, 5, VA));
        const bool fine = !strcmp(entering(ept(1), 5, GUEST2), "fine");
        assert_int_equal(fine, type == INVVPID_SINGLE || type == INVVPID_ALL);
        world_destroy(w);
    }
}

TEST_GROUP(sim_translation_tag, CASE(only_invept_drops_guest_physical_entries), CASE(a_missing_right_faults_once),
           CASE(a_lazy_flush_before_the_next_load_is_legal), CASE(a_table_that_went_while_the_tag_was_away), CASE(memory_that_was_allocated_again),
           CASE(host_entries_while_a_guest_runs), CASE(global_host_entries_go_with_vpid_0), CASE(a_vpid_belongs_to_one_guest),
           CASE_SVM(only_a_flush_at_vmrun_or_a_fresh_asid_drops_nested_changes), CASE_SVM(an_asid_belongs_to_one_guest),
           CASE_SVM(flush_all_is_for_the_host_too), CASE(frees_are_rolled_back),
           cmocka_unit_test(tlb_control), cmocka_unit_test(invept_and_invvpid),
           CASE(what_others_did_while_the_tag_was_away), CASE_SVM(a_root_is_read_only_while_it_is_loaded),
           cmocka_unit_test(which_invvpid_frees_a_vpid));
