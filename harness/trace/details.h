/* SPDX-License-Identifier: BSD-2-Clause */
/* What belongs to an exit by its reason, and events to inject, for people and programs. */
#pragma once
#include "trace/reader.h"

struct detail {
    const char *name;
    const char *text;        /* what the value is; NULL: `value` */
    u64 value;
    bool hex;
};
#define DETAILS_MAX 10u

/* At an exit. Returns how many. */
u32 details(const struct trace_words *w, struct detail out[DETAILS_MAX]);
void details_write(FILE *out, const struct trace_words *w);   /* "IO out port 0x3f8 size 1 value 0x48" */
/* Names of what the kernel's events number; a number that has none is written into text. STATUS_LIST's, and those of abi/trace.h. */
#define NAME_TEXT_BYTES 24u
const char *hypercall_text(u32 number, char text[NAME_TEXT_BYTES]);
const char *status_text(u32 status, char text[NAME_TEXT_BYTES]);
const char *ipc_text(u32 kind, char text[NAME_TEXT_BYTES]);

/* abi/vcpu.h's event format: "interrupt 0x20", "exception 14 error 0x2", "nmi". */
#define EVENT_TEXT_BYTES 64u
void event_text(u64 event, char text[EVENT_TEXT_BYTES]);
