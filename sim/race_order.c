/* SPDX-License-Identifier: BSD-2-Clause */
/* What orders accesses: vector clocks. now[i][j] is the clock of CPU j up to which CPU i comes after it; a CPU's own clock grows at each release, so
 * that what it does later is told from what it released. A released vector is written once and never changed: words, stores in their buffers and
 * IPIs name it by a number. */
#include "race_model.h"

static const u32 *race_vector(const struct race *r, u32 vector)
{
    return r->vectors + (u64)vector * r->cpu_count;
}

/* A vector that is written once: what stands in either; 0: full. */
static u32 race_vector_new(struct race *r, const u32 *a, const u32 *b)
{
    if (r->vector_count == RACE_VECTORS) {
        r->full = true;
        return 0;
    }
    u32 *to = r->vectors + (u64)r->vector_count * r->cpu_count;
    for (u32 i = 0; i < r->cpu_count; i++)
        to[i] = max(a[i], b[i]);
    return r->vector_count++;
}

static u32 *race_sync(struct race *r, u64 sync)
{
    u32 *vector = keymap_take(&r->syncs, sync);
    if (!vector)
        r->full = true;
    return vector;
}

/* Numbers that are carried: the reset after which they were made, the vector. */
static u64 race_carried(const struct race *r, u32 vector)
{
    return (u64)r->era << 32 | vector;
}

static u32 race_carried_vector(const struct race *r, u64 carried)
{
    return carried >> 32 == r->era ? (u32)carried : 0;
}

void race_acquire(struct sim_cpu *cpu, u64 sync)
{
    struct race *r = cpu->sim->race;
    if (!r)
        return;
    const u32 *vector = keymap_find(&r->syncs, sync);
    if (!vector || !*vector)
        return;
    const u32 *from = race_vector(r, *vector);
    u32 *now = r->now[cpu->id];
    for (u32 i = 0; i < r->cpu_count; i++)
        now[i] = max(now[i], from[i]);
}

u64 race_store(struct sim_cpu *cpu)
{
    struct race *r = cpu->sim->race;
    if (!r)
        return RACE_NOTHING;
    u32 *now = r->now[cpu->id];
    const u32 vector = race_vector_new(r, now, now);
    now[cpu->id]++;
    return race_carried(r, vector);
}

void race_flush(struct sim *s, u64 sync, u64 carried)
{
    struct race *r = s->race;
    u32 *vector = r ? race_sync(r, sync) : NULL;
    if (vector)
        *vector = race_carried_vector(r, carried);
}

u64 race_release(struct sim_cpu *cpu, u64 sync)
{
    const u64 carried = race_store(cpu);
    race_flush(cpu->sim, sync, carried);
    return carried;
}

void race_send(struct sim *s, u64 sync, u64 carried)
{
    struct race *r = s->race;
    u32 *vector = r ? race_sync(r, sync) : NULL;
    if (vector)
        *vector = race_vector_new(r, race_vector(r, *vector), race_vector(r, race_carried_vector(r, carried)));
}
