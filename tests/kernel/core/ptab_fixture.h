/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of ptab.c share: each runs for all three formats; a walker of their own reads the words as the manuals say. */
#pragma once
#include "ptab.h"
#include "kernel/core_fixture.h"

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
    struct core *w;
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

static inline bool is_ept(const struct fixture *f)
{
    return f->format == &ptab_ept;
}

/* ---- The walker ---- */

static inline u32 ept_word_rights(u64 word, u32 level, bool leaf)
{
    assert_true(!(word & 2) || word & 1);                     /* W without R: misconfiguration (SDM 3C 28.3.3.1) */
    if (leaf)
        assert_int_equal(word >> 3 & 7, 6);                   /* write-back */
    else
        assert_int_equal(word & 0xf8, 0);                     /* reserved in a table reference */
    return word & 7;
}

static inline u32 long_word_rights(u64 word)
{
    return RIGHT_R | (word & 2 ? RIGHT_W : 0) | (word >> 63 ? 0 : RIGHT_X);
}

static inline struct seen look(struct fixture *f, u64 page)
{
    struct seen s = { .rights = RIGHT_MEMORY };
    u64 table = f->p.root;
    for (s.level = 3;; s.level--) {
        assert_int_not_equal(memory_state_of(f->w, table), MEM_FREE);
        s.word = (u64 *)sim_phys(f->w->sim, table, PAGE_SIZE) + (page >> 9 * s.level & 511);
        const u64 word = *s.word;
        const bool leaf = s.level == 0 || word & bit(7);
        if (!(word & (is_ept(f) ? 7 : 1))) {
            assert_int_equal(word & 0x000ffffffffff000ul, 0);   /* speculation would read what it names (L1TF) */
            return s;
        }
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

static inline bool same(const struct seen *a, const struct seen *b)
{
    return a->present == b->present && (!a->present || (a->frame == b->frame && a->rights == b->rights));
}

/* At every point each watched page is as before or as after, and never goes back. */
static inline void watch_hook(void *arg)
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

static inline void watch(struct fixture *f, const u64 *pages)
{
    f->points = 0;
    for (u32 i = 0; i < WATCH; i++) {
        f->page[i] = pages[i];
        f->before[i] = f->after[i] = look(f, pages[i]);
        f->moved[i] = false;
    }
}

/* The last look, after the last step. */
static inline void watch_end(struct fixture *f)
{
    sim_unit_hook(f->w->sim, NULL, NULL);
    watch_hook(f);
}

/* ---- Fixture ---- */

static inline int setup_as(void **state, const struct ptab_format *format)
{
    struct fixture *f = calloc(1, sizeof(*f));
    core_setup_as((void **)&f->w, format == &ptab_npt ? SIM_SVM : SIM_VMX);
    f->format = format;
    assert_int_equal(ptab_init(&f->p, format, &f->w->quota, 2), OK);
    *state = f;
    return 0;
}

static inline int setup_host(void **state)
{
    return setup_as(state, &ptab_host);
}

static inline int setup_ept(void **state)
{
    return setup_as(state, &ptab_ept);
}

static inline int setup_npt(void **state)
{
    return setup_as(state, &ptab_npt);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    struct core *w = f->w;
    sim_unit_hook(w->sim, NULL, NULL);
    ptab_release(w->cpu, &f->p, &f->change, 0);
    ptab_destroy(&f->p);
    free(f);
    return core_teardown((void **)&w);
}

static inline u64 used(struct fixture *f)
{
    return atomic_load(&f->w->quota.used);
}

/* Map all of it, step by step. */
static inline void map(struct fixture *f, u64 page, u64 frame, u64 count, u32 rights)
{
    for (u64 done = 0, n; done < count; done += n)
        assert_int_equal(ptab_map(&f->p, page + done, frame + done, count - done, rights, &f->change, &n), OK);
}

static inline void unmap(struct fixture *f, u64 page, u64 count)
{
    for (u64 done = 0, n; done < count; done += n)
        assert_int_equal(ptab_unmap(&f->p, page + done, count - done, &f->change, &n), OK);
}

static inline void is_mapped(struct fixture *f, u64 page, u64 frame, u32 rights, u32 level)
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

static inline void is_absent(struct fixture *f, u64 page)
{
    u64 frame;
    u32 rights;
    assert_false(look(f, page).present);
    assert_false(ptab_lookup(&f->p, page, &frame, &rights));
}

#define EACH(f) { #f " (host)", f, setup_host, teardown, NULL }, { #f " (EPT)", f, setup_ept, teardown, NULL }, { #f " (NPT)", f, setup_npt, teardown, NULL }
