/* SPDX-License-Identifier: BSD-2-Clause */
/* One operation of a sequence: a hypercall by whoever runs on a CPU, with what else happens meanwhile. As text, one line:
 *
 *   cpu=0 delegate from=0x1 to=0x20 base=0x40 target=0x50 order_type=0x11f00 preempt=1
 *
 * All state of an operation is in its line, so that a sequence file replays what a seed has found. */
#pragma once
#include <stdio.h>
#include "abi/utcb.h"
#include "base.h"

#define OP_ARGS       6u
#define OP_ITEMS      3u
#define OP_LATER      bit(32)   /* no hypercall: time passes, args[0] ticks */
#define OP_LINE_BYTES 1024u

/* What another CPU overwrites in the middle of a hypercall. */
enum op_word { WORD_BASE, WORD_COUNT, WORD_RIGHTS, WORD_TYPE, WORD_WINDOW_BASE, WORD_WINDOW_COUNT, WORD_MESSAGE, WORD_STATE, WORD_END };

struct op_rewrite {
    u64 tick;    /* before which access to the UTCBs or the state page, counted from 1; 0: never */
    u64 where;   /* enum op_word: of item 0, of the receiver's window for item 0, message word 0; WORD_STATE + n: 8-byte word n of the state page */
    u64 value;
};

struct op {
    u64 number;                      /* enum hypercall, anything else, or OP_LATER */
    u64 cpu;
    u64 args[OP_ARGS];
    u64 relative;                    /* sm_down: the deadline counts from now */
    u64 fail;                        /* the n-th allocation fails; 0: none */
    u64 preempt;                     /* an interrupt is pending, again and again this often */
    struct op_rewrite rewrite;
    u64 dirty;                       /* vcpu_run: dirty groups, filled with a pattern */
    u64 items;                       /* call, reply: how many items stand in the sender's UTCB, and in which windows they go */
    struct utcb_item item[OP_ITEMS];
    struct utcb_window window[2];
};

const char *op_name(u64 number);
/* How many arguments a hypercall has, and their names. */
u32 op_arguments(u64 number, const char *const **names);
void op_print(char line[OP_LINE_BYTES], const struct op *op);
/* NULL, or what is wrong with the line. */
const char *op_parse(struct op *op, const char *line);
