/* SPDX-License-Identifier: BSD-2-Clause */
/* See print.h. The buffer is on the caller's stack; the only state is which semaphore guards the console. */
#include "print.h"
#include "hv.h"
#include "mem.h"
#include "program.h"
#include <stdarg.h>

static u64 print_semaphore = PROGRAM_SEL_CONSOLE;

struct out {
    char *text;
    u64 used, limit;
};

struct spec {
    u32 width;
    bool zero, wide;
    char letter;
};

static void put(struct out *o, char c)
{
    if (o->used < o->limit)
        o->text[o->used++] = c;
}

static void put_text(struct out *o, const char *s)
{
    for (; *s && o->used < o->limit; s++)
        put(o, *s);
}

static void put_number(struct out *o, u64 value, u32 base, bool negative, const struct spec *spec)
{
    char digits[24];
    u32 n = 0;
    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (negative)
        put(o, '-');
    for (u32 i = n + negative; i < spec->width && i < PRINT_LINE; i++)
        put(o, spec->zero ? '0' : ' ');
    while (n)
        put(o, digits[--n]);
}

static const char *spec_parse(const char *f, struct spec *spec)
{
    *spec = (struct spec){ 0 };
    if (*f == '0') {
        spec->zero = true;
        f++;
    }
    for (; *f >= '0' && *f <= '9'; f++)
        spec->width = spec->width * 10 + (u32)(*f - '0');
    if (*f == 'l') {
        spec->wide = true;
        f++;
    }
    spec->letter = *f;
    return *f ? f + 1 : f;
}

static void format(struct out *o, const char *f, va_list args)
{
    while (*f) {
        if (*f != '%') {
            put(o, *f++);
            continue;
        }
        struct spec spec;
        f = spec_parse(f + 1, &spec);
        if (spec.letter == 's') {
            put_text(o, va_arg(args, const char *));
        } else if (spec.letter == 'c') {
            put(o, (char)va_arg(args, int));
        } else if (spec.letter == 'd') {
            const s64 value = spec.wide ? va_arg(args, s64) : va_arg(args, s32);
            put_number(o, value < 0 ? -(u64)value : (u64)value, 10, value < 0, &spec);
        } else if (spec.letter == 'u' || spec.letter == 'x') {
            const u64 value = spec.wide ? va_arg(args, u64) : va_arg(args, u32);
            put_number(o, value, spec.letter == 'x' ? 16 : 10, false, &spec);
        } else {
            put(o, spec.letter);
        }
    }
}

void print_lock(u64 selector)
{
    print_semaphore = selector;
}

void print_raw(const char *text, u64 bytes)
{
    /* Without the semaphore (early in root) lines may mix, no more. */
    const bool locked = hv_sm_down(print_semaphore, 0, 0) == OK;
    for (u64 at = 0; at < bytes && at < PRINT_LINE; at += 32) {
        const u64 n = min(bytes - at, 32ul);
        u64 word[4] = { 0 };
        memcpy(word, text + at, n);
        if (hv_console(word[0], word[1], word[2], word[3], n) != OK)
            break;   /* no right to print: nobody to tell */
    }
    if (locked && hv_sm_up(print_semaphore) != OK)
        __builtin_trap();
}

void print(const char *f, ...)
{
    char text[PRINT_LINE];
    struct out o = { text, 0, PRINT_LINE - 1 };
    va_list args;
    va_start(args, f);
    format(&o, f, args);
    va_end(args);
    text[o.used] = '\n';
    print_raw(text, o.used + 1);
}

u64 print_format(char *to, u64 bytes, const char *f, ...)
{
    struct out o = { to, 0, bytes - 1 };
    va_list args;
    va_start(args, f);
    format(&o, f, args);
    va_end(args);
    to[o.used] = 0;
    return o.used;
}

const char *hv_status_name(enum status status)
{
    switch ((u32)status) {
#define STATUS_NAME(number, name, text)                                                                                \
    case number:                                                                                                       \
        return #name;
        STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "STATUS_UNKNOWN";
    }
}
