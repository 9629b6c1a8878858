/* SPDX-License-Identifier: BSD-2-Clause */
/* Store buffers: see store_buffer.h. An entry leaves at its CPU's next atomic store for which the chooser says so, or when something drains it. */
#include <string.h>
#include "machine_model.h"
#include "store_buffer.h"
#include "translations.h"

static void store_memory(struct sim *s, void *address, u64 value, u32 bytes)
{
    if (memcmp(address, &value, bytes) == 0)
        return;   /* rewriting what is there is no write: nobody who spins on it would see a difference */
    if (bytes == 8)
        translations_copy(s, address, &value, 8);
    memcpy(address, &value, bytes);
    sim_wrote(s);
}

static void store_drain_one(struct sim_cpu *cpu)
{
    const struct store_entry e = cpu->store[0];
    cpu->store_count--;
    memmove(cpu->store, cpu->store + 1, cpu->store_count * sizeof(e));
    store_memory(cpu->sim, e.address, e.value, e.bytes);
}

void store_drain(struct sim_cpu *cpu)
{
    while (cpu->store_count)
        store_drain_one(cpu);
}

void store_write(struct sim_cpu *cpu, void *address, u64 value, u32 bytes)
{
    if (cpu->sim->unit || choice(2, CHOICE_DRAIN) == 0) {
        store_drain(cpu);
        store_memory(cpu->sim, address, value, bytes);
        return;
    }
    if (cpu->store_count == STORE_BUFFER_MAX)
        store_drain_one(cpu);
    cpu->store[cpu->store_count++] = (struct store_entry){ address, value, bytes };
}

u64 store_read(const struct sim_cpu *cpu, const void *address, u32 bytes)
{
    for (u32 i = cpu->store_count; i-- > 0;)
        if (cpu->store[i].address == address && cpu->store[i].bytes == bytes)
            return cpu->store[i].value;
    u64 value = 0;
    memcpy(&value, address, bytes);
    return value;
}
