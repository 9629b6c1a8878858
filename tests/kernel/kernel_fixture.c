/* SPDX-License-Identifier: BSD-2-Clause */
#include "kernel_fixture.h"
#include <stdlib.h>
#include "apic.h"
#include "boot_cpus.h"
#include "kernel_fixture_sim.h"
#include "portal.h"
#include "protect.h"

#define POOL_START (16ul << 20)
#define POOL_BYTES (32ul << 20)
#define USER_PHYS  (8ul << 20)

static void make_pd(struct fixture *f)
{
    struct cpu *cpu = fixture_cpu(f, 0);
    assert_int_equal(pd_create(cpu, NULL, FIXTURE_QUOTA, PD_FLAG_CONSOLE | PD_FLAG_SHUTDOWN, &f->pd), OK);
    f->k->root_pd = f->pd;
    object_ref(&f->pd->object);
    for (u64 s = 0; s < FIXTURE_SEL_FREE; s += OBJ_LEAF_SLOTS)
        assert_int_equal(space_obj_reserve(&f->pd->objects, s, &(struct cap_slot *){ NULL }), OK);
    assert_int_equal(space_obj_insert(&f->pd->objects, FIXTURE_SEL_PD, &f->pd->object), OK);
    f->frame = USER_PHYS >> PAGE_BITS;
    assert_int_equal(space_mem_insert(&f->pd->memory, FIXTURE_MEMORY >> PAGE_BITS, f->frame, FIXTURE_PAGES, RIGHT_MEMORY), OK);
}

/* What root pays for, but for what stays until it ends itself: leaves of its capability space, its guest space. */
static u64 root_pays(const struct fixture *f)
{
    u64 pages = f->pd->guest.ptab.root != 0;
    for (u64 s = 0; s < SEL_COUNT; s += OBJ_LEAF_SLOTS)
        pages += f->pd->objects.leaf[s / OBJ_LEAF_SLOTS].v != 0;
    return atomic_load(&f->pd->quota.used) - pages * PAGE_SIZE;
}

struct fixture *fixture_open_on(struct sim *s, u32 cpus)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct boot_info boot = { .cpu_count = cpus, .apic_base = 0xfee00000, .protect = PROTECT_ALL };
    const struct ranges none = { 0 };
    for (u32 i = 0; i < cpus; i++)
        boot.apic_id[i] = i;
    f->sim = s;
    f->utcb_next = FIXTURE_UTCB;
    f->k = boot_kern_make(&boot, &none, POOL_START, POOL_BYTES);
    for (u32 i = cpus; i-- > 0;) {
        sim_unit_cpu(f->sim, i);
        boot_cpu_start(f->k->cpu[i]);
    }
    make_pd(f);
    for (u32 i = 0; i < cpus; i++)
        fixture_run(f, i);
    f->root_paid = root_pays(f);
    return f;
}

struct fixture *fixture_open(u32 cpus, enum sim_vendor vendor)
{
    struct sim *s = sim_unit(cpus, FIXTURE_RAM, vendor);
    assert_non_null(s);
    return fixture_open_on(s, cpus);
}

static void take_all_back(void *arg)
{
    struct fixture *const f = arg;
    u64 generation;
    enum status s = STATUS_RESTART;
    for (u32 round = 0; round < 1000 && s != OK; round++) {
        fixture_interrupts(f);
        struct cpu *const cpu = fixture_cpu(f, 0);
        s = space_mem_revoke(cpu, &f->pd->memory, FIXTURE_MEMORY >> PAGE_BITS, FIXTURE_PAGES, false, &generation);
        if (s == OK)
            s = space_obj_revoke(cpu, &f->pd->objects, FIXTURE_SEL_PD + 1, SEL_COUNT - FIXTURE_SEL_PD - 1, true);
    }
    fixture_settle(f);
}

void fixture_close(struct fixture *f)
{
    u64 lost = 0;
    const char *message = NULL;
    sim_unit_hook(f->sim, NULL, NULL);
    sim_unit_fail(f->sim, 0);
    if (!f->by_hand) {
        message = sim_unit_expect_panic(f->sim, take_all_back, f);
        lost = message ? 0 : root_pays(f) - f->root_paid;
    }
    if (message)
        print_error("at the end: %s\n", message);
    sim_destroy(f->sim);
    free(f);
    assert_null(message);
    assert_int_equal(lost, 0);
}

struct cpu *fixture_cpu(struct fixture *f, u32 cpu)
{
    sim_unit_cpu(f->sim, cpu);
    return f->k->cpu[cpu];
}

struct ec *fixture_ec(struct fixture *f, u32 cpu, struct pd *pd, u32 flags, u64 selector)
{
    struct ec *ec;
    const struct ec_config config = { .utcb = f->utcb_next, .ip = 0x400000, .sp = 0x7fff0000, .event_base = 32, .cpu = cpu, .flags = flags };
    f->utcb_next += 0x10000;
    assert_int_equal(ec_create(fixture_cpu(f, cpu), pd, &config, &ec), OK);
    assert_int_equal(space_obj_insert(&f->pd->objects, selector, &ec->object), OK);
    return ec;
}

struct ec *fixture_thread(struct fixture *f, u32 cpu, struct pd *pd, u32 priority, u64 selector)
{
    struct ec *ec = fixture_ec(f, cpu, pd, EC_GLOBAL, selector);
    struct sc *sc;
    assert_int_equal(sc_create(f->k->cpu[cpu], pd, ec, priority, FIXTURE_BUDGET, &sc), OK);
    assert_int_equal(space_obj_insert(&f->pd->objects, selector + 1, &sc->object), OK);
    sc_start(f->k->cpu[cpu], sc);
    return ec;
}

struct ec *fixture_handler(struct fixture *f, u32 cpu, struct pd *pd, u64 selector)
{
    struct ec *ec = fixture_ec(f, cpu, pd, EC_LOCAL, selector);
    struct portal *portal;
    assert_int_equal(portal_create(f->k->cpu[cpu], pd, ec, 0x500000, selector, &portal), OK);
    assert_int_equal(space_obj_insert(&f->pd->objects, selector + 1, &portal->object), OK);
    return ec;
}

struct pd *fixture_pd(struct fixture *f, u64 quota, u64 selector)
{
    struct pd *pd;
    assert_int_equal(pd_create(fixture_cpu(f, 0), f->pd, quota, 0, &pd), OK);
    assert_int_equal(space_obj_insert(&f->pd->objects, selector, &pd->object), OK);
    return pd;
}

enum status fixture_sm_up(struct cpu *cpu, struct sm *sm)
{
    return sm_try_up(sm) ? OK : sm_wake(cpu, sm);
}

enum status fixture_sm_down(struct cpu *cpu, struct ec *ec, struct sm *sm, bool zero, u64 deadline)
{
    return sm_try_down(sm, zero) ? OK : sm_wait(cpu, ec, sm, deadline);
}

struct resume *fixture_trap(struct fixture *f, u32 cpu, u64 trap, u64 info)
{
    if (TRAP_KIND(trap) == TRAP_INTERRUPT && TRAP_VECTOR(trap) != VECTOR_SPURIOUS)
        fixture_sim_serve(f->sim, cpu, TRAP_VECTOR(trap));
    f->resumed[cpu] = kern_trap(fixture_cpu(f, cpu), trap, info);
    return f->resumed[cpu];
}

void fixture_run(struct fixture *f, u32 cpu)
{
    f->k->cpu[cpu]->due |= DUE_CHOICE;
    fixture_trap(f, cpu, TRAP(TRAP_NONE, 0), 0);
}

void fixture_tick(struct fixture *f, u32 cpu)
{
    fixture_trap(f, cpu, TRAP(TRAP_INTERRUPT, VECTOR_TIMER), 0);
}

void fixture_interrupts(struct fixture *f)
{
    bool any = true;
    for (u32 round = 0; any; round++) {
        assert_true(round < 1000);
        any = false;
        for (u32 i = 0; i < f->k->cpu_count; i++) {
            const u32 vector = fixture_sim_interrupt(f->sim, i);
            if (!vector)
                continue;
            any = true;
            fixture_trap(f, i, TRAP(TRAP_INTERRUPT, vector), 0);
        }
    }
}

static bool waiting(const struct fixture *f)
{
    bool any = false;
    for (u32 i = 0; i < f->k->cpu_count; i++)
        any |= f->k->cpu[i]->epoch.first || atomic_load(&f->k->cpu[i]->released);
    return any;
}

void fixture_settle(struct fixture *f)
{
    for (u32 round = 0; round < 2 || waiting(f); round++) {
        assert_true(round < 10000);
        fixture_interrupts(f);
        for (u32 i = 0; i < f->k->cpu_count; i++)
            fixture_trap(f, i, TRAP(TRAP_NONE, 0), 0);
    }
}

void fixture_later(struct fixture *f, u64 ticks)
{
    fixture_sim_later(f->sim, ticks);
}

u64 fixture_call_(struct fixture *f, struct ec *ec, u64 number, const u64 *args, u32 count)
{
    static const u8 reg[6] = { RSI, RDX, R8, R9, R10, RAX };
    const u32 cpu = ec->object.cpu;
    assert_ptr_equal(f->k->cpu[cpu]->current, ec);
    ec->resume.gpr[RDI] = number;
    for (u32 i = 0; i < count; i++)
        ec->resume.gpr[reg[i]] = args[i];
    ec->resume.rip += 2;   /* the machine reports a RIP after SYSCALL */
    fixture_trap(f, cpu, TRAP(TRAP_SYSCALL, 0), 0);
    return ec->resume.gpr[RAX];
}

struct fixture_books fixture_books(struct fixture *f)
{
    fixture_settle(f);
    return (struct fixture_books){ mem_free_bytes(f->k->mem), atomic_load(&f->pd->quota.used), atomic_load(&f->k->quota.used) };
}

void fixture_balanced(struct fixture *f, struct fixture_books before)
{
    const struct fixture_books after = fixture_books(f);
    assert_int_equal(after.used, before.used);
    assert_int_equal(after.kernel_used, before.kernel_used);
    assert_int_equal(after.free, before.free);
}
