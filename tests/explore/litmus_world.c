/* SPDX-License-Identifier: BSD-2-Clause */
/* Small worlds whose numbers of executions are known from other explorers: does ours reach the same ones, no more and no fewer? */
#include "arch/apic.h"
#include "arch/x86.h"
#include "world.h"

/* ---- Message passing: data, then flag ---- */
static atomic_u64 *flag, *data;

static void message_setup(void)
{
    flag = world_alloc(8);
    data = world_alloc(8);
    world_label(flag, 8, "flag");
    world_label(data, 8, "data");
}

static void message_writer(void)
{
    atomic_store(data, 42);
    atomic_store(flag, 1);
}

static void message_reader(void)
{
    while (!atomic_load(flag))
        mach_relax();
    world_assert(atomic_load(data) == 42, "data before flag");
}

WORLD_TEST(message, .question = "Does the flag come after the data?", .cpus = 2, .setup = message_setup,
           .program = { message_writer, message_reader }, .unbounded = true);

/* ---- Store buffers: each stores its flag, then reads the other's ---- */
static atomic_u64 *wish[2];
static u64 *saw;

static void lost_setup(void)
{
    saw = world_alloc(16);
    for (u32 i = 0; i < 2; i++) {
        wish[i] = world_alloc(8);
        world_label(wish[i], 8, "wish%u", i);
    }
}

static void lost_program(void)
{
    const u32 me = world_id();
    atomic_store(wish[me], 1);
    saw[me] = atomic_load(wish[1 - me]);
}

static void lost_end(void)
{
    world_assert(saw[0] || saw[1], "both missed the other's flag: nobody wakes anybody");
}

WORLD_TEST(lost_wakeup, .question = "Can each side miss the other's flag?", .cpus = 2, .setup = lost_setup,
           .program = { lost_program, lost_program }, .end = lost_end, .unbounded = true, .sc = true);

/* ---- Seven CPUs, one fetch_add each: every order differs when somebody looks at the result, none when nobody does ---- */
static atomic_u64 *counter;

static void counter_setup(void)
{
    counter = world_alloc(8);
    world_label(counter, 8, "counter");
}

static void counter_fetch(void)
{
    (void)atomic_fetch_add(counter, 1);
}

static void counter_add(void)
{
    atomic_add(counter, 1);
}

static void counter_end(void)
{
    world_assert(counter->v == 7, "%lu of 7 counted", counter->v);
}

WORLD_TEST(fetch_add_7, .question = "Seven orders of seven additions?", .cpus = 7, .setup = counter_setup, .end = counter_end, .unbounded = true,
           .program = { counter_fetch, counter_fetch, counter_fetch, counter_fetch, counter_fetch, counter_fetch, counter_fetch });
WORLD_TEST(add_7, .question = "One order of seven additions whose result nobody sees?", .cpus = 7, .setup = counter_setup, .end = counter_end,
           .unbounded = true, .program = { counter_add, counter_add, counter_add, counter_add, counter_add, counter_add, counter_add });

/* ---- MCS lock: each of N acquires and releases once ---- */
struct mcs {
    atomic_u64 next, locked;   /* next: number + 1 */
};
static struct mcs *mcs;
static atomic_u64 *tail;
static u64 *inside;

static void mcs_setup(void)
{
    mcs = world_alloc(8 * sizeof(*mcs));
    tail = world_alloc(8);
    inside = world_alloc(8);
    world_label(mcs, 8 * sizeof(*mcs), "mcs");
    world_label(tail, 8, "tail");
}

static void mcs_program(void)
{
    const u32 me = world_id();
    atomic_store(&mcs[me].next, 0);
    atomic_store(&mcs[me].locked, 1);
    const u64 before = atomic_xchg(tail, me + 1);
    if (before) {
        atomic_store(&mcs[before - 1].next, me + 1);
        while (atomic_load(&mcs[me].locked))
            mach_relax();
    }
    ++*inside;
    u64 next = atomic_load(&mcs[me].next);
    if (!next) {
        u64 last = me + 1;
        if (atomic_cas(tail, &last, 0))
            return;
        while (!(next = atomic_load(&mcs[me].next)))
            mach_relax();
    }
    atomic_store(&mcs[next - 1].locked, 0);
}

#define MCS(n, ...)                                                                                                    \
    static void mcs_end_##n(void)                                                                                      \
    {                                                                                                                  \
        world_assert(*inside == n, "%lu of %u sections", *inside, n);                                                  \
    }                                                                                                                  \
    WORLD_TEST(mcs_##n, .question = "Does each of the CPUs get the lock once?", .cpus = n, .setup = mcs_setup, .end = mcs_end_##n, \
               .unbounded = true, .program = { __VA_ARGS__ })
MCS(2, mcs_program, mcs_program);
MCS(3, mcs_program, mcs_program, mcs_program);
MCS(4, mcs_program, mcs_program, mcs_program, mcs_program);
MCS(5, mcs_program, mcs_program, mcs_program, mcs_program, mcs_program);
/* ---- A list that two push to: a push that fails has learned the new head ---- */
static atomic_u64 *head;
static u64 *below;

static void push_setup(void)
{
    head = world_alloc(8);
    below = world_alloc(16);
}

static void push_program(void)
{
    u64 first = atomic_load(head);
    for (;;) {
        below[world_id()] = first;
        if (atomic_cas(head, &first, world_id() + 1))
            break;
        mach_relax();
    }
}

static void push_end(void)
{
    const u64 top = world_peek(head);
    world_assert(top && below[top - 1] == 3 - top && !below[2 - top], "the list is %lu, %lu, %lu", top, below[top - 1], below[2 - top]);
}

WORLD_TEST(push, .question = "Does a failed push try again with what it has seen?", .cpus = 2, .setup = push_setup,
           .program = { push_program, push_program }, .end = push_end, .unbounded = true);

/* ---- A lock by compare-and-swap, always from the same value: who fails sleeps ---- */

static void cas_lock_program(void)
{
    for (u64 free = 0; !atomic_cas(head, &free, 1); free = 0)
        mach_relax();
    below[world_id()] = 1;
    atomic_store(head, 0);
}

static void cas_lock_end(void)
{
    world_assert(below[0] && below[1], "somebody never got the lock");
}

WORLD_TEST(cas_lock, .question = "Does who waits for a lock get it?", .cpus = 2, .setup = push_setup,
           .program = { cas_lock_program, cas_lock_program }, .end = cas_lock_end, .unbounded = true);

/* ---- An interrupt while a locked operation waits for the store buffer ---- */

static u64 drain_flag, drain_data;

static void drain_setup(void)
{
    flag = world_alloc(8);
    data = world_alloc(8);
    for (u32 i = 0; i < 2; i++) {
        world_cpu(i);
        mach_msr_write(MSR_APIC_BASE, mach_msr_read(MSR_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
        mach_msr_write(MSR_X2APIC(APIC_SVR), APIC_SVR_ENABLE | 0xff);
    }
}

static void drain_writer(void)
{
    atomic_store(data, 1);
    atomic_xchg(flag, 1);
}

static void drain_reader(void)
{
    mach_msr_write(MSR_X2APIC(APIC_ICR), APIC_ICR_FIXED | APIC_ICR_ASSERT | 0x40);   /* to APIC id 0 */
    drain_flag = atomic_load(flag);
    drain_data = atomic_load(data);
}

static void drain_interrupt(u32 vector)
{
}

static void drain_end(void)
{
    world_assert(drain_data || !drain_flag, "a locked operation overtook a store");
}

WORLD_TEST(drain, .question = "Does a locked operation wait for earlier stores even if an interrupt comes meanwhile?", .cpus = 2,
           .setup = drain_setup, .program = { drain_writer, drain_reader }, .interrupt = drain_interrupt, .end = drain_end);

/* ---- Memory that one side frees and the other alone uses, each only if it does not see the other's wish; under TSO both may ---- */
static atomic_u64 *used;

static void freed_setup(void)
{
    used = world_alloc(64);
    for (u32 i = 0; i < 2; i++)
        wish[i] = world_alloc(8);
}

static void freed_user(void)
{
    atomic_store(wish[0], 1);
    if (!atomic_load(wish[1]))
        atomic_store(used, 1);
}

static void freed_owner(void)
{
    atomic_store(wish[1], 1);
    if (!atomic_load(wish[0]))
        mach_mem_state(used, 64, MEM_FREE);
}

WORLD_TEST(freed, .question = "Is memory used by who alone touches it after another CPU has freed it?", .cpus = 2, .setup = freed_setup,
           .program = { freed_user, freed_owner }, .sc = true);
