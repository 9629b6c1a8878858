/* SPDX-License-Identifier: BSD-2-Clause */
/* See uart.h. Registers: National Semiconductor PC16550D data sheet, table II. */
#include "uart.h"

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define LCR_DLAB   0x80u
#define LSR_IDLE   0x60u   /* holding register and transmitter empty */
#define IIR_NONE   0x01u
#define IIR_FIFO   0xc0u
#define MSR_CABLE  0xb0u   /* DCD, DSR, CTS */
#define MCR_LOOP   0x10u
#define FCR_ENABLE 0x01u

void uart_flush(struct uart *u)
{
    if (u->used)
        u->sink(u->arg, u->line, u->used);
    u->used = 0;
}

static void transmit(struct uart *u, char c)
{
    if (u->mcr & MCR_LOOP)
        return;
    if (c == '\r')
        return;
    if (c == '\n') {
        u->sink(u->arg, u->line, u->used);   /* an empty line too */
        u->used = 0;
        return;
    }
    u->line[u->used++] = c;
    if (u->used == UART_LINE)
        uart_flush(u);
}

u8 uart_read(struct uart *u, u32 reg)
{
    const bool divisor = u->lcr & LCR_DLAB;
    switch (reg) {
    case DATA: return divisor ? u->divisor[0] : 0;
    case IER: return divisor ? u->divisor[1] : u->ier;
    case IIR_FCR: return IIR_NONE | (u->fifo ? IIR_FIFO : 0);
    case LCR: return u->lcr;
    case MCR: return u->mcr;
    case LSR: return LSR_IDLE;
    case MSR: return MSR_CABLE;
    case SCR: return u->scratch;
    default: return 0xff;
    }
}

void uart_write(struct uart *u, u32 reg, u8 value)
{
    const bool divisor = u->lcr & LCR_DLAB;
    switch (reg) {
    case DATA:
        if (divisor)
            u->divisor[0] = value;
        else
            transmit(u, (char)value);
        break;
    case IER:
        if (divisor)
            u->divisor[1] = value;
        else
            u->ier = value & 0x0f;
        break;
    case IIR_FCR: u->fifo = value & FCR_ENABLE; break;
    case LCR: u->lcr = value; break;
    case MCR: u->mcr = value & 0x1f; break;
    case SCR: u->scratch = value; break;
    default: break;   /* LSR, MSR: read-only */
    }
}
