/* SPDX-License-Identifier: BSD-2-Clause */
/* The smallest program: says hello with its arguments, looks at what it was given, reports success. */
#include "client.h"
#include "clock.h"
#include "hv.h"
#include "print.h"

void program_main(u64 first, u64 utcb)
{
    const struct thread self = thread_first();
    const struct program *p = program_page();
    if (p->magic != PROGRAM_MAGIC || utcb != PROGRAM_UTCB)
        client_done(&self, 1);
    print("%s: hello from CPU %u: %s", p->name, p->cpu, p->args);
    if (hv_null() != OK)
        client_done(&self, 2);
    const u64 before = clock_read(false), noted = clock_read(true), after = clock_read(false);
    if (before >= noted || noted >= after)
        client_done(&self, 4);
    u64 *memory = (u64 *)PROGRAM_MEMORY;
    for (u64 i = 0; i < p->memory_bytes / 8; i += PAGE_SIZE / 8) {
        if (memory[i] != 0)
            client_done(&self, 3);
        memory[i] = i;
    }
    client_done(&self, 0);
}
