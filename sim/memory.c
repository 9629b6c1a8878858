/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: one mapping per machine, guarded on all sides. Addresses differ from machine to machine, offsets never do.
 *
 *   guard | RAM from physical 0 | guard | stack of CPU 0 | guard | stack of CPU 1 | guard ...
 *
 * The addresses of the device hole are in the mapping and stay untouched. The shadow has a byte per 64 bytes of RAM. Where the address sanitizer is linked in, it is told of memory that is not live too. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "exposed.h"
#include "memory.h"
#include "race.h"
#include "sanitizer.h"
#include "store_buffer.h"
#include "snapshot.h"
#include "virt_model.h"
#include "translations.h"

#define GUARD_BYTES (64 * PAGE_SIZE)
#define STACK_BYTES (64 * PAGE_SIZE)   /* an engine runs on it too; untouched pages cost nothing */
/* The same in every process, if it is free: pointers in RAM then are the same values in every run. Unlike what else stands in memory: leak.c. */
#define MAP_WISH    0x3a5a7e000000ul

bool memory_create(struct sim *s)
{
    s->map_bytes = GUARD_BYTES + s->ram_bytes + GUARD_BYTES + s->cpu_count * (STACK_BYTES + GUARD_BYTES);
    u8 *map = mmap((void *)MAP_WISH, s->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return false;
    s->map = map;
    s->ram = map + GUARD_BYTES;
    if (mprotect(s->ram, s->ram_bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    for (u32 i = 0; i < s->cpu_count; i++) {
        size_t bytes;
        if (mprotect(memory_stack(s, i, &bytes), STACK_BYTES, PROT_READ | PROT_WRITE) != 0)
            return false;
    }
    u8 *shadow = mmap(NULL, s->ram_bytes >> SHADOW_BITS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shadow == MAP_FAILED)
        return false;
    s->shadow = shadow;   /* all MEM_LIVE: nothing has been freed yet */
    s->tables = calloc(s->ram_bytes / PAGE_SIZE / 8, 1);
    return s->tables != NULL;
}

void memory_destroy(struct sim *s)
{
    free(s->tables);
    if (s->shadow)
        munmap(s->shadow, s->ram_bytes >> SHADOW_BITS);
    if (s->map) {
        u8 *const from = s->forbidden ? s->map : s->ram + s->ram_bytes;   /* the sanitizer would remember for whoever gets these addresses next */
        sanitizer_allow(from, (u64)(s->map + s->map_bytes - from));
        munmap(s->map, s->map_bytes);
    }
}

void *memory_stack(struct sim *s, u32 cpu, size_t *bytes)
{
    *bytes = STACK_BYTES;
    return s->ram + s->ram_bytes + GUARD_BYTES + cpu * (STACK_BYTES + GUARD_BYTES);
}

u64 sim_ram_bytes(const struct sim *s)
{
    return s->ram_bytes;
}

void *sim_phys(struct sim *s, u64 phys, u64 bytes)
{
    if (phys >= s->ram_bytes || bytes > s->ram_bytes - phys)
        return NULL;
    if (phys < SIM_HOLE_END && phys + bytes > SIM_HOLE_START)
        return NULL;
    return s->ram + phys;
}

bool sim_phys_read(struct sim *s, u64 phys, void *to, u64 bytes)
{
    const void *from = sim_phys(s, phys, bytes);
    if (!from)
        return false;
    memcpy(to, from, bytes);
    return true;
}

bool sim_phys_write(struct sim *s, u64 phys, const void *from, u64 bytes)
{
    void *to = sim_phys(s, phys, bytes);
    if (!to)
        return false;
    undo_write(s, to, bytes);
    translations_copy(s, to, from, bytes);
    memcpy(to, from, bytes);
    sim_wrote(s, OBJECT_NONE);
    return true;
}

enum mem_state memory_state(const struct sim *s, u64 phys)
{
    return phys < s->ram_bytes ? (enum mem_state)s->shadow[phys >> SHADOW_BITS] : MEM_LIVE;
}

void memory_table(struct sim *s, u64 phys)
{
    if (!memory_is_table(s, phys))
        undo_write(s, s->tables + phys / PAGE_SIZE / 8, 1);
    s->tables[phys / PAGE_SIZE / 8] |= (u8)(1u << (phys / PAGE_SIZE % 8));
}

bool memory_is_table(const struct sim *s, u64 phys)
{
    return phys < s->ram_bytes && (s->tables[phys / PAGE_SIZE / 8] >> (phys / PAGE_SIZE % 8) & 1);
}

static void memory_tables_forget(struct sim *s, u64 phys, u64 bytes)
{
    undo_write(s, s->tables + phys / PAGE_SIZE / 8, (phys + bytes - 1) / PAGE_SIZE / 8 - phys / PAGE_SIZE / 8 + 1);
    for (u64 page = align_down(phys, PAGE_SIZE); page < phys + bytes; page += PAGE_SIZE)
        s->tables[page / PAGE_SIZE / 8] &= (u8)~(1u << (page / PAGE_SIZE % 8));
}

static const char *const memory_names[] = { "live", "free", "a red zone", "waiting for an epoch" };

void memory_judge(struct sim *s, const void *address, u64 bytes, const char *what)
{
    const u64 phys = (u64)address - (u64)s->ram;
    if (phys >= s->ram_bytes)
        return;
    const enum mem_state state = memory_state(s, phys), end = memory_state(s, phys + bytes - 1);
    if (state != MEM_LIVE && state != MEM_EPOCH)
        sim_broken(state == MEM_FREE ? RULE_MEM_FREE : RULE_MEM_REDZONE, "%s at physical 0x%lx, which is %s", what, phys, memory_names[state]);
    if (end != MEM_LIVE && end != MEM_EPOCH)
        sim_broken(end == MEM_FREE ? RULE_MEM_FREE : RULE_MEM_REDZONE, "%s at physical 0x%lx, the end of which is %s", what, phys, memory_names[end]);
}

void memory_stored(struct sim *s, const void *address, u64 bytes)
{
    const u64 phys = (u64)address - (u64)s->ram;
    if (s->virt && phys < s->ram_bytes)
        s->virt->stored(s, phys, bytes);
}

void mach_mem_state(const void *start, size_t bytes, enum mem_state state)
{
    struct sim *s = sim_here;
    const u64 phys = (u64)start - (u64)s->ram;
    if (phys >= s->ram_bytes || bytes > s->ram_bytes - phys)
        sim_broken(RULE_MEM_BOUNDS, "mach_mem_state outside RAM: 0x%lx bytes at 0x%lx", (u64)bytes, phys);
    if (!bytes)
        return;
    sim_point(s->current, OP_STATE, sim_object(s, start), (u32)min(bytes, ~0u), __builtin_return_address(0));
    s->states++;
    store_drain(s->current);   /* no store of ours may arrive in memory that is somebody else's by then */
    /* A line is live if any byte of it is; otherwise only whole lines change. */
    const u64 mask = (1ul << SHADOW_BITS) - 1;
    const u64 first = state == MEM_LIVE ? phys : align_up(phys, mask + 1);
    const u64 end = state == MEM_LIVE ? align_up(phys + bytes, mask + 1) : align_down(phys + bytes, mask + 1);
    if (first < end) {
        u8 *lines = s->shadow + (first >> SHADOW_BITS);
        const u64 count = (end - align_down(first, mask + 1)) >> SHADOW_BITS;
        undo_write(s, lines, count);
        memset(lines, (int)state, count);
    }
    sim_did(s->current, OP_STATE, EFFECT_WRITE, s->current->pending.object, 0, state);
    if (state == MEM_LIVE)
        race_forget(s, start, bytes);
    if (state == MEM_FREE && s->virt)
        s->virt->freed(s, phys, bytes);   /* first: it names the structure, not only who may walk it */
    if (state == MEM_FREE)
        translations_freed(s, phys, bytes);
    memory_tables_forget(s, phys, bytes);
    if (s->snapshot)
        return;   /* what the sanitizer knows could not be put back */
    if (state == MEM_FREE || state == MEM_REDZONE) {
        s->forbidden = true;
        sanitizer_forbid(start, bytes);
    } else {
        sanitizer_allow(start, bytes);
    }
    exposed_state(s, phys, bytes, state);
}
