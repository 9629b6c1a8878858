/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPU state page by the group rules: read a member only if its group is valid, write all or nothing of a group. */
#include "decode.h"
#include "hv.h"
#include "print.h"
#include "vmm.h"

#define CR0_PE   bit(0)
#define EFER_LMA bit(10)
#define CS_LONG  bit(13)
#define CS_32    bit(14)

#define DECODE_GROUPS (VCPU_GROUP_RIP | VCPU_GROUP_SEG | VCPU_GROUP_CR | VCPU_GROUP_EFER)

void state_need(struct vmm_vcpu *v, u32 groups)
{
    const u32 missing = groups & ~(v->state->valid | v->state->dirty);
    if (!missing)
        return;
    const enum status s = hv_vcpu_fetch(VMM_SEL_VCPU(v->number), missing);
    if (s != OK)
        client_fail(&v->thread, "vcpu_fetch", s);
}

void state_dirty(struct vmm_vcpu *v, u32 groups)
{
    v->state->dirty |= groups;
}

void state_inject(struct vmm_vcpu *v, u64 event)
{
    v->state->inject = event;
    v->state->inject_insn_len = 0;
    v->state->windows = 0;
    state_dirty(v, VCPU_GROUP_INJECT);
}

static enum decode_mode mode_of(const struct vcpu_state *s)
{
    const u32 attributes = s->seg[VCPU_SEG_CS].attributes;
    if ((s->efer & EFER_LMA) && (attributes & CS_LONG))
        return DECODE_64;
    return attributes & CS_32 ? DECODE_32 : DECODE_16;
}

/* Instruction bytes, as many as can be read: an instruction may end where memory does. */
static u32 instruction_bytes(struct vmm_vcpu *v, enum decode_mode mode, u8 *bytes)
{
    const struct vcpu_state *s = v->state;
    u64 linear = s->rip;
    if (mode != DECODE_64)
        linear = (s->seg[VCPU_SEG_CS].base + s->rip) & 0xfffffffful;
    u32 count = 0;
    while (count < DECODE_BYTES) {   /* bound: two pages */
        u64 gpa;
        if (!ram_translate(v, linear + count, &gpa))
            break;
        const u32 piece = (u32)min((u64)(DECODE_BYTES - count), PAGE_SIZE - (gpa & PAGE_MASK));
        if (!ram_read(v, gpa, bytes + count, piece))
            break;
        count += piece;
    }
    return count;
}

bool state_decode(struct vmm_vcpu *v, struct decoded *out)
{
    state_need(v, DECODE_GROUPS);
    const enum decode_mode mode = mode_of(v->state);
    u8 bytes[DECODE_BYTES] = { 0 };
    const u32 count = instruction_bytes(v, mode, bytes);
    if (decode(bytes, count, mode, out))
        return true;
    print("vmm: vCPU %u: cannot decode %02x %02x %02x %02x (%u bytes) at 0x%lx", v->number, bytes[0], bytes[1], bytes[2],
          bytes[3], count, v->state->rip);
    return false;
}

bool state_length(struct vmm_vcpu *v, u32 *length)
{
    *length = v->state->exit.insn_len;
    if (*length)
        return true;
    struct decoded d;
    if (!state_decode(v, &d))
        return false;
    *length = d.length;
    return true;
}

bool state_skip(struct vmm_vcpu *v)
{
    struct vcpu_state *s = v->state;
    u32 length;
    if (!state_length(v, &length))
        return false;
    s->rip += length;
    state_dirty(v, VCPU_GROUP_RIP);
    /* The instruction is done: the shadow of an STI or MOV SS before it has ended. */
    state_need(v, VCPU_GROUP_ACTIVITY);
    if (s->interruptibility & (VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS)) {
        s->interruptibility &= ~(VCPU_BLOCKED_STI | VCPU_BLOCKED_MOV_SS);
        state_dirty(v, VCPU_GROUP_ACTIVITY);
    }
    return true;
}

void state_register(struct vmm_vcpu *v, u32 reg, u32 bytes, u64 value)
{
    u64 *r = &v->state->gpr[reg & 15];
    if (bytes == 8)
        *r = value;
    else if (bytes == 4)
        *r = (u32)value;
    else
        *r = (*r & ~(bit(8 * bytes) - 1)) | (value & (bit(8 * bytes) - 1));
    state_dirty(v, VCPU_GROUP_GPR);
}
