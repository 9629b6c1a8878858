/* SPDX-License-Identifier: BSD-2-Clause */
/* A 16550 as far as output goes: eight registers, always ready to send, nothing ever received, no interrupts. Output is collected to
 * lines. No hypercalls: also built for tests. */
#pragma once
#include "base.h"

#define UART_PORT  0x3f8u
#define UART_PORTS 8u
#define UART_LINE  160u

struct uart {
    u8 ier, lcr, mcr, scratch, divisor[2];
    bool fifo;
    u32 used;
    char line[UART_LINE];
    /* A line without its end, at most UART_LINE bytes: longer ones come in parts. */
    void (*sink)(void *arg, const char *text, u32 bytes);
    void *arg;
};

u8 uart_read(struct uart *u, u32 reg);   /* reg 0..7; others: 0xff */
void uart_write(struct uart *u, u32 reg, u8 value);
void uart_flush(struct uart *u);         /* what stands there without line end */
