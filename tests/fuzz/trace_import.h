/* SPDX-License-Identifier: BSD-2-Clause */
/* For fuzz targets of importers: any bytes through one, and what comes out through the reader. */
#pragma once
#include <stdlib.h>
#include "trace/import.h"

static inline void import_any(const struct import_format *format, const u8 *data, size_t bytes)
{
    static struct import in;
    struct trace t;
    u64 count = 0;
    if (!bytes)
        return;   /* fmemopen refuses it */
    FILE *const file = fmemopen((void *)(size_t)data, bytes, "r");
    struct trace_writer *const w = trace_writer_new();
    if (!file || !w)
        abort();
    const bool good = import_read(&in, format, file, w);
    u8 *const made = trace_writer_bytes(w, &count);
    if (good == (in.why != NULL) || !made || !trace_open_bytes("made", made, count, &t))
        abort();
    if (trace_status(&t) || t.exits != in.exits || t.ended != good || t.vcpus > in.vcpus)
        abort();
    trace_close(&t);
    free(made);
    trace_writer_free(w);
    fclose(file);
}
