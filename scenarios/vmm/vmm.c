/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMM's main: makes the VM (the guest space of its own PD), one EC per vCPU, and runs each until it ends. The VM has ended when every
 * started vCPU has halted with interrupts off. Arguments: "vcpus N" (1 if absent). */
#include "hv.h"
#include "mem.h"
#include "print.h"
#include "vmm.h"

#define STACK_BYTES 16384u
#define FLAG_IF     bit(9)

static struct vm vm;
static u8 stacks[VMM_VCPUS][STACK_BYTES] aligned_to(16);

void vm_lock(void)
{
    if (hv_sm_down(VMM_SEL_LOCK, 0, 0) != OK)
        __builtin_trap();
}

void vm_unlock(void)
{
    if (hv_sm_up(VMM_SEL_LOCK) != OK)
        __builtin_trap();
}

static void line_out(void *arg, const char *text, u32 bytes)
{
    char line[UART_LINE + 1];
    memcpy(line, text, bytes);
    line[bytes] = '\n';
    print_raw(line, bytes + 1);
}

/* ---- One vCPU ---- */

/* Between exit and entry: an event that was not delivered goes first; then an interrupt, if it can be taken, else a window for it. */
static void event_prepare(struct vmm_vcpu *v)
{
    struct vcpu_state *s = v->state;
    if (s->pending & VCPU_EVENT_VALID && !(s->dirty & VCPU_GROUP_INJECT)) {
        state_inject(v, s->pending);
        return;
    }
    if (s->dirty & VCPU_GROUP_INJECT)
        return;
    vm_lock();
    if (v->interrupt && !v->on_halt) {
        state_need(v, VCPU_GROUP_RIP | VCPU_GROUP_ACTIVITY);
        const bool open = (s->rflags & FLAG_IF) && !(s->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS));
        state_inject(v, open ? VCPU_EVENT_INTERRUPT(v->interrupt) : 0);
        if (open)
            v->interrupt = 0;
        else
            s->windows = VCPU_WINDOW_INTR;
    }
    vm_unlock();
}

/* A halted vCPU is simply not run. */
static void halt(struct vmm_vcpu *v)
{
    for (;;) {
        vm_lock();
        const bool wake = v->interrupt;
        vm_unlock();
        if (wake)
            return;
        if (hv_sm_down(VMM_SEL_WAKE(v->number), 0, 0) != OK)
            __builtin_trap();
    }
}

static void __attribute__((noreturn)) fail(struct vmm_vcpu *v)
{
    vm_lock();
    uart_flush(&vm.uart);
    vm_unlock();
    client_done(&v->thread, 1);
}

static void vcpu_loop(struct vmm_vcpu *v)
{
    enum vmm_next next = VMM_RUN;
    v->state->want = VCPU_GROUP_ACTIVITY;   /* read after nearly every exit */
    while (next != VMM_END) {
        const enum status s = hv_vcpu_run(VMM_SEL_VCPU(v->number));
        if (s != OK)
            client_fail(&v->thread, "vcpu_run", s);
        v->state->dirty = 0;
        next = exit_handle(v);
        if (next == VMM_FAIL)
            fail(v);
        if (next == VMM_HALT)
            halt(v);
        event_prepare(v);
    }
}

static void vcpu_entry(void *arg)
{
    struct vmm_vcpu *v = arg;
    if (hv_sm_down(VMM_SEL_WAKE(v->number), 0, 0) != OK)
        __builtin_trap();
    vcpu_loop(v);
    if (hv_sm_up(VMM_SEL_ENDED) != OK)
        __builtin_trap();
    thread_park();
}

/* ---- The VM ---- */

static enum status vcpu_make(struct vmm_vcpu *v)
{
    const struct program *p = program_page();
    v->vm = &vm;
    v->state = (struct vcpu_state *)VMM_STATE(v->number);
    v->thread.cpu = (p->cpu + v->number) % p->cpu_count;
    enum status s = hv_sm_create(PROGRAM_SEL_PD, VMM_SEL_WAKE(v->number), 0);
    if (s != OK)
        return s;
    s = hv_vcpu_create(PROGRAM_SEL_PD, VMM_SEL_VCPU(v->number), v->thread.cpu, VMM_STATE(v->number));
    if (s != OK || v->number == 0)
        return s;
    const struct thread_config config = {
        .number = v->number,
        .cpu = v->thread.cpu,
        .priority = p->priority,
        .ec = VMM_SEL_EC(v->number),
        .sc = VMM_SEL_SC(v->number),
        .stack_top = stacks[v->number] + STACK_BYTES,
        .entry = vcpu_entry,
        .arg = v,
    };
    return thread_create(&config, &v->thread);
}

static u32 arguments(const char *s)
{
    u64 count = 1;
    if (str_word(&s, "vcpus") && str_number(&s, &count) && count >= 1 && count <= VMM_VCPUS)
        return (u32)count;
    return 1;
}

static void image_copy(const struct thread *self)
{
    const struct program *p = program_page();
    if (!p->guest_bytes || p->guest_bytes > p->memory_bytes)
        client_fail(self, "guest image and memory", STATUS_ARG);
    memcpy((void *)PROGRAM_MEMORY, (const void *)PROGRAM_GUEST, p->guest_bytes);
}

static enum status vm_make(void)
{
    enum status s = hv_sm_create(PROGRAM_SEL_PD, VMM_SEL_LOCK, 1);
    if (s == OK)
        s = hv_sm_create(PROGRAM_SEL_PD, VMM_SEL_ENDED, 0);
    for (u32 i = 0; s == OK && i < vm.vcpu_count; i++)
        s = vcpu_make(&vm.vcpu[i]);
    return s;
}

void program_main(u64 first, u64 utcb)
{
    const struct thread self = thread_first();
    const struct program *p = program_page();
    image_copy(&self);
    vm.ram_bytes = p->memory_bytes;
    vm.vcpu_count = arguments(p->args);
    vm.uart.sink = line_out;
    for (u32 i = 0; i < vm.vcpu_count; i++)
        vm.vcpu[i].number = i;
    vm.vcpu[0].thread = self;
    vm.vcpu[0].started = true;
    const enum status s = vm_make();
    if (s != OK)
        client_fail(&self, "cannot make the VM", s);
    vcpu_loop(&vm.vcpu[0]);
    for (u32 i = 0; i < vm.started_count; i++)
        if (hv_sm_down(VMM_SEL_ENDED, 0, 0) != OK)
            __builtin_trap();
    uart_flush(&vm.uart);
    client_done(&self, 0);
}
