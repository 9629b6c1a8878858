/* SPDX-License-Identifier: BSD-2-Clause */
/* The undo log: see snapshot.h. RAM is kept by lines of 64 bytes, each once per run (a stamp per line); other memory byte for byte, as its
 * neighbours may belong to somebody who is not watched. Restored newest first. Not handled: a second snapshot of the same machine. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "sanitizer.h"
#include "snapshot.h"
#include "translations.h"

#define LINE       64u
#define UNDO_FIRST 4096u
#define UNDO_MAX   (1u << 22)
#define REGIONS    128u

struct undo {
    u8 *address;
    u32 bytes;
    u8 old[LINE];
};

struct region {
    u8 *address, *copy;
    u64 bytes;
};

struct snapshot {
    bool marked, whole;
    struct undo *log;
    u32 count, room;
    u32 *stamp, now;              /* by line of RAM: run in which it was kept */
    struct region region[REGIONS];
    u32 regions;
    u8 *pristine;                 /* of RAM; NULL: not asked for */
};

static struct snapshot *snapshot_of(struct sim *s)
{
    if (s->snapshot)
        return s->snapshot;
    struct snapshot *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->log = malloc(UNDO_FIRST * sizeof(*n->log));
    n->stamp = mmap(NULL, s->ram_bytes / LINE * sizeof(u32), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!n->log || n->stamp == MAP_FAILED) {
        free(n->log);
        free(n);
        return NULL;
    }
    n->room = UNDO_FIRST;
    s->snapshot = n;
    return n;
}

static void log_add(struct sim *s, u8 *address, u32 bytes)
{
    struct snapshot *n = s->snapshot;
    if (n->count == n->room) {
        struct undo *more = n->room < UNDO_MAX ? realloc(n->log, 2ul * n->room * sizeof(*more)) : NULL;
        if (!more)
            sim_end(s, SIM_BUDGET, "the undo log is full: a run wrote more than %u times", n->room);
        n->log = more;
        n->room *= 2;
    }
    struct undo *u = &n->log[n->count++];
    u->address = address;
    u->bytes = bytes;
    sanitizer_copy(u->old, address, bytes);
}

void snapshot_log(struct sim *s, const void *address, u64 bytes)
{
    struct snapshot *n = s->snapshot;
    u8 *at = (u8 *)address;
    const u64 phys = (u64)(at - s->ram);
    if (!n->marked)
        return;
    if (phys >= s->ram_bytes) {
        for (u64 done = 0; done < bytes; done += LINE)
            log_add(s, at + done, (u32)min(bytes - done, (u64)LINE));
        return;
    }
    for (u64 line = phys / LINE; line <= (phys + bytes - 1) / LINE; line++) {
        if (n->stamp[line] == n->now)
            continue;
        n->stamp[line] = n->now;
        log_add(s, s->ram + line * LINE, LINE);
    }
}

bool snapshot_region(struct sim *s, void *p, u64 bytes)
{
    struct snapshot *n = snapshot_of(s);
    if (!n || n->regions == REGIONS)
        return false;
    u8 *copy = malloc(bytes);
    if (!copy)
        return false;
    n->region[n->regions++] = (struct region){ p, copy, bytes };
    return true;
}

static bool snapshot_machine(struct sim *s)
{
    if (!snapshot_region(s, s, sizeof(*s)) || !snapshot_region(s, s->cpu, s->cpu_count * sizeof(*s->cpu)))
        return false;
    for (u32 i = 0; i < s->cpu_count; i++)
        if (s->cpu[i].virt && !snapshot_region(s, s->cpu[i].virt, s->cpu[i].virt_bytes))
            return false;
    return true;
}

bool snapshot_mark(struct sim *s)
{
    struct snapshot *n = snapshot_of(s);
    if (!n || n->marked || !snapshot_machine(s))
        return false;
    n->marked = true;
    n->now = 1;
    for (u32 i = 0; i < n->regions; i++)
        memcpy(n->region[i].copy, n->region[i].address, n->region[i].bytes);
    return true;
}

static void snapshot_restore_whole(struct sim *s)
{
    const u64 page = 4096;
    for (u64 at = 0; at < s->ram_bytes; at += page)
        if (sanitizer_compare(s->ram + at, s->snapshot->pristine + at, page) != 0)
            sanitizer_copy(s->ram + at, s->snapshot->pristine + at, page);
}

void snapshot_restore(struct sim *s)
{
    struct snapshot *n = s->snapshot;
    while (n->count) {
        const struct undo *u = &n->log[--n->count];
        sanitizer_copy(u->address, u->old, u->bytes);
    }
    if (++n->now == 0) {   /* stamps of four thousand million runs ago */
        memset(n->stamp, 0, s->ram_bytes / LINE * sizeof(u32));
        n->now = 1;
    }
    if (n->whole)
        snapshot_restore_whole(s);
    for (u32 i = 0; i < n->regions; i++)
        memcpy(n->region[i].address, n->region[i].copy, n->region[i].bytes);
}

bool snapshot_verify_begin(struct sim *s)
{
    struct snapshot *n = s->snapshot;
    if (n->pristine)
        return true;
    u8 *copy = mmap(NULL, s->ram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED)
        return false;
    n->pristine = copy;
    for (u64 at = 0; at < s->ram_bytes; at += 4096)   /* pages of zeros stay shared */
        if (sanitizer_compare(s->ram + at, copy + at, 4096) != 0)
            sanitizer_copy(copy + at, s->ram + at, 4096);
    return true;
}

u64 snapshot_verify(struct sim *s)
{
    for (u64 at = 0; at < s->ram_bytes; at++)
        if (at % 4096 == 0 && sanitizer_compare(s->ram + at, s->snapshot->pristine + at, 4096) == 0)
            at += 4095;
        else if (sanitizer_compare(s->ram + at, s->snapshot->pristine + at, 1) != 0)
            return at;
    return ~0ul;
}

void snapshot_whole(struct sim *s)
{
    s->snapshot->whole = true;
}

void snapshot_destroy(struct sim *s)
{
    struct snapshot *n = s->snapshot;
    if (!n)
        return;
    for (u32 i = 0; i < n->regions; i++)
        free(n->region[i].copy);
    if (n->pristine)
        munmap(n->pristine, s->ram_bytes);
    munmap(n->stamp, s->ram_bytes / LINE * sizeof(u32));
    free(n->log);
    free(n);
    s->snapshot = NULL;
}
