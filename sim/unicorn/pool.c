/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine: creation with the self-test, the pool of cores, flushing. */
#include "pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define POOL_HALF      (CORES_MAX / 2)
#define TEST_RAM_BYTES 0x200000ul

void pool_report(const struct core *c, const char *what)
{
    fprintf(stderr, "orrery-unicorn: %s: %s%s%s (RIP 0x%lx, address 0x%lx)\n", unicorn_engine_version(), what, c->stop.message ? ": " : "",
            c->stop.message ? c->stop.message : "", c->env->rip, c->stop.address);
}

const char *unicorn_engine_version(void)
{
    static char text[64];
    unsigned major, minor;
    const unsigned version = uc_version(&major, &minor);
    snprintf(text, sizeof(text), "unicorn %u.%u.%u", major, minor, version >> 8 & 0xff);
    return text;
}

static void detach(struct unicorn_engine *u)
{
    for (u32 i = 0; i < CORES_MAX; i++)
        if (u->coherence.core[i])
            core_destroy(u->coherence.core[i]);
    coherence_free(&u->coherence);
    u->ram = NULL;
}

static bool attach(struct unicorn_engine *u, struct sim *s)
{
    u8 *const ram = sim_phys(s, 0, PAGE_SIZE);
    const u64 bytes = sim_ram_bytes(s);
    if (u->ram == ram && u->ram_bytes == bytes)
        return true;
    detach(u);
    if (!coherence_init(&u->coherence, bytes >> PAGE_BITS))
        return false;
    u->ram = ram;
    u->ram_bytes = bytes;
    return true;
}

static struct core *create(struct unicorn_engine *u, u32 number)
{
    const char *why = NULL;
    struct core *c = core_create(u->ram, u->ram_bytes, &why);
    if (!c) {
        fprintf(stderr, "orrery-unicorn: %s: %s\n", unicorn_engine_version(), why);
        return NULL;
    }
    c->number = number;
    c->coherence = &u->coherence;
    u->coherence.core[number] = c;
    return c;
}

struct core *pool_core(struct unicorn_engine *u, struct sim_cpu *cpu, enum core_use use, u64 root, u64 tag)
{
    const u32 number = cpu->id % POOL_HALF + (use == CORE_GUEST ? POOL_HALF : 0);
    if (!attach(u, cpu->sim)) {
        fprintf(stderr, "orrery-unicorn: no memory\n");
        return NULL;
    }
    struct core *c = u->coherence.core[number];
    if (c && c->running) {   /* the machine ended in the middle of a run of this core */
        core_destroy(c);
        c = u->coherence.core[number] = NULL;
    }
    if (!c)
        c = create(u, number);
    if (!c)
        return NULL;
    if (c->stale || c->owner != cpu || c->root != root || c->tag != tag) {
        core_flush(c);
        c->stale = false;
        c->owner = cpu;
        c->root = root;
        c->tag = tag;
    }
    return c;
}

static void engine_flush(struct engine *e, struct sim_cpu *cpu)
{
    struct unicorn_engine *u = container_of(e, struct unicorn_engine, engine);
    for (u32 i = 0; i < CORES_MAX; i++)
        if (u->coherence.core[i] && u->coherence.core[i]->owner == cpu)
            u->coherence.core[i]->stale = true;   /* flushed once, before it runs again */
}

static void engine_destroy(struct engine *e)
{
    struct unicorn_engine *u = container_of(e, struct unicorn_engine, engine);
    detach(u);
    free(u);
}

static const char *selftest_pair(u8 *ram)
{
    const char *why = "no memory";
    struct unicorn_engine u = {.ram = ram, .ram_bytes = TEST_RAM_BYTES};
    if (coherence_init(&u.coherence, TEST_RAM_BYTES >> PAGE_BITS) && create(&u, 0) && create(&u, 1))
        why = core_selftest_pair(u.coherence.core[0], u.coherence.core[1]);
    detach(&u);
    return why;
}

static const char *selftest(void)
{
    const char *why = NULL;
    u8 *ram = mmap(NULL, TEST_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ram == MAP_FAILED)
        return "no memory";
    struct core *c = core_create(ram, TEST_RAM_BYTES, &why);
    if (c) {
        why = core_selftest(c);
        core_destroy(c);
    }
    if (!why)
        why = selftest_pair(ram);
    munmap(ram, TEST_RAM_BYTES);
    return why;
}

struct engine *unicorn_engine_create(const char **why)
{
    static char text[256];
    const char *what = selftest();
    struct unicorn_engine *u = what ? NULL : calloc(1, sizeof(*u));
    if (!u) {
        snprintf(text, sizeof(text), "%s does not do what this engine was built for (2.0.1, static, Debian 12): %s", unicorn_engine_version(),
                 what ? what : "no memory");
        *why = text;
        return NULL;
    }
    u->engine = (struct engine){"unicorn", engine_user, engine_guest, engine_flush, engine_destroy};
    return &u->engine;
}
