/* SPDX-License-Identifier: BSD-2-Clause */
/* The streams of all CPUs as a folder. */
#pragma once
#include "trace/writer.h"

struct stream {
    u8 *bytes;               /* packets of one CPU */
    u64 count;
};

/* One per CPU; those of no bytes get no file. See trace_writer_save. */
bool streams_save(const struct stream stream[TRACE_CPUS], const char *folder, u64 tsc_khz, const struct trace_env *env);
