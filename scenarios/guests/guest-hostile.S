/* SPDX-License-Identifier: BSD-2-Clause */
/* What hostile-guest.c runs at privilege level 3, in flat 32-bit mode, with alignment checks on. The handler of #AC runs there too, on a stack that
 * is not aligned: where the processor checks alignment, each delivery of #AC raises the next one, and no instruction is ever executed. */
#include "guest-hostile.h"

    .text
    .code32
    .org HOSTILE_GDT
    .quad 0
    .quad 0x00cffb000000ffff        /* code, DPL 3 */
    .quad 0x00cff3000000ffff        /* data, DPL 3 */

    .org HOSTILE_IDT + 17 * 8
    .word HOSTILE_SPIN, HOSTILE_CODE, 0xee00, 0

    .org HOSTILE_ENTRY
    movl HOSTILE_STACK + 1, %eax
    jmp 1f
    .org HOSTILE_SPIN
1:  jmp 1b
    .org 0x1000
