/* SPDX-License-Identifier: BSD-2-Clause */
/* One operation on kernel and model: predict, put arguments into the registers, trap until the hypercall is over, compare, apply. */
#include "run.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "abi/vcpu.h"
#include "apic.h"
#include "cpu.h"
#include "kernel_fixture_sim.h"
#include "sc.h"
#include "vcpu.h"
#include "view.h"
#include "watch.h"

#define PRIORITY   (PRIORITY_COUNT - 1)   /* of the drivers */
#define EXECUTIONS 5000u                  /* of one hypercall: it must be over by then */
#define LARGE_PAGE  0x40000ul             /* root's large pages: there, so many, from this frame on */
#define LARGE_PAGES 1024ul
#define LARGE_FRAME (10ul << 20 >> PAGE_BITS)

void fuzz_fail(const struct fuzz *z, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "operation %lu: ", z->number);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    _exit(FUZZ_DIFFERS);
}

/* ---- The beginning: root, with a driver on each CPU ---- */

static void adopt_pages(struct fuzz *z, u64 page, u64 frame, u64 count, u32 rights)
{
    for (u64 i = 0; i < count; i++)
        m_page_add(&z->m.root->space[0], page + i, frame + i, rights, NULL);
}

static struct m_object *adopt(struct fuzz *z, enum object_type type, u32 cpu, void *kernel, u64 selector)
{
    struct m_object *const o = m_object_new(&z->m, type, z->m.root, view_bytes(type, false), cpu);
    o->kernel = kernel;
    o->refs = 1;   /* ours: never let go */
    object_ref(kernel);
    m_slot_fill(m_slot_make(z->m.root, selector), o, PERM_ALL, NULL);
    return o;
}

static void driver(struct fuzz *z, u32 cpu)
{
    const u64 selector = 2 + 2 * cpu;
    struct ec *const k = z->driver[cpu] = fixture_thread(z->f, cpu, z->f->pd, PRIORITY, selector);
    struct m_object *const ec = adopt(z, OBJ_EC, cpu, k, selector), *const sc = adopt(z, OBJ_SC, cpu, (void *)atomic_load(&k->own), selector + 1);
    ec->home = z->m.root;
    ec->home->users++;
    ec->page = k->utcb_page;
    ec->frame = mach_virt_to_phys(k->utcb) >> PAGE_BITS;
    ec->sc = sc;
    sc->ec = ec;
    sc->priority = PRIORITY;
    ec->refs++;
    adopt_pages(z, ec->page, ec->frame, UTCB_PAGES, RIGHT_R | RIGHT_W);
    fixture_run(z->f, cpu);
}

static void root(struct fuzz *z)
{
    struct pd *const pd = z->f->pd;
    struct m_object *const o = m_object_new(&z->m, OBJ_PD, NULL, 0, 0);
    z->m.root = o;
    o->kernel = pd;
    o->refs = 1;
    m_pd_init(o, FIXTURE_QUOTA, pd->flags, bit(48 - PAGE_BITS));
    for (u32 i = 0; i < M_LEAVES; i++)
        if (view_leaf(pd, i))
            m_slot_make(o, i * M_LEAF_SLOTS);
    m_slot_fill(m_slot_make(o, FIXTURE_SEL_PD), o, PERM_ALL, NULL);
    assert_int_equal(space_mem_insert(&pd->memory, LARGE_PAGE, LARGE_FRAME, LARGE_PAGES, RIGHT_MEMORY), OK);
    adopt_pages(z, LARGE_PAGE, LARGE_FRAME, LARGE_PAGES, RIGHT_MEMORY);
    adopt_pages(z, FIXTURE_MEMORY >> PAGE_BITS, z->f->frame, FIXTURE_PAGES, RIGHT_MEMORY);
}

struct fuzz *fuzz_open(enum sim_vendor vendor, u32 cpus, u64 compare_every, struct tally *tally)
{
    struct fuzz *const z = calloc(1, sizeof(*z));
    z->f = fixture_open(cpus, vendor);
    z->f->by_hand = true;   /* dismantle looks closer */
    z->compare_every = compare_every;
    z->tally = tally;
    z->m.cpus = cpus;
    z->m.virt = z->f->k->virt;
    z->m.groups_missing = z->m.virt ? VCPU_GROUP_ALL & ~z->f->k->virt->groups : 0;
    root(z);
    z->books = fixture_books(z->f);
    for (u32 i = cpus; i-- > 0;)
        driver(z, i);
    fixture_settle(z->f);
    compare_states(z);
    compare_all(z);
    return z;
}

void fuzz_close(struct fuzz *z)
{
    compare_all(z);
    dismantle(z);
    fixture_close(z->f);
    free(z);
}

struct m_object *fuzz_current(struct fuzz *z, u32 cpu)
{
    struct ec *const ec = cpu < z->m.cpus ? z->f->k->cpu[cpu]->current : NULL;
    return ec ? m_object_at(&z->m, ec) : NULL;
}

/* ---- Statuses for lack of memory ---- */

/* Could, or must, a quota have refused? */
static bool quota_short(const struct m_call *c, bool surely)
{
    for (u32 i = 0; i < c->charges; i++) {
        const struct m_object *const pd = c->charge[i].pd;
        const u64 limit = pd->limit, used = surely ? pd->used : max(pd->used, atomic_load(&((struct pd *)pd->kernel)->quota.used));
        u64 need = 0;
        for (u32 k = 0; k < c->charges; k++)
            if (c->charge[k].pd == pd)
                need += min(surely ? c->charge[k].min : c->charge[k].max, ~0ul - need);
        if (need > limit - min(used, limit))
            return true;
    }
    return false;
}

/* A revoke may have to split ranges, charged to whoever has them. */
static bool split_short(const struct fuzz *z)
{
    for (const struct m_object *o = z->m.objects; o; o = o->next)
        if (o->type == OBJ_PD && o->limit - min(o->used, o->limit) < 64 * PAGE_SIZE)
            return true;
    return false;
}

bool fuzz_status_allowed(const struct fuzz *z, const struct m_call *c, enum status predicted, enum status seen)
{
    if (seen == predicted)
        return predicted != OK || !quota_short(c, true);
    if (seen == STATUS_MEMORY)
        return c->op->fail && (c->charges || c->op->number == HYPERCALL_revoke);
    if (seen != STATUS_QUOTA)
        return false;
    return quota_short(c, false) || (c->op->number == HYPERCALL_revoke && predicted == OK && (c->a[2] & 0xf) != SPACE_OBJECT && split_short(z));
}

/* ---- The hypercall ---- */

/* What user level shares with the kernel in this hypercall. */
static void shared(const struct m_call *c, struct watch_range range[WATCH_RANGES])
{
    const struct m_object *const to = message_is(c) ? m_receiver(c) : NULL;
    range[0] = (struct watch_range){ ((struct ec *)c->ec->kernel)->utcb, sizeof(struct utcb) };
    range[1] = (struct watch_range){ NULL, 0 };
    if (to)
        range[1] = (struct watch_range){ ((struct ec *)to->kernel)->utcb, sizeof(struct utcb) };
    if (c->object && c->object->type == OBJ_VCPU)
        range[1] = (struct watch_range){ ((struct vcpu *)c->object->kernel)->state, sizeof(struct vcpu_state) };
}

static bool another_cpu(void *arg)
{
    struct fuzz *const z = arg;
    if (++z->accesses < z->op->rewrite.tick)
        return true;
    message_rewrite(z, z->call);
    z->rewritten = true;
    z->tally->rewritten++;
    return false;
}

static void registers(const struct m_call *c, struct ec *ec)
{
    static const u8 reg[OP_ARGS] = { RSI, RDX, R8, R9, R10, RAX };
    for (u32 i = 0; i < 16; i++)
        ec->resume.gpr[i] = 0x1111111111111111ul * i;
    ec->resume.gpr[RDI] = c->op->number;
    for (u32 i = 0; i < OP_ARGS; i++)
        ec->resume.gpr[reg[i]] = c->a[i];
}

/* Traps until the hypercall is over: preempted, or waiting for a shootdown, it is executed again from its SYSCALL. */
static void execute(struct fuzz *z, struct ec *ec)
{
    const u32 cpu = ec->object.cpu;
    struct cpu *const k = z->f->k->cpu[cpu];
    const u64 rip = ec->resume.rip;
    struct watch_range range[WATCH_RANGES];
    shared(z->call, range);
    for (u64 n = 0;; n++) {
        if (n == EXECUTIONS)
            fuzz_fail(z, "executed %u times and not over", EXECUTIONS);
        z->tally->preempted += n > 0;
        sim_unit_fail(z->f->sim, n ? 0 : z->op->fail);   /* what fails for want of memory after a part was done, stays in part */
        ec->resume.rip = rip + 2;
        fixture_cpu(z->f, cpu);
        if (n < z->op->preempt && !m_revoke_takes_own(z->call))
            apic_ipi(k, k);
        const bool watched = z->op->rewrite.tick && !z->rewritten;
        if (watched)
            watch_begin(range, another_cpu, z);
        fixture_trap(z->f, cpu, TRAP(TRAP_SYSCALL, 0), 0);
        if (watched)
            watch_end();
        if (ec->state == EC_WAIT_TLB || (ec->state == EC_READY && ec->resume.rip == rip))
            fixture_interrupts(z->f);
        else
            return;
        if (ec->state != EC_READY || ec->resume.rip != rip || k->current != ec)
            return;   /* another of its priority runs */
    }
}

static enum status seen(const struct m_call *c, const struct ec *ec)
{
    switch (ec->state) {
    case EC_WAIT_SM:
        return STATUS_BLOCKED;
    case EC_CALLING:
    case EC_IDLE:
        return STATUS_SWITCH;
    case EC_HELPING:
        return STATUS_RESTART;
    default:
        return (enum status)ec->resume.gpr[RAX];
    }
}

static void registers_compare(const struct fuzz *z, const struct m_call *c, const struct ec *ec, bool ok)
{
    static const u8 reg[OP_ARGS] = { RSI, RDX, R8, R9, R10, RAX };
    for (u32 i = 0; i < 16; i++) {
        u64 expected = i == RDI ? c->op->number : 0x1111111111111111ul * i;
        for (u32 k = 0; k < OP_ARGS; k++)
            expected = reg[k] == i ? c->a[k] : expected;
        const bool result = ok && (i == RSI || i == RDX) && c->has_result[i == RDX];
        if (i == RAX || i == RCX || i == R11 || (i == RSI && ok && (c->op->number == HYPERCALL_sc_info || c->op->number == HYPERCALL_pd_info || c->op->number == HYPERCALL_clock)))
            continue;
        if ((i == R10 && c->op->number == HYPERCALL_delegate) || (i == R9 && c->op->number == HYPERCALL_revoke && (c->a[2] & 0xf) == SPACE_OBJECT))
            expected &= ~bit(63);
        if (ec->resume.gpr[i] != (result ? c->result[i == RDX] : expected))
            fuzz_fail(z, "%s: register %u is %#lx, expected %#lx", op_name(c->op->number), i, ec->resume.gpr[i], result ? c->result[i == RDX] : expected);
    }
}

/* vcpu_run is over at once, as it was kicked before, or its state is refused. */
static void exit_compare(struct fuzz *z, struct m_call *c)
{
    const struct vcpu *const v = c->object->kernel;
    const u32 reason = v->state->exit.reason;
    c->kick_stays = z->rewritten ? atomic_load(&v->kick) : reason == VCPU_EXIT_ENTRY_FAILED;   /* what was rewritten may be the exit */
    if (z->rewritten)
        return;
    if (!c->object->started ? reason != VCPU_EXIT_STARTUP : reason != VCPU_EXIT_KICKED && reason != VCPU_EXIT_ENTRY_FAILED)
        fuzz_fail(z, "vcpu_run: exit %u", reason);
}

static void state_prepare(const struct fuzz *z, const struct m_call *c)
{
    struct vcpu *const v = c->object && c->object->type == OBJ_VCPU ? c->object->kernel : NULL;
    if (!v || c->op->number != HYPERCALL_vcpu_run)
        return;
    v->state->dirty = (u32)c->op->dirty;
    v->state->want = (u32)(c->op->dirty >> 32);
}

/* What would end the machine, or enter a guest, is not done. */
static bool is_possible(const struct m_call *c)
{
    if (c->status != OK)
        return true;
    if (c->op->number == HYPERCALL_vcpu_run)
        return !c->object->started || c->object->kicked;
    return c->op->number != HYPERCALL_shutdown;
}

static void *made_at(const struct m_call *c)
{
    u32 perms;
    const bool creates = c->op->number >= HYPERCALL_pd_create && c->op->number <= HYPERCALL_vcpu_create;
    return creates ? view_slot(c->ec->home->kernel, c->a[1], &perms) : NULL;
}

/* A refused hypercall may have made leaves of an object space, or a guest space: they stay. */
static void leaves_stay(struct fuzz *z)
{
    for (struct m_object *o = z->m.objects; o; o = o->next) {
        if (o->type != OBJ_PD)
            continue;
        for (u32 i = 0; i < M_LEAVES; i++)
            if (view_leaf(o->kernel, i))
                m_slot_make(o, i * M_LEAF_SLOTS);
        o->space[1].made |= ((struct pd *)o->kernel)->guest.ptab.root != 0;
    }
}

static void hypercall_do(struct fuzz *z, struct m_call *c)
{
    struct ec *const ec = c->ec->kernel;
    if (message_is(c))
        message_prepare(z, c);
    state_prepare(z, c);
    registers(c, ec);
    object_ref(&ec->object);   /* whoever takes its own last capability and is preempted does not die before it has done the rest */
    execute(z, ec);
    sim_unit_fail(z->f->sim, 0);
    const bool waits = ec->state == EC_WAIT_TLB || (ec->state == EC_READY && z->f->k->cpu[c->ec->cpu]->current != ec);   /* preempted by its like */
    const enum status s = waits ? c->status : seen(c, ec);
    if (!fuzz_status_allowed(z, c, c->status, s) && !(z->rewritten && c->op->number == HYPERCALL_vcpu_run && (s == OK || s == STATUS_FEATURE)))
        fuzz_fail(z, "%s: status %u, expected %u", op_name(c->op->number), s, c->status);
    if (!waits && s < STATUS_INTERNAL_FIRST)
        registers_compare(z, c, ec, s == OK);
    c->status = s;
    if (c->op->number == HYPERCALL_vcpu_run && s == OK)
        exit_compare(z, c);
    if (message_is(c))
        message_compare(z, c);
    m_apply(c, made_at(c));
    object_unref(fixture_cpu(z->f, c->ec->cpu), &ec->object);
}

static void settle(struct fuzz *z)
{
    bool waiting = false;
    fixture_interrupts(z->f);
    for (u32 i = 0; i < z->m.cpus; i++)
        waiting |= z->f->k->cpu[i]->epoch.first || atomic_load(&z->f->k->cpu[i]->released);
    if (waiting)
        fixture_settle(z->f);
}

static u32 column(enum status s)
{
    return s < STATUS_INTERNAL_FIRST ? s : s == STATUS_BLOCKED ? STATUS_COUNT : s == STATUS_SWITCH ? STATUS_COUNT + 1 : STATUS_COUNT + 2;
}

static void hypercall_run(struct fuzz *z, const struct op *op)
{
    struct m_call c = { .m = &z->m, .ec = fuzz_current(z, (u32)op->cpu), .op = op };
    if (!c.ec) {
        z->tally->skipped++;
        return;
    }
    for (struct m_object *o = z->m.objects; o; o = o->next)
        if (o->type == OBJ_PD)
            o->used = atomic_load(&((struct pd *)o->kernel)->quota.used);
    const struct sc *const time = z->f->k->cpu[op->cpu]->current_sc;
    fixture_cpu(z->f, (u32)op->cpu);
    c.now = mach_tsc_read();
    c.donated = time && time->ec != c.ec->kernel;
    memcpy(c.a, op->args, sizeof(c.a));
    c.a[2] += op->relative ? c.now : 0;
    z->call = &c;
    m_predict(&c);
    if (is_possible(&c)) {
        hypercall_do(z, &c);
        z->tally->n[min(op->number, (u64)HYPERCALL_COUNT)][column(c.status)]++;
    } else {
        z->tally->skipped++;
    }
    if (c.status != OK && c.status < STATUS_INTERNAL_FIRST)
        leaves_stay(z);
    z->refused = c.status >= STATUS_QUOTA && c.status < STATUS_INTERNAL_FIRST;
}

void fuzz_do(struct fuzz *z, const struct op *op)
{
    z->op = op;
    z->accesses = 0;
    z->rewritten = z->refused = false;
    if (op->number == OP_LATER)
        fixture_later(z->f, op->args[0]);
    else
        hypercall_run(z, op);
    settle(z);
    m_collect(&z->m);
    compare_states(z);
    if (z->number % z->compare_every == 0 || op->fail || z->refused)
        compare_all(z);
    z->number++;
}
