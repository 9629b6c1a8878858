/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel and model side by side. Not compared: who of several threads of the same priority runs, how tables and ranges are laid out. */
#include <string.h>
#include "cpu.h"
#include "portal.h"
#include "run.h"
#include "sc.h"
#include "sm.h"
#include "vcpu.h"
#include "view.h"

/* ---- Threads and semaphores ---- */

static void woken(struct fuzz *z, struct m_object *o)
{
    const struct ec *const ec = o->kernel;
    const u64 status = ec->resume.gpr[RAX];
    const bool late = o->woken_deadline && o->woken_deadline <= mach_tsc_read() && status == STATUS_TIMEOUT;
    if (status != o->woken_status && !late)
        fuzz_fail(z, "the end of a wait: status %lu, expected %u", status, o->woken_status);
    if (o->woken_mtr != ~0ul && ec->resume.gpr[RSI] != o->woken_mtr)
        fuzz_fail(z, "the end of a call: mtr %#lx, expected %#lx", ec->resume.gpr[RSI], o->woken_mtr);
    o->woken = false;
}

/* A deadline that has passed ends the wait, as soon as its interrupt was taken. */
static void expire(struct m_object *o)
{
    const struct ec *const ec = o->kernel;
    if (o->state != M_WAITING || !o->deadline || ec->state == EC_WAIT_SM || o->deadline > mach_tsc_read())
        return;
    m_sm_leave(o);
    m_wake(o, STATUS_TIMEOUT);
}

/* Whoever helped executes his call again. */
static void try_again(struct m_object *ec)
{
    ec->callee = NULL;
    ec->state = M_READY;
}

static void thread(struct fuzz *z, struct m_object *o)
{
    static const enum ec_state state_of[] = { [M_READY] = EC_READY, [M_IDLE] = EC_IDLE, [M_CALLING] = EC_CALLING, [M_HELPING] = EC_HELPING,
                                              [M_WAITING] = EC_WAIT_SM };
    const struct ec *const ec = o->kernel;
    if (o->state == M_HELPING && o->callee->state == M_IDLE && ec->state == EC_READY)
        try_again(o);   /* it ran for a moment, while somebody waited for a shootdown or a timer */
    if (ec->state != state_of[o->state])
        fuzz_fail(z, "thread at UTCB page %#lx: state %u, expected %u", o->page, ec->state, state_of[o->state]);
    if ((void *)atomic_load(&ec->own) != (o->sc ? o->sc->kernel : NULL))
        fuzz_fail(z, "thread at UTCB page %#lx: another scheduling context", o->page);
    if (o->woken && o->state == M_READY)
        woken(z, o);
}

static void semaphore(struct fuzz *z, const struct m_object *o)
{
    const struct sm *const sm = o->kernel;
    const struct m_object *waiter = o->first;
    if (sm->count != o->count)
        fuzz_fail(z, "semaphore: count %lu, expected %lu", sm->count, o->count);
    for (const struct ec *ec = sm->first; ec; ec = ec->queue_next, waiter = waiter->queue_next)
        if (!waiter || waiter->kernel != ec)
            fuzz_fail(z, "semaphore: another waiter");
    if (waiter)
        fuzz_fail(z, "semaphore: a waiter is missing");
}

/* Who would run on this time; NULL: nobody. */
static struct m_object *runner(const struct m_object *sc)
{
    struct m_object *ec = sc->ec;
    while (ec->state == M_CALLING || (ec->state == M_HELPING && ec->callee->state != M_IDLE))
        ec = ec->callee;
    return ec->state == M_READY || ec->state == M_HELPING ? ec : NULL;
}

static void running(struct fuzz *z, u32 cpu)
{
    const struct cpu *const c = z->f->k->cpu[cpu];
    struct m_object *const current = c->current ? m_object_at(&z->m, c->current) : NULL;
    s64 best = -1, mine = -1;
    if (c->current && !current)
        fuzz_fail(z, "CPU %u runs a thread that is gone", cpu);
    for (const struct m_object *sc = z->m.objects; sc; sc = sc->next) {
        const struct m_object *const ec = sc->type == OBJ_SC && sc->cpu == cpu ? runner(sc) : NULL;
        if (ec)
            best = max(best, (s64)sc->priority);
        if (ec && ec == current)
            mine = max(mine, (s64)sc->priority);
    }
    if (mine != best)
        fuzz_fail(z, "CPU %u runs priority %ld, expected %ld", cpu, mine, best);
    if (current && current->state == M_HELPING)
        try_again(current);
}

void compare_states(struct fuzz *z)
{
    for (struct m_object *o = z->m.objects; o; o = o->next)
        if (o->type == OBJ_EC)
            expire(o);
    for (u32 i = 0; i < z->m.cpus; i++)
        running(z, i);
    for (struct m_object *o = z->m.objects; o; o = o->next) {
        if (o->type == OBJ_EC)
            thread(z, o);
        if (o->type == OBJ_SM)
            semaphore(z, o);
        if (o->type == OBJ_PORTAL && atomic_load(&((struct portal *)o->kernel)->id) != o->id)
            fuzz_fail(z, "portal: another id");
        if (o->type == OBJ_VCPU && (((struct vcpu *)o->kernel)->started != o->started || atomic_load(&((struct vcpu *)o->kernel)->kick) != o->kicked))
            fuzz_fail(z, "vCPU: started or kicked");
    }
}

/* ---- Capabilities ---- */

static void leaf(struct fuzz *z, const struct m_object *pd, u32 index)
{
    struct pd *const k = pd->kernel;
    if (view_leaf(k, index) != (pd->leaf[index] != NULL))
        fuzz_fail(z, "PD %#lx: leaf %u of the object space", (u64)(pd->page), index);
    for (u64 s = index * M_LEAF_SLOTS; pd->leaf[index] && s < (index + 1) * M_LEAF_SLOTS; s++) {
        const struct m_slot *const slot = m_slot_at(pd, s);
        u32 perms = 0;
        const void *const held = view_slot(k, s, &perms);
        if (held != (slot->object ? slot->object->kernel : NULL) || (held && perms != slot->perms))
            fuzz_fail(z, "selector %#lx: %s, permissions %#x; expected %s, %#x", s, held ? "held" : "empty", perms, slot->object ? "held" : "empty",
                      slot->perms);
    }
}

/* ---- Pages ---- */

static u32 entered_rights(u32 rights, u32 space)
{
    return !space && rights & RIGHT_W ? rights & ~RIGHT_X : rights;
}

struct pages {
    struct fuzz *z;
    const struct m_space *m;
    u32 index;
    u64 count[2];   /* held, entered */
};

static void pages_run(void *arg, const struct view_run *r)
{
    struct pages *const p = arg;
    p->count[r->entered] += r->count;
    for (u64 i = 0; i < r->count; i++) {
        const struct m_page *const page = m_page_at(p->m, r->page + i);
        const u32 rights = page ? (r->entered ? entered_rights(page->rights, p->index) : page->rights) : 0;
        if (!page || page->frame != r->frame + i || rights != r->rights)
            fuzz_fail(p->z, "%s page %s: %#lx to frame %#lx, rights %#x; expected %#lx, %#x", p->index ? "guest" : "host", r->entered ? "entered" : "held",
                      r->page + i, r->frame + i, r->rights, page ? page->frame : 0, rights);
    }
}

static void pages(struct fuzz *z, const struct m_object *pd, u32 index, struct view_space *seen)
{
    struct pd *const k = pd->kernel;
    struct space_mem *const s = index ? &k->guest : &k->memory;
    struct pages p = { .z = z, .m = &pd->space[index], .index = index };
    *seen = (struct view_space){ .run = pages_run, .arg = &p };
    view_space(s, seen);
    if (!s->ptab.root != !p.m->made)
        fuzz_fail(z, "guest memory space: made %u", s->ptab.root != 0);
    if (p.count[0] != p.m->count || p.count[1] != p.m->count)
        fuzz_fail(z, "%s memory: %lu pages held, %lu entered; expected %lu", index ? "guest" : "host", p.count[0], p.count[1], p.m->count);
}

/* ---- Books ---- */

static void domain(struct fuzz *z, const struct m_object *pd)
{
    struct pd *const k = pd->kernel;
    struct view_space seen[2];
    u64 bytes = PAGE_SIZE;   /* the table of leaves */
    for (u32 i = 0; i < M_LEAVES; i++) {
        leaf(z, pd, i);
        bytes += pd->leaf[i] ? PAGE_SIZE : 0;
    }
    for (u32 i = 0; i < 2; i++) {
        pages(z, pd, i, &seen[i]);
        bytes += seen[i].tables * PAGE_SIZE + seen[i].ranges * view_range_bytes();
    }
    for (const struct m_object *o = z->m.objects; o; o = o->next)
        if (o->pd == pd)
            bytes += o->bytes;
    if (atomic_load(&k->quota.used) != bytes || atomic_load(&k->quota.limit) != pd->limit)
        fuzz_fail(z, "quota: %lu of %lu bytes used, expected %lu of %lu", atomic_load(&k->quota.used), atomic_load(&k->quota.limit), bytes, pd->limit);
}

void compare_all(struct fuzz *z)
{
    for (struct m_object *o = z->m.objects; o; o = o->next)
        if (o->type == OBJ_PD)
            domain(z, o);
}
