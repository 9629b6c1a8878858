/* SPDX-License-Identifier: BSD-2-Clause */
/* What if a trace file is corrupt? It is read whole or refused with a line that names the offset; nothing is read outside of it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "recording.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes);

int LLVMFuzzerTestOneInput(const u8 *data, size_t bytes)
{
    static struct recording r;
    char name[32];
    const int file = memfd_create("trace", 0);
    if (file < 0 || write(file, data, bytes) != (ssize_t)bytes)
        abort();
    snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
    if (recording_open(name, &r)) {
        u64 exits = 0;
        for (u32 v = 0; v < RECORDING_VCPUS; v++)
            for (u32 i = 0; i < r.vcpu[v].count; i++)
                exits += r.vcpu[v].step[i].exit != NULL && r.vcpu[v].step[i].exit->header.vcpu == v;
        if (exits != r.exits)
            abort();
        recording_close(&r);
    }
    close(file);
    return 0;
}
