/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does a driver that follows the 16550 data sheet find what it expects, and does exactly what it sends come out, line by line? */
#include "unit.h"
#include "uart.h"
#include <string.h>

struct output {
    u32 lines;
    char text[8][UART_LINE + 1];
};

static void sink(void *arg, const char *text, u32 bytes)
{
    struct output *o = arg;
    assert_true(bytes <= UART_LINE);
    assert_true(o->lines < 8);
    memcpy(o->text[o->lines], text, bytes);
    o->text[o->lines++][bytes] = 0;
}

static void send(struct uart *u, const char *text)
{
    for (; *text; text++)
        uart_write(u, 0, (u8)*text);
}

static void lines_come_out_whole(void **state)
{
    struct output o = { 0 };
    struct uart u = { .sink = sink, .arg = &o };
    send(&u, "one\r\n");
    assert_int_equal(o.lines, 1);
    assert_string_equal(o.text[0], "one");
    send(&u, "\ntw");
    assert_int_equal(o.lines, 2);
    assert_string_equal(o.text[1], "");
    send(&u, "o");
    uart_flush(&u);
    assert_string_equal(o.text[2], "two");
    uart_flush(&u);
    assert_int_equal(o.lines, 3);   /* nothing left, no empty line */
}

static void long_lines_come_in_parts(void **state)
{
    struct output o = { 0 };
    struct uart u = { .sink = sink, .arg = &o };
    for (u32 i = 0; i < 2 * UART_LINE + 3; i++)
        uart_write(&u, 0, (u8)('a' + i % 26));
    assert_int_equal(o.lines, 2);
    send(&u, "\n");
    assert_int_equal(o.lines, 3);
    assert_int_equal(strlen(o.text[0]), UART_LINE);
    assert_int_equal(strlen(o.text[2]), 3);
    assert_int_equal(o.text[1][0], 'a' + UART_LINE % 26);
}

/* With DLAB set, registers 0 and 1 are the divisor: nothing is sent and IER is not changed. */
static void divisor_is_not_data(void **state)
{
    struct output o = { 0 };
    struct uart u = { .sink = sink, .arg = &o };
    uart_write(&u, 1, 0x05);
    uart_write(&u, 3, 0x83);
    uart_write(&u, 0, '\n');
    uart_write(&u, 1, 0x12);
    assert_int_equal(uart_read(&u, 0), '\n');
    assert_int_equal(uart_read(&u, 1), 0x12);
    uart_write(&u, 3, 0x03);
    assert_int_equal(o.lines, 0);
    assert_int_equal(uart_read(&u, 1), 0x05);
    assert_int_equal(uart_read(&u, 0), 0);
    assert_int_equal(uart_read(&u, 3), 0x03);
}

static void loopback_sends_nothing(void **state)
{
    struct output o = { 0 };
    struct uart u = { .sink = sink, .arg = &o };
    uart_write(&u, 4, 0x10);
    send(&u, "x\n");
    uart_write(&u, 4, 0x03);
    send(&u, "y\n");
    assert_int_equal(o.lines, 1);
    assert_string_equal(o.text[0], "y");
}

/* What probing code reads: scratch keeps, status says idle, FIFO bits follow FCR, reserved bits read zero. */
static void probing(void **state)
{
    struct output o = { 0 };
    struct uart u = { .sink = sink, .arg = &o };
    uart_write(&u, 7, 0xa5);
    assert_int_equal(uart_read(&u, 7), 0xa5);
    uart_write(&u, 1, 0xff);
    assert_int_equal(uart_read(&u, 1), 0x0f);
    uart_write(&u, 4, 0xff);
    assert_int_equal(uart_read(&u, 4), 0x1f);
    assert_int_equal(uart_read(&u, 2), 0x01);
    uart_write(&u, 2, 0x07);
    assert_int_equal(uart_read(&u, 2), 0xc1);
    uart_write(&u, 5, 0);
    uart_write(&u, 6, 0);
    assert_int_equal(uart_read(&u, 5), 0x60);
    assert_int_equal(uart_read(&u, 6), 0xb0);
    assert_int_equal(uart_read(&u, 8), 0xff);
    uart_write(&u, 8, 1);
    assert_int_equal(o.lines, 0);
}

TEST_GROUP(uart, cmocka_unit_test(lines_come_out_whole), cmocka_unit_test(long_lines_come_in_parts),
           cmocka_unit_test(divisor_is_not_data), cmocka_unit_test(loopback_sends_nothing), cmocka_unit_test(probing));
