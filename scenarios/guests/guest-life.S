/* SPDX-License-Identifier: BSD-2-Clause */
/* Snippets for lifecycle, on one page, in real mode with CS base 0. */
#include "guest-life.h"

    .text
    .code16
    .org LIFE_OUT
    outb %al, $0x10

    .org LIFE_COUNT
1:  incl LIFE_WORD
    jmp 1b
