/* SPDX-License-Identifier: BSD-2-Clause */
/* lifecycle: does everything that can be made end well, whatever it is doing, on four CPUs? In three parts: cells (each object in each state it can be in, ended from
 * here and from there), quotas (each hypercall that allocates, with less than its price), cycles (many lives of each kind, on all CPUs at once).
 * Arguments: "cells N cycles N": how often the table of cells, how many lives of each kind on each CPU. */
#include "../guests/guest-life.h"
#include "life.h"
#include "mem.h"
#include "print.h"

static u64 number(const char **s, const char *word)
{
    u64 n;
    if (str_word(s, word) && str_number(s, &n))
        return n;
    print("lifecycle: arguments: cells N cycles N");
    client_done(&self, 1);
}

void program_main(u64 first, u64 utcb)
{
    const char *args = program_page()->args;
    self = thread_first();
    const u64 cells = number(&args, "cells"), lives = number(&args, "cycles");
    memcpy((void *)PROGRAM_MEMORY, (const void *)(PROGRAM_GUEST + LIFE_OUT), program_page()->guest_bytes - LIFE_OUT);
    crew_make();
    for (u64 i = 0; i < cells; i++)
        cells_run();
    quota_run();
    cycles_run(lives);
    client_done(&self, 0);
}
