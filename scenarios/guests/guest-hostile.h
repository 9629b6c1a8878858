/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the parts of guest-hostile.S stand: numbers only, for C and the assembler. */

#define HOSTILE_GDT   0x100
#define HOSTILE_IDT   0x200
#define HOSTILE_ENTRY 0x400
#define HOSTILE_SPIN  0x410
#define HOSTILE_STACK 0x2000
#define HOSTILE_CODE  0x0b   /* selectors, RPL 3 */
#define HOSTILE_DATA  0x13
