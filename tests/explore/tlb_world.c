/* SPDX-License-Identifier: BSD-2-Clause */
/* Shootdowns, without a scheduler: initiators take a page of a space away, ask, and free the frame when the generation is complete: they spin for that,
 * leave it to an epoch, or look now and then. May anybody still translate to it then, and does every generation become complete? Initiators hold no
 * lock: tlb.c needs none. */
#include "core_world.h"

#define CPUS 4u

static struct space_mem space[CPUS];
static u32 host_cpus;                        /* these run in user mode of space[0] */
static atomic_u64 flushed[CPUS];             /* flushes of nested translations that CPUs have begun */
static struct virt_ops counted;
static struct frame { struct epoch_item item; u64 phys, generation; } frame[CPUS];   /* by who takes it */

/* A page of a space goes: the words now, the frame later. */
static u64 take_page(struct space_mem *s, u32 n)
{
    struct ptab_change change = { 0 };
    const u64 phys = core_world_frame(s, n);
    u64 done;
    world_assert(ptab_unmap(&s->ptab, CORE_PAGE(n), 1, &change, &done) == OK && change.flush, "page %u stays", n);
    return phys;
}

static void free_frame(u64 phys)
{
    struct core *const w = core_world();
    core_world_unreachable(phys, "its generation is complete");
    mem_free(w->kern->mem, &w->quota, mach_phys_to_virt(phys), PAGE_SIZE);
}

static void initiator(void)
{
    const u64 phys = take_page(&space[0], world_id());
    core_world_await(tlb_request(core_world_cpu(), &space[0]));
    free_frame(phys);
    core_world_leave();
}

static void frame_release(struct cpu *cpu, struct epoch_item *item)
{
    struct frame *const f = container_of(item, struct frame, item);
    free_frame(f->phys);
    f->phys = 0;
}

static void deferring_initiator(void)
{
    struct frame *const f = &frame[world_id()];
    f->phys = take_page(&space[0], world_id());
    f->item.release = frame_release;
    epoch_defer(core_world_cpu(), &f->item, tlb_request(core_world_cpu(), &space[0]));
    core_world_leave();
}

static void freed_end(void)
{
    core_world_rest();
    for (u32 i = 0; i < CPUS; i++)
        world_assert(!frame[i].phys, "the frame of CPU %u was never freed", i);
}

/* Many at once: a trap is the flushes that were asked for and a look, nothing else, and frames stay in use. */

static void look(void)
{
    struct frame *const f = &frame[world_id()];
    tlb_handle(core_world_cpu());
    if (f->phys && tlb_complete(f->generation))
        core_world_unreachable(f->phys, "its generation is complete");
}

static void look_interrupt(u32 vector)
{
    if (vector != VECTOR_SPURIOUS)
        apic_eoi(core_world_cpu());
    look();
}

static void looking_initiator(void)
{
    struct frame *const f = &frame[world_id()];
    f->phys = take_page(&space[0], world_id());
    f->generation = tlb_request(core_world_cpu(), &space[0]);
    look();
}

static void looked_end(void)
{
    core_world_rest();
    for (u32 i = 0; i < CPUS; i++)
        if (frame[i].phys)
            core_world_unreachable(frame[i].phys, "all are at rest");
}

/* Two accesses with the end of a trap between them: the second may be answered from what the first has cached. */
static void user(void)
{
    for (u32 i = 0; i < 2; i++) {
        (void)core_world_load(0);
        (void)world_poll();
    }
}

static void load_on(u32 cpus)
{
    for (u32 i = 0; i < cpus; i++)
        if (host_cpus & bit(i)) {
            world_cpu(i);
            tlb_load(core_world()->kern->cpu[i], &space[0]);
        }
    world_cpu(0);
}

static void open(u32 cpus, u32 pages, u32 loaded)
{
    core_world_open(cpus);
    core_world_space(&space[0], pages);
    host_cpus = loaded;
    load_on(cpus);
}

/* ---- One to four initiators ---- */

static void one_setup(void)
{
    open(2, 1, 2);
}

CORE_WORLD(tlb_one, .question = "May a CPU use a page after its shootdown is complete?", .cpus = 2, .setup = one_setup, .program = { initiator, user });

static void idle_setup(void)
{
    open(2, 1, 3);
}

CORE_WORLD(tlb_idle, .question = "Does a CPU that waits for an interrupt make the flush it is asked for?", .cpus = 2, .setup = idle_setup,
           .program = { initiator });

static void two_setup(void)
{
    open(2, 2, 3);
}

CORE_WORLD(tlb_two, .question = "Two initiators that ask each other: do both generations become complete?", .cpus = 2, .setup = two_setup,
           .program = { initiator, initiator });

WORLD_TEST(tlb_defer, .question = "Two initiators that leave the frames to an epoch: is each freed, and not early?", .cpus = 2, .setup = two_setup,
           .program = { deferring_initiator, deferring_initiator }, .interrupt = core_world_interrupt, .end = freed_end);

#define LOOKING_WORLD(id, ...) WORLD_TEST(id, .interrupt = look_interrupt, .end = looked_end, __VA_ARGS__)

static void three_setup(void)
{
    open(3, 3, 3);   /* all three ask, two are asked */
}

LOOKING_WORLD(tlb_three, .question = "Three initiators at once, their generations in any order: is each flush made?", .cpus = 3,
              .setup = three_setup, .program = { looking_initiator, looking_initiator, looking_initiator });

static void four_setup(void)
{
    open(4, 4, 1);   /* all four ask, one is asked */
}

LOOKING_WORLD(tlb_four, .question = "Four initiators at once, three of one CPU: does none take another's answer for its own?", .cpus = 4, .setup = four_setup,
              .program = { looking_initiator, looking_initiator, looking_initiator, looking_initiator });

/* ---- A CPU loads the space, or another one, meanwhile ---- */

static void loader(void)
{
    tlb_load(core_world_cpu(), &space[0]);
    user();
}

static void load_setup(void)
{
    open(2, 1, 0);
}

CORE_WORLD(tlb_load, .question = "Is a CPU that loads the space asked, or does it find the page gone?", .cpus = 2, .setup = load_setup,
           .program = { initiator, loader });

static void leaver(void)
{
    (void)core_world_load(0);
    tlb_load(core_world_cpu(), NULL);
    core_world_leave();
    tlb_load(core_world_cpu(), &space[0]);
    user();
}

CORE_WORLD(tlb_switch, .question = "A CPU leaves the space and comes back: is it asked when it must be?", .cpus = 2, .setup = one_setup,
           .program = { initiator, leaver });

/* ---- Two kinds: CPU 0 takes a host page, CPU 1 a nested translation, CPU 2 may have both ---- */

static void flush(struct cpu *cpu)
{
    atomic_add(&flushed[cpu->id], 1);
}

static void kinds_setup(void)
{
    open(3, 1, 4);
    counted = (struct virt_ops){ .flush = flush };
    core_world()->kern->virt = &counted;
    for (u32 i = 0; i < CPUS; i++)
        flushed[i].v = 0;
}

static void nested_initiator(void)
{
    const u64 before = atomic_load(&flushed[2]);   /* the word has changed: from here on a flush counts */
    core_world_await(tlb_batch_request(core_world_cpu(), &(struct tlb_batch){ .guest = bit(2) }));
    world_assert(atomic_load(&flushed[2]) > before, "the generation is complete, and nothing nested was flushed");
    core_world_leave();
}

CORE_WORLD(tlb_kinds, .question = "Is a generation complete only after the kind of flush it is about?", .cpus = 3, .setup = kinds_setup,
           .program = { initiator, nested_initiator, user });

/* ---- A batch: two spaces, loaded on a CPU each ---- */

static void batch_initiator(void)
{
    struct tlb_batch batch = { 0 };
    u64 phys[2];
    for (u32 i = 0; i < 2; i++) {
        phys[i] = take_page(&space[i], 0);
        tlb_batch_add(&batch, &space[i]);
    }
    core_world_await(tlb_batch_request(core_world_cpu(), &batch));
    free_frame(phys[0]);
    free_frame(phys[1]);
    core_world_leave();
}

static void batch_setup(void)
{
    open(3, 1, 2);
    core_world_space(&space[1], 1);
    world_cpu(2);
    tlb_load(core_world()->kern->cpu[2], &space[1]);
    world_cpu(0);
}

CORE_WORLD(tlb_batch, .question = "One request for two spaces: does it reach the CPUs of both?", .cpus = 3, .setup = batch_setup,
           .program = { batch_initiator, user, user });
