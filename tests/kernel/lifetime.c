/* SPDX-License-Identifier: BSD-2-Clause */
/* One cell of lifetime.h from its beginning to its end: parent and owner are made, the actor gets its CPU, everybody comes to rest, all is
 * dismantled. The kernel is booted once for all cells: that nothing is left of one is what each must prove. */
#include "lifetime.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "apic.h"
#include "guest_fixture.h"
#include "kernel_rest.h"
#include "portal.h"
#include "sm.h"

#define PARENT_QUOTA (2ul << 20)
#define OWNER_QUOTA  (1ul << 20)
#define SYSCALL_IP   0x600000ul
#define REST_ROUNDS  300u
enum { PRIORITY_ACTOR = 100 };

const char *life_cell = "";

void life_fail(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fail_msg("%s: %s", life_cell, text);
}

/* ---- The kernel ---- */

static bool guest_slice(struct engine *e, struct sim_cpu *cpu, struct sim_guest *guest, u64 steps, struct engine_event *out)
{
    guest->event = 0;
    *out = (struct engine_event){ .kind = EVENT_HYPERCALL, .info = container_of(e, struct life, engine)->vendor == SIM_SVM };
    return true;
}

static void guest_flush(struct engine *e, struct sim_cpu *cpu)
{
}

struct life *life_open(enum sim_vendor vendor)
{
    struct life *l = calloc(1, sizeof(*l));
    struct fixture *const f = l->f = fixture_open(2, vendor);
    struct space_mem *space;
    u64 done;
    l->vendor = vendor;
    l->engine = (struct engine){ .name = "life", .guest = guest_slice, .flush = guest_flush };
    guest_sim_engine(f->sim, &l->engine);
    assert_int_equal(pd_guest(f->pd, &space), OK);   /* stays until the PD goes */
    assert_int_equal(space_obj_delegate(&f->pd->objects, FIXTURE_SEL_PD, &f->pd->objects, SEL_ROOT, 1, PERM_ALL, &done), OK);
    for (u32 i = 0; i < 2; i++) {
        assert_int_equal(sm_create(fixture_cpu(f, 0), f->pd, 0, &l->park[i]), OK);
        assert_int_equal(space_obj_insert(&f->pd->objects, SEL_PARK + i, &l->park[i]->object), OK);
        l->actor[i] = fixture_thread(f, i, f->pd, PRIORITY_ACTOR, SEL_ACTOR + 2 * i);
        fixture_run(f, i);
        assert_int_equal(life_call(l, l->actor[i], HYPERCALL_sm_down, SEL_PARK + i, 0, 0), BLOCKED);
    }
    struct sm *never;
    assert_int_equal(sm_create(fixture_cpu(f, 0), f->pd, 0, &never), OK);
    assert_int_equal(space_obj_insert(&f->pd->objects, SEL_NEVER, &never->object), OK);
    fixture_ec(f, 0, f->pd, EC_GLOBAL, SEL_SPARE);
    fixture_ec(f, 0, f->pd, EC_LOCAL, SEL_HANDLER);
    l->utcb_first = f->utcb_next;
    l->books = fixture_books(f);
    return l;
}

void life_close(struct life *l)
{
    fixture_close(l->f);
    free(l);
}

/* ---- Hypercalls ---- */

static u64 result_of(const struct ec *ec)
{
    return ec->state != EC_READY || ec->vcpu || ec->resume.rip == SYSCALL_IP ? BLOCKED : ec->resume.gpr[RAX];
}

u64 life_call_(struct life *l, struct ec *ec, u64 number, const u64 *args, u32 count)
{
    life_assert(l->f->k->cpu[ec->object.cpu]->current == ec, "who is to act is not current");
    ec->resume.rip = SYSCALL_IP;
    fixture_call_(l->f, ec, number, args, count);
    return result_of(ec);
}

/* ---- What everybody does who has nothing to do ---- */

static void partner_note(struct life *l, const struct ec *ec)
{
    for (u32 i = 0; i < PARTNERS; i++) {
        struct life_partner *const p = &l->partner[i];
        if (p->ec != ec || !p->waits || p->done)
            continue;
        p->told = ec->resume.gpr[RAX];
        p->done = true;
    }
}

/* What user level does when CPU n has come back to it; false: the CPU idles. */
static bool user_step(struct life *l, u32 n)
{
    struct cpu *const cpu = fixture_cpu(l->f, n);
    struct ec *const ec = cpu->current;
    if (!ec)
        return false;
    if (ec->vcpu) {
        vcpu_kick(cpu, ec->vcpu);
        fixture_trap(l->f, n, TRAP(TRAP_NONE, 0), 0);
    } else if (ec->resume.rip == SYSCALL_IP) {   /* executed again */
        ec->resume.rip += 2;
        fixture_trap(l->f, n, TRAP(TRAP_SYSCALL, 0), 0);
    } else if (ec->kind & EC_LOCAL) {
        life_call(l, ec, HYPERCALL_reply, 0);
    } else {
        partner_note(l, ec);
        life_call(l, ec, HYPERCALL_sm_down, ec == l->actor[n] ? SEL_PARK + n : SEL_NEVER, 0, 0);
    }
    return true;
}

static void everybody(struct life *l)
{
    bool any = true;
    for (u32 round = 0; any; round++) {
        life_assert(round < REST_ROUNDS, "no rest");
        fixture_settle(l->f);
        any = user_step(l, 0);
        any |= user_step(l, 1);
    }
}

void life_rest(struct life *l)
{
    everybody(l);
    kernel_rest_check(l->f, life_fail);
}

void life_told(struct life *l)
{
    for (u32 i = 0; i < PARTNERS; i++) {
        const struct life_partner *const p = &l->partner[i];
        if (l->state->told[i] == DIES) {
            life_assert(p->ec->state == EC_DEAD, "partner %u lives", i);
            continue;
        }
        life_assert(!p->waits || p->done, "partner %u still waits", i);
        const u64 wanted = l->state->told[i];
        const bool right = wanted == EITHER ? p->told == OK || p->told == STATUS_ABORT : p->told == wanted;
        life_assert(!p->waits || right, "partner %u was told %lu, not %lu", i, p->told, wanted);
    }
}

void life_actor(struct life *l, enum life_by by)
{
    const u32 n = by == THERE;
    l->act = l->actor[n];
    life_assert(fixture_sm_up(fixture_cpu(l->f, n), l->park[n]) == OK, "the actor is not there");
    life_run(l, l->act);
}

/* ---- Beginning and end ---- */

static struct pd *pd_make(struct life *l, struct pd *creator, u64 quota, u64 selector)
{
    struct pd *pd;
    assert_int_equal(pd_create(fixture_cpu(l->f, 0), creator, quota, 0, &pd), OK);
    assert_int_equal(space_obj_insert(&creator->objects, selector, &pd->object), OK);
    return pd;
}

static void domains_make(struct life *l)
{
    struct space_mem *guest;
    u64 done;
    l->parent = pd_make(l, l->f->pd, PARENT_QUOTA, SEL_PARENT);
    l->owner = pd_make(l, l->parent, OWNER_QUOTA, SEL_OWNER);
    assert_int_equal(space_obj_delegate(&l->parent->objects, SEL_OWNER, &l->f->pd->objects, SEL_OWNER, 1, PERM_ALL, &done), OK);
    life_outfit(l, l->owner);
    assert_int_equal(pd_guest(l->owner, &guest), OK);
    l->with_domains = fixture_books(l->f);
    l->parent_used = atomic_load(&l->parent->quota.used);
    l->owner_used = atomic_load(&l->owner->quota.used);
}

void life_begin(struct life *l, const struct life_state *state, enum life_by by)
{
    struct fixture *const f = l->f;
    f->utcb_next = l->utcb_first;
    l->state = state;
    l->by = by;
    l->self = NULL;
    l->subject = NULL;
    memset(l->partner, 0, sizeof(l->partner));
    if (!l->owner)
        domains_make(l);
    if (state->flags & S_EARLY)
        life_actor(l, THERE);
    state->make(l);
    l->act = by == SELF ? l->self : l->actor[by];
    if (by == HERE || (by == THERE && !(state->flags & S_EARLY)))
        life_actor(l, by);
    if (state->last)
        state->last(l);
    fixture_cpu(f, l->act->object.cpu);
}

static void revoke_all(struct life *l, struct pd *pd, u64 selector, u64 count)
{
    struct fixture *const f = l->f;
    for (u32 round = 0; space_obj_revoke(fixture_cpu(f, 0), &pd->objects, selector, count, true) != OK; round++) {
        life_assert(round < REST_ROUNDS, "revoke never ends");
        fixture_interrupts(f);
    }
}

/* What was passed on outlives who passed it on. */
static void revoke_memory(struct life *l)
{
    struct fixture *const f = l->f;
    u64 generation;
    for (u32 round = 0; space_mem_revoke(fixture_cpu(f, 0), &f->pd->memory, LIFE_SOURCE, FIXTURE_PAGES, false, &generation) != OK; round++) {
        life_assert(round < REST_ROUNDS, "revoke never ends");
        fixture_interrupts(f);
    }
}

static void balanced(struct life *l, const struct fixture_books *before)
{
    const struct fixture_books now = fixture_books(l->f);
    life_assert(now.used == before->used, "%ld bytes are still charged", now.used - before->used);
    life_assert(now.kernel_used == before->kernel_used, "%ld bytes are still charged to the kernel", now.kernel_used - before->kernel_used);
    life_assert(now.free == before->free, "%ld bytes leaked", before->free - now.free);
    kernel_rest_check(l->f, life_fail);
}

void life_part(struct life *l)
{
    revoke_all(l, l->f->pd, SEL_PARENT, 2);
    everybody(l);
    l->parent = l->owner = NULL;
    balanced(l, &l->books);
}

void life_end(struct life *l, bool owner_ends)
{
    revoke_memory(l);
    revoke_all(l, l->f->pd, SUBJECT, SEL_END - SUBJECT);
    if (owner_ends || l->state->flags & S_CHANGES) {
        life_part(l);
        return;
    }
    revoke_all(l, l->owner, SUBJECT, SEL_END - SUBJECT);
    everybody(l);
    life_assert(atomic_load(&l->parent->quota.used) == l->parent_used, "the parent still pays");
    life_assert(atomic_load(&l->owner->quota.used) == l->owner_used, "the owner still pays");
    balanced(l, &l->with_domains);
}
