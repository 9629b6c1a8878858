/* SPDX-License-Identifier: BSD-2-Clause */
/* Epochs: things that can be found by a pointer, unlinked, deferred and released. Is each released once, never while a trap that has found it goes
 * on, and without anybody's help from outside? Things are plain memory: the machine judges the race between its last user and its release. */
#include "core_world.h"

#define THINGS 4u

struct thing {
    struct epoch_item item;
    u64 content;          /* 1: in use, 0: released */
    u32 released;
};

static struct thing thing[THINGS];
static atomic_u64 place[THINGS];     /* where others find them */
static u32 expected;                 /* so many are released in the end */

static void release(struct cpu *cpu, struct epoch_item *item)
{
    struct thing *const t = container_of(item, struct thing, item);
    t->content = 0;
    t->released++;
}

/* Its release defers the next one. */
static void release_more(struct cpu *cpu, struct epoch_item *item)
{
    release(cpu, item);
    struct thing *const next = container_of(item, struct thing, item) + 1;
    next->item.release = release;
    epoch_defer(cpu, &next->item, 0);
}

static void open(u32 cpus, u32 things)
{
    core_world_open(cpus);
    expected = things;
    for (u32 i = 0; i < THINGS; i++) {
        thing[i] = (struct thing){ .content = 1 };
        place[i].v = (u64)&thing[i];
    }
}

static void unlink_one(u32 i)
{
    struct thing *const t = (struct thing *)atomic_xchg(&place[i], 0);
    t->item.release = release;
    epoch_defer(core_world_cpu(), &t->item, 0);
}

/* What is found in a trap stays until its end. */
static void find(u32 i)
{
    struct thing *const t = (struct thing *)atomic_load(&place[i]);
    if (t)
        world_assert(t->content == 1, "thing %u is released while a trap uses it", i);
}

static void end(void)
{
    core_world_rest();
    for (u32 i = 0; i < THINGS; i++)
        world_assert(thing[i].released == (i < expected), "thing %u was released %u times", i, thing[i].released);
}

#define EPOCH_WORLD(id, ...) WORLD_TEST(id, .interrupt = core_world_interrupt, .end = end, __VA_ARGS__)

/* ---- One defers, others look ---- */

static void deferrer(void)
{
    unlink_one(0);
    core_world_leave();
}

static void finder(void)
{
    core_world_leave();   /* of a trap before: it has seen an epoch that is over */
    find(0);
    core_world_leave();
}

static void use_setup(void)
{
    open(2, 1);
}

EPOCH_WORLD(epoch_use, .question = "Is a thing kept while a trap uses it, and released when that trap ends?", .cpus = 2, .setup = use_setup,
            .program = { deferrer, finder });

static void idle_setup(void)
{
    open(3, 1);
}

EPOCH_WORLD(epoch_idle, .question = "Does a CPU that idles hold an epoch back?", .cpus = 3, .setup = idle_setup, .program = { deferrer, finder });

static void three_setup(void)
{
    open(3, 1);
}

EPOCH_WORLD(epoch_three, .question = "Two CPUs use a thing that a third one gives away?", .cpus = 3, .setup = three_setup,
            .program = { deferrer, finder, finder });

/* ---- Two defer ---- */

static void other_deferrer(void)
{
    find(0);
    unlink_one(1);
    core_world_leave();
}

static void both_setup(void)
{
    open(2, 2);
}

EPOCH_WORLD(epoch_both, .question = "Two CPUs defer at once, and wait for each other's trap: is each told?", .cpus = 2, .setup = both_setup,
            .program = { deferrer, other_deferrer });

/* ---- One after the other, with a trap elsewhere in between ---- */

static void twice(void)
{
    unlink_one(0);
    unlink_one(1);
    core_world_leave();
}

static void empty_trap(void)
{
    core_world_leave();
}

EPOCH_WORLD(epoch_late, .question = "A CPU that has seen the first of two epochs: is it asked for the second?", .cpus = 2, .setup = both_setup,
            .program = { twice, empty_trap });

/* ---- A release defers more ---- */

static void chain(void)
{
    struct thing *const t = (struct thing *)atomic_xchg(&place[0], 0);
    t->item.release = release_more;
    epoch_defer(core_world_cpu(), &t->item, 0);
    core_world_leave();
}

EPOCH_WORLD(epoch_chain, .question = "What a release defers: is it released in its turn?", .cpus = 2, .setup = both_setup, .program = { chain, finder });

/* ---- Together with a shootdown: a page table and a frame ---- */

static struct space_mem space;
static u64 frame;
static struct epoch_item frame_item;

static void frame_release(struct cpu *cpu, struct epoch_item *item)
{
    struct core *const w = core_world();
    mem_free(w->kern->mem, &w->quota, mach_phys_to_virt(frame), PAGE_SIZE);
    frame = 0;
}

static void unmapper(void)
{
    struct cpu *const cpu = core_world_cpu();
    struct ptab_change change = { 0 };
    u64 done;
    world_assert(ptab_unmap(&space.ptab, CORE_PAGE(0), 1, &change, &done) == OK, "the page stays");
    ptab_reclaim(&space.ptab, CORE_PAGE(0), &change);
    const u64 generation = tlb_request(cpu, &space);
    ptab_release(cpu, &space.ptab, &change, generation);
    frame_item.release = frame_release;
    epoch_defer(cpu, &frame_item, generation);
    core_world_leave();
}

static void walker(void)
{
    for (u32 i = 0; i < 2; i++) {
        (void)core_world_load(0);
        core_world_leave();   /* a trap of its own: it may see the epoch before it sees the request */
    }
}

static void tlb_setup(void)
{
    open(2, 0);
    core_world_space(&space, 1);
    /* Only the lowest table becomes empty: that is long enough a search. */
    world_assert(space_mem_insert(&space, align_down(CORE_PAGE(0), PTAB_SPAN(2)), 1, 1, RIGHT_R) == OK, "no page");
    frame = core_world_frame(&space, 0);
    world_cpu(1);
    tlb_load(core_world()->kern->cpu[1], &space);
    world_cpu(0);
}

static void tlb_end(void)
{
    end();
    world_assert(!frame, "the frame was never freed");
}

WORLD_TEST(epoch_tlb, .interrupt = core_world_interrupt, .end = tlb_end, .question = "Are frame and tables freed only after the flush, and then surely?",
           .cpus = 2, .setup = tlb_setup, .program = { unmapper, walker });
