/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine whose races are judged, and accesses as the sanitizer's calls and the atomics make them. */
#pragma once
#include "unit.h"
#include <string.h>
#include "event.h"
#include "machine_model.h"
#include "race.h"

#define RAM  (16ul << 20)
#define PHYS 0x200000ul

enum { READ = 0, WRITE = 1 };

static struct sim *s;
static u8 *p;              /* the memory that is raced for */
static u64 *flag;          /* an atomic word far from it */

static inline int setup(void **state)
{
    s = sim_unit(4, RAM, SIM_NONE);
    if (!s || !race_create(s))
        return -1;
    p = s->ram + PHYS;
    flag = (u64 *)(s->ram + 0x300000);
    return 0;
}

static inline int teardown(void **state)
{
    sim_destroy(s);
    return 0;
}

struct access {
    u32 cpu;
    const void *address;
    u64 bytes;
    bool write, atomic;
    u64 site;
};

static inline void access_make(void *arg)
{
    const struct access *a = arg;
    sim_unit_cpu(s, a->cpu);
    (a->atomic ? race_atomic : race_plain)(&s->cpu[a->cpu], a->address, a->bytes, a->write, a->site);
}

/* True: a race. */
static inline bool access_races(u32 cpu, const void *address, u64 bytes, bool write)
{
    struct access a = { cpu, address, bytes, write, false, 0x1000 + cpu };
    const char *message = sim_unit_expect_panic(s, access_make, &a);
    return message && strncmp(message, "[RACE-PLAIN] ", 13) == 0;
}

static inline bool atomic_races(u32 cpu, const void *address, u64 bytes, bool write)
{
    struct access a = { cpu, address, bytes, write, true, 0x2000 + cpu };
    return sim_unit_expect_panic(s, access_make, &a) != NULL;
}

static inline void load(u32 cpu, const void *word)
{
    race_acquire(&s->cpu[cpu], (u64)word);
    race_atomic(&s->cpu[cpu], word, 8, false, 0);
}

static inline void store(u32 cpu, const void *word)
{
    race_atomic(&s->cpu[cpu], word, 8, true, 0);
    race_flush(s, (u64)word, race_store(&s->cpu[cpu]));
}

static inline void store_relaxed(u32 cpu, const void *word)
{
    race_atomic(&s->cpu[cpu], word, 8, true, 0);
    race_flush(s, (u64)word, RACE_NOTHING);
}

static inline u64 add(u32 cpu, const void *word)
{
    race_acquire(&s->cpu[cpu], (u64)word);
    race_atomic(&s->cpu[cpu], word, 8, true, 0);
    return race_release(&s->cpu[cpu], (u64)word);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
