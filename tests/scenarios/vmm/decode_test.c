/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the VMM's decoder say the same as Zydis about each instruction it accepts, and does it accept each instruction of the
 * forms it is for? Compared over all opcodes, all ModRM bytes, prefixes in one and two places, in all three modes. */
#include "unit.h"
#include "decode.h"
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ZydisMachineMode machine_modes[] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                                  ZYDIS_MACHINE_MODE_LONG_64 };
static const ZydisStackWidth stack_widths[] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64 };

struct reference {
    bool valid;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
};

static ZydisDecoder decoders[3];
static u64 compared, accepted;

static int setup(void **state)
{
    for (u32 i = 0; i < 3; i++)
        if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoders[i], machine_modes[i], stack_widths[i])))
            return 1;
    return 0;
}

static bool is_general(const ZydisDecodedOperand *o)
{
    if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return false;
    const ZydisRegisterClass c = ZydisRegisterGetClass(o->reg.value);
    return c >= ZYDIS_REGCLASS_GPR8 && c <= ZYDIS_REGCLASS_GPR64;
}

/* What the reference says in our terms; -1: not of the forms the decoder is for. */
static int reference_op(const struct reference *r)
{
    const ZydisDecodedOperand *a = &r->operand[0], *b = &r->operand[1];
    const bool memory = a->type == ZYDIS_OPERAND_TYPE_MEMORY || b->type == ZYDIS_OPERAND_TYPE_MEMORY;
    if (!r->valid)
        return -1;
    switch (r->insn.mnemonic) {
    case ZYDIS_MNEMONIC_CPUID: return DECODE_CPUID;
    case ZYDIS_MNEMONIC_RDMSR: return DECODE_RDMSR;
    case ZYDIS_MNEMONIC_WRMSR: return DECODE_WRMSR;
    case ZYDIS_MNEMONIC_HLT: return DECODE_HLT;
    case ZYDIS_MNEMONIC_VMCALL: return DECODE_VMCALL;
    case ZYDIS_MNEMONIC_VMMCALL: return DECODE_VMMCALL;
    case ZYDIS_MNEMONIC_CLTS: return DECODE_CLTS;
    case ZYDIS_MNEMONIC_LMSW: return DECODE_LMSW;
    case ZYDIS_MNEMONIC_IN: return DECODE_IN;
    case ZYDIS_MNEMONIC_OUT: return DECODE_OUT;
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD: return DECODE_INS;
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD: return DECODE_OUTS;
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX: return memory ? DECODE_LOAD : -1;
    case ZYDIS_MNEMONIC_MOVSXD: return memory && a->size != 16 ? DECODE_LOAD : -1;   /* with 16 bits: manuals differ */
    case ZYDIS_MNEMONIC_MOV: break;
    default: return -1;
    }
    if (a->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(a->reg.value) == ZYDIS_REGCLASS_CONTROL)
        return DECODE_MOV_TO_CR;
    if (b->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(b->reg.value) == ZYDIS_REGCLASS_CONTROL)
        return DECODE_MOV_FROM_CR;
    if (b->type == ZYDIS_OPERAND_TYPE_MEMORY && is_general(a))
        return DECODE_LOAD;
    if (a->type == ZYDIS_OPERAND_TYPE_MEMORY && is_general(b))
        return DECODE_STORE;
    if (a->type == ZYDIS_OPERAND_TYPE_MEMORY && b->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return DECODE_STORE_IMMEDIATE;
    return -1;
}

static u8 register_number(u32 mode, ZydisRegister reg)
{
    return (u8)ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(machine_modes[mode], reg));
}

static bool register_same(u32 mode, const struct decoded *d, const ZydisDecodedOperand *o)
{
    const bool high = o->reg.value >= ZYDIS_REGISTER_AH && o->reg.value <= ZYDIS_REGISTER_BH;
    return d->reg == register_number(mode, o->reg.value) && d->high_byte == high;
}

static bool immediate_same(const struct decoded *d, const ZydisDecodedOperand *o)
{
    const u64 mask = d->size == 8 ? ~0ul : bit(8 * d->size) - 1;
    return (d->immediate & mask) == (o->imm.value.u & mask);
}

/* Everything the VMM uses of a decoded instruction. */
static bool same(u32 mode, const struct decoded *d, const struct reference *r)
{
    const ZydisDecodedOperand *a = &r->operand[0], *b = &r->operand[1];
    if (d->length != r->insn.length)
        return false;
    switch (d->op) {
    case DECODE_LOAD:
        return d->size * 8 == b->size && d->register_size * 8 == a->size && register_same(mode, d, a) &&
               d->address_size * 8 == r->insn.address_width &&
               d->sign_extend == (r->insn.mnemonic == ZYDIS_MNEMONIC_MOVSX ||
                                  (r->insn.mnemonic == ZYDIS_MNEMONIC_MOVSXD && d->size != d->register_size));
    case DECODE_STORE: return d->size * 8 == a->size && register_same(mode, d, b);
    case DECODE_STORE_IMMEDIATE: return d->size * 8 == a->size && immediate_same(d, b);
    case DECODE_MOV_TO_CR: return d->control == a->reg.value - ZYDIS_REGISTER_CR0 && register_same(mode, d, b) && d->size * 8 == b->size;
    case DECODE_MOV_FROM_CR: return d->control == b->reg.value - ZYDIS_REGISTER_CR0 && register_same(mode, d, a) && d->size * 8 == a->size;
    case DECODE_IN: return d->size * 8 == a->size && d->port_immediate == (b->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) && (!d->port_immediate || d->immediate == b->imm.value.u);
    case DECODE_OUT: return d->size * 8 == b->size && d->port_immediate == (a->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) && (!d->port_immediate || d->immediate == a->imm.value.u);
    case DECODE_INS: return d->size * 8 == a->size && d->address_size * 8 == r->insn.address_width;
    case DECODE_OUTS: return d->size * 8 == b->size && d->address_size * 8 == r->insn.address_width;
    default: return true;
    }
}

static void compare(u32 mode, const u8 *bytes, u32 count)
{
    struct reference r;
    r.valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoders[mode], bytes, count, &r.insn, r.operand));
    struct decoded d;
    const bool ours = decode(bytes, count, mode, &d);
    const int theirs = reference_op(&r);
    compared++;
    accepted += ours;
    if (ours ? theirs == (int)d.op && same(mode, &d, &r) : theirs < 0)
        return;
    char text[64] = "";
    for (u32 i = 0; i < count; i++)
        sprintf(text + strlen(text), "%02x ", bytes[i]);
    fail_msg("mode %u: %s: ours %d length %u, Zydis %d (%s) length %u", mode, text, ours ? (int)d.op : -1, ours ? d.length : 0, theirs,
             r.valid ? ZydisMnemonicGetString(r.insn.mnemonic) : "invalid", r.valid ? r.insn.length : 0);
}

static u64 random_state = 88172645463325252ul;

static u8 random_byte(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (u8)(random_state >> 32);
}

/* Prefixes that matter, alone and in pairs; 0: none. */
static const u8 prefix[] = { 0, 0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0, 0x40, 0x41, 0x44, 0x48, 0x4c, 0x4f };

/* Two prefixes, an opcode of one or two bytes, a ModRM byte, then bytes at random. */
static void compare_form(u32 mode, u8 first, u8 second, bool two_bytes, u8 opcode, u8 modrm)
{
    u8 bytes[15];
    u32 n = 0;
    if (first)
        bytes[n++] = first;
    if (second)
        bytes[n++] = second;
    if (two_bytes)
        bytes[n++] = 0x0f;
    bytes[n++] = opcode;
    bytes[n++] = modrm;
    while (n < sizeof(bytes))
        bytes[n++] = random_byte();
    compare(mode, bytes, sizeof(bytes));
}

static void all_opcodes_without_prefix(void **state)
{
    for (u32 mode = 0; mode < 3; mode++)
        for (u32 opcode = 0; opcode < 512; opcode++)
            for (u32 modrm = 0; modrm < 256; modrm++)
                compare_form(mode, 0, 0, opcode >= 256, (u8)opcode, (u8)modrm);
    assert_true(accepted > 5000);
}

/* The opcodes of interest, with every pair of prefixes. */
static void pairs_of_prefixes(void **state)
{
    static const u8 one[] = { 0x63, 0x6c, 0x6d, 0x6e, 0x6f, 0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1, 0xa2, 0xa3, 0xc6, 0xc7,
                              0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0xf4 };
    static const u8 two[] = { 0x01, 0x06, 0x20, 0x22, 0x30, 0x32, 0xa2, 0xb6, 0xb7, 0xbe, 0xbf };
    static const u8 modrm[] = { 0x00, 0x04, 0x05, 0x06, 0x0c, 0x25, 0x44, 0x66, 0x84, 0xb5, 0xbe, 0xc1, 0xd9, 0xe0, 0x39 };
    for (u32 mode = 0; mode < 3; mode++)
        for (u32 p = 0; p < array_size(prefix) * array_size(prefix); p++)
            for (u32 m = 0; m < array_size(modrm); m++) {
                const u8 first = prefix[p / array_size(prefix)], second = prefix[p % array_size(prefix)];
                for (u32 i = 0; i < array_size(one); i++)
                    compare_form(mode, first, second, false, one[i], modrm[m]);
                for (u32 i = 0; i < array_size(two); i++)
                    compare_form(mode, first, second, true, two[i], modrm[m]);
            }
}

/* An instruction that is cut off anywhere is refused, and nothing behind the end is read (the buffer is exactly as long). */
static void cut_instructions(void **state)
{
    static const u8 whole[] = { 0x67, 0x48, 0xc7, 0x84, 0x25, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct decoded d;
    assert_true(decode(whole, sizeof(whole), DECODE_64, &d));
    assert_int_equal(d.length, sizeof(whole));
    for (u32 n = 0; n < sizeof(whole); n++) {
        u8 *exact = malloc(n + !n);
        memcpy(exact, whole, n);
        const bool ok = decode(exact, n, DECODE_64, &d);
        free(exact);
        assert_false(ok);
    }
}

/* Sixteen bytes are one too many, even if they are there. */
static void too_long(void **state)
{
    u8 bytes[17] = { 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0xf4, 0xf4, 0xf4 };
    struct decoded d;
    assert_true(decode(bytes, sizeof(bytes), DECODE_32, &d));
    assert_int_equal(d.length, 15);
    bytes[14] = 0x2e;
    assert_false(decode(bytes, sizeof(bytes), DECODE_32, &d));
    u8 store[20] = { 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0xc7, 0x05 };   /* and a displacement and an immediate of four bytes each */
    assert_true(decode(store, sizeof(store), DECODE_32, &d));
    assert_int_equal(d.length, 15);
    memmove(store + 1, store, sizeof(store) - 1);
    assert_false(decode(store, sizeof(store), DECODE_32, &d));
}

/* Which segment a string instruction reads from. */
static void segment_override(void **state)
{
    static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    for (u32 i = 0; i < array_size(prefixes); i++) {
        const u8 bytes[] = { prefixes[i], 0xf3, 0x6e };
        struct decoded d;
        assert_true(decode(bytes, sizeof(bytes), DECODE_16, &d));
        assert_int_equal(d.segment, i);
        assert_true(d.rep);
    }
    struct decoded d;
    assert_true(decode((const u8[]){ 0x6e }, 1, DECODE_16, &d));
    assert_int_equal(d.segment, DECODE_NO_SEGMENT);
    assert_false(d.rep);
}

TEST_GROUP(decode, cmocka_unit_test_setup(all_opcodes_without_prefix, setup), cmocka_unit_test_setup(pairs_of_prefixes, setup),
           cmocka_unit_test(cut_instructions), cmocka_unit_test(too_long), cmocka_unit_test(segment_override));
