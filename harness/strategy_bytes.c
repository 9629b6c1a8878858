/* SPDX-License-Identifier: BSD-2-Clause */
/* One run whose answers are bytes from outside: what libFuzzer and AFL++ steer by coverage. Each question takes the next byte, modulo its bound; after
 * the last one every answer is 0. Every byte string is a legal run, and short ones are near the straight run. */
#include "explore.h"

struct bytes {
    struct chooser chooser;
    const u8 *data;
    u64 count, next;
};

static u32 bytes_answer(struct chooser *self, u32 bound, enum choice_kind kind)
{
    struct bytes *b = container_of(self, struct bytes, chooser);
    return b->next < b->count ? b->data[b->next++] % bound : 0;
}

bool explore_bytes(struct explore *x, const u8 *data, u64 count)
{
    struct bytes b = { .chooser = { bytes_answer }, .data = data, .count = count };
    return explore_run(x, &b.chooser);
}

static enum explore_status explore_input(struct explore *x)
{
    explore_bytes(x, x->options.input, x->options.input_bytes);
    return explore_verdict(x, false);
}

const struct strategy strategy_bytes = { .name = "bytes", .about = "one run whose answers are the bytes of a file", .explore = explore_input };
