/* SPDX-License-Identifier: BSD-2-Clause */
/* Console on COM1, trace stream on COM2, and the end of the machine. 16550 UARTs, polled; no port that does not answer is waited for
 * twice. CPUs that write at once mix their lines. */
#include "bare.h"

#define COM1         0x3f8
#define COM2         0x2f8
#define UART_LSR    5
#define UART_SCRATCH 7
#define LSR_EMPTY   0x20u
#define LSR_IDLE    0x40u       /* the last bit is on the wire */
#define POLLS       100000u   /* a byte at 115200 baud takes 87 us, a port access about 1 us */

#define EXIT_PORT   0xf4      /* QEMU isa-debug-exit */
#define BOCHS_PORT  0x8900    /* Bochs, bochsbios: the bytes of "Shutdown" */
#define PANIC_CODE  0x7fu

static bool com2_present;

static bool uart_present(u16 port)
{
    mach_port_out(port + UART_SCRATCH, 1, 0x5a);
    return mach_port_in(port + UART_SCRATCH, 1) == 0x5a;
}

/* 115200 baud, 8N1, FIFO on, no interrupts. */
static void uart_init(u16 port)
{
    static const u8 setup[][2] = {{1, 0}, {3, 0x80}, {0, 1}, {1, 0}, {3, 3}, {2, 7}, {4, 3}};
    for (u32 i = 0; i < array_size(setup); i++)
        mach_port_out(port + setup[i][0], 1, setup[i][1]);
}

static void uart_wait(u16 port, u32 flag)
{
    for (u32 n = 0; n < POLLS && !(mach_port_in(port + UART_LSR, 1) & flag); n++)
        mach_relax();
}

static void uart_write(u16 port, const char *bytes, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        uart_wait(port, LSR_EMPTY);
        mach_port_out(port, 1, (u8)bytes[i]);
    }
}

void bare_serial_init(void)
{
    uart_init(COM1);
    com2_present = uart_present(COM2);
    if (com2_present)
        uart_init(COM2);
}

void mach_console_write(const char *text, u32 bytes)
{
    uart_write(COM1, text, bytes);
}

void mach_trace_write(const void *bytes, u32 count)
{
    if (com2_present)
        uart_write(COM2, bytes, count);
}

enum mach_trace mach_trace_wanted(void)
{
    return com2_present ? MACH_TRACE_ON : MACH_TRACE_OFF;
}

void bare_print(const char *text)
{
    u32 bytes = 0;
    while (text[bytes])
        bytes++;
    mach_console_write(text, bytes);
}

void bare_print_hex(u64 value)
{
    char text[16];
    for (u32 i = 0; i < sizeof(text); i++)
        text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    mach_console_write(text, sizeof(text));
}

static void print_decimal(u32 value)
{
    char text[10];
    u32 at = sizeof(text);
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    mach_console_write(text + at, (u32)sizeof(text) - at);
}

void mach_shutdown(u32 code)
{
    bare_print("orrery: shutdown code ");
    print_decimal(code);
    bare_print("\n");
    uart_wait(COM1, LSR_IDLE);
    if (com2_present)
        uart_wait(COM2, LSR_IDLE);
    mach_port_out(EXIT_PORT, 4, code);
    for (const char *s = "Shutdown"; *s; s++)
        mach_port_out(BOCHS_PORT, 1, (u8)*s);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void mach_panic(const char *message)
{
    bare_print("orrery: panic: ");
    bare_print(message);
    bare_print("\n");
    mach_shutdown(PANIC_CODE);
    __builtin_unreachable();
}
