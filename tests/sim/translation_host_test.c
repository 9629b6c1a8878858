/* SPDX-License-Identifier: BSD-2-Clause */
/* Which stale translations may a host access use, and which invalidation ends each? One case per rule of Intel SDM 3A 4.10. */
#include "translation.h"
#include "atomic.h"
#include "start.h"

static u64 *leaf(void)
{
    return entry(0, 0, VA);
}

/* A change without an access before it: the hardware may have walked on its own. */
static void nothing_has_to_fill_it(void **state)
{
    poke(leaf(), OTHER | HOST);
    assert_int_equal(stale_count(), 1);
    assert_true(may_read(FRAME) && may_read(OTHER));
    poke(leaf(), THIRD | HOST);
    assert_int_equal(stale_count(), 2);
    assert_true(may_read(FRAME) && may_read(OTHER) && may_read(THIRD));
    poke(leaf(), OTHER | HOST);
    assert_int_equal(stale_count(), 2);   /* by result, not by time: the fresh answer is none of them */
    poke(leaf(), FRAME | HOST);
    poke(leaf(), THIRD | HOST);
    assert_int_equal(stale_count(), 2);   /* FRAME once */
    mach_invlpg(VA);
    assert_int_equal(stale_count(), 0);
    assert_true(may_read(THIRD) && !may_read(FRAME));
}

static void only_what_was_there_since_the_root_was_loaded(void **state)
{
    poke(leaf(), OTHER | HOST);
    mach_cr3_write(mach_boot_root());
    poke(leaf(), THIRD | HOST);           /* held OTHER while it was loaded, FRAME before that too; none survives CR3 loads */
    mach_cr3_write(TABLE(0, 3));
    assert_int_equal(stale_count(), 0);
    sim_unit_cpu(*state, 1);              /* never had it loaded */
    mach_cr3_write(TABLE(0, 3));
    assert_int_equal(stale_count(), 0);
}

static void absent_and_reserved_words_are_not_cached(void **state)
{
    poke(leaf(), OTHER | (HOST & ~PTE_P));
    poke(leaf(), OTHER | HOST | bit(SIM_PHYS_BITS));
    poke(leaf(), 0);
    poke(leaf(), THIRD | HOST);
    assert_int_equal(stale_count(), 1);
    assert_true(may_read(FRAME));
}

static void a_stale_answer_needs_accessed_words(void **state)
{
    poke(leaf(), OTHER | (HOST & ~(PTE_A | PTE_D)));
    poke(leaf(), 0);
    assert_false(may_read(OTHER));        /* the kernel's write saw that no walker had been there */
    assert_true(may_read(FRAME));
    mach_invlpg(VA);
    poke(leaf(), OTHER | (HOST & ~PTE_D));
    poke(leaf(), 0);
    assert_true(may_read(OTHER));
}

static void an_entry_carries_its_dirty_bit(void **state)
{
    poke(leaf(), FRAME | (HOST & ~PTE_D));
    asker.answer = 1;
    assert_true(read_as_user());
    assert_true(out.rights & RIGHT_W);    /* writes will not set D again: it is lost */
    asker.answer = 0;
    assert_true(read_as_user());
    assert_false(out.rights & RIGHT_W);
    mach_invlpg(VA);
    poke(leaf(), FRAME | HOST);
    assert_int_equal(stale_count(), 0);   /* one with D clear walks again before it writes */
}

static void a_fault_drops_its_address(void **state)
{
    poke(leaf(), FRAME | (HOST & ~PTE_W));
    mach_invlpg(VA);
    poke(leaf(), FRAME | HOST);           /* a right was raised: no flush is owed */
    asker.answer = 1;
    assert_false(sim_translate(sim_this(), VA, RIGHT_W, true, &out, &fault));
    assert_int_equal(fault.error, PF_PRESENT | PF_WRITE | PF_USER);
    assert_true(sim_translate(sim_this(), VA, RIGHT_W, true, &out, &fault));
    assert_int_equal(stale_count(), 0);
}

/* A fault drops the paging-structure entries on the way to its address, not the neighbour's page. */
static void a_fault_leaves_the_neighbour(void **state)
{
    poke(entry(0, 0, VA + PAGE_SIZE), THIRD | HOST);
    poke(leaf(), 0);
    poke(entry(0, 0, VA + PAGE_SIZE), 0);
    assert_false(read_as_user());         /* fresh: drops VA */
    assert_int_equal(stale_count(), 0);
    asker.answer = 1;
    assert_true(sim_translate(sim_this(), VA + PAGE_SIZE, RIGHT_R, true, &out, &fault));
    assert_int_equal(out.phys, THIRD);
}

static void globals_outlive_cr3_not_invlpg_nor_pge(void **state)
{
    for (u32 by_pge = 0; by_pge < 2; by_pge++) {
        mach_cr4_write(mach_cr4_read() | CR4_PGE);
        poke(leaf(), FRAME | HOST | PTE_G);
        mach_cr3_write(TABLE(0, 3));
        poke(leaf(), 0);
        mach_cr3_write(mach_boot_root());
        assert_true(may_read(FRAME));     /* under another root */
        mach_cr3_write(TABLE(0, 3));
        assert_true(may_read(FRAME));
        if (by_pge)
            mach_cr4_write(mach_cr4_read() & ~CR4_PGE);
        else
            mach_invlpg(VA);
        assert_false(may_read(FRAME));
    }
}

/* A table entry that was cached leads to a table that is linked no more, and to what is written there afterwards. */
static void a_partial_walk_reads_what_is_there_now(void **state)
{
    poke(entry(0, 1, VA), TABLE(1, 0) | HOST);
    poke(leaf(), OTHER | HOST);           /* in the table that was unlinked */
    assert_true(may_read(FRAME) && may_read(OTHER));
    mach_invlpg(VA ^ bit(40));            /* any page: all paging-structure entries go, this page's translation stays */
    poke(leaf(), THIRD | HOST);
    assert_true(may_read(FRAME) && may_read(OTHER));
    assert_false(may_read(THIRD));
    mach_invlpg(VA);
    assert_false(may_read(FRAME) || may_read(OTHER));
}

/* Times never go back: the new leaf cannot have been read before the old table entry was. */
static void no_answer_mixes_new_above_with_old_below(void **state)
{
    poke(leaf(), 0);
    mach_invlpg(VA);
    poke(entry(0, 1, VA), 0);
    mach_invlpg(VA);
    poke(leaf(), OTHER | HOST);
    poke(leaf(), 0);
    poke(entry(0, 1, VA), TABLE(0, 0) | HOST);
    assert_false(may_read(OTHER));
}

static void a_split_leaves_both_sizes(void **state)
{
    poke(entry(0, 1, VA), 0x400000 | HOST | PTE_PS);
    mach_invlpg(VA);
    const u64 frame = 0x400000 + (VA & 0x1ff000);
    poke(leaf(), frame | HOST);
    poke(entry(0, 1, VA), TABLE(0, 0) | HOST);
    assert_int_equal(stale_count(), 1);
    asker.answer = 1;
    assert_true(read_as_user());
    assert_int_equal(out.level, 1);
    assert_int_equal(out.phys, frame);
    poke(leaf(), OTHER | HOST);
    assert_int_equal(stale_count(), 2);   /* the large one, and the small one of before */
    mach_invlpg(VA ^ 0x100000);           /* in the same large page: drops that, not the small page */
    assert_int_equal(stale_count(), 1);
    asker.answer = 1;
    assert_true(read_as_user());
    assert_int_equal(out.level, 0);
}

static void changes_of_paging_drop_everything(void **state)
{
    static const u64 bits[] = { CR4_SMEP, CR4_PSE };
    for (u32 i = 0; i < 3; i++) {
        poke(leaf(), (i & 1 ? FRAME : OTHER) | HOST);
        assert_int_equal(stale_count(), 1);
        if (i < 2)
            mach_cr4_write(mach_cr4_read() ^ bits[i]);
        else
            mach_cr0_write(mach_cr0_read() ^ CR0_WP);
        assert_int_equal(stale_count(), 0);
    }
}

/* Every way in which the kernel can write a word. */
static void every_write_is_seen(void **state)
{
    atomic_u64 *a = (atomic_u64 *)leaf();
    u64 expected = FRAME | HOST;
    atomic_store(a, OTHER | HOST);
    assert_true(may_read(FRAME));
    mach_invlpg(VA);
    (void)atomic_xchg(a, expected);
    assert_true(may_read(OTHER));
    mach_invlpg(VA);
    assert_true(atomic_cas(a, &expected, THIRD | HOST));
    assert_true(may_read(FRAME));
    mach_invlpg(VA);
    expected = FRAME | HOST;
    assert_true(sim_phys_write(*state, walk_slot(TABLE(0, 0), VA, 0), &expected, 8));
    assert_true(may_read(THIRD));
    mach_invlpg(VA);
    poke(leaf(), OTHER | PTE_P | PTE_U);
    asker.answer = 0;
    assert_true(read_as_user());          /* the walker sets A: now it may be cached */
    poke(leaf(), 0);
    assert_true(may_read(OTHER));
}

static void init_leaves_nothing(void **state)
{
    struct sim *s = *state;
    mach_cr4_write(mach_cr4_read() | CR4_PGE);
    poke(leaf(), FRAME | HOST | PTE_G);
    poke(leaf(), 0);
    start_init(&s->cpu[0]);
    s->cpu[0].state = CPU_KERNEL;
    assert_null(free_page(s, FRAME));
    mach_cr3_write(TABLE(0, 3));
    assert_false(may_read(FRAME));
}

TEST_GROUP(sim_translation_host, CASE(nothing_has_to_fill_it), CASE(only_what_was_there_since_the_root_was_loaded),
           CASE(absent_and_reserved_words_are_not_cached), CASE(a_stale_answer_needs_accessed_words), CASE(an_entry_carries_its_dirty_bit),
           CASE(a_fault_drops_its_address), CASE(a_fault_leaves_the_neighbour), CASE(globals_outlive_cr3_not_invlpg_nor_pge),
           CASE(a_partial_walk_reads_what_is_there_now), CASE(no_answer_mixes_new_above_with_old_below), CASE(a_split_leaves_both_sizes),
           CASE(changes_of_paging_drop_everything), CASE(every_write_is_seen), CASE(init_leaves_nothing));
