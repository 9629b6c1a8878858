/* SPDX-License-Identifier: BSD-2-Clause */
/* A difference as a line of text. */
#include <stdio.h>
#include <string.h>
#include "replay/compare.h"

static bool is(const struct difference *d, const char *field)
{
    return strcmp(d->field, field) == 0;
}

static void event_print(u64 event, char *text, u32 bytes)
{
    static const char *const type[] = {"interrupt", "type1", "NMI", "exception", "INT", "INT1", "INT3", "type7"};
    if (!(event & VCPU_EVENT_VALID))
        snprintf(text, bytes, "none");
    else if (event & VCPU_EVENT_ERROR)
        snprintf(text, bytes, "%s 0x%lx error 0x%lx", type[event >> 8 & 7], event & 0xff, event >> 32);
    else
        snprintf(text, bytes, "%s 0x%lx", type[event >> 8 & 7], event & 0xff);
}

static void value_print(const struct difference *d, u64 value, char *text, u32 bytes)
{
    if (is(d, "reason"))
        snprintf(text, bytes, "%s", value < VCPU_EXIT_COUNT ? trace_reason_name((u32)value) : "none");
    else if (is(d, "event") || is(d, "pending") || is(d, "inject"))
        event_print(value, text, bytes);
    else if (is(d, "entry_failed.check"))
        snprintf(text, bytes, "%c%lu", (char)(value >> 8), value & 0xff);
    else
        snprintf(text, bytes, "0x%lx", value);
}

void difference_print(const struct difference *d, u32 exit, u32 vcpu, char *text, u32 bytes)
{
    char recorded[64], got[64];
    value_print(d, d->recorded, recorded, sizeof(recorded));
    value_print(d, d->got, got, sizeof(got));
    const int used = snprintf(text, bytes, "exit %u vcpu %u: %s: field %s recorded %s got %s", exit, vcpu, d->where, d->field, recorded, got);
    if (d->check && used > 0 && (u32)used < bytes)
        snprintf(text + used, bytes - (u32)used, ", check %c%u", (char)(d->check >> 8), d->check & 0xff);
}
