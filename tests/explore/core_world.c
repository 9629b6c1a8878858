/* SPDX-License-Identifier: BSD-2-Clause */
#include "core_world.h"
#include "translations.h"

static struct core core;

struct core *core_world_open(u32 cpus)
{
    core = (struct core){ 0 };
    core_open(&core, world_sim(), cpus);
    return &core;
}

struct core *core_world(void)
{
    return &core;
}

struct cpu *core_world_cpu(void)
{
    return core.kern->cpu[world_id()];
}

void core_world_leave(void)
{
    struct cpu *const cpu = core_world_cpu();
    if (atomic_load(&cpu->tlb.requested) != atomic_load(&cpu->tlb.done))
        tlb_handle(cpu);
    epoch_quiesce(cpu);
}

void core_world_interrupt(u32 vector)
{
    if (vector != VECTOR_SPURIOUS)
        apic_eoi(core_world_cpu());
    core_world_leave();
}

void core_world_space(struct space_mem *s, u32 pages)
{
    *s = (struct space_mem){ 0 };
    world_assert(space_mem_init(s, &ptab_host, &core.quota, 0, USER_END >> PAGE_BITS) == OK, "no space");
    for (u32 i = 0; i < pages; i++) {
        void *frame;
        world_assert(mem_alloc(core.kern->mem, &core.quota, PAGE_SIZE, &frame) == OK, "no memory");
        world_assert(space_mem_insert(s, CORE_PAGE(i), mach_virt_to_phys(frame) >> PAGE_BITS, 1, RIGHT_R | RIGHT_W) == OK, "no page");
    }
    tlb_load(core.cpu, s);
    for (u32 i = 0; i < pages; i++)
        world_assert(core_world_load(i) && core_world_store(i), "a page cannot be used");   /* A and D are set: it may be cached from now on */
    tlb_load(core.cpu, NULL);
}

static bool use(u32 page, u32 access)
{
    struct sim_translation t;
    struct sim_fault fault;
    return sim_translate(sim_this(), CORE_ADDRESS(page), access, true, &t, &fault);
}

bool core_world_load(u32 page)
{
    return use(page, RIGHT_R);
}

bool core_world_store(u32 page)
{
    return use(page, RIGHT_W);
}

u64 core_world_frame(const struct space_mem *s, u32 page)
{
    u64 frame;
    u32 rights;
    world_assert(ptab_lookup(&s->ptab, CORE_PAGE(page), &frame, &rights), "page %u is not mapped", page);
    return frame << PAGE_BITS;
}

void core_world_unreachable(u64 phys, const char *what)
{
    u32 cpu;
    u64 address;
    if (translations_reach(core.sim, phys, PAGE_SIZE, RIGHT_MEMORY, &cpu, &address))
        world_fail("%s: CPU %u may still translate 0x%lx to 0x%lx", what, cpu, address, phys);
}

void core_world_await(u64 generation)
{
    while (!tlb_complete(generation)) {
        (void)world_poll();
        mach_relax();
    }
}

static bool is_held(const struct lock *l)
{
    return l->held.v;
}

void core_world_rest(void)
{
    for (u32 i = 0; i < core.kern->cpu_count; i++) {
        const struct cpu *const cpu = core.kern->cpu[i];
        world_assert(!cpu->epoch.first && !cpu->released.v, "CPU %u: something waits for an epoch that nobody will end", i);
        world_assert(cpu->tlb.done.v == cpu->tlb.requested.v, "CPU %u was asked for a flush and has not made it", i);
    }
    world_assert(!is_held(&core.kern->derive_lock) && !is_held(&core.kern->tlb_lock), "a lock is held at rest");
}
