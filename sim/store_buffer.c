/* SPDX-License-Identifier: BSD-2-Clause */
/* Store buffers: see store_buffer.h. */
#include <string.h>
#include "machine_model.h"
#include "memory.h"
#include "race.h"
#include "snapshot.h"
#include "store_buffer.h"
#include "translations.h"

static u64 store_memory(struct sim *s, void *address, u64 value, u32 bytes, u64 object, u64 carried)
{
    race_flush(s, (u64)address, carried);
    u64 before = 0;
    memcpy(&before, address, bytes);
    if (before != value) {   /* rewriting what is there is no write: nobody who spins on it would see a difference */
        undo_write(s, address, bytes);
        if (bytes == 8)
            translations_wrote(s, address, before, value);
        memcpy(address, &value, bytes);
        sim_wrote(s, object);
    }
    return before;
}

static void store_head(struct sim_cpu *cpu)
{
    const struct store_entry *e = &cpu->store[0];
    if (cpu->store_count)
        cpu->flushing = (struct sim_pending){ sim_object(cpu->sim, e->address), e->site, e->bytes, OP_FLUSH };
    else
        cpu->sim->buffered &= ~bit(cpu->id);
    if (!cpu->store_count && cpu->draining) {
        cpu->draining = false;
        cpu->sim->steppable |= bit(cpu->id);
    }
}

void store_flush(struct sim_cpu *cpu)
{
    const struct store_entry e = cpu->store[0];
    const struct sim_pending p = cpu->flushing;
    cpu->store_count--;
    memmove(cpu->store, cpu->store + 1, cpu->store_count * sizeof(e));
    store_head(cpu);
    memory_check(cpu->sim, e.address, e.bytes, "store that waited");
    const u64 before = store_memory(cpu->sim, e.address, e.value, e.bytes, p.object, e.carried);
    sim_flushed(cpu, &p, before, e.value);
}

void store_write(struct sim_cpu *cpu, void *address, u64 value, u32 bytes, u64 carried)
{
    struct sim *s = cpu->sim;
    const u64 object = cpu->pending.object;
    if (s->unit || (!cpu->store_count && choice(2, CHOICE_DRAIN) == 0)) {
        const u64 before = store_memory(s, address, value, bytes, object, carried);
        sim_did(cpu, OP_STORE, EFFECT_WRITE, object, before, value);
        return;
    }
    if (cpu->store_count == STORE_BUFFER_MAX)
        store_flush(cpu);
    cpu->store[cpu->store_count++] = (struct store_entry){ address, value, cpu->pending.site, bytes, carried };
    s->buffered |= bit(cpu->id);
    store_head(cpu);
    cpu->turn_wrote = true;
    sim_did(cpu, OP_STORE, EFFECT_NONE, object, value, value);
}

u64 store_read(const struct sim_cpu *cpu, const void *address, u32 bytes, bool *own)
{
    *own = true;
    for (u32 i = cpu->store_count; i-- > 0;)
        if (cpu->store[i].address == address && cpu->store[i].bytes == bytes)
            return cpu->store[i].value;
    *own = false;
    u64 value = 0;
    memcpy(&value, address, bytes);
    return value;
}
