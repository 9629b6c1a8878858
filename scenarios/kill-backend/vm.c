/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM: the parts of scenarios/vmm but its main, and a disk whose requests go to the backend. A request that the backend's end cut short is made
 * again of the next backend, within the same exit: the guest sees one OUT that took longer. What the guest did, and was given, is hashed.
 * One vCPU, so nothing to lock. */
#include "../vmm/vmm.h"
#include "hv.h"
#include "kill.h"
#include "mem.h"

#define RAX        0u
#define DISK_BYTES (GUEST_DISK_WORDS * 8ul)
#define HASH_SEED  0xcbf29ce484222325ul   /* FNV-1a, by words */
#define HASH_STEP  0x00000100000001b3ul

static struct vm vm;
static struct kill_report *const report = (struct kill_report *)(PROGRAM_MEMORY + KILL_RAM_BYTES);
static struct {
    u32 block, buffer;
    bool refused;
} disk;
static u64 number, rounds_left;
static bool told_end;   /* the guest asked for a round when none was left */

void vm_lock(void)
{
}

void vm_unlock(void)
{
}

static void __attribute__((noreturn)) fail(struct vmm_vcpu *v, const char *what, enum status s)
{
    client_fail(&v->thread, what, s);
}

/* ---- The disk ---- */

/* The message is the same each time: a call that does not end well leaves it as it was. */
static enum status request(struct vmm_vcpu *v, u64 operation)
{
    u64 *const word = v->thread.utcb->word;
    u64 words = KILL_HEAD_WORDS, mtr;
    word[0] = operation;
    word[1] = disk.block;
    for (u64 at = 0; operation == KILL_WRITE && at < DISK_BYTES; at += RAM_READ_BYTES)
        if (!ram_read(v, disk.buffer + at, (u8 *)(word + KILL_HEAD_WORDS) + at, (u32)min(RAM_READ_BYTES, DISK_BYTES - at)))
            return STATUS_RANGE;
    words += operation == KILL_WRITE ? GUEST_DISK_WORDS : 0;
    for (;;) {
        const enum status s = hv_call(KILL_SEL_PORTAL, MTR(words, 0), &mtr);
        if (s == OK)
            return (enum status)word[0];
        report->aborted += s == STATUS_ABORT;
        report->refused += s == STATUS_CAP;
        if (s != STATUS_ABORT && s != STATUS_CAP)
            fail(v, "call of the backend", s);
        if (hv_sm_down(KILL_SEL_BACK, SM_DOWN_ZERO, 0) != OK)
            fail(v, "waiting for a backend", STATUS_ABORT);
    }
}

static void command(struct vmm_vcpu *v, u64 operation)
{
    void *const data = ram_at(&vm, disk.buffer, DISK_BYTES);
    disk.refused = !data || operation > KILL_WRITE || request(v, operation) != OK;
    if (!disk.refused && operation == KILL_READ)
        memcpy(data, v->thread.utcb->word + 1, DISK_BYTES);
}

static u64 rounds_next(struct vmm_vcpu *v)
{
    const enum status s = rounds_left ? hv_sm_down(KILL_SEL_GO, 0, 0) : OK;
    if (s != OK)
        fail(v, "waiting for a round", s);
    told_end = !rounds_left;
    return rounds_left ? rounds_left-- : 0;
}

static u64 port_in(struct vmm_vcpu *v, u32 port)
{
    return port == GUEST_ROUNDS ? rounds_next(v) : port == GUEST_DISK_OWNER ? number : disk.refused;
}

static bool own_port(const struct vcpu_exit *e)
{
    return e->reason == VCPU_EXIT_IO && e->u.io.port >= GUEST_ROUNDS && e->u.io.port <= GUEST_DISK_OWNER && !e->u.io.string;
}

static enum vmm_next own_exit(struct vmm_vcpu *v)
{
    const struct vcpu_exit *const e = &v->state->exit;
    const u64 value = v->state->gpr[RAX] & (bit(8 * e->u.io.size) - 1);
    if (e->u.io.in)
        state_register(v, RAX, e->u.io.size, port_in(v, e->u.io.port));
    else if (e->u.io.port == GUEST_DISK_BLOCK)
        disk.block = (u32)value;
    else if (e->u.io.port == GUEST_DISK_BUFFER)
        disk.buffer = (u32)value;
    else if (e->u.io.port == GUEST_DISK_COMMAND)
        command(v, value);
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}

/* ---- Exits ---- */

static void hash(u64 word)
{
    report->hash = (report->hash ^ word) * HASH_STEP;
}

/* Those that the guest's instructions make; not those that the VMM's own ways of starting, mapping and waking make. After they were handled. */
static void note(struct vmm_vcpu *v, const struct vcpu_exit *e)
{
    if (bit(e->reason) & (bit(VCPU_EXIT_STARTUP) | bit(VCPU_EXIT_KICKED) | bit(VCPU_EXIT_INTR_WINDOW) | bit(VCPU_EXIT_MMIO)))
        return;
    state_need(v, VCPU_GROUP_GPR | VCPU_GROUP_RIP);
    report->exits++;
    hash(e->reason);
    if (e->reason == VCPU_EXIT_IO)
        hash((u64)e->u.io.port << 16 | (u64)e->u.io.size << 8 | e->u.io.in);
    hash(v->state->rip);
    for (u32 i = 0; i < array_size(v->state->gpr); i++)
        hash(v->state->gpr[i]);
}

static void run(struct vmm_vcpu *v)
{
    struct vcpu_state *const state = v->state;
    enum vmm_next next = VMM_RUN;
    while (next != VMM_END) {
        const enum status s = hv_vcpu_run(VMM_SEL_VCPU(v->number));
        if (s != OK)
            fail(v, "vcpu_run", s);
        state->dirty = 0;
        const struct vcpu_exit e = state->exit;
        next = own_port(&e) ? own_exit(v) : exit_handle(v);
        if (next == VMM_FAIL || (next == VMM_HALT && !v->interrupt))
            fail(v, "the guest", STATUS_ABORT);
        note(v, &e);
        if (next == VMM_HALT) {
            state_inject(v, VCPU_EVENT_INTERRUPT(v->interrupt));
            v->interrupt = 0;
        } else if (state->pending & VCPU_EVENT_VALID && !(state->dirty & VCPU_GROUP_INJECT)) {
            state_inject(v, state->pending);
        }
    }
}

void vm_main(const char *args)
{
    const struct program *const p = program_page();
    struct vmm_vcpu *const v = &vm.vcpu[0];
    vm.ram_bytes = KILL_RAM_BYTES;
    vm.vcpu_count = 1;
    v->vm = &vm;
    v->state = (struct vcpu_state *)VMM_STATE(0);
    v->thread = thread_first();
    report->hash = HASH_SEED;
    if (!str_number(&args, &number) || !str_number(&args, &rounds_left) || p->memory_bytes != KILL_RAM_BYTES + PAGE_SIZE || p->guest_bytes > KILL_RAM_BYTES)
        fail(v, "start", STATUS_ARG);
    memcpy((void *)PROGRAM_MEMORY, (const void *)PROGRAM_GUEST, p->guest_bytes);
    const enum status s = hv_vcpu_create(PROGRAM_SEL_PD, VMM_SEL_VCPU(0), p->cpu, VMM_STATE(0));
    if (s != OK)
        fail(v, "vcpu_create", s);
    run(v);
    if (!told_end)
        fail(v, "the guest gave up", STATUS_ABORT);
    if (hv_sm_up(KILL_SEL_ENDED) != OK)
        fail(v, "the end", STATUS_ABORT);
    thread_park();
}
