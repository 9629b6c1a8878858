/* SPDX-License-Identifier: BSD-2-Clause */
/* Rule FETCH: a word of the kernel's memory to which user level has written is read once in a trap, as user level may change it between two reads.
 * Seen: mach_copy and atomics in every build, plain reads where they are instrumented. */
#include "exposed.h"

void fetch_read(struct sim_cpu *cpu, const void *address, u64 bytes)
{
    struct exposed *const e = exposed_judged(cpu->sim);
    const u64 phys = (u64)address - (u64)cpu->sim->ram;
    if (!e || phys >= cpu->sim->ram_bytes)
        return;
    const u64 last = min(phys + bytes, cpu->sim->ram_bytes) - 1;
    if (!((e->flags[phys / PAGE_SIZE] | e->flags[last / PAGE_SIZE]) & EXPOSED_WRITTEN))
        return;
    struct exposed_cpu *const c = &e->cpu[cpu->id];
    for (u32 i = 0; i < c->reads; i++)
        if (phys < c->read[i].end && c->read[i].phys < phys + bytes)
            sim_broken(RULE_FETCH_TWICE, "CPU %u: %lu bytes at physical 0x%lx, which user level may write, are read again in one trap", cpu->id, bytes, phys);
    if (c->reads == EXPOSED_READS)
        return;
    c->read[c->reads].phys = phys;
    c->read[c->reads++].end = phys + bytes;
}
