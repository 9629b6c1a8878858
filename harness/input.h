/* SPDX-License-Identifier: BSD-2-Clause */
/* Files the runner is given. Nothing in them is trusted: each check names file, field and offset. */
#pragma once
#include "abi/bundle.h"
#include "base.h"

struct input {
    const char *name;
    u8 *bytes;
    u64 count;
};

bool input_read(const char *name, struct input *in);   /* false: one line on stderr */
void input_free(struct input *in);
/* One line on stderr: file, field, offset, what is wrong with it. Always false. */
bool input_refuse(const struct input *in, const char *field, u64 offset, const char *why);
/* Every rule of abi/bundle.h. */
bool bundle_check(const struct input *in);
