/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports: UART, timer, interrupts, mailbox, scratch; guests/guest.h has the numbers. String I/O is done element by element, at most
 * STRING_MAX in one exit; the instruction is then executed again for the rest. */
#include "decode.h"
#include "hv.h"
#include "mem.h"
#include "print.h"
#include "vmm.h"

#define STRING_MAX 4096u
#define FLAG_DF    bit(10)
#define EFER_LMA   bit(10)
#define CS_LONG    bit(13)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

/* ---- Single accesses; locked ---- */

static u32 port_in(struct vmm_vcpu *v, u16 port, u32 size)
{
    if (port >= UART_PORT && port < UART_PORT + UART_PORTS)
        return uart_read(&v->vm->uart, port - UART_PORT);
    if (port == GUEST_SCRATCH)
        return (u32)v->vm->scratch;
    if (port == GUEST_NUMBER)
        return v->number;
    return size == 1 ? 0xff : size == 2 ? 0xffff : 0xffffffff;
}

static void vcpu_start(struct vm *vm, u32 number, u32 page)
{
    if (number >= vm->vcpu_count || vm->vcpu[number].started)
        return;
    struct vmm_vcpu *const target = &vm->vcpu[number];
    target->started = true;
    target->start_page = page;
    vm->started_count++;
    (void)!hv_sm_up(VMM_SEL_WAKE(number));
}

/* The target may be in its guest, halted, or about to run: kick covers the first and the last, the semaphore the halt. */
static void vcpu_interrupt(struct vm *vm, u32 number, u32 vector)
{
    if (number >= vm->vcpu_count || !vm->vcpu[number].started)
        return;
    vm->vcpu[number].interrupt = vector;
    vm->vcpu[number].on_halt = false;
    (void)!hv_sm_up(VMM_SEL_WAKE(number));
    (void)!hv_vcpu_kick(VMM_SEL_VCPU(number));
}

static void port_out(struct vmm_vcpu *v, u16 port, u32 size, u32 value)
{
    if (port >= UART_PORT && port < UART_PORT + UART_PORTS)
        uart_write(&v->vm->uart, port - UART_PORT, (u8)value);
    else if (port == GUEST_SCRATCH)
        v->vm->scratch = value;
    else if (port == GUEST_TIMER || port == GUEST_INTERRUPT) {
        v->interrupt = value & 0xff;
        v->on_halt = port == GUEST_TIMER;
    } else if (port == GUEST_START && size == 2)
        vcpu_start(v->vm, value >> 8 & 0xff, value & 0xff);
    else if (port == GUEST_IPI && size == 2)
        vcpu_interrupt(v->vm, value >> 8 & 0xff, value & 0xff);
}

/* ---- String I/O ---- */

static u64 address_mask(u32 bytes)
{
    return bytes == 8 ? ~0ul : bit(8 * bytes) - 1;
}

static u64 masked(u64 old, u64 value, u32 bytes)
{
    const u64 mask = address_mask(bytes);
    if (bytes == 4)
        return value & mask;   /* a 32-bit result clears the upper half */
    return (old & ~mask) | (value & mask);
}

/* One element at offset `index` of the instruction's segment. false: not in RAM (crossing a page counts as that). */
static bool element(struct vmm_vcpu *v, const struct decoded *d, u64 index)
{
    const struct vcpu_state *s = v->state;
    const u32 segment = d->op == DECODE_INS ? VCPU_SEG_ES : d->segment == DECODE_NO_SEGMENT ? VCPU_SEG_DS : d->segment;
    u64 linear = s->gpr[index] & address_mask(d->address_size);
    const bool long_mode = (s->efer & EFER_LMA) && (s->seg[VCPU_SEG_CS].attributes & CS_LONG);
    if (!long_mode || segment >= VCPU_SEG_FS)
        linear += s->seg[segment].base;
    if (!long_mode)
        linear &= 0xfffffffful;
    u64 gpa;
    if ((linear & PAGE_MASK) + d->size > PAGE_SIZE || !ram_translate(v, linear, &gpa))
        return false;
    u8 *at = ram_at(v->vm, gpa, d->size);
    if (!at)
        return false;
    const u16 port = s->exit.u.io.port;
    u32 value = 0;
    if (d->op == DECODE_INS) {
        value = port_in(v, port, d->size);
        memcpy(at, &value, d->size);
    } else if (ram_read(v, gpa, &value, d->size)) {
        port_out(v, port, d->size, value);
    }
    return true;
}

static enum vmm_next io_string(struct vmm_vcpu *v)
{
    struct vcpu_state *s = v->state;
    state_need(v, VCPU_GROUP_SEG | VCPU_GROUP_CR | VCPU_GROUP_EFER);
    struct decoded d;
    if (!state_decode(v, &d))
        return VMM_FAIL;
    if (d.op != DECODE_INS && d.op != DECODE_OUTS)
        return VMM_RUN;   /* the guest changed its code meanwhile: execute what stands there now */
    const u64 index = d.op == DECODE_INS ? RDI : RSI, width = d.address_size;
    const u64 step = s->rflags & FLAG_DF ? -(u64)d.size : d.size;
    u64 left = d.rep ? s->gpr[RCX] & address_mask(d.address_size) : 1;
    for (u32 i = 0; left && i < STRING_MAX; i++, left--) {
        if (!element(v, &d, index)) {
            print("vmm: vCPU %u: string I/O outside RAM at 0x%lx", v->number, s->rip);
            return VMM_FAIL;
        }
        s->gpr[index] = masked(s->gpr[index], s->gpr[index] + step, (u32)width);
    }
    if (d.rep)
        s->gpr[RCX] = masked(s->gpr[RCX], left, (u32)width);
    state_dirty(v, VCPU_GROUP_GPR);
    s->exit.insn_len = d.length;
    return left || state_skip(v) ? VMM_RUN : VMM_FAIL;
}

enum vmm_next exit_io(struct vmm_vcpu *v)
{
    struct vcpu_state *s = v->state;
    const u16 port = s->exit.u.io.port;
    const u32 size = s->exit.u.io.size;
    enum vmm_next next = VMM_RUN;
    vm_lock();
    if (s->exit.u.io.string) {
        next = io_string(v);
    } else {
        if (s->exit.u.io.in)
            state_register(v, RAX, size, port_in(v, port, size));
        else
            port_out(v, port, size, (u32)(s->gpr[RAX] & (bit(8 * size) - 1)));
        next = state_skip(v) ? VMM_RUN : VMM_FAIL;
    }
    vm_unlock();
    return next;
}
