/* SPDX-License-Identifier: BSD-2-Clause */
/* The backend: a disk for each VM. One handler per CPU serves all VMs there, on their time; some requests wait, as for a device. No state but the
 * blocks, which lie in memory that outlives it. It can end at any instruction: a block half written is written again by whoever asked for it. */
#include "client.h"
#include "hv.h"
#include "kill.h"

#define STACK_BYTES 4096u
#define SEEK_EVERY  4u     /* blocks */
#define SEEK_US     50u
#define MIXES       4u

static struct thread handlers[KILL_CPUS];
static u8 stacks[KILL_CPUS][STACK_BYTES] aligned_to(16);

/* The block is kept under a key of its own, word by word: work to be cut short. */
static u64 keystream(u64 *key)
{
    for (u32 i = 0; i < MIXES; i++)
        *key = (*key ^ *key >> 29) * 0xbf58476d1ce4e5b9ul + i;
    return *key;
}

static void crypt(u64 *to, const u64 *from, u64 key)
{
    for (u32 i = 0; i < GUEST_DISK_WORDS; i++)
        to[i] = from[i] ^ keystream(&key);
}

/* Not on a semaphore of this PD: that one would go before its waiters do, and they would go on to a good answer. */
static void seek(u64 block)
{
    if (block % SEEK_EVERY == 0)
        (void)!hv_sm_down(PROGRAM_SEL_PARK, 0, thread_tsc() + program_page()->tsc_khz * SEEK_US / 1000);
}

/* Words of the answer. */
static u64 serve(u32 vm, u64 *word, u64 words)
{
    struct kill_disk *const disk = (struct kill_disk *)PROGRAM_MEMORY;
    const u64 operation = word[0], block = word[1];
    const bool write = operation == KILL_WRITE && words == KILL_HEAD_WORDS + GUEST_DISK_WORDS;
    const bool read = operation == KILL_READ && words == KILL_HEAD_WORDS;
    word[0] = STATUS_ARG;
    if ((!write && !read) || block >= GUEST_DISK_BLOCKS)
        return 1;
    u64 *const stored = disk->word[vm - 1][block];
    word[0] = OK;
    seek(block);
    if (write)
        crypt(stored, word + KILL_HEAD_WORDS, vm << 8 | block);
    else
        crypt(word + 1, stored, vm << 8 | block);
    return write ? 1 : 1 + GUEST_DISK_WORDS;
}

static void entry(u64 vm, u64 mtr)
{
    u64 *const word = handlers[kill_cpu((u32)vm)].utcb->word;
    (void)!hv_reply(MTR(serve((u32)vm, word, MTR_WORDS(mtr)), 0));
    __builtin_trap();
}

static void must(enum status s)
{
    if (s != OK)
        __builtin_trap();
}

static void handler_make(u32 cpu)
{
    const struct thread_config c = {
        .number = 1 + cpu, .cpu = cpu, .ec = KILL_SEL_HANDLER(cpu), .stack_top = stacks[cpu] + STACK_BYTES
    };
    must(thread_create_local(&c, &handlers[cpu]));
}

void backend_main(void)
{
    for (u32 vm = 1; vm <= KILL_VMS; vm++) {
        const u32 cpu = kill_cpu(vm);
        if (!handlers[cpu].utcb)
            handler_make(cpu);
        must(hv_portal_create(PROGRAM_SEL_PD, KILL_SEL_SERVE(vm), KILL_SEL_HANDLER(cpu), (u64)entry, vm));
    }
    must(hv_sm_up(KILL_SEL_READY));
    thread_park();
}
