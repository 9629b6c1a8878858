/* SPDX-License-Identifier: BSD-2-Clause */
/* mach_*: memory, the kernel's word store, faults on demand. Address arithmetic is no step; what moves bytes is one. */
#include <string.h>
#include "exposed.h"
#include "firmware.h"
#include "mach.h"
#include "memory.h"
#include "race.h"
#include "snapshot.h"
#include "store_buffer.h"
#include "translations.h"

void mach_kern_set(void *kern)
{
    struct sim_cpu *cpu = mach_point();
    if (cpu->sim->kern && !cpu->sim->unit)
        sim_broken(RULE_SEAM_ONCE, "mach_kern_set called twice");
    cpu->sim->kern = kern;
}

void *mach_kern(void)
{
    return sim_here->kern;
}

void mach_cpu_set(void *kern_cpu)
{
    struct sim_cpu *cpu = mach_point();
    if (cpu->kern_cpu && !cpu->sim->unit)
        sim_broken(RULE_SEAM_ONCE, "CPU %u: mach_cpu_set called twice", cpu->id);
    cpu->kern_cpu = kern_cpu;
}

void *mach_phys_to_virt(u64 phys)
{
    struct sim *s = sim_here;
    if (phys > s->ram_bytes)
        sim_broken(RULE_MEM_BOUNDS, "mach_phys_to_virt of 0x%lx: RAM ends at 0x%lx", phys, s->ram_bytes);
    return s->ram + phys;
}

u64 mach_virt_to_phys(const void *virt)
{
    struct sim *s = sim_here;
    const u64 phys = (u64)virt - (u64)s->ram;
    if (phys > s->ram_bytes)
        sim_broken(RULE_MEM_BOUNDS, "mach_virt_to_phys of an address outside RAM");
    return phys;
}

u64 mach_direct_end(void)
{
    return sim_here->ram_bytes;
}

bool mach_reserved(u32 index, u64 *start, u64 *end)
{
    if (index)
        return false;
    *start = 0;
    *end = FIRMWARE_END;
    return true;
}

/* Both are of memory that nobody else may look at meanwhile, or that is published afterwards: the race detector judges that, no schedule point. */
void mach_copy(void *to, const void *from, size_t bytes)
{
    struct sim_cpu *cpu = mach_point();
    if (!bytes)
        return;
    store_drain(cpu);   /* plain accesses do not look into the buffer */
    memory_check(cpu->sim, to, bytes, "mach_copy to");
    memory_check(cpu->sim, from, bytes, "mach_copy from");
    fetch_read(cpu, from, bytes);
    const u64 distance = (u64)to - (u64)from;
    if (distance < bytes || -distance < bytes)
        sim_broken(RULE_MEM_OVERLAP, "mach_copy of ranges that overlap");
    undo_write(cpu->sim, to, bytes);
    race_plain(cpu, from, bytes, false, (u64)__builtin_return_address(0));
    race_plain(cpu, to, bytes, true, (u64)__builtin_return_address(0));
    memory_stored(cpu->sim, to, bytes);
    translations_copy(cpu->sim, to, from, bytes);
    memcpy(to, from, bytes);
    sim_wrote(cpu->sim, OBJECT_NONE);
}

void mach_zero(void *to, size_t bytes)
{
    struct sim_cpu *cpu = mach_point();
    if (!bytes)
        return;
    store_drain(cpu);
    memory_check(cpu->sim, to, bytes, "mach_zero of");
    undo_write(cpu->sim, to, bytes);
    race_plain(cpu, to, bytes, true, (u64)__builtin_return_address(0));
    memory_stored(cpu->sim, to, bytes);
    translations_copy(cpu->sim, to, NULL, bytes);
    memset(to, 0, bytes);
    sim_wrote(cpu->sim, OBJECT_NONE);
}

bool mach_fault(enum mach_fault kind)
{
    struct sim *s = sim_here;
    if (s->fail_in)
        return --s->fail_in == 0;
    return !s->unit && choice(2, CHOICE_FAULT);
}
