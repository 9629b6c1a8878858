/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore_json.h"

/* Bytes of the UTF-8 character at s; 0: none (Unicode 15, table 3-7). */
static u32 utf8_length(const u8 *s)
{
    const u8 a = s[0], b = a ? s[1] : 0;
    const u32 length = a < 0x80 ? 1 : a >= 0xc2 && a <= 0xdf ? 2 : (a & 0xf0) == 0xe0 ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0;
    if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) || (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f))
        return 0;
    for (u32 i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)   /* the terminating 0, too */
            return 0;
    return length;
}

static void string_put(FILE *f, const char *text)
{
    fputc('"', f);
    for (const u8 *s = (const u8 *)text; *s;) {
        const u32 length = utf8_length(s);
        if (!length)
            fputs("\\ufffd", f);
        else if (*s < 0x20 || *s == 0x7f)
            fprintf(f, *s == '\n' ? "\\n" : "\\u%04x", *s);
        else
            fprintf(f, *s == '"' || *s == '\\' ? "\\%.*s" : "%.*s", (int)length, (const char *)s);
        s += length ? length : 1;
    }
    fputc('"', f);
}

static void key_put(struct json *j, const char *key)
{
    if (j->more)
        fputs(", ", j->file);
    j->more = true;
    if (!key)
        return;
    string_put(j->file, key);
    fputs(": ", j->file);
}

void json_open(struct json *j, const char *key, char bracket)
{
    key_put(j, key);
    fputc(bracket, j->file);
    j->more = false;
}

void json_close(struct json *j, char bracket)
{
    fputc(bracket, j->file);
    j->more = true;
}

void json_text(struct json *j, const char *key, const char *value)
{
    key_put(j, key);
    if (value)
        string_put(j->file, value);
    else
        fputs("null", j->file);
}

void json_number(struct json *j, const char *key, u64 value)
{
    key_put(j, key);
    fprintf(j->file, value <= 1ul << 53 ? "%lu" : "\"0x%lx\"", value);
}

void json_hex(struct json *j, const char *key, u64 value)
{
    key_put(j, key);
    fprintf(j->file, "\"0x%lx\"", value);
}

void json_share(struct json *j, const char *key, double value)
{
    key_put(j, key);
    if (value < 0)
        fputs("null", j->file);
    else
        fprintf(j->file, "%.6f", value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    key_put(j, key);
    fputs(value ? "true" : "false", j->file);
}
