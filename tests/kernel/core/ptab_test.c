/* SPDX-License-Identifier: BSD-2-Clause */
/* What does a walker see between any two steps of a writer? One table of tests, run for each of the three formats, with a walker of the
 * test's own that reads the words as the manuals say. */
#include "ptab.h"
#include "kernel/world.h"

#define PAGE_4K 0x12345ul                        /* in no table with the others */
#define PAGE_2M (7ul << 18 | 3ul << 9)           /* on a 2 MiB boundary */
#define PAGE_1G (9ul << 18)                      /* on a 1 GiB boundary */
#define WATCH   6u

/* What a walker finds for a page. */
struct seen {
    bool present;
    u64 frame;
    u32 rights, level;
    u64 *word;
};

struct fixture {
    struct world *w;
    const struct ptab_format *format;
    struct ptab p;
    struct ptab_change change;
    /* Watching. */
    u64 page[WATCH];
    struct seen before[WATCH], after[WATCH];
    bool moved[WATCH];
    u32 points;
    /* Acting as somebody else at the at-th point. */
    u32 at;
    enum status other;
    u64 other_page;
};

static bool is_ept(const struct fixture *f)
{
    return f->format == &ptab_ept;
}

/* ---- The walker ---- */

static u32 ept_word_rights(u64 word, u32 level, bool leaf)
{
    assert_true(!(word & 2) || word & 1);                     /* W without R: misconfiguration (SDM 3C 28.3.3.1) */
    if (leaf)
        assert_int_equal(word >> 3 & 7, 6);                   /* write-back */
    else
        assert_int_equal(word & 0xf8, 0);                     /* reserved in a table reference */
    return word & 7;
}

static u32 long_word_rights(u64 word)
{
    return RIGHT_R | (word & 2 ? RIGHT_W : 0) | (word >> 63 ? 0 : RIGHT_X);
}

static struct seen look(struct fixture *f, u64 page)
{
    struct seen s = { .rights = RIGHT_MEMORY };
    u64 table = f->p.root;
    for (s.level = 3;; s.level--) {
        assert_int_not_equal(memory_state_of(f->w, table), MEM_FREE);
        s.word = (u64 *)sim_phys(f->w->sim, table, PAGE_SIZE) + (page >> 9 * s.level & 511);
        const u64 word = *s.word;
        const bool leaf = s.level == 0 || word & bit(7);
        if (!(word & (is_ept(f) ? 7 : 1)))
            return s;
        assert_int_equal(word & 0x000fff0000000000ul, 0);     /* beyond MAXPHYADDR of this machine: reserved */
        if (s.level && leaf) {
            assert_true(s.level <= 2);
            assert_int_equal(word & (PTAB_SPAN(s.level) - 1) << 12, 0);
        }
        s.rights &= is_ept(f) ? ept_word_rights(word, s.level, leaf) : long_word_rights(word);
        if (!is_ept(f))
            assert_true(word & 4);                            /* user */
        if (leaf) {
            s.present = true;
            s.frame = ((word & 0xfffffff000ul) >> 12) + (page & (PTAB_SPAN(s.level) - 1));
            return s;
        }
        table = word & 0xfffffff000ul;
    }
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->present == b->present && (!a->present || (a->frame == b->frame && a->rights == b->rights));
}

/* At every point each watched page is as before or as after, and never goes back. */
static void watch_hook(void *arg)
{
    struct fixture *f = arg;
    f->points++;
    for (u32 i = 0; i < WATCH; i++) {
        const struct seen now = look(f, f->page[i]);
        if (!f->moved[i] && !same(&now, &f->before[i]))
            f->moved[i] = true;
        if (f->moved[i])
            assert_true(same(&now, &f->after[i]));
    }
}

static void watch(struct fixture *f, const u64 *pages)
{
    f->points = 0;
    for (u32 i = 0; i < WATCH; i++) {
        f->page[i] = pages[i];
        f->before[i] = f->after[i] = look(f, pages[i]);
        f->moved[i] = false;
    }
}

/* The last look, after the last step. */
static void watch_end(struct fixture *f)
{
    sim_unit_hook(f->w->sim, NULL, NULL);
    watch_hook(f);
}

/* ---- Fixture ---- */

static int setup_as(void **state, const struct ptab_format *format)
{
    struct fixture *f = calloc(1, sizeof(*f));
    world_setup_as((void **)&f->w, format == &ptab_npt ? SIM_SVM : SIM_VMX);
    f->format = format;
    assert_int_equal(ptab_init(&f->p, format, &f->w->quota, 2), OK);
    *state = f;
    return 0;
}

static int setup_host(void **state)
{
    return setup_as(state, &ptab_host);
}

static int setup_ept(void **state)
{
    return setup_as(state, &ptab_ept);
}

static int setup_npt(void **state)
{
    return setup_as(state, &ptab_npt);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct world *w = f->w;
    sim_unit_hook(w->sim, NULL, NULL);
    ptab_release(w->cpu, &f->p, &f->change, 0);
    ptab_destroy(&f->p);
    free(f);
    return world_teardown((void **)&w);
}

static u64 used(struct fixture *f)
{
    return atomic_load(&f->w->quota.used);
}

/* Map all of it, step by step. */
static void map(struct fixture *f, u64 page, u64 frame, u64 count, u32 rights)
{
    for (u64 done = 0, n; done < count; done += n)
        assert_int_equal(ptab_map(&f->p, page + done, frame + done, count - done, rights, &f->change, &n), OK);
}

static void unmap(struct fixture *f, u64 page, u64 count)
{
    for (u64 done = 0, n; done < count; done += n)
        assert_int_equal(ptab_unmap(&f->p, page + done, count - done, &f->change, &n), OK);
}

static void is_mapped(struct fixture *f, u64 page, u64 frame, u32 rights, u32 level)
{
    const struct seen s = look(f, page);
    u64 found;
    u32 held;
    assert_true(s.present);
    assert_int_equal(s.frame, frame);
    assert_int_equal(s.rights, rights);
    assert_int_equal(s.level, level);
    assert_true(ptab_lookup(&f->p, page, &found, &held));
    assert_int_equal(found, frame);
    assert_int_equal(held, rights);
}

static void is_absent(struct fixture *f, u64 page)
{
    u64 frame;
    u32 rights;
    assert_false(look(f, page).present);
    assert_false(ptab_lookup(&f->p, page, &frame, &rights));
}

/* ---- Tests ---- */

static void rights_are_entered_as_asked(void **state)
{
    struct fixture *f = *state;
    const struct { u32 asked, entered; } table[] = {
        { RIGHT_R, RIGHT_R },
        { RIGHT_R | RIGHT_W, RIGHT_R | RIGHT_W },
        { RIGHT_R | RIGHT_X, RIGHT_R | RIGHT_X },
        { RIGHT_MEMORY, f->format == &ptab_host ? RIGHT_R | RIGHT_W : RIGHT_MEMORY },   /* a guest has tables of its own */
    };
    for (u32 i = 0; i < array_size(table); i++) {
        map(f, PAGE_4K + i, 100 + i, 1, table[i].asked);
        is_mapped(f, PAGE_4K + i, 100 + i, table[i].entered, 0);
    }
    is_absent(f, PAGE_4K + 4);
    is_absent(f, PAGE_4K - 1);
    assert_false(f->change.flush);
}

static void large_pages_follow_alignment(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 512 * 5, 512, RIGHT_R);
    is_mapped(f, PAGE_2M + 511, 512 * 5 + 511, RIGHT_R, 1);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R | RIGHT_W);
    is_mapped(f, PAGE_1G + 12345, PTAB_SPAN(2) + 12345, RIGHT_R | RIGHT_W, 2);
    map(f, PAGE_2M + 512, 1, 512, RIGHT_R);   /* frames out of step */
    is_mapped(f, PAGE_2M + 512, 1, RIGHT_R, 0);
    map(f, PAGE_2M + 1024 + 511, 512 * 8 + 511, 1 + 512 + 1, RIGHT_R);   /* small, large, small */
    is_mapped(f, PAGE_2M + 1535, 512 * 8 + 511, RIGHT_R, 0);
    is_mapped(f, PAGE_2M + 1536, 512 * 9, RIGHT_R, 1);
    is_mapped(f, PAGE_2M + 2048, 512 * 10, RIGHT_R, 0);
    is_absent(f, PAGE_2M + 2049);
}

static void the_machines_largest_page_is_kept(void **state)
{
    struct fixture *f = *state;
    for (u32 level = 0; level <= 1; level++) {
        f->p.leaf_level_max = level;
        map(f, PAGE_1G + (u64)level * PTAB_SPAN(2), 0, 512, RIGHT_R);
        is_mapped(f, PAGE_1G + (u64)level * PTAB_SPAN(2) + 3, 3, RIGHT_R, level);
    }
    u64 done;
    assert_int_equal(ptab_map(&f->p, PAGE_1G + 2 * PTAB_SPAN(2), 0, PTAB_SPAN(2), RIGHT_R, &f->change, &done), OK);
    assert_int_equal(done, 512);
}

static void a_step_ends_with_its_table(void **state)
{
    struct fixture *f = *state;
    u64 done = 0;
    assert_int_equal(ptab_map(&f->p, PAGE_2M + 500, 1, 1000, RIGHT_R, &f->change, &done), OK);
    assert_int_equal(done, 12);
    is_absent(f, PAGE_2M + 512);
    assert_int_equal(ptab_unmap(&f->p, PAGE_2M + 505, 1000, &f->change, &done), OK);
    assert_int_equal(done, 7);
    assert_int_equal(ptab_unmap(&f->p, PAGE_2M + 1024, 1000, &f->change, &done), OK);   /* nothing below that entry */
    assert_int_equal(done, 512);
    assert_int_equal(ptab_unmap(&f->p, 5 * PTAB_SPAN(3), ~0ul >> 31, &f->change, &done), OK);
    assert_int_equal(done, PTAB_SPAN(3));
}

static void nothing_is_mapped_over_something(void **state)
{
    struct fixture *f = *state;
    u64 done = 77;
    map(f, PAGE_2M + 5, 50, 1, RIGHT_R);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    const u64 charged = used(f);
    assert_int_equal(ptab_map(&f->p, PAGE_2M + 5, 51, 1, RIGHT_R, &f->change, &done), STATUS_EXISTS);
    assert_int_equal(ptab_map(&f->p, PAGE_2M, 512, 512, RIGHT_R, &f->change, &done), STATUS_EXISTS);   /* one of 512 */
    assert_int_equal(ptab_map(&f->p, PAGE_1G + 1, 51, 1, RIGHT_R, &f->change, &done), STATUS_EXISTS);  /* inside a large page */
    assert_int_equal(ptab_map(&f->p, PAGE_1G, 0, PTAB_SPAN(2), RIGHT_R, &f->change, &done), STATUS_EXISTS);
    assert_int_equal(ptab_reserve(&f->p, PAGE_1G + 1, 51, 1, &done), STATUS_EXISTS);
    assert_int_equal(done, 77);
    assert_int_equal(used(f), charged);
    assert_false(f->change.flush);
    is_mapped(f, PAGE_2M + 5, 50, RIGHT_R, 0);
    is_absent(f, PAGE_2M + 4);
}

static void addresses_beyond_the_format_are_refused(void **state)
{
    struct fixture *f = *state;
    const u64 end = bit(f->format->address_bits - PAGE_BITS);
    u64 done, frame;
    u32 rights;
    assert_int_equal(ptab_map(&f->p, end, 1, 1, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_map(&f->p, end - 1, 1, 2, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_map(&f->p, 1, 1, ~0ul, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_map(&f->p, 1, 1, 0, RIGHT_R, &f->change, &done), STATUS_ARG);
    assert_int_equal(ptab_unmap(&f->p, end - 1, 2, &f->change, &done), STATUS_ARG);
    assert_false(ptab_lookup(&f->p, end, &frame, &rights));
    map(f, end - 1, 1, 1, RIGHT_R);
    is_mapped(f, end - 1, 1, RIGHT_R, 0);
    assert_int_equal(ptab_split(&f->p, end), OK);
}

static void unmap_of_part_splits_once_or_twice(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 512 * 4, 512, RIGHT_R | RIGHT_X);
    unmap(f, PAGE_2M + 10, 20);
    is_mapped(f, PAGE_2M + 9, 512 * 4 + 9, RIGHT_R | RIGHT_X, 0);
    is_absent(f, PAGE_2M + 10);
    is_absent(f, PAGE_2M + 29);
    is_mapped(f, PAGE_2M + 30, 512 * 4 + 30, RIGHT_R | RIGHT_X, 0);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R | RIGHT_W);
    unmap(f, PAGE_1G + 700, 1);
    is_mapped(f, PAGE_1G + 699, PTAB_SPAN(2) + 699, RIGHT_R | RIGHT_W, 0);
    is_mapped(f, PAGE_1G + 511, PTAB_SPAN(2) + 511, RIGHT_R | RIGHT_W, 1);
    is_absent(f, PAGE_1G + 700);
    unmap(f, PAGE_1G + 1024, 512 * 3);   /* whole large pages: no further split */
    const u64 charged = used(f);
    is_absent(f, PAGE_1G + 2559);
    is_mapped(f, PAGE_1G + 2560, PTAB_SPAN(2) + 2560, RIGHT_R | RIGHT_W, 1);
    assert_int_equal(used(f), charged);
}

static void flush_is_said_exactly_when_owed(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 512 * 4, 512, RIGHT_R);
    map(f, PAGE_4K, 9, 1, RIGHT_R);
    assert_false(f->change.flush);                                /* only rights were added */
    unmap(f, PAGE_4K + 1, 20);
    unmap(f, PAGE_1G, PTAB_SPAN(2));
    assert_false(f->change.flush);                                /* nothing was there */
    assert_int_equal(ptab_split(&f->p, PAGE_2M + 3), OK);
    is_mapped(f, PAGE_2M + 3, 512 * 4 + 3, RIGHT_R, 0);
    assert_false(f->change.flush);                                /* the same translations */
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_false(f->change.flush);                                /* its table is not empty */
    unmap(f, PAGE_4K, 1);
    assert_true(f->change.flush);
    f->change.flush = false;
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_true(f->change.flush);                                 /* a walker may have cached the way down */
    assert_non_null(f->change.dead);
}

static void split_at_an_edge_changes_nothing_else(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    const u64 charged = used(f);
    assert_int_equal(ptab_split(&f->p, PAGE_1G), OK);             /* an edge already */
    assert_int_equal(used(f), charged);
    assert_int_equal(ptab_split(&f->p, PAGE_1G + 1024), OK);      /* to 2 MiB is enough */
    is_mapped(f, PAGE_1G + 1024, PTAB_SPAN(2) + 1024, RIGHT_R, 1);
    assert_int_equal(used(f), charged + PAGE_SIZE);
    assert_int_equal(ptab_split(&f->p, PAGE_1G + 1025), OK);
    is_mapped(f, PAGE_1G + 1025, PTAB_SPAN(2) + 1025, RIGHT_R, 0);
    assert_int_equal(used(f), charged + 2 * PAGE_SIZE);
    assert_int_equal(ptab_split(&f->p, PAGE_4K), OK);             /* nothing there */
    assert_int_equal(used(f), charged + 2 * PAGE_SIZE);
}

static void every_step_of_map_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_2M - 1, PAGE_2M, PAGE_2M + 7, PAGE_2M + 511, PAGE_2M + 512, PAGE_1G };
    map(f, PAGE_2M + 512, 3, 1, RIGHT_R);
    watch(f, pages);
    for (u32 i = 1; i <= 3; i++)
        f->after[i] = (struct seen){ .present = true, .frame = 1 + pages[i] - PAGE_2M, .rights = RIGHT_R | RIGHT_W };
    sim_unit_hook(f->w->sim, watch_hook, f);
    map(f, PAGE_2M, 1, 512, RIGHT_R | RIGHT_W);
    watch_end(f);
    assert_true(f->points > 512 && !f->moved[0] && f->moved[1] && f->moved[3] && !f->moved[4]);
}

static void every_step_of_a_large_map_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_1G - 1, PAGE_1G, PAGE_1G + 7, PAGE_1G + 511, PAGE_1G + 512, PAGE_1G + 262143 };
    watch(f, pages);
    for (u32 i = 1; i < WATCH; i++)
        f->after[i] = (struct seen){ .present = true, .frame = pages[i], .rights = RIGHT_R };
    sim_unit_hook(f->w->sim, watch_hook, f);
    map(f, PAGE_1G, PAGE_1G, PTAB_SPAN(2), RIGHT_R);
    watch_end(f);
    assert_true(!f->moved[0] && f->moved[1] && f->moved[5]);
}

static void every_step_of_a_partial_unmap_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_1G, PAGE_1G + 511, PAGE_1G + 512, PAGE_1G + 600, PAGE_1G + 601, PAGE_1G + 262143 };
    map(f, PAGE_1G, PAGE_1G, PTAB_SPAN(2), RIGHT_R | RIGHT_X);
    watch(f, pages);
    f->after[3] = (struct seen){ 0 };
    sim_unit_hook(f->w->sim, watch_hook, f);
    unmap(f, PAGE_1G + 600, 1);
    watch_end(f);
    assert_true(f->points > 1024);   /* two tables were filled under our eyes */
    assert_true(f->moved[3] && !f->moved[0] && !f->moved[4] && !f->moved[5]);
}

static void every_step_of_unmap_and_reclaim_is_legal(void **state)
{
    struct fixture *f = *state;
    static const u64 pages[WATCH] = { PAGE_2M, PAGE_2M + 1, PAGE_2M + 511, PAGE_2M + 512, PAGE_1G, PAGE_4K };
    map(f, PAGE_2M, 1, 512, RIGHT_R);
    map(f, PAGE_1G, 1, 1, RIGHT_R);
    watch(f, pages);
    f->after[0] = f->after[1] = f->after[2] = (struct seen){ 0 };
    sim_unit_hook(f->w->sim, watch_hook, f);
    unmap(f, PAGE_2M, 512);
    ptab_reclaim(&f->p, PAGE_2M, &f->change);
    ptab_release(f->w->cpu, &f->p, &f->change, 0);
    watch_end(f);
    assert_true(f->moved[0] && f->moved[2] && !f->moved[4]);
    assert_int_equal(look(f, PAGE_2M).level, 2);   /* both tables below are gone, the one shared with PAGE_1G is not */
}

/* ---- A and D bits ---- */

/* The walker uses every watched page that is mapped, now. */
static void use_hook(void *arg)
{
    struct fixture *f = arg;
    const u64 bits = is_ept(f) ? bit(8) | bit(9) : bit(5) | bit(6);
    f->points++;
    for (u32 i = 0; i < WATCH; i++) {
        const struct seen s = look(f, f->page[i]);
        if (s.present && f->points == f->at)
            *s.word |= bits;
    }
}

static void accessed_and_dirty_survive_a_split(void **state)
{
    struct fixture *f = *state;
    const u64 bits = is_ept(f) ? bit(8) | bit(9) : bit(5) | bit(6);
    for (u32 i = 0; i < WATCH; i++)
        f->page[i] = PAGE_2M;
    u32 kept = 0;
    /* At each point of the split once. */
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at += 16) {
        map(f, PAGE_2M, 512, 512, RIGHT_R | RIGHT_W);
        f->points = 0;
        sim_unit_hook(f->w->sim, use_hook, f);
        assert_int_equal(ptab_split(&f->p, PAGE_2M + 1), OK);
        sim_unit_hook(f->w->sim, NULL, NULL);
        /* Set while it was one large page: on all small ones, as any of them may be the one that was written. */
        const struct seen first = look(f, PAGE_2M), last = look(f, PAGE_2M + 511);
        assert_int_equal(first.level, 0);
        if (f->points >= f->at)
            assert_int_equal(*first.word & bits, bits);
        kept += (*last.word & bits) == bits;
        unmap(f, PAGE_2M, 512);
        ptab_reclaim(&f->p, PAGE_2M, &f->change);
        ptab_release(f->w->cpu, &f->p, &f->change, 0);
    }
    assert_true(kept > 30);
}

static void accessed_and_dirty_do_not_bring_a_page_back(void **state)
{
    struct fixture *f = *state;
    for (u32 i = 0; i < WATCH; i++)
        f->page[i] = PAGE_4K;
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at++) {
        map(f, PAGE_4K, 5, 1, RIGHT_R | RIGHT_W);
        f->points = 0;
        sim_unit_hook(f->w->sim, use_hook, f);
        unmap(f, PAGE_4K, 1);
        sim_unit_hook(f->w->sim, NULL, NULL);
        assert_int_equal(*look(f, PAGE_4K).word, 0);
    }
    assert_true(f->at > 4);
}

/* ---- Other writers ---- */

static void other_map_hook(void *arg)
{
    struct fixture *f = arg;
    u64 done;
    if (++f->points < f->at || f->other != STATUS_COUNT || !world_unlocked(f->w))
        return;
    sim_unit_cpu(f->w->sim, 1);
    f->other = ptab_map(&f->p, f->other_page, 1000, 1, RIGHT_R, &f->change, &done);
}

/* CPU 1 maps other_page at each point of CPU 0's map once. Counts how often who won. */
static void race(struct fixture *f, u64 other_page, u32 *first, u32 *second)
{
    *first = *second = 0;
    f->other_page = other_page;
    for (f->at = 1, f->points = f->at; f->points >= f->at; f->at++) {
        u64 done;
        f->points = 0;
        f->other = STATUS_COUNT;
        sim_unit_hook(f->w->sim, other_map_hook, f);
        const enum status s = ptab_map(&f->p, PAGE_2M, 2000, 8, RIGHT_R | RIGHT_W, &f->change, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        *first += s == OK && f->other != STATUS_COUNT;
        *second += f->other == OK;
        for (u64 i = 0; i < 8; i++) {
            const struct seen e = look(f, PAGE_2M + i);
            const bool others = f->other == OK && PAGE_2M + i == other_page;
            assert_int_equal(e.present, s == OK || others);
            if (e.present)
                assert_int_equal(e.frame, others ? 1000 : 2000 + i);
        }
        assert_int_equal(look(f, other_page).present, f->other == OK || (s == OK && other_page - PAGE_2M < 8));
        unmap(f, PAGE_2M, 512);
        ptab_reclaim(&f->p, PAGE_2M, &f->change);
        ptab_release(f->w->cpu, &f->p, &f->change, 0);
        world_settle(f->w);
        assert_int_equal(used(f), PAGE_SIZE);   /* the root: each table lost or won was freed once */
    }
}

static void another_writer_in_the_same_table_is_kept(void **state)
{
    struct fixture *f = *state;
    u32 first, second;
    race(f, PAGE_2M + 100, &first, &second);
    assert_true(first > 20);
    assert_int_equal(first, second);   /* both always succeed */
}

static void of_two_writers_of_a_page_one_wins(void **state)
{
    struct fixture *f = *state;
    u32 first, second;
    race(f, PAGE_2M + 4, &first, &second);
    assert_true(first > 2 && second > 2);
}

static void what_was_visible_for_a_moment_owes_a_flush(void **state)
{
    struct fixture *f = *state;
    u64 done;
    map(f, PAGE_2M + 64, 1, 1, RIGHT_R);   /* all tables are there */
    f->other_page = PAGE_2M + 4;
    /* Some point lies between the checks and the fifth page: there the other one wins when four pages have been visible. */
    for (f->at = 1; f->at < 100; f->at++) {
        f->points = 0;
        f->other = STATUS_COUNT;
        f->change.flush = false;
        sim_unit_hook(f->w->sim, other_map_hook, f);
        const enum status s = ptab_map(&f->p, PAGE_2M, 2000, 8, RIGHT_R, &f->change, &done);
        sim_unit_hook(f->w->sim, NULL, NULL);
        const bool flush = f->change.flush;
        for (u64 i = 0; i < 8; i++)
            if (s != OK && i != 4)
                is_absent(f, PAGE_2M + i);
        unmap(f, PAGE_2M, 8);
        if (flush) {
            assert_int_equal(s, STATUS_EXISTS);
            return;
        }
    }
    fail();
}

/* ---- Memory that is not there ---- */

static void a_map_that_gets_no_table_changes_nothing(void **state)
{
    struct fixture *f = *state;
    u64 done;
    for (u64 nth = 1; nth <= 3; nth++) {
        sim_unit_fail(f->w->sim, nth);
        assert_int_equal(ptab_map(&f->p, PAGE_4K, 5, 1, RIGHT_R, &f->change, &done), STATUS_MEMORY);
        assert_int_equal(used(f), PAGE_SIZE);
        assert_int_equal(look(f, PAGE_4K).level, 3);   /* no table was linked */
    }
    sim_unit_fail(f->w->sim, 4);
    assert_int_equal(ptab_map(&f->p, PAGE_4K, 5, 1, RIGHT_R, &f->change, &done), OK);
    assert_int_equal(used(f), 4 * PAGE_SIZE);
    sim_unit_fail(f->w->sim, 0);
    f->w->quota.limit.v = used(f) + 2 * PAGE_SIZE;
    assert_int_equal(ptab_map(&f->p, PAGE_4K + PTAB_SPAN(3), 5, 1, RIGHT_R, &f->change, &done), STATUS_QUOTA);
    assert_int_equal(used(f), 4 * PAGE_SIZE);
}

static void an_unmap_that_cannot_split_changes_nothing(void **state)
{
    struct fixture *f = *state;
    u64 done;
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    const u64 charged = used(f);
    sim_unit_fail(f->w->sim, 1);
    assert_int_equal(ptab_unmap(&f->p, PAGE_1G + 5, 1, &f->change, &done), STATUS_MEMORY);
    assert_int_equal(used(f), charged);
    sim_unit_fail(f->w->sim, 2);
    assert_int_equal(ptab_unmap(&f->p, PAGE_1G + 5, 1, &f->change, &done), STATUS_MEMORY);
    is_mapped(f, PAGE_1G + 5, PTAB_SPAN(2) + 5, RIGHT_R, 1);   /* an equal, smaller page */
    assert_false(f->change.flush);
    sim_unit_fail(f->w->sim, 0);
    unmap(f, PAGE_1G + 5, 1);
    is_absent(f, PAGE_1G + 5);
}

static void after_reserve_map_needs_no_memory(void **state)
{
    struct fixture *f = *state;
    u64 done;
    assert_int_equal(ptab_reserve(&f->p, PAGE_2M + 3, 9, 100, &done), OK);
    assert_int_equal(done, 100);
    assert_int_equal(ptab_reserve(&f->p, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), &done), OK);
    assert_int_equal(done, PTAB_SPAN(2));
    is_absent(f, PAGE_2M + 3);
    f->w->quota.limit.v = used(f);
    map(f, PAGE_2M + 3, 9, 100, RIGHT_R);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    is_mapped(f, PAGE_2M + 102, 108, RIGHT_R, 0);
    is_mapped(f, PAGE_1G, PTAB_SPAN(2), RIGHT_R, 2);
}

static void an_empty_table_is_used_again(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_2M, 1, 1, RIGHT_R);
    unmap(f, PAGE_2M, 1);   /* not reclaimed */
    const u64 charged = used(f);
    map(f, PAGE_2M, 512, 512, RIGHT_R);
    is_mapped(f, PAGE_2M + 3, 515, RIGHT_R, 0);   /* not as a large page: the table stays linked */
    assert_int_equal(used(f), charged);
}

/* ---- Tables that die ---- */

static void dead_tables_wait_for_every_cpu(void **state)
{
    struct fixture *f = *state;
    struct world *w = f->w;
    map(f, PAGE_4K, 5, 1, RIGHT_R);
    unmap(f, PAGE_4K, 1);
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_int_equal(look(f, PAGE_4K).level, 3);
    assert_int_equal(used(f), PAGE_SIZE);   /* the owner is not charged for what only waits */
    const u64 tables = 3 * (PAGE_SIZE + mem_charge(sizeof(struct ptab_dead)));
    assert_int_equal(atomic_load(&w->kern->quota.used), tables);
    const u64 dead = mach_virt_to_phys(f->change.dead->table);
    ptab_release(w->cpu, &f->p, &f->change, 0);
    assert_null(f->change.dead);
    for (u32 i = 0; i < WORLD_CPUS; i++) {
        assert_int_equal(memory_state_of(w, dead), MEM_EPOCH);
        assert_int_equal(atomic_load(&w->kern->quota.used), tables);
        world_trap(w, (i + 1) % WORLD_CPUS);   /* CPU 0, which has them, last */
    }
    assert_int_equal(memory_state_of(w, dead), MEM_FREE);
    assert_int_equal(atomic_load(&w->kern->quota.used), 0);
}

static void a_table_that_cannot_be_buried_stays(void **state)
{
    struct fixture *f = *state;
    map(f, PAGE_4K, 5, 1, RIGHT_R);
    unmap(f, PAGE_4K, 1);
    f->change.flush = false;
    sim_unit_fail(f->w->sim, 1);
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_null(f->change.dead);
    assert_false(f->change.flush);
    assert_int_equal(look(f, PAGE_4K).level, 0);
    sim_unit_fail(f->w->sim, 2);
    ptab_reclaim(&f->p, PAGE_4K, &f->change);
    assert_int_equal(look(f, PAGE_4K).level, 1);
    map(f, PAGE_4K, 6, 1, RIGHT_R);
    is_mapped(f, PAGE_4K, 6, RIGHT_R, 0);
}

static void only_the_host_shares_the_machines_half(void **state)
{
    struct fixture *f = *state;
    const u64 *root = sim_phys(f->w->sim, f->p.root, PAGE_SIZE), *boot = sim_phys(f->w->sim, mach_boot_root(), PAGE_SIZE);
    u32 entries = 0;
    for (u32 i = 0; i < 512; i++) {
        const u64 expected = f->format == &ptab_host && i >= 256 ? boot[i] : 0;
        assert_int_equal(root[i], expected);
        entries += root[i] != 0;
    }
    assert_int_equal(entries > 0, f->format == &ptab_host);
}

static void destroy_frees_tables_of_every_level(void **state)
{
    struct fixture *f = *state;
    map(f, 0, 0, 1, RIGHT_R);
    map(f, PAGE_2M, 512, 512, RIGHT_R);
    map(f, PAGE_1G, PTAB_SPAN(2), PTAB_SPAN(2), RIGHT_R);
    map(f, PTAB_SPAN(3) * 200 + 511 * 512 + 511, 1, 2, RIGHT_R);
    map(f, bit(f->format->address_bits - PAGE_BITS) - 1, 1, 1, RIGHT_R);
    assert_true(used(f) > 8 * PAGE_SIZE);
    ptab_destroy(&f->p);
    assert_int_equal(used(f), 0);
    assert_int_equal(ptab_init(&f->p, f->format, &f->w->quota, 2), OK);   /* for the teardown */
}

#define EACH(f) { #f " (host)", f, setup_host, teardown, NULL }, { #f " (EPT)", f, setup_ept, teardown, NULL }, { #f " (NPT)", f, setup_npt, teardown, NULL }

TEST_GROUP(ptab, EACH(rights_are_entered_as_asked), EACH(large_pages_follow_alignment), EACH(the_machines_largest_page_is_kept),
           EACH(a_step_ends_with_its_table), EACH(nothing_is_mapped_over_something), EACH(addresses_beyond_the_format_are_refused),
           EACH(unmap_of_part_splits_once_or_twice), EACH(flush_is_said_exactly_when_owed), EACH(split_at_an_edge_changes_nothing_else),
           EACH(every_step_of_map_is_legal), EACH(every_step_of_a_large_map_is_legal), EACH(every_step_of_a_partial_unmap_is_legal),
           EACH(every_step_of_unmap_and_reclaim_is_legal), EACH(accessed_and_dirty_survive_a_split),
           EACH(accessed_and_dirty_do_not_bring_a_page_back), EACH(another_writer_in_the_same_table_is_kept),
           EACH(of_two_writers_of_a_page_one_wins), EACH(what_was_visible_for_a_moment_owes_a_flush),
           EACH(a_map_that_gets_no_table_changes_nothing), EACH(an_unmap_that_cannot_split_changes_nothing),
           EACH(after_reserve_map_needs_no_memory), EACH(an_empty_table_is_used_again), EACH(dead_tables_wait_for_every_cpu),
           EACH(a_table_that_cannot_be_buried_stays), EACH(only_the_host_shares_the_machines_half), EACH(destroy_frees_tables_of_every_level));
