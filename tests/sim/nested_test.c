/* SPDX-License-Identifier: BSD-2-Clause */
/* Do nested walks grant what EPT and NPT grant, and do stale results live exactly as long as their tag says? One table of cases, both formats. */
#include <string.h>
#include "unit.h"
#include "arch/x86.h"
#include "atomic.h"
#include "machine.h"
#include "machine_model.h"
#include "translations.h"
#include "virt_model.h"

#define RAM   (16ul << 20)
#define ROOT  0x200000ul
#define FRAME 0x300000ul
#define GPA   0x0000001234567000ul
#define EPT_D 0x200ul
#define EPT_A 0x100ul

static struct sim_nested n;
static struct sim_translation out;
static struct sim_nested_fault fault;

static u64 *slot(u32 level)
{
    return (u64 *)mach_phys_to_virt(ROOT + (3 - level) * PAGE_SIZE) + (GPA >> (12 + 9 * level) & 511);
}

static void poke(u32 level, u64 value)
{
    translations_wrote(sim_here, slot(level), *slot(level), value);
    *slot(level) = value;
}

/* A word of either format. */
static u64 make(u64 phys, u32 rights)
{
    if (n.format == SIM_EPT)
        return phys | rights;
    return phys | (rights & RIGHT_R ? PTE_P | PTE_U : 0) | (rights & RIGHT_W ? PTE_W : 0) | (rights & RIGHT_X ? 0 : PTE_NX);
}

static u64 large(void)
{
    return 0x80;   /* the same bit in both */
}

static void build(struct sim *s, enum sim_nested_format format)
{
    n = (struct sim_nested){ .format = format, .root = ROOT | (format == SIM_EPT ? 0x5e : 0), .tag = 7, .nxe = true };
    for (u32 level = 3; level > 0; level--)
        poke(level, make(ROOT + (4 - level) * PAGE_SIZE, RIGHT_MEMORY));
    poke(0, make(FRAME, RIGHT_MEMORY) | (format == SIM_EPT ? 0x30 : 0));
}

static int setup_ept(void **state)
{
    *state = sim_unit(2, RAM, SIM_VMX);
    build(*state, SIM_EPT);
    return 0;
}

static int setup_npt(void **state)
{
    *state = sim_unit(2, RAM, SIM_SVM);
    build(*state, SIM_NPT);
    return 0;
}

static int teardown(void **state)
{
    sim_destroy(*state);
    return 0;
}

static enum sim_nested_result go(u32 access)
{
    return sim_nested_translate(sim_this(), &n, GPA + 0x45, access, false, &out, &fault);
}

static void rights_are_the_intersection(void **state)
{
    for (u32 i = 0; i < 64; i++) {
        const u32 upper = i & 7, lower = i >> 3;
        if (!(upper & RIGHT_R) || !(lower & RIGHT_R))
            continue;   /* NPT cannot say so; EPT's execute-only has its own case */
        poke(1, make(ROOT + 3 * PAGE_SIZE, upper));
        poke(0, make(FRAME, lower));
        for (u32 access = 1; access < 8; access++) {
            const bool want = !(access & ~(upper & lower));
            assert_int_equal(go(access), want ? SIM_NESTED_OK : SIM_NESTED_VIOLATION);
            if (want)
                assert_int_equal(out.phys, FRAME + 0x45);
            else if (n.format == SIM_EPT)
                assert_int_equal(fault.present, upper & lower);
            else
                assert_int_equal(fault.error, PF_PRESENT | PF_USER | (access & RIGHT_W ? PF_WRITE : 0) | (access & RIGHT_X ? PF_FETCH : 0));
        }
    }
}

static void not_present_is_a_violation(void **state)
{
    for (u32 level = 0; level < 4; level++) {
        const u64 before = *slot(level);
        poke(level, 0);
        assert_int_equal(go(RIGHT_R), SIM_NESTED_VIOLATION);
        assert_int_equal(fault.present, 0);
        assert_int_equal(fault.error, PF_USER);
        poke(level, before);
    }
    assert_int_equal(sim_nested_translate(sim_this(), &n, bit(48), RIGHT_R, false, &out, &fault), SIM_NESTED_VIOLATION);
}

static void large_leaves(void **state)
{
    poke(1, make(0x400000, RIGHT_MEMORY) | large());
    assert_int_equal(go(RIGHT_R), SIM_NESTED_OK);
    assert_int_equal(out.phys, 0x400000 + ((GPA + 0x45) & 0x1fffff));
    assert_int_equal(out.level, 1);
    poke(2, make(0, RIGHT_MEMORY) | large());
    assert_int_equal(go(RIGHT_R), SIM_NESTED_OK);
    assert_int_equal(out.phys, (GPA + 0x45) & 0x3fffffff);
}

static void reserved_bits(void **state)
{
    const struct { u32 level; u64 set; } row[] = { { 0, bit(SIM_PHYS_BITS) }, { 2, bit(50) }, { 3, large() }, { 1, large() | bit(20) } };
    for (u32 i = 0; i < array_size(row); i++) {
        const u64 before = *slot(row[i].level);
        poke(row[i].level, *slot(row[i].level) | row[i].set);
        assert_int_equal(go(RIGHT_R), SIM_NESTED_MISCONFIG);
        poke(row[i].level, before);
        assert_int_equal(go(RIGHT_R), SIM_NESTED_OK);
    }
}

static void ept_misconfigurations(void **state)
{
    poke(0, FRAME | RIGHT_W);
    assert_int_equal(go(RIGHT_R), SIM_NESTED_MISCONFIG);
    poke(0, FRAME | RIGHT_W | RIGHT_X);
    assert_int_equal(go(RIGHT_R), SIM_NESTED_MISCONFIG);
    static const u32 bad_types[] = { 2, 3, 7 };
    for (u32 i = 0; i < array_size(bad_types); i++) {
        poke(0, FRAME | RIGHT_MEMORY | bad_types[i] << 3);
        assert_int_equal(go(RIGHT_R), SIM_NESTED_MISCONFIG);
    }
    poke(0, FRAME | RIGHT_X);   /* execute-only is legal */
    assert_int_equal(go(RIGHT_X), SIM_NESTED_OK);
    assert_int_equal(go(RIGHT_R), SIM_NESTED_VIOLATION);
    assert_int_equal(fault.present, RIGHT_X);
}

static void npt_accesses_are_user_accesses(void **state)
{
    for (u32 level = 0; level < 4; level++) {
        poke(level, *slot(level) & ~PTE_U);
        assert_int_equal(go(RIGHT_R), SIM_NESTED_VIOLATION);
        assert_int_equal(fault.error, PF_PRESENT | PF_USER);
        poke(level, *slot(level) | PTE_U);
    }
    assert_int_equal(go(RIGHT_R), SIM_NESTED_OK);
}

static void accessed_and_dirty(void **state)
{
    const u64 a = n.format == SIM_EPT ? EPT_A : PTE_A, d = n.format == SIM_EPT ? EPT_D : PTE_D;
    assert_int_equal(go(RIGHT_R), SIM_NESTED_OK);
    assert_int_equal(*slot(0) & (a | d), a);
    assert_true(*slot(3) & *slot(2) & *slot(1) & a);
    assert_false(out.rights & RIGHT_W);
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    assert_int_equal(*slot(0) & (a | d), a | d);
    assert_true(out.rights & RIGHT_W);
}

static void guest_table_walks_write(void **state)
{
    const u64 d = n.format == SIM_EPT ? EPT_D : PTE_D;
    assert_int_equal(sim_nested_translate(sim_this(), &n, GPA, RIGHT_R, true, &out, &fault), SIM_NESTED_OK);
    assert_true(*slot(0) & d);
    poke(0, make(FRAME, RIGHT_R | RIGHT_X));
    assert_int_equal(sim_nested_translate(sim_this(), &n, GPA, RIGHT_R, true, &out, &fault), SIM_NESTED_VIOLATION);
}

static void without_ad_nothing_is_written(void **state)
{
    n.root &= ~0x40ul;
    const u64 before = *slot(0);
    assert_int_equal(go(RIGHT_R), SIM_NESTED_OK);
    assert_true(out.rights & RIGHT_W);   /* no dirty bit to be set first */
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    assert_int_equal(*slot(0), before);
    assert_true(out.rights & RIGHT_W);
    assert_int_equal(sim_nested_translate(sim_this(), &n, GPA, RIGHT_R, true, &out, &fault), SIM_NESTED_OK);
}

static u32 stale_choose(struct chooser *self, u32 bound, enum choice_kind kind)
{
    return kind == CHOICE_TRANSLATION ? bound - 1 : 0;
}
static struct chooser stale = { stale_choose };

static void fill_then_unmap(struct sim *s)
{
    s->config.chooser = &stale;
    poke(0, make(FRAME, RIGHT_MEMORY));
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    poke(0, 0);
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);   /* stale, and that is legal */
}

static void ept_entries_belong_to_the_eptp(void **state)
{
    struct sim_cpu *cpu = sim_this();
    fill_then_unmap(*state);
    sim_tlb_flush_ept(cpu, false, 0x555000);        /* another one */
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    sim_tlb_flush_engine(cpu);                      /* INVVPID does not drop guest-physical translations */
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    mach_cr3_write(mach_boot_root());
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    sim_tlb_flush_ept(cpu, false, n.root);
    assert_int_equal(go(RIGHT_W), SIM_NESTED_VIOLATION);
    fill_then_unmap(*state);
    sim_tlb_flush_ept(cpu, true, 0);
    assert_int_equal(go(RIGHT_W), SIM_NESTED_VIOLATION);
}

static void npt_entries_belong_to_the_asid(void **state)
{
    struct sim_cpu *cpu = sim_this();
    fill_then_unmap(*state);
    n.tag = 8;
    assert_int_equal(go(RIGHT_W), SIM_NESTED_VIOLATION);
    n.tag = 7;
    n.root = ROOT + 8 * PAGE_SIZE;                  /* another nCR3, all empty, under the same ASID: still there */
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    sim_tlb_flush_npt(cpu, false, 8);
    assert_int_equal(go(RIGHT_W), SIM_NESTED_OK);
    sim_tlb_flush_npt(cpu, false, 7);
    assert_int_equal(go(RIGHT_W), SIM_NESTED_VIOLATION);
}

static void a_violation_drops_the_address(void **state)
{
    struct sim *s = *state;
    fill_then_unmap(s);
    s->config.chooser = NULL;                       /* a fresh walk, which finds nothing */
    assert_int_equal(go(RIGHT_R), SIM_NESTED_VIOLATION);
    s->config.chooser = &stale;
    assert_int_equal(go(RIGHT_R), SIM_NESTED_VIOLATION);
}

static void translate_it(void *arg)
{
    (void)go(RIGHT_R);
}

static void free_it(void *arg)
{
    mach_mem_state(mach_phys_to_virt(FRAME), PAGE_SIZE, MEM_FREE);
}

static void a_freed_frame_is_not_reached(void **state)
{
    fill_then_unmap(*state);
    assert_non_null(strstr(sim_unit_expect_panic(*state, free_it, NULL), "[TLB-FREED]"));
    if (n.format == SIM_EPT)
        sim_tlb_flush_ept(sim_this(), false, n.root);
    else
        sim_tlb_flush_npt(sim_this(), false, n.tag);
    assert_null(sim_unit_expect_panic(*state, free_it, NULL));
    poke(0, make(FRAME, RIGHT_MEMORY));
    assert_non_null(strstr(sim_unit_expect_panic(*state, translate_it, NULL), "freed kernel memory"));
}

#define EPT(f)  cmocka_unit_test_setup_teardown(f, setup_ept, teardown)
#define NPT(f)  cmocka_unit_test_setup_teardown(f, setup_npt, teardown)
#define BOTH(f) EPT(f), NPT(f)
TEST_GROUP(sim_nested, BOTH(rights_are_the_intersection), BOTH(not_present_is_a_violation), BOTH(large_leaves), BOTH(reserved_bits),
           EPT(ept_misconfigurations), NPT(npt_accesses_are_user_accesses), BOTH(accessed_and_dirty), BOTH(guest_table_walks_write), EPT(without_ad_nothing_is_written),
           EPT(ept_entries_belong_to_the_eptp), NPT(npt_entries_belong_to_the_asid), BOTH(a_violation_drops_the_address),
           BOTH(a_freed_frame_is_not_reached));
