/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of a vCPU for the tests of replay: from a state page, and one field of them changed. */
#pragma once
#include "trace/reader.h"
#include "trace/vcpu_field.h"

/* All that stands in the page; valid and known are the page's `valid` and `known`, dirty and want its own. */
void words_of_page(struct trace_words *w, const struct vcpu_state *s, u32 known);
void words_flip(struct trace_words *w, const struct vcpu_field *f, u64 bits);   /* of that field; low bits first */
/* A 64-bit guest in which every field has a value of its own that both vendors could hold. */
void words_long_mode(struct trace_words *w);
