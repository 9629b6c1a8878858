/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing the protobuf wire format: a message is made in a buffer, inner ones first, and then put into the outer one. What does not fit is
 * left out whole and `full` says so: the sizes here are the writer's own, no input reaches them. */
#pragma once
#include "base.h"

#define PROTOBUF_BYTES 2048u
#define PROTOBUF_TEXT  200u   /* longer texts are cut */

struct protobuf {
    u32 used;
    bool full;
    u8 bytes[PROTOBUF_BYTES];
};

void protobuf_begin(struct protobuf *m);
void protobuf_number(struct protobuf *m, u32 field, u64 value);                          /* any unsigned type, enum, bool */
void protobuf_bytes(struct protobuf *m, u32 field, const void *bytes, u32 count);
void protobuf_text(struct protobuf *m, u32 field, const char *text);                     /* what is not printable ASCII becomes '?' */
void protobuf_message(struct protobuf *m, u32 field, const struct protobuf *inner);
