/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of a sequence: root takes everything back. Then nothing may be charged to it but its own tables, and the allocator has the rest. */
#include "cpu.h"
#include "run.h"
#include "view.h"

static void capabilities(struct fuzz *z)
{
    struct cpu *const cpu = fixture_cpu(z->f, 0);
    enum status s;
    while ((s = space_obj_revoke(cpu, &z->f->pd->objects, 0, SEL_COUNT, true)) == STATUS_RESTART)
        fixture_interrupts(z->f);
    if (s != OK)
        fuzz_fail(z, "the end: capabilities are not taken back: status %u", s);
    for (u32 i = 0; i < z->m.cpus; i++) {
        object_unref(fixture_cpu(z->f, 0), (struct object *)atomic_load(&z->driver[i]->own));
        object_unref(fixture_cpu(z->f, 0), &z->driver[i]->object);
    }
    fixture_settle(z->f);
}

static void memory(struct fuzz *z, struct space_mem *space, bool self)
{
    u64 generation;
    enum status s;
    while ((s = space_mem_revoke(fixture_cpu(z->f, 0), space, 0, space->ptab.page_end, self, &generation)) == STATUS_RESTART)
        fixture_interrupts(z->f);
    if (s != OK)
        fuzz_fail(z, "the end: pages are not taken back: status %u", s);
}

void dismantle(struct fuzz *z)
{
    struct pd *const pd = z->f->pd;
    capabilities(z);
    memory(z, &pd->memory, false);
    if (pd->guest.ptab.root)
        memory(z, &pd->guest, true);
    const struct fixture_books after = fixture_books(z->f);
    u64 bytes = PAGE_SIZE;
    for (u32 i = 0; i < M_LEAVES; i++)
        bytes += view_leaf(pd, i) ? PAGE_SIZE : 0;
    for (u32 i = 0; i < 2; i++) {
        struct view_space seen = { 0 };
        view_space(i ? &pd->guest : &pd->memory, &seen);
        bytes += seen.tables * PAGE_SIZE + seen.ranges * view_range_bytes();
    }
    if (after.used != bytes || atomic_load(&pd->quota.limit) != FIXTURE_QUOTA)
        fuzz_fail(z, "the end: %lu of %lu bytes used, expected %lu", after.used, atomic_load(&pd->quota.limit), bytes);
    if (after.kernel_used != z->books.kernel_used || after.free + after.used != z->books.free + z->books.used)
        fuzz_fail(z, "the end: kernel memory has leaked: %lu bytes", z->books.free + z->books.used - after.free - after.used);
}
