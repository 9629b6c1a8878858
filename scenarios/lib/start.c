/* SPDX-License-Identifier: BSD-2-Clause */
/* First instructions of every program: a stack, then program_main with the two registers the kernel set. */
#include "program.h"

#define STACK_BYTES 32768ul

void _start(void);

__attribute__((section(".bss.stack"), aligned(4096), used)) static u8 start_stack[STACK_BYTES];

__attribute__((naked, noreturn, section(".text.start"))) void _start(void)
{
    /* System V ABI 3.2.2: RSP + 8 is a multiple of 16 at a function's entry; the call pushes the 8. */
    __asm__("lea start_stack+32768(%rip), %rsp\n\t"
            "xor %ebp, %ebp\n\t"
            "cld\n\t"
            "call program_main\n\t"
            "ud2");
}
static_assert(STACK_BYTES == 32768, "_start names it");
