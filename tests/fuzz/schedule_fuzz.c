/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a schedule file is garbage? It is read whole or refused with its line; what was read can be written, and reads the same again. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include "schedule.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

static char *text_of(const struct schedule *s, size_t *bytes)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, bytes);
    if (!f)
        abort();
    schedule_write(s, f);
    fclose(f);
    return text;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    struct schedule s, again;
    char *copy = malloc(bytes + 1);
    if (!copy)
        abort();
    memcpy(copy, data, bytes);
    copy[bytes] = 0;
    const bool good = schedule_parse(&s, "input", copy, bytes);
    free(copy);
    if (good) {
        size_t first_bytes, second_bytes;
        char *first = text_of(&s, &first_bytes), *kept = strdup(first);
        if (!kept || !schedule_parse(&again, "written", first, first_bytes))
            abort();
        char *second = text_of(&again, &second_bytes);
        if (first_bytes != second_bytes || memcmp(kept, second, second_bytes) != 0)
            abort();
        schedule_free(&again);
        free(first);
        free(kept);
        free(second);
    }
    schedule_free(&s);
    return 0;
}
