/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the snippets of guest-rules.S stand: numbers only, for C and the assembler. */

#define RULES_PORT       0x10
#define RULES_VECTOR     0x21
#define RULES_OUT        0x1000   /* ax = 0x1234; OUT; bx = 0x5678; HLT */
#define RULES_SPIN       0x1040   /* for ever */
#define RULES_WINDOW     0x1080   /* NOP, STI, NOP, NOP, OUT */
#define RULES_READ       0x10c0   /* al, bl, cl = bytes at 0x2000, 0x3000, 0x4000; OUT */
#define RULES_WRITE      0x1100   /* byte at 0x3000 = al; OUT */
#define RULES_TSC        0x1140   /* RDTSC; OUT */
#define RULES_UD         0x1180   /* UD2 */
#define RULES_STEP       0x11c0   /* NOP, NOP, HLT: to be executed with RFLAGS.TF */
#define RULES_HANDLER    0x1200   /* of RULES_VECTOR: OUT to the port of that number; IRET */
#define RULES_UD_HANDLER 0x1240   /* of #UD: OUT to port 6; IRET */
#define RULES_DB_HANDLER 0x1280   /* of #DB: eax = DR6, bx = IP that was pushed; OUT to port 1; IRET */
#define RULES_LAST       0x1ffc   /* jump to where the word at 0x3000 says: the end of a page */
