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
