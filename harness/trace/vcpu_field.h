/* SPDX-License-Identifier: BSD-2-Clause */
/* The members of struct vcpu_state by name and group: one table for comparing and printing. */
#pragma once
#include "abi/trace_words.h"

struct vcpu_field {
    const char *name;
    u16 offset, bytes;
    u16 group;   /* bit number */
};
extern const struct vcpu_field vcpu_field[];
extern const u32 vcpu_field_count;

u64 vcpu_field_get(const struct vcpu_field *f, const struct vcpu_state *s);
u64 vcpu_field_word(const struct vcpu_field *f, const u64 word[TRACE_WORDS]);   /* the same from the words of a trace */
