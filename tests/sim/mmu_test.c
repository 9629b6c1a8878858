/* SPDX-License-Identifier: BSD-2-Clause */
/* Does the MMU grant exactly what the tables and control registers grant, set exactly the A and D bits it must, and report exactly the right
 * #PF error code? And what may a stale translation do? */
#include <string.h>
#include "unit.h"
#include "arch/x86.h"
#include "atomic.h"
#include "machine.h"
#include "machine_model.h"
#include "translations.h"

#define RAM   (16ul << 20)
#define ROOT  0x200000ul
#define PDPT  0x201000ul
#define PD    0x202000ul
#define PT    0x203000ul
#define FRAME 0x300000ul
#define OTHER 0x301000ul
#define VA    0x0000123456789000ul

#define INDEX(level) (VA >> (12 + 9 * (level)) & 511)

/* Answers every question of one kind with a fixed number, all else with 0. */
struct fixed {
    struct chooser chooser;
    enum choice_kind kind;
    u32 answer, asked;
    void (*before)(void);
};

static u32 fixed_choose(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct fixed *f = container_of(self, struct fixed, chooser);
    if (kind != f->kind)
        return 0;
    f->asked++;
    if (f->before)
        f->before();
    return f->answer < bound ? f->answer : 0;
}

static u64 *word(u64 table, u64 index)
{
    return (u64 *)mach_phys_to_virt(table) + index;
}

/* A write that the machine sees. */
static void poke(u64 *at, u64 value)
{
    translations_wrote(sim_here, at, *at, value);
    *at = value;
}

static u64 *leaf(void)
{
    return word(PT, INDEX(0));
}

static int setup(void **state)
{
    struct sim *s = sim_unit(2, RAM, SIM_VMX);
    *state = s;
    poke(word(ROOT, INDEX(3)), PDPT | PTE_P | PTE_W | PTE_U);
    poke(word(PDPT, INDEX(2)), PD | PTE_P | PTE_W | PTE_U);
    poke(word(PD, INDEX(1)), PT | PTE_P | PTE_W | PTE_U);
    poke(leaf(), FRAME | PTE_P | PTE_W | PTE_U);
    mach_cr3_write(ROOT);
    return 0;
}

static int teardown(void **state)
{
    sim_destroy(*state);
    return 0;
}

static struct sim_translation out;
static struct sim_fault fault;

static bool translate(u32 access, bool user)
{
    return sim_translate(sim_this(), VA + 0x123, access, user, &out, &fault);
}

/* What the manual says, written again from its text (SDM 3A 4.6.1, 4.7). */
static bool expected(u64 upper, u64 pte, u32 access, bool user, bool wp, bool smep, bool nxe, u32 *error)
{
    const bool u = pte & PTE_U && upper & PTE_U, w = pte & PTE_W && upper & PTE_W, nx = (pte | upper) & PTE_NX;
    bool ok = true;
    *error = (access == RIGHT_W ? 2 : 0) | (user ? 4 : 0) | (access == RIGHT_X && (nxe || smep) ? 16 : 0);
    if (!(upper & PTE_P) || !(pte & PTE_P)) {
        const bool reserved = upper & PTE_P && upper & PTE_NX && !nxe;
        *error |= reserved ? 9 : 0;
        return false;
    }
    if (nx && !nxe) {
        *error |= 9;
        return false;
    }
    if (user)
        ok = u && (access != RIGHT_W || w) && (access != RIGHT_X || !nx);
    else if (access == RIGHT_W)
        ok = w || !wp;
    else if (access == RIGHT_X)
        ok = !nx && !(u && smep);
    *error |= 1;
    return ok;
}

static u64 bits(u32 n)
{
    return (n & 1 ? PTE_P : 0) | (n & 2 ? PTE_W : 0) | (n & 4 ? PTE_U : 0) | (n & 8 ? PTE_NX : 0);
}

static void matrix_of_rights(void **state)
{
    static const u32 accesses[] = { RIGHT_R, RIGHT_W, RIGHT_X };
    struct sim_cpu *cpu = sim_this();
    u32 granted = 0, refused = 0;
    for (u32 n = 0; n < 16 * 16 * 3 * 16; n++) {
        const u64 upper = bits(n & 15), pte = bits(n >> 4 & 15);
        const u32 access = accesses[(n >> 8) % 3], mode = (n >> 8) / 3;
        const bool user = mode & 1, wp = mode & 2, smep = mode & 4, nxe = mode & 8;
        cpu->cr0 = (cpu->cr0 & ~CR0_WP) | (wp ? CR0_WP : 0);
        cpu->cr4 = (cpu->cr4 & ~CR4_SMEP) | (smep ? CR4_SMEP : 0);
        cpu->efer = (cpu->efer & ~EFER_NXE) | (nxe ? EFER_NXE : 0);
        poke(word(PD, INDEX(1)), (upper & PTE_P ? PT : 0) | upper);
        poke(leaf(), (pte & PTE_P ? FRAME : 0) | pte);
        u32 error;
        const bool want = expected(upper, pte, access, user, wp, smep, nxe, &error);
        const bool got = translate(access, user);
        assert_int_equal(got, want);
        if (got)
            assert_int_equal(out.phys, FRAME + 0x123);
        else
            assert_int_equal(fault.error, error);
        assert_int_equal(got ? VA + 0x123 : fault.address, VA + 0x123);
        granted += got;
        refused += !got;
    }
    assert_true(granted > 500 && refused > 500);
}

static void accessed_and_dirty(void **state)
{
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(*leaf() & (PTE_A | PTE_D), PTE_A);
    assert_true(*word(ROOT, INDEX(3)) & PTE_A && *word(PDPT, INDEX(2)) & PTE_A && *word(PD, INDEX(1)) & PTE_A);
    assert_false(out.rights & RIGHT_W);   /* a first read must not let an engine write without D */
    assert_true(translate(RIGHT_W, true));
    assert_int_equal(*leaf() & (PTE_A | PTE_D), PTE_A | PTE_D);
    assert_false((*word(PD, INDEX(1)) | *word(PDPT, INDEX(2)) | *word(ROOT, INDEX(3))) & PTE_D);
    assert_true(out.rights & RIGHT_W);
}

static void a_fault_sets_neither(void **state)
{
    poke(leaf(), *leaf() & ~PTE_W);
    assert_false(translate(RIGHT_W, true));
    assert_int_equal(*leaf() & (PTE_A | PTE_D), 0);
    assert_int_equal(*word(PD, INDEX(1)) & PTE_A, 0);
}

static void large_pages(void **state)
{
    poke(word(PD, INDEX(1)), 0x400000 | PTE_P | PTE_W | PTE_U | PTE_PS);
    assert_true(translate(RIGHT_W, true));
    assert_int_equal(out.phys, 0x400000 + ((VA + 0x123) & 0x1fffff));
    assert_int_equal(out.level, 1);
    assert_true(*word(PD, INDEX(1)) & PTE_D);
    poke(word(PDPT, INDEX(2)), PTE_P | PTE_W | PTE_U | PTE_PS);
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(out.phys, (VA + 0x123) & 0x3fffffff);
    assert_int_equal(out.level, 2);
}

static void reserved_bits_fault(void **state)
{
    struct sim *s = *state;
    const struct { u64 *slot; u64 set; } row[] = {
        { leaf(), bit(SIM_PHYS_BITS) },
        { leaf(), bit(51) },
        { word(PD, INDEX(1)), bit(SIM_PHYS_BITS) },
        { word(PD, INDEX(1)), PTE_PS | bit(13) },
        { word(PD, INDEX(1)), PTE_PS | bit(20) },
        { word(PDPT, INDEX(2)), PTE_PS | bit(29) },
        { word(ROOT, INDEX(3)), PTE_PS },
    };
    for (u32 i = 0; i < array_size(row); i++) {
        const u64 before = *row[i].slot;
        poke(row[i].slot, *row[i].slot | row[i].set);
        assert_false(translate(RIGHT_R, true));
        assert_int_equal(fault.error, PF_PRESENT | PF_RESERVED | PF_USER);
        poke(row[i].slot, before);
        assert_true(translate(RIGHT_R, true));
    }
    s->profile.page_1g = false;
    poke(word(PDPT, INDEX(2)), PTE_P | PTE_U | PTE_PS);
    assert_false(translate(RIGHT_R, true));
    assert_true(fault.error & PF_RESERVED);
}

static void addresses_that_are_no_addresses(void **state)
{
    assert_false(sim_translate(sim_this(), 0x800000000000ul, RIGHT_R, true, &out, &fault));
    assert_int_equal(fault.vector, VECTOR_GP);
}

static void user_bytes_cross_pages(void **state)
{
    u8 data[300], back[300];
    for (u32 i = 0; i < sizeof(data); i++)
        data[i] = (u8)(i * 7);
    poke(word(PT, INDEX(0) + 1), OTHER | PTE_P | PTE_W | PTE_U);
    assert_true(sim_user_store(sim_this(), VA + 0xf80, data, sizeof(data), &fault));
    assert_memory_equal(mach_phys_to_virt(FRAME + 0xf80), data, 0x80);
    assert_memory_equal(mach_phys_to_virt(OTHER), data + 0x80, sizeof(data) - 0x80);
    assert_true(sim_user_load(sim_this(), VA + 0xf80, back, sizeof(back), &fault));
    assert_memory_equal(data, back, sizeof(back));
    poke(word(PT, INDEX(0) + 1), 0);
    assert_false(sim_user_load(sim_this(), VA + 0xf80, back, sizeof(back), &fault));
    assert_int_equal(fault.address, VA + 0x1000);
    assert_int_equal(fault.error, PF_USER);
}

/* ---- Stale translations ---- */

static struct fixed stale = { { fixed_choose }, CHOICE_TRANSLATION, 1, 0, NULL };

static void use_stale(struct sim *s)
{
    stale.asked = 0;
    s->config.chooser = &stale.chooser;
}

static void stale_frame_until_invlpg(void **state)
{
    struct sim *s = *state;
    use_stale(s);
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(stale.asked, 0);          /* nothing to choose from */
    poke(leaf(), OTHER | PTE_P | PTE_W | PTE_U);
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(out.phys, FRAME + 0x123);
    stale.answer = 0;
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(out.phys, OTHER + 0x123);   /* 0 is a fresh walk */
    stale.answer = 1;
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(out.phys, FRAME + 0x123);   /* and the stale one is still there */
    mach_invlpg(VA);
    assert_true(translate(RIGHT_R, true));
    assert_int_equal(out.phys, OTHER + 0x123);
}

static void stale_after_unmap(void **state)
{
    use_stale(*state);
    assert_true(translate(RIGHT_W, true));
    poke(leaf(), 0);
    assert_true(translate(RIGHT_W, true));
    mach_invlpg(VA + 0x1000);                    /* another page */
    assert_true(translate(RIGHT_W, true));
    mach_cr3_write(ROOT);
    assert_false(translate(RIGHT_W, true));
}

static void only_on_the_cpu_that_had_it_loaded(void **state)
{
    struct sim *s = *state;
    use_stale(s);
    assert_true(translate(RIGHT_R, true));
    poke(leaf(), 0);
    sim_unit_cpu(s, 1);
    mach_cr3_write(ROOT);
    assert_false(translate(RIGHT_R, true));
    mach_invlpg(VA);                             /* here, not there */
    sim_unit_cpu(s, 0);
    assert_true(translate(RIGHT_R, true));
}

static void globals_survive_cr3_not_pge(void **state)
{
    use_stale(*state);
    mach_cr4_write(mach_cr4_read() | CR4_PGE);
    poke(leaf(), *leaf() | PTE_G);
    assert_true(translate(RIGHT_R, true));
    poke(leaf(), 0);
    mach_cr3_write(ROOT);
    assert_true(translate(RIGHT_R, true));
    mach_cr4_write(mach_cr4_read() & ~CR4_PGE);
    assert_false(translate(RIGHT_R, true));
}

static void a_stale_read_only_entry_faults_once(void **state)
{
    use_stale(*state);
    poke(leaf(), *leaf() & ~PTE_W);
    assert_true(translate(RIGHT_R, true));
    poke(leaf(), *leaf() | PTE_W);
    assert_false(translate(RIGHT_W, true));      /* raised rights need no flush, but may fault once */
    assert_int_equal(fault.error, PF_PRESENT | PF_WRITE | PF_USER);
    assert_true(translate(RIGHT_W, true));       /* the fault dropped the entry */
}

static void invlpg_of_a_large_page_drops_all_of_it(void **state)
{
    use_stale(*state);
    poke(word(PD, INDEX(1)), 0x400000 | PTE_P | PTE_W | PTE_U | PTE_PS);
    assert_true(translate(RIGHT_R, true));
    poke(word(PD, INDEX(1)), 0);
    mach_invlpg(VA ^ 0x100000);
    assert_false(translate(RIGHT_R, true));
}

/* ---- Walkers and others ---- */

static void unmap_now(void)
{
    poke(leaf(), 0);
}

static void a_word_that_changes_under_the_walk_is_read_again(void **state)
{
    struct sim *s = *state;
    struct fixed dirty = { { fixed_choose }, CHOICE_DIRTY, 1, 0, unmap_now };
    s->config.chooser = &dirty.chooser;
    assert_false(translate(RIGHT_W, true));      /* unmapped between the walk and its locked write: no A or D appears */
    assert_int_equal(dirty.asked, 1);
    assert_int_equal(*leaf(), 0);
    assert_int_equal(fault.error, PF_USER | PF_WRITE);
}

static void free_frame(void *arg)
{
    mach_mem_state(mach_phys_to_virt(*(u64 *)arg), PAGE_SIZE, MEM_FREE);
}

static void freeing_what_is_translated_is_found(void **state)
{
    u64 frame = FRAME, table = PT, root = ROOT, other = OTHER;
    assert_true(translate(RIGHT_R, true));
    assert_non_null(strstr(sim_unit_expect_panic(*state, free_frame, &frame), "may still translate"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, free_frame, &table), "may still walk"));
    assert_non_null(strstr(sim_unit_expect_panic(*state, free_frame, &root), "top-level table"));
    assert_null(sim_unit_expect_panic(*state, free_frame, &other));
    poke(leaf(), 0);
    mach_invlpg(VA);
    mach_mem_state(mach_phys_to_virt(FRAME), PAGE_SIZE, MEM_LIVE);
    assert_null(sim_unit_expect_panic(*state, free_frame, &frame));
}

static void walk_it(void *arg)
{
    (void)translate(RIGHT_R, true);
}

static void walking_a_freed_table_is_found(void **state)
{
    u64 table = PT;
    poke(word(PD, INDEX(1)), 0);
    mach_invlpg(VA);
    assert_null(sim_unit_expect_panic(*state, free_frame, &table));
    poke(word(PD, INDEX(1)), PT | PTE_P | PTE_U);
    assert_non_null(strstr(sim_unit_expect_panic(*state, walk_it, NULL), "freed table"));
    mach_mem_state(mach_phys_to_virt(PT), PAGE_SIZE, MEM_LIVE);
    poke(word(PD, INDEX(1)), RAM | PTE_P | PTE_U);
    assert_non_null(strstr(sim_unit_expect_panic(*state, walk_it, NULL), "outside RAM"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_GROUP(sim_mmu, CASE(matrix_of_rights), CASE(accessed_and_dirty), CASE(a_fault_sets_neither), CASE(large_pages), CASE(reserved_bits_fault),
           CASE(addresses_that_are_no_addresses), CASE(user_bytes_cross_pages), CASE(stale_frame_until_invlpg), CASE(stale_after_unmap),
           CASE(only_on_the_cpu_that_had_it_loaded), CASE(globals_survive_cr3_not_pge), CASE(a_stale_read_only_entry_faults_once),
           CASE(invlpg_of_a_large_page_drops_all_of_it), CASE(a_word_that_changes_under_the_walk_is_read_again),
           CASE(freeing_what_is_translated_is_found), CASE(walking_a_freed_table_is_found));
