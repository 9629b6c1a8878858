/* SPDX-License-Identifier: BSD-2-Clause */
/* Page tables against walkers and a second writer, in each of the three formats: does a walker find what was mapped before or what is mapped after,
 * are its A and D bits kept, and do two writers find each other's tables? CPU 0 writes, CPU 1 walks or writes. */
#include "core_world.h"

#define SMALL 0x12345ul                          /* page numbers */
#define LARGE (7ul << 18 | 3ul << 9)
#define FRAME 0x80000ul                          /* large pages map no RAM: nobody accesses it */
#define RW    (RIGHT_R | RIGHT_W)

static const struct ptab_format *format;
static struct ptab tables;
static u64 walked_frame;                         /* found by the walker */

/* ---- The walker ---- */

static bool walk(u64 page, u32 access, u64 *frame)
{
    struct sim_translation t;
    struct sim_nested_fault nested_fault;
    struct sim_fault fault;
    bool found;
    if (format == &ptab_host) {
        found = sim_translate(sim_this(), page << PAGE_BITS, access, true, &t, &fault);
    } else {
        const bool ept = format == &ptab_ept;
        /* With A and D, which the kernel does not use: it keeps them all the same. */
        const struct sim_nested n = { ept ? SIM_EPT : SIM_NPT, tables.root | (ept ? 0x5e : 0), 1, true };
        found = sim_nested_translate(sim_this(), &n, page << PAGE_BITS, access, false, &t, &nested_fault) == SIM_NESTED_OK;
    }
    *frame = found ? t.phys >> PAGE_BITS : 0;
    return found;
}

/* The leaf for a page as memory holds it now; 0: none. */
static u64 leaf(u64 page)
{
    u64 word = tables.root;
    for (u32 level = PTAB_LEVELS; level--;) {
        const u64 *const table = sim_phys(core_world()->sim, word & PTAB_ADDRESS, PAGE_SIZE);
        word = world_peek(&table[page >> 9 * level & (PTAB_ENTRIES - 1)]);
        if (!ptab_is_present(format, word))
            return 0;
        if (ptab_is_leaf(word, level))
            return word;
    }
    return 0;
}

/* ---- Set-up ---- */

static void open(const struct ptab_format *f)
{
    struct core *const w = core_world_open(2);
    format = f;
    walked_frame = 0;
    world_assert(ptab_init(&tables, f, &w->quota, 1) == OK, "no table");
    if (f == &ptab_host) {
        world_cpu(1);
        mach_cr3_write(tables.root);
        world_cpu(0);
    }
}

static void map_now(u64 page, u64 frame, u64 count)
{
    struct ptab_change change = { 0 };
    u64 done;
    world_assert(ptab_map(&tables, page, frame, count, RW, &change, &done) == OK && done == count, "not mapped");
}

/* One world per format; more: fields of the test. */
#define FORMAT(id, kind, set, ...)                                                                                     \
    static void id##_setup_##kind(void)                                                                                \
    {                                                                                                                  \
        open(&ptab_##kind);                                                                                            \
        set();                                                                                                         \
    }                                                                                                                  \
    WORLD_TEST(id##_##kind, .cpus = 2, .setup = id##_setup_##kind, .interrupt = core_world_interrupt, __VA_ARGS__)
#define EACH(id, set, ...)                                                                                             \
    FORMAT(id, host, set, __VA_ARGS__);                                                                                \
    FORMAT(id, ept, set, __VA_ARGS__);                                                                                 \
    FORMAT(id, npt, set, __VA_ARGS__)

/* ---- A page is mapped, with all its tables ---- */

static void none(void)
{
}

static void mapper(void)
{
    map_now(SMALL, FRAME + 1, 2);
}

/* One after the other: what was found stays. */
static void map_walker(void)
{
    u64 frame;
    for (u32 i = 0; i < 2; i++) {
        const bool found = walk(SMALL + 1, RIGHT_R, &frame);
        world_assert(!found || frame == FRAME + 2, "a walk during a map finds frame 0x%lx", frame);
        world_assert(found || !walked_frame, "a page that was there is gone, and nobody unmapped it");
        walked_frame = frame;
    }
}

static void mapped_end(void)
{
    world_assert(leaf(SMALL) && leaf(SMALL + 1), "the pages are not mapped");
}

EACH(ptab_map, none, .question = "Does a walker that meets a map find anything but nothing or all of a page?", .end = mapped_end,
     .program = { mapper, map_walker });

/* ---- Two writers need the same tables ---- */

static void second_mapper(void)
{
    map_now(SMALL + 2, FRAME + 3, 1);
}

static void both_end(void)
{
    for (u32 i = 0; i < 3; i++)
        world_assert((leaf(SMALL + i) & PTAB_ADDRESS) >> PAGE_BITS == FRAME + 1 + i, "page %u is lost", i);
    /* The root, and one table per level below it: a spare that found another's in its place is free again. */
    world_assert(core_world()->quota.used.v == PTAB_LEVELS * PAGE_SIZE, "%lu bytes of tables", core_world()->quota.used.v);
}

EACH(ptab_writers, none, .question = "Two writers make the same tables: is a page lost, or a table?", .end = both_end,
     .program = { mapper, second_mapper });

/* ---- A page is unmapped ---- */

static void map_first(void)
{
    map_now(SMALL, FRAME + 1, 2);
}

static void unmapper(void)
{
    struct ptab_change change = { 0 };
    u64 done;
    world_assert(ptab_unmap(&tables, SMALL, 1, &change, &done) == OK && done == 1 && change.flush, "not unmapped");
}

static void unmap_walker(void)
{
    u64 frame;
    for (u32 i = 0; i < 2; i++) {
        if (walk(SMALL, RIGHT_W, &frame))
            world_assert(frame == FRAME + 1, "a walk during an unmap finds frame 0x%lx", frame);
        world_assert(walk(SMALL + 1, RIGHT_W, &frame) && frame == FRAME + 2, "the page beside the one that goes is gone");
    }
}

static void unmapped_end(void)
{
    const u64 word = leaf(SMALL + 1);
    world_assert(!leaf(SMALL), "the page is mapped again: a walker wrote into a word that was cleared");
    world_assert(format->keep(word) == format->keep(~0ul), "A or D of a page that was written is lost");
}

EACH(ptab_unmap, map_first, .question = "Is a word that was cleared written again by a walker, or a walker's bit lost?", .end = unmapped_end,
     .program = { unmapper, unmap_walker });

/* ---- A large page is split while it is written ---- */

static void map_large(void)
{
    map_now(LARGE, FRAME, PTAB_SPAN(1));
}

static void splitter(void)
{
    world_assert(ptab_split(&tables, LARGE + 1) == OK, "not split");
}

static void split_walker(void)
{
    u64 frame;
    world_assert(walk(LARGE + 5, RIGHT_W, &frame) && frame == FRAME + 5, "a page that nobody unmapped is gone, or elsewhere: 0x%lx", frame);
}

/* No flush is owed: whatever translation the walker has used, the page that it wrote is dirty. */
static void split_end(void)
{
    for (u32 i = 0; i < 8; i++)
        world_assert((leaf(LARGE + i) & PTAB_ADDRESS) >> PAGE_BITS == FRAME + i, "page %u of the large one is elsewhere", i);
    world_assert(format->keep(leaf(LARGE + 5)) == format->keep(~0ul), "A or D of a page that was written is lost");
}

EACH(ptab_split, map_large, .question = "A large page is split while it is written: are A and D kept?", .end = split_end,
     .program = { splitter, split_walker });
