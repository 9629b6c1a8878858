/* SPDX-License-Identifier: BSD-2-Clause */
/* Happens-before by vector clocks (race_order.c), accesses by epochs: C. Flanagan and S. Freund, "FastTrack", PLDI 2009.
 *
 *   granule (8 bytes) -> cell -> cell ...       a cell: bytes, kind, CPU and that CPU's clock at the access, site, stack
 *
 * A cell loses the bytes that a later, ordered access of a kind at least as strict covers: whatever races with the old one then races with the new
 * one. So no race is missed for want of cells, and there are few. */
#include <stdlib.h>
#include "race_model.h"

#define GRANULE_BITS 20u
#define SYNC_BITS    16u
#define CELLS        (1u << 20)

/* Kinds: two accesses conflict if together they are plain and write; one covers another if it is all that the other is. */
enum { RACE_PLAIN = 1, RACE_WRITE = 2 };

struct race_cell {
    u64 site, bytes;
    u32 clock, node, next;     /* next: 0 is the end */
    u8 cpu, kind, mask;
};

bool race_create(struct sim *s)
{
    struct race *r = calloc(1, sizeof(*r));
    if (!r)
        return false;
    s->race = r;
    r->cpu_count = s->cpu_count;
    r->cells = calloc(CELLS, sizeof(*r->cells));
    r->vectors = calloc((u64)RACE_VECTORS * r->cpu_count, sizeof(*r->vectors));
    if (r->cells && r->vectors && keymap_create(&r->granules, GRANULE_BITS) && keymap_create(&r->syncs, SYNC_BITS) && stack_create(&r->stacks)) {
        race_reset(s);
        return true;
    }
    race_destroy(s);
    return false;
}

void race_destroy(struct sim *s)
{
    struct race *r = s->race;
    s->race = NULL;
    if (!r)
        return;
    keymap_destroy(&r->granules);
    keymap_destroy(&r->syncs);
    stack_destroy(&r->stacks);
    free(r->cells);
    free(r->vectors);
    free(r);
}

void race_reset(struct sim *s)
{
    struct race *r = s->race;
    if (!r)
        return;
    keymap_empty(&r->granules);
    keymap_empty(&r->syncs);
    r->cell_count = r->vector_count = 1;
    r->cell_free = 0;
    r->era = r->era == ~0u ? 1 : r->era + 1;
    r->full = r->paused = false;
    for (u32 i = 0; i < r->cpu_count; i++)
        for (u32 j = 0; j < r->cpu_count; j++)
            r->now[i][j] = i == j;
}

void race_pause(struct sim *s, bool paused)
{
    if (s->race)
        s->race->paused = paused;
}

static void race_cells_free(void *arg, u32 first)
{
    struct race *r = arg;
    u32 last = first;
    while (r->cells[last].next)
        last = r->cells[last].next;
    r->cells[last].next = r->cell_free;
    r->cell_free = first;
}

void race_forget(struct sim *s, const void *address, u64 bytes)
{
    struct race *r = s->race;
    if (!r)
        return;
    keymap_clear(&r->granules, (u64)address / 8, ((u64)address + bytes + 7) / 8, race_cells_free, r);
    keymap_clear(&r->syncs, (u64)address, (u64)address + bytes, NULL, NULL);
}

struct race_access {
    const void *address;
    u64 bytes, site;
    u32 kind;
};

static struct race_side race_side(u32 cpu, u32 kind, u64 bytes, u64 site, u32 node)
{
    return (struct race_side){ .site = site, .bytes = bytes, .cpu = cpu, .node = node, .write = kind & RACE_WRITE, .atomic = !(kind & RACE_PLAIN) };
}

static void race_found(struct sim_cpu *cpu, const struct race_access *a, const struct race_cell *c)
{
    struct sim *s = cpu->sim;
    struct race *r = s->race;
    r->found = true;
    r->last = (struct race_report){ .address = a->address, .later = race_side(cpu->id, a->kind, a->bytes, a->site, cpu->fiber.node),
                                    .earlier = race_side(c->cpu, c->kind, c->bytes, c->site, c->node) };
    static const char *const kinds[] = { "atomic read", "plain read", "atomic write", "plain write" };
    const u64 phys = (u64)a->address - (u64)s->ram;
    const bool ram = phys < s->ram_bytes;
    sim_broken(RULE_RACE_PLAIN, "%s of %lu bytes at %s0x%lx by CPU %u races with %s of %lu bytes by CPU %u", kinds[a->kind], a->bytes,
               ram ? "physical " : "", ram ? phys : (u64)a->address, cpu->id, kinds[c->kind], c->bytes, c->cpu);
}

static u32 race_cell_new(struct race *r)
{
    const u32 cell = r->cell_free;
    if (cell) {
        r->cell_free = r->cells[cell].next;
        return cell;
    }
    if (r->cell_count == CELLS) {
        r->full = true;
        return 0;
    }
    return r->cell_count++;
}

static void race_granule(struct sim_cpu *cpu, const struct race_access *a, u64 granule, u8 mask)
{
    struct race *r = cpu->sim->race;
    const u32 *now = r->now[cpu->id];
    u32 *first = keymap_take(&r->granules, granule);
    if (!first) {
        r->full = true;
        return;
    }
    for (u32 *link = first; *link;) {
        struct race_cell *c = &r->cells[*link];
        const bool ordered = c->clock <= now[c->cpu];
        if (c->mask & mask) {
            if (!ordered && (c->kind | a->kind) == (RACE_PLAIN | RACE_WRITE))
                race_found(cpu, a, c);
            if (c->cpu == cpu->id && c->clock == now[cpu->id] && (c->kind & a->kind) == a->kind && !(mask & ~c->mask))
                return;   /* already made since the last release: whoever came between has been compared with that one */
            if (ordered && (c->kind & a->kind) == c->kind)
                c->mask &= (u8)~mask;
        }
        if (c->mask) {
            link = &c->next;
            continue;
        }
        const u32 gone = *link;
        *link = c->next;
        c->next = r->cell_free;
        r->cell_free = gone;
    }
    const u32 cell = race_cell_new(r);
    if (!cell)
        return;
    r->cells[cell] = (struct race_cell){ .site = a->site, .bytes = a->bytes, .clock = now[cpu->id], .node = cpu->fiber.node, .next = *first,
                                         .cpu = (u8)cpu->id, .kind = (u8)a->kind, .mask = mask };
    *first = cell;
}

static void race_access(struct sim_cpu *cpu, const struct race_access *a)
{
    const u64 first = (u64)a->address, last = first + a->bytes - 1;
    for (u64 granule = first / 8; granule <= last / 8; granule++) {
        const u32 low = granule == first / 8 ? first % 8 : 0, high = granule == last / 8 ? last % 8 : 7;
        race_granule(cpu, a, granule, (u8)(0xffu << low & 0xffu >> (7 - high)));
    }
}

void race_plain(struct sim_cpu *cpu, const void *address, u64 bytes, bool write, u64 site)
{
    const struct race *r = cpu->sim->race;
    if (!r || (r->full | r->paused) || !bytes || (u64)address - (u64)cpu->fiber.stack < cpu->fiber.bytes)
        return;
    race_access(cpu, &(struct race_access){ address, bytes, site, RACE_PLAIN | (write ? RACE_WRITE : 0) });
}

void race_atomic(struct sim_cpu *cpu, const void *address, u64 bytes, bool write, u64 site)
{
    const struct race *r = cpu->sim->race;
    if (!r || (r->full | r->paused) || !bytes)
        return;
    race_access(cpu, &(struct race_access){ address, bytes, site, write ? RACE_WRITE : 0 });
}

/* ---- Stacks and reports ---- */

void race_enter(struct sim_cpu *cpu, u64 caller)
{
    struct race *r = cpu->sim->race;
    if (r)
        cpu->fiber.node = stack_push(&r->stacks, cpu->fiber.node, caller);
}

void race_leave(struct sim_cpu *cpu)
{
    const struct race *r = cpu->sim->race;
    if (r)
        cpu->fiber.node = stack_pop(&r->stacks, cpu->fiber.node);
}

const struct race_report *race_last(const struct sim *s)
{
    return s->race && s->race->found ? &s->race->last : NULL;
}

u32 race_stack(const struct sim *s, u32 node, u64 *pcs, u32 room)
{
    return s->race ? stack_read(&s->race->stacks, node, pcs, room) : 0;
}

bool race_full(const struct sim *s)
{
    return s->race && s->race->full;
}
