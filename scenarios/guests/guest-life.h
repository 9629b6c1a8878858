/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the snippets of guest-life.S stand: numbers only, for C and the assembler. */

#define LIFE_OUT   0x1000   /* OUT, which exits */
#define LIFE_COUNT 0x1040   /* the 32-bit word at LIFE_WORD grows for ever */
#define LIFE_WORD  0x2000
