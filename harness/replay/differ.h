/* SPDX-License-Identifier: BSD-2-Clause */
/* What compare.c and resume.c share: a difference is noted, and which bits count on both machines. */
#pragma once
#include "replay/compare.h"

bool differ(struct difference *d, const char *where, const char *field, u64 recorded, u64 got);   /* false: equal */
u64 compare_cr_mask(const struct compare_machines *m, u32 number);                    /* CR0 or CR4 */
bool compare_pae(const struct trace_words *w);                                        /* PDPTEs count */
u32 compare_tr_mask(const struct compare_machines *m);                                /* attributes */
u64 compare_rflags_mask(const struct compare_machines *m, const struct trace_words *recorded);
bool compare_rdx(const struct trace_words *recorded);                                 /* at reset it has the processor's signature */
u32 compare_shadow(const struct compare_machines *m, u32 a, u32 b);                   /* of two interruptibilities */
