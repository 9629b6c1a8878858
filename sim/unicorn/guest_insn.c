/* SPDX-License-Identifier: BSD-2-Clause */
/* Decodes what stopped a guest: privileged instructions, ports, and what is undefined on the core. Only these: their length, operands and
 * sizes (Intel SDM 2A, chapter 2). An instruction that cannot be fetched again or is not one of them has length 0. */
#include <string.h>
#include "guest.h"

/* Bytes of ModRM, SIB and displacement. */
static u32 modrm_length(const u8 *p, u32 address_size)
{
    const u32 mod = p[0] >> 6, rm = p[0] & 7;
    if (mod == 3)
        return 1;
    if (address_size == 2)
        return mod == 1 ? 2 : mod == 2 || rm == 6 ? 3 : 1;
    const u32 sib = rm == 4;
    if (mod == 0 && (rm == 5 || (sib && (p[1] & 7) == 5)))
        return 1 + sib + 4;
    return 1 + sib + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* Legacy prefixes and REX; returns how many bytes. */
static u32 prefixes(struct guest_insn *i, bool code64, bool code32)
{
    u32 n = 0;
    i->operand_size = code64 || code32 ? 4 : 2;
    i->address_size = code64 ? 8 : code32 ? 4 : 2;
    i->segment = VCPU_SEG_DS;
    for (; n < 14; n++) {
        switch (i->bytes[n]) {
        case 0x26: i->segment = VCPU_SEG_ES; break;
        case 0x2e: i->segment = VCPU_SEG_CS; break;
        case 0x36: i->segment = VCPU_SEG_SS; break;
        case 0x3e: i->segment = VCPU_SEG_DS; break;
        case 0x64: i->segment = VCPU_SEG_FS; break;
        case 0x65: i->segment = VCPU_SEG_GS; break;
        case 0x66: i->operand_size = code64 || code32 ? 2 : 4; break;
        case 0x67: i->address_size = code64 || !code32 ? 4 : 2; break;
        case 0xf0: i->lock = true; break;
        case 0xf2: case 0xf3: i->repeat = true; break;
        default:
            if (!code64 || (i->bytes[n] & 0xf0) != 0x40)
                return n;
            i->rex = i->bytes[n];
            return n + 1;
        }
    }
    return n;
}

static void decode_0f(struct guest_insn *i, u32 n)
{
    const u8 *p = &i->bytes[n];
    i->opcode = 0x0f00u | p[1];
    i->modrm = p[2];
    switch (p[1]) {
    case 0x01:
        if (i->modrm >= 0xc0 && i->modrm < 0xe0)
            i->opcode = 0x0f0100u | i->modrm;
        i->length = n + 2 + modrm_length(p + 2, i->address_size);
        break;
    case 0x05: case 0x06: case 0x08: case 0x09: case 0x0b: case 0x30: case 0x31: case 0x32: case 0x33: case 0x37: case 0xa2:
        i->length = n + 2;
        break;
    case 0x20: case 0x21: case 0x22: case 0x23:
        i->length = n + 3;   /* ModRM is always a register */
        break;
    case 0x38:
        i->opcode = 0x0f3800u | p[2];
        i->modrm = p[3];
        i->length = n + 3 + modrm_length(p + 3, i->address_size);
        break;
    case 0x78: case 0x79: case 0xc7:
        i->length = n + 2 + modrm_length(p + 2, i->address_size);
        break;
    default:
        break;
    }
}

u32 guest_fetch(struct guest_run *r, u8 bytes[15])
{
    const struct lib_env *env = r->core->env;
    const u64 linear = guest_code64(r->core) ? env->rip : (u32)(env->rip + env->seg[VCPU_SEG_CS].base);
    const enum core_mode mode = (env->hflags & LIB_CPL) == 3 ? CORE_CPL3 : CORE_SUPERVISOR;
    const u32 first = (u32)min(15ul, PAGE_SIZE - (linear & PAGE_MASK));
    if (!guest_read(r, linear, bytes, first, RIGHT_X, mode))
        return 0;
    return first < 15 && guest_read(r, linear + first, bytes + first, 15 - first, RIGHT_X, mode) ? 15 : first;
}

void guest_decode(struct guest_run *r, struct guest_insn *i)
{
    const bool code64 = guest_code64(r->core), code32 = r->core->env->hflags & LIB_CS32;
    *i = (struct guest_insn){0};
    if (!guest_fetch(r, i->bytes))
        return;
    const u32 n = prefixes(i, code64, code32);
    const u8 op = i->bytes[n];
    i->opcode = op;
    if (op == 0x0f)
        decode_0f(i, n);
    else if (op == 0xf4 || op == 0xf1 || op == 0xcc || op == 0xce || (op >= 0x6c && op <= 0x6f) || (op >= 0xec && op <= 0xef))
        i->length = n + 1;
    else if (op == 0xcd || (op >= 0xe4 && op <= 0xe7))
        i->length = n + 2;
}
