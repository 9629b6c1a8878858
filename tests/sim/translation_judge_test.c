/* SPDX-License-Identifier: BSD-2-Clause */
/* Is memory that is freed too early found, with the address and the invalidation that is missing, and what is freed in time not? */
#include "translation.h"

static u64 *leaf(void)
{
    return entry(0, 0, VA);
}

static void a_frame_whether_it_was_accessed_or_not(void **state)
{
    struct sim *s = *state;
    poke(leaf(), FRAME | PTE_P | PTE_U);
    mach_invlpg(VA);
    FINDS(s, FRAME, "[TLB-FREED] freed 0x300000: CPU 0 may still translate 0x123456789000 to it; an INVLPG or CR3 write is missing");
    poke(leaf(), 0);
    FINDS(s, FRAME, "[TLB-FREED]");       /* A was clear: the walker would have set it */
    assert_null(free_page(s, OTHER));
    mach_invlpg(VA ^ PAGE_SIZE);
    FINDS(s, FRAME, "[TLB-FREED]");       /* another page */
    sim_unit_cpu(s, 1);
    mach_invlpg(VA);
    FINDS(s, FRAME, "CPU 0");             /* another CPU */
    sim_unit_cpu(s, 0);
    mach_invlpg(VA);
    assert_null(free_page(s, FRAME));
}

static void on_every_cpu_that_has_it_loaded(void **state)
{
    struct sim *s = *state;
    sim_unit_cpu(s, 1);
    mach_cr3_write(TABLE(0, 3));
    sim_unit_cpu(s, 0);
    poke(leaf(), 0);
    mach_cr3_write(TABLE(0, 3));
    FINDS(s, FRAME, "CPU 1 may still translate");
    sim_unit_cpu(s, 1);
    mach_cr3_write(mach_boot_root());
    assert_null(free_page(s, FRAME));
}

static void a_part_of_a_large_page(void **state)
{
    struct sim *s = *state;
    poke(entry(0, 1, VA), 0x400000 | HOST | PTE_PS);
    mach_cr3_write(TABLE(0, 3));
    FINDS(s, 0x5ff000, "may still translate 0x123456600000");
    assert_null(free_page(s, 0x600000));
    poke(entry(0, 2, VA), 0x1000 | HOST | PTE_PS);   /* 1 GiB from 0 on, with PAT */
    mach_cr3_write(TABLE(0, 3));
    FINDS(s, 0x700000, "may still translate 0x123440000000");
}

static void a_table_that_is_linked_no_more(void **state)
{
    struct sim *s = *state;
    for (u32 level = 1; level < 4; level++) {
        poke(leaf(), 0);
        mach_invlpg(VA);
        poke(entry(0, level, VA), 0);
        FINDS(s, TABLE(0, level - 1), "[TLB-TABLE]");
        FINDS(s, TABLE(0, level - 1), "set A and D there; an INVLPG or CR3 write is missing");
        mach_invlpg(0);                     /* any page drops all paging-structure entries */
        assert_null(free_page(s, TABLE(0, level - 1)));
        map_set(0, HOST, FRAME | HOST);
    }
    mach_mem_state(mach_phys_to_virt(TABLE(0, 0)), PAGE_SIZE, MEM_EPOCH);   /* still live: nothing is judged */
    FINDS(s, TABLE(0, 3), "[TLB-ROOT] freed 0x200000: it is the top-level table that CPU 0 has loaded");
}

static void what_was_written_by_copy_or_zeroed(void **state)
{
    struct sim *s = *state;
    const u64 word = OTHER | HOST;
    mach_copy(leaf(), &word, 8);
    mach_zero(mach_phys_to_virt(TABLE(0, 0)), PAGE_SIZE);
    FINDS(s, OTHER, "[TLB-FREED]");
    FINDS(s, FRAME, "[TLB-FREED]");
    mach_invlpg(VA);
    assert_null(free_page(s, OTHER));
}

/* The upper half maps all memory: the machine's own, and no finding. */
static void the_direct_map_is_not_judged(void **state)
{
    struct sim *s = *state;
    poke(entry(0, 3, 1ul << 47), TABLE(1, 2) | HOST);
    poke((u64 *)mach_phys_to_virt(TABLE(1, 2)), HOST | PTE_PS);
    assert_null(free_page(s, OTHER));
}

static void a_right_that_was_taken(void **state)
{
    struct sim *s = *state;
    u32 cpu;
    u64 address;
    assert_true(translations_reach(s, FRAME, PAGE_SIZE, RIGHT_W, &cpu, &address));
    assert_int_equal(cpu, 0);
    assert_int_equal(address, VA);
    assert_false(translations_reach(s, TABLE(0, 0), PAGE_SIZE, RIGHT_R, &cpu, &address));   /* a way, no translation */
    poke(leaf(), FRAME | (HOST & ~PTE_W));
    assert_true(translations_reach(s, FRAME, PAGE_SIZE, RIGHT_W, &cpu, &address));
    mach_invlpg(VA);
    assert_false(translations_reach(s, FRAME, PAGE_SIZE, RIGHT_W, &cpu, &address));
    assert_true(translations_reach(s, FRAME, PAGE_SIZE, RIGHT_R, &cpu, &address));
}

/* ---- Mark and rollback, and what is forgotten ---- */

static void rollback_restores_every_answer(void **state)
{
    struct sim *s = *state;
    poke(leaf(), OTHER | HOST);
    translations_mark(s);
    for (u32 i = 0; i < 3; i++) {
        const u64 before = *leaf();
        assert_int_equal(stale_count(), 1);
        poke(leaf(), THIRD | HOST);
        poke(entry(0, 0, 0), THIRD | HOST);
        assert_int_equal(stale_count(), 2);
        mach_invlpg(VA);
        assert_int_equal(stale_count(), 0);
        if (i == 1)
            mach_cr3_write(mach_boot_root());
        *leaf() = before;
        *entry(0, 0, 0) = 0;
        sim_this()->cr3 = TABLE(0, 3);
        translations_rollback(s);
    }
    assert_int_equal(stale_count(), 1);
}

/* A million writes and loads: memory stays bounded, what is old is forgotten, what is new is not, nothing is made up. */
static void the_oldest_is_forgotten(void **state)
{
    struct sim *s = *state;
    u64 *counter = mach_phys_to_virt(THIRD);
    poke(leaf(), OTHER | HOST);
    for (u64 i = 1; i <= 100000; i++)
        poke(counter, i << 3);
    assert_false(may_read(FRAME));
    poke(leaf(), FRAME | HOST);
    assert_true(may_read(OTHER));
    for (u32 i = 0; i < 2000; i++)
        mach_invlpg(0);
    assert_false(may_read(OTHER));
    poke(leaf(), OTHER | HOST);
    assert_true(may_read(FRAME));
    FINDS(s, FRAME, "[TLB-FREED]");
}

/* What is forgotten behind a mark leaves what is before it as it was. */
static void forgetting_spares_what_is_marked(void **state)
{
    struct sim *s = *state;
    u64 *counter = mach_phys_to_virt(THIRD);
    poke(leaf(), OTHER | HOST);
    translations_mark(s);
    for (u32 i = 0; i < 2000; i++)
        mach_invlpg(0);
    assert_int_equal(stale_count(), 0);
    for (u64 i = 1; i <= 100000; i++)
        poke(counter, i << 3);
    *counter = 0;
    translations_rollback(s);
    assert_true(may_read(FRAME));
    assert_int_equal(stale_count(), 1);
}

/* A machine that is recorded late knows what its tables held then. */
static void recording_may_begin_late(void **state)
{
    struct sim *s = *state;
    translations_destroy(s);
    poke(leaf(), OTHER | HOST);
    assert_int_equal(stale_count(), 0);
    assert_null(free_page(s, OTHER));
    translations_mark(s);
    FINDS(s, OTHER, "[TLB-FREED]");
    poke(leaf(), THIRD | HOST);
    assert_int_equal(stale_count(), 1);
    assert_true(may_read(OTHER) && !may_read(FRAME));
}

TEST_GROUP(sim_translation_judge, CASE(a_frame_whether_it_was_accessed_or_not), CASE(on_every_cpu_that_has_it_loaded), CASE(a_part_of_a_large_page),
           CASE(a_table_that_is_linked_no_more), CASE(what_was_written_by_copy_or_zeroed), CASE(the_direct_map_is_not_judged),
           CASE(a_right_that_was_taken), CASE(rollback_restores_every_answer), CASE(the_oldest_is_forgotten),
           CASE(forgetting_spares_what_is_marked), CASE(recording_may_begin_late));
