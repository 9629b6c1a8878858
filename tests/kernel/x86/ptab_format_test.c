/* SPDX-License-Identifier: BSD-2-Clause */
/* Are the words of the three formats bit for bit what the manuals say? The expected words are written out, not computed. */
#include "ptab.h"
#include "unit.h"

#define RW  (RIGHT_R | RIGHT_W)
#define RX  (RIGHT_R | RIGHT_X)
#define RWX RIGHT_MEMORY

struct row {
    u64 phys;
    u32 rights, level;
    u64 word;
};

/* Intel SDM 3A 4.5: P 0, RW 1, US 2, PS 7, NX 63. AMD APM 2 15.25.5: nested walks are user accesses. */
static const struct row long_rows[] = {
    { 0x12345000, RIGHT_R, 0, 0x8000000012345005 }, { 0x12345000, RW, 0, 0x8000000012345007 }, { 0x12345000, RX, 0, 0x12345005 },
    { 0x12345000, RWX, 0, 0x8000000012345007 },     { 0x12200000, RIGHT_R, 1, 0x8000000012200085 }, { 0x40000000, RX, 2, 0x40000085 },
    { 0x000ffffffffff000, RW, 0, 0x800ffffffffff007 },
};

/* The same bits, but a guest's memory may be written and executed. */
static const struct row npt_rows[] = {
    { 0x12345000, RIGHT_R, 0, 0x8000000012345005 }, { 0x12345000, RW, 0, 0x8000000012345007 }, { 0x12345000, RX, 0, 0x12345005 },
    { 0x12345000, RWX, 0, 0x12345007 },             { 0x12200000, RWX, 1, 0x12200087 },        { 0x40000000, RX, 2, 0x40000085 },
};

/* Intel SDM 3C 28.3.2: R 0, W 1, X 2, memory type 5:3 (6: write-back), large 7. */
static const struct row ept_rows[] = {
    { 0x12345000, RIGHT_R, 0, 0x12345031 }, { 0x12345000, RW, 0, 0x12345033 },     { 0x12345000, RX, 0, 0x12345035 },
    { 0x12345000, RWX, 0, 0x12345037 },     { 0x12200000, RIGHT_R, 1, 0x122000b1 }, { 0x40000000, RX, 2, 0x400000b5 },
    { 0x000ffffffffff000, RW, 0, 0x000ffffffffff033 },
};

static void check_rows(const struct ptab_format *f, const struct row *row, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const u64 word = ptab_leaf(f, row[i].phys, row[i].rights, row[i].level);
        assert_int_equal(word, row[i].word);
        assert_true(ptab_is_present(f, word));
        assert_true(ptab_is_leaf(word, row[i].level));
        assert_int_equal(word & PTAB_ADDRESS, row[i].phys);
        assert_int_equal(f->rights(word), f == &ptab_host && row[i].rights == RWX ? RW : row[i].rights);
        assert_int_equal(f->keep(word), 0);
    }
}

static void host_words(void **state)
{
    check_rows(&ptab_host, long_rows, array_size(long_rows));
    assert_int_equal(ptab_host.table, 7);
}

static void ept_words(void **state)
{
    check_rows(&ptab_ept, ept_rows, array_size(ept_rows));
    assert_int_equal(ptab_ept.table, 7);
}

static void npt_words(void **state)
{
    check_rows(&ptab_npt, npt_rows, array_size(npt_rows));
    assert_int_equal(ptab_npt.table, 7);
}

static void keep_is_accessed_and_dirty_only(void **state)
{
    assert_int_equal(ptab_host.keep(~0ul), 0x60);
    assert_int_equal(ptab_npt.keep(~0ul), 0x60);
    assert_int_equal(ptab_ept.keep(~0ul), 0x300);
}

/* Memory of the host side; a guest gets what it was given, exactly. */
static void host_memory_is_never_writable_and_executable(void **state)
{
    const struct ptab_format *const all[] = { &ptab_host, &ptab_ept, &ptab_npt };
    for (u32 i = 0; i < 3; i++)
        for (u32 rights = RIGHT_R; rights <= RIGHT_MEMORY; rights += 2)
            for (u32 level = 0; level < 3; level++) {
                const u32 entered = all[i]->rights(ptab_leaf(all[i], 0x40000000, rights, level));
                assert_int_equal(entered, all[i] == &ptab_host && rights == RIGHT_MEMORY ? RW : rights);
            }
}

static void absent_words_and_tables_are_told_apart(void **state)
{
    const struct ptab_format *const all[] = { &ptab_host, &ptab_ept, &ptab_npt };
    for (u32 i = 0; i < 3; i++) {
        assert_false(ptab_is_present(all[i], 0));
        assert_false(ptab_is_present(all[i], 0x12345000));
        for (u32 level = 1; level < 4; level++) {
            assert_true(ptab_is_present(all[i], (0x5000 | all[i]->table)));
            assert_false(ptab_is_leaf((0x5000 | all[i]->table), level));
            assert_int_equal((0x5000 | all[i]->table) & PTAB_ADDRESS, 0x5000);
        }
    }
    assert_true(ptab_is_present(&ptab_ept, 4));    /* execute-only is present in EPT */
    assert_false(ptab_is_present(&ptab_host, 6));  /* without P nothing is */
}

TEST_GROUP(ptab_format, cmocka_unit_test(host_words), cmocka_unit_test(ept_words), cmocka_unit_test(npt_words),
           cmocka_unit_test(keep_is_accessed_and_dirty_only), cmocka_unit_test(host_memory_is_never_writable_and_executable),
           cmocka_unit_test(absent_words_and_tables_are_told_apart));
