/* SPDX-License-Identifier: BSD-2-Clause */
/* A small x86 decoder: the instructions whose exits a VMM completes, and MOVs that touch a device. No state, no hypercalls: also built
 * for tests. Not handled: everything else, such as read-modify-write or string moves to a device: false, and the VMM says so. */
#pragma once
#include "base.h"

#define DECODE_BYTES 15u   /* longest instruction (Intel SDM 2A 2.3.11) */

enum decode_op {
    DECODE_CPUID, DECODE_RDMSR, DECODE_WRMSR, DECODE_HLT, DECODE_VMCALL, DECODE_VMMCALL,
    DECODE_CLTS, DECODE_LMSW,   /* LMSW: length only */
    DECODE_MOV_FROM_CR, DECODE_MOV_TO_CR,
    DECODE_IN, DECODE_OUT, DECODE_INS, DECODE_OUTS,
    DECODE_LOAD,      /* register = memory */
    DECODE_STORE,     /* memory = register */
    DECODE_STORE_IMMEDIATE,
};

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

struct decoded {
    enum decode_op op;
    u8 length;
    u8 size;              /* bytes read from or written to memory or port */
    u8 register_size;     /* LOAD: bytes of the register that get the value; 4 clears the upper half */
    bool sign_extend;     /* LOAD: from size to register_size; else zeros */
    u8 reg;               /* LOAD, STORE, MOV CR: register, x86 encoding order */
    bool high_byte;       /* reg's bits 15:8 are meant: AH CH DH BH */
    u8 control;           /* MOV CR: number of the control register */
    u8 address_size;      /* bytes: 2, 4, 8 */
    bool rep;             /* F2 or F3 was there */
    u8 segment;           /* override: ES CS SS DS FS GS as in abi/vcpu.h, DECODE_NO_SEGMENT: none */
    u64 immediate;        /* STORE_IMMEDIATE, sign-extended; IN, OUT: the port, if port_immediate */
    bool port_immediate;
};
#define DECODE_NO_SEGMENT 0xffu

/* false: not one of these, or not complete in count bytes. *out is then undefined. */
bool decode(const u8 *bytes, u32 count, enum decode_mode mode, struct decoded *out);
