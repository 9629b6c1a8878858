/* SPDX-License-Identifier: BSD-2-Clause */
#include "input.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (4ul << 30)

bool input_read(const char *name, struct input *in)
{
    FILE *f = fopen(name, "rb");
    *in = (struct input){.name = name};
    long bytes = -1;
    if (f && fseek(f, 0, SEEK_END) == 0)
        bytes = ftell(f);
    if (bytes < 0 || (u64)bytes > INPUT_BYTES_MAX || fseek(f, 0, SEEK_SET) != 0) {
        fprintf(stderr, "orrery-unicorn: %s: %s\n", name, bytes >= 0 ? "larger than 4 GiB" : strerror(errno));
        if (f)
            fclose(f);
        return false;
    }
    in->count = (u64)bytes;
    in->bytes = malloc(in->count + 1);
    const bool good = in->bytes && fread(in->bytes, 1, in->count, f) == in->count;
    fclose(f);
    if (!good) {
        fprintf(stderr, "orrery-unicorn: %s: cannot be read\n", name);
        input_free(in);
    }
    return good;
}

void input_free(struct input *in)
{
    free(in->bytes);
    in->bytes = NULL;
}

bool input_refuse(const struct input *in, const char *field, u64 offset, const char *why)
{
    fprintf(stderr, "orrery-unicorn: %s: %s at offset 0x%lx: %s\n", in->name, field, offset, why);
    return false;
}
