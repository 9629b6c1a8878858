/* SPDX-License-Identifier: BSD-2-Clause */
/* See decode.h. Opcodes: Intel SDM 2A appendix A; instruction format: 2A chapter 2. */
#include "decode.h"

struct cursor {
    const u8 *bytes;
    u32 count, at;
    bool bad;              /* ran past the end */
    enum decode_mode mode;
    bool operand_prefix, address_prefix, lock, rep;
    u8 rex;
    u8 mod, reg, rm;       /* of ModRM, REX included */
};

#define REX_B 0x1u
#define REX_X 0x2u
#define REX_R 0x4u
#define REX_W 0x8u

static u8 next(struct cursor *c)
{
    if (c->at >= c->count || c->at >= DECODE_BYTES) {
        c->bad = true;
        return 0;
    }
    return c->bytes[c->at++];
}

static u64 next_unsigned(struct cursor *c, u32 bytes)
{
    u64 value = 0;
    for (u32 i = 0; i < bytes; i++)
        value |= (u64)next(c) << (8 * i);
    return value;
}

static u64 next_signed(struct cursor *c, u32 bytes)
{
    const u64 value = next_unsigned(c, bytes);
    const u32 shift = 64 - 8 * bytes;
    return (u64)((s64)(value << shift) >> shift);
}

static bool prefix_legacy(struct cursor *c, u8 byte, struct decoded *out)
{
    switch (byte) {
    case 0x26: out->segment = 0; return true;   /* ES */
    case 0x2e: out->segment = 1; return true;   /* CS */
    case 0x36: out->segment = 2; return true;   /* SS */
    case 0x3e: out->segment = 3; return true;   /* DS */
    case 0x64: out->segment = 4; return true;   /* FS */
    case 0x65: out->segment = 5; return true;   /* GS */
    case 0x66: c->operand_prefix = true; return true;
    case 0x67: c->address_prefix = true; return true;
    case 0xf0: c->lock = true; return true;
    case 0xf2:
    case 0xf3: c->rep = true; return true;
    default: return false;
    }
}

/* Prefixes, up to the first opcode byte. A REX prefix counts only directly before the opcode. */
static u8 prefixes(struct cursor *c, struct decoded *out)
{
    for (u32 i = 0; i < DECODE_BYTES; i++) {
        const u8 byte = next(c);
        if (prefix_legacy(c, byte, out)) {
            c->rex = 0;
        } else if (c->mode == DECODE_64 && (byte & 0xf0) == 0x40) {
            c->rex = byte;
        } else {
            return byte;
        }
    }
    c->bad = true;
    return 0;
}

static u8 operand_size(const struct cursor *c)
{
    if (c->rex & REX_W)
        return 8;
    return (c->mode == DECODE_16) != c->operand_prefix ? 2 : 4;
}

static u8 address_size(const struct cursor *c)
{
    if (c->mode == DECODE_64)
        return c->address_prefix ? 4 : 8;
    return (c->mode == DECODE_16) != c->address_prefix ? 2 : 4;
}

/* ModRM alone: registers are taken, memory is not skipped yet. */
static void modrm(struct cursor *c)
{
    const u8 byte = next(c);
    c->mod = byte >> 6;
    c->reg = (byte >> 3 & 7) | (c->rex & REX_R ? 8 : 0);
    c->rm = byte & 7;
}

/* The rest of a memory operand: SIB and displacement. */
static void memory_operand(struct cursor *c)
{
    if (address_size(c) == 2) {
        (void)next_unsigned(c, c->mod == 1 ? 1 : c->mod == 2 || c->rm == 6 ? 2 : 0);
        return;
    }
    u8 base = c->rm;
    if (c->rm == 4)
        base = next(c) & 7;
    (void)next_unsigned(c, c->mod == 1 ? 1 : c->mod == 2 || base == 5 ? 4 : 0);
}

/* The register operand as a byte register: without REX, 4..7 are the high bytes. */
static void byte_register(const struct cursor *c, struct decoded *out)
{
    out->high_byte = !c->rex && out->reg >= 4;
    if (out->high_byte)
        out->reg -= 4;
}

static bool move(struct cursor *c, struct decoded *out, enum decode_op op, bool byte)
{
    modrm(c);
    if (c->mod == 3)
        return false;
    memory_operand(c);
    out->op = op;
    out->reg = c->reg;
    out->size = byte ? 1 : operand_size(c);
    out->register_size = out->size;
    if (byte)
        byte_register(c, out);
    return true;
}

static bool move_immediate(struct cursor *c, struct decoded *out, bool byte)
{
    modrm(c);
    if (c->mod == 3 || (c->reg & 7) != 0)
        return false;
    memory_operand(c);
    out->op = DECODE_STORE_IMMEDIATE;
    out->size = byte ? 1 : operand_size(c);
    out->immediate = next_signed(c, min(out->size, 4));
    return true;
}

static bool move_accumulator(struct cursor *c, struct decoded *out, u8 opcode)
{
    (void)next_unsigned(c, address_size(c));
    out->op = opcode & 2 ? DECODE_STORE : DECODE_LOAD;
    out->size = opcode & 1 ? operand_size(c) : 1;
    out->register_size = out->size;
    return true;
}

static bool move_extend(struct cursor *c, struct decoded *out, u8 size, bool sign)
{
    if (!move(c, out, DECODE_LOAD, false))
        return false;
    out->size = size;
    out->sign_extend = sign;
    return true;
}

/* MOVSXD. With a 16-bit operand the manuals differ in how much it reads: not decoded. */
static bool move_extend_32(struct cursor *c, struct decoded *out)
{
    return c->mode == DECODE_64 && operand_size(c) != 2 && move_extend(c, out, 4, c->rex & REX_W);
}

static bool port(struct cursor *c, struct decoded *out, u8 opcode)
{
    out->op = opcode & 2 ? DECODE_OUT : DECODE_IN;
    out->size = opcode & 1 ? min(operand_size(c), 4) : 1;
    out->port_immediate = !(opcode & 8);
    if (out->port_immediate)
        out->immediate = next(c);
    return true;
}

static bool port_string(struct cursor *c, struct decoded *out, u8 opcode)
{
    out->op = opcode & 2 ? DECODE_OUTS : DECODE_INS;
    out->size = opcode & 1 ? min(operand_size(c), 4) : 1;
    return true;
}

static bool plain(struct decoded *out, enum decode_op op)
{
    out->op = op;
    return true;
}

static bool control(struct cursor *c, struct decoded *out, u8 opcode)
{
    modrm(c);   /* mod is ignored: always a register (Intel SDM 2B, MOV control registers) */
    out->op = opcode == 0x20 ? DECODE_MOV_FROM_CR : DECODE_MOV_TO_CR;
    out->control = c->reg;
    out->reg = c->rm | (c->rex & REX_B ? 8 : 0);
    out->size = c->mode == DECODE_64 ? 8 : 4;
    return c->reg == 0 || c->reg == 2 || c->reg == 3 || c->reg == 4 || c->reg == 8;
}

static bool group_0f01(struct cursor *c, struct decoded *out)
{
    modrm(c);
    if (c->mod == 3 && (c->reg & 7) == 0 && c->rm == 1 && !c->rep && !c->operand_prefix)
        return plain(out, DECODE_VMCALL);
    if (c->mod == 3 && (c->reg & 7) == 3 && c->rm == 1)
        return plain(out, DECODE_VMMCALL);
    if ((c->reg & 7) != 6)
        return false;
    if (c->mod != 3)
        memory_operand(c);
    return plain(out, DECODE_LMSW);
}

static bool opcode_0f(struct cursor *c, struct decoded *out)
{
    const u8 opcode = next(c);
    switch (opcode) {
    case 0x01: return group_0f01(c, out);
    case 0x06: return plain(out, DECODE_CLTS);
    case 0x20:
    case 0x22: return control(c, out, opcode);
    case 0x30: return plain(out, DECODE_WRMSR);
    case 0x32: return plain(out, DECODE_RDMSR);
    case 0xa2: return plain(out, DECODE_CPUID);
    case 0xb6: return move_extend(c, out, 1, false);
    case 0xb7: return move_extend(c, out, 2, false);
    case 0xbe: return move_extend(c, out, 1, true);
    case 0xbf: return move_extend(c, out, 2, true);
    default: return false;
    }
}

static bool opcode_any(struct cursor *c, struct decoded *out, u8 opcode)
{
    switch (opcode) {
    case 0x0f: return opcode_0f(c, out);
    case 0x63: return move_extend_32(c, out);
    case 0x6c ... 0x6f: return port_string(c, out, opcode);
    case 0x88: return move(c, out, DECODE_STORE, true);
    case 0x89: return move(c, out, DECODE_STORE, false);
    case 0x8a: return move(c, out, DECODE_LOAD, true);
    case 0x8b: return move(c, out, DECODE_LOAD, false);
    case 0xa0 ... 0xa3: return move_accumulator(c, out, opcode);
    case 0xc6: return move_immediate(c, out, true);
    case 0xc7: return move_immediate(c, out, false);
    case 0xe4 ... 0xe7:
    case 0xec ... 0xef: return port(c, out, opcode);
    case 0xf4: return plain(out, DECODE_HLT);
    default: return false;
    }
}

bool decode(const u8 *bytes, u32 count, enum decode_mode mode, struct decoded *out)
{
    struct cursor c = { .bytes = bytes, .count = count, .mode = mode };
    *out = (struct decoded){ .segment = DECODE_NO_SEGMENT };
    const u8 opcode = prefixes(&c, out);
    if (!opcode_any(&c, out, opcode) || c.bad || c.lock)
        return false;
    out->length = (u8)c.at;
    out->address_size = address_size(&c);
    out->rep = c.rep;
    return true;
}
