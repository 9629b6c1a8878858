/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON as it is written: commas and escapes. Whatever a test calls itself, what comes out can be parsed: bytes that are no UTF-8 become U+FFFD. */
#pragma once
#include <stdio.h>
#include "base.h"

struct json {
    FILE *file;
    bool more;   /* a value came before in this object or array */
};

/* key NULL: in an array, or at the top. */
void json_open(struct json *j, const char *key, char bracket);    /* '{' or '[' */
void json_close(struct json *j, char bracket);                    /* '}' or ']' */
void json_text(struct json *j, const char *key, const char *value);   /* NULL: null */
void json_number(struct json *j, const char *key, u64 value);     /* above 2^53: a hexadecimal string */
void json_hex(struct json *j, const char *key, u64 value);        /* always a string */
void json_share(struct json *j, const char *key, double value);   /* 0 .. 1; negative: null */
void json_bool(struct json *j, const char *key, bool value);
