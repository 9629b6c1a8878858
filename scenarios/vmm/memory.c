/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest-physical memory: RAM is PROGRAM_MEMORY, delegated to the guest space in blocks when first touched; one page of test registers is
 * never mapped, so that each access exits. */
#include "abi/trace.h"
#include "decode.h"
#include "hv.h"
#include "mem.h"
#include "print.h"
#include "vmm.h"
#include "walk.h"

#define BLOCK_BYTES 0x40000ul   /* mapped at once */
#define FAULTS_MAX  16u         /* in a row at one address: the machine does not see what was mapped */
static_assert(RAM_READ_BYTES == TRACE_VALUE_BYTES, "a value is one read");

void *ram_at(struct vm *vm, u64 gpa, u64 bytes)
{
    if (gpa >= vm->ram_bytes || bytes > vm->ram_bytes - gpa)
        return NULL;
    return (void *)(PROGRAM_MEMORY + gpa);
}

bool ram_read(struct vmm_vcpu *v, u64 gpa, void *to, u32 bytes)
{
    const void *const at = ram_at(v->vm, gpa, bytes);
    u64 word[RAM_READ_BYTES / 8] = { 0 };
    if (!at || bytes > sizeof(word))
        return false;
    memcpy(word, at, bytes);
    memcpy(to, word, bytes);
    if (!(v->state->capabilities & VCPU_TRACED))
        return true;
    const enum status s = hv_trace(VMM_SEL_VCPU(v->number), TRACE_KIND_BYTES(TRACE_VALUE_memory, bytes), gpa, word[0], word[1], word[2]);
    if (s != OK)
        client_fail(&v->thread, "trace", s);
    return true;
}

static bool table_read(void *arg, u64 gpa, u32 bytes, u64 *value)
{
    *value = 0;
    return ram_read(arg, gpa, value, bytes);
}

bool ram_translate(struct vmm_vcpu *v, u64 linear, u64 *gpa)
{
    state_need(v, WALK_GROUPS);
    return walk(v->state, linear, table_read, v, gpa);
}

static enum vmm_next ram_map(struct vmm_vcpu *v, u64 gpa)
{
    const u64 start = align_down(gpa, BLOCK_BYTES);
    const u64 bytes = min(BLOCK_BYTES, v->vm->ram_bytes - start);
    v->faults = gpa == v->fault_gpa ? v->faults + 1 : 0;
    v->fault_gpa = gpa;
    if (v->faults > FAULTS_MAX) {
        print("vmm: vCPU %u: endless fault at 0x%lx", v->number, gpa);
        return VMM_FAIL;
    }
    const enum status s = hv_delegate(PROGRAM_SEL_PD, PROGRAM_SEL_PD, (PROGRAM_MEMORY + start) >> PAGE_BITS, start >> PAGE_BITS,
                                      DELEGATE(bytes >> PAGE_BITS, RIGHT_MEMORY, SPACE_MEMORY, SPACE_GUEST));
    if (s == OK || s == STATUS_EXISTS)   /* another vCPU was first */
        return VMM_RUN;
    print("vmm: cannot map 0x%lx: %s", start, hv_status_name(s));
    return VMM_FAIL;
}

/* ---- The test device; locked ---- */

static u64 device_read(struct vm *vm, u64 offset)
{
    switch (offset) {
    case GUEST_DEVICE_ID: return GUEST_DEVICE_MAGIC;
    case GUEST_DEVICE_SCRATCH: return vm->scratch;
    case GUEST_DEVICE_WRITES: return vm->writes;
    default: return ~0ul;
    }
}

static void device_write(struct vm *vm, u64 offset, u32 bytes, u64 value)
{
    if (offset != GUEST_DEVICE_SCRATCH)
        return;
    const u64 mask = bytes == 8 ? ~0ul : bit(8 * bytes) - 1;
    vm->scratch = (vm->scratch & ~mask) | (value & mask);
    vm->writes++;
}

static u64 extend(const struct decoded *d, u64 value)
{
    const u32 shift = 64 - 8 * d->size;
    value <<= shift;
    return d->sign_extend ? (u64)((s64)value >> shift) : value >> shift;
}

static void load(struct vmm_vcpu *v, const struct decoded *d, u64 value)
{
    value = extend(d, value);
    if (!d->high_byte) {
        state_register(v, d->reg, d->register_size, value);
        return;
    }
    u64 *r = &v->state->gpr[d->reg & 15];
    *r = (*r & ~0xff00ul) | (value & 0xff) << 8;
    state_dirty(v, VCPU_GROUP_GPR);
}

static enum vmm_next device_access(struct vmm_vcpu *v, u64 gpa)
{
    struct decoded d;
    if (!state_decode(v, &d))
        return VMM_FAIL;
    const u64 offset = gpa - GUEST_DEVICE;
    const u64 reg = v->state->gpr[d.reg & 15] >> (d.high_byte ? 8 : 0);
    vm_lock();
    if (d.op == DECODE_LOAD)
        load(v, &d, device_read(v->vm, offset));
    else if (d.op == DECODE_STORE || d.op == DECODE_STORE_IMMEDIATE)
        device_write(v->vm, offset, d.size, d.op == DECODE_STORE ? reg : d.immediate);
    vm_unlock();
    if (d.op != DECODE_LOAD && d.op != DECODE_STORE && d.op != DECODE_STORE_IMMEDIATE) {
        print("vmm: vCPU %u: device access at 0x%lx that is no MOV", v->number, v->state->rip);
        return VMM_FAIL;
    }
    v->state->exit.insn_len = d.length;
    return state_skip(v) ? VMM_RUN : VMM_FAIL;
}

enum vmm_next exit_mmio(struct vmm_vcpu *v)
{
    const u64 gpa = v->state->exit.u.mmio.gpa;
    if (gpa < v->vm->ram_bytes)
        return ram_map(v, gpa);
    if (gpa >= GUEST_DEVICE && gpa < GUEST_DEVICE + PAGE_SIZE)
        return device_access(v, gpa);
    print("vmm: vCPU %u: nothing at 0x%lx, rip 0x%lx", v->number, gpa, v->state->rip);
    return VMM_FAIL;
}
