/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of user mode that the machine keeps during a SYSCALL: C code preserves them, so kernel/bare saves them only when something else is
 * resumed. Here their places hold a pattern meanwhile. */
#include <string.h>
#include "held.h"
#include "cpu.h"
#include "machine_model.h"
#include "memory.h"

#define PATTERN 0x48454c4448454c44ul

/* In the order of the structure: two runs. */
#define LOW       (RBP - RBX + 1)
#define HIGH      (R15 - R12 + 1)
static_assert(LOW + HIGH == array_size(((struct sim_cpu *)0)->held_value) && RSP == RBX + 1, "one place for each");

void held_begin(struct sim_cpu *cpu, struct resume *r)
{
    static const u64 pattern[HIGH] = { PATTERN, PATTERN, PATTERN, PATTERN };
    cpu->held = r;
    memcpy(cpu->held_value, r->gpr + RBX, LOW * sizeof(u64));
    memcpy(cpu->held_value + LOW, r->gpr + R12, HIGH * sizeof(u64));
    memcpy(r->gpr + RBX, pattern, LOW * sizeof(u64));
    memcpy(r->gpr + R12, pattern, HIGH * sizeof(u64));
}

static void held_written(const struct sim_cpu *cpu, const struct resume *r)
{
    for (u32 i = RBX; i <= R15; i = i == RBP ? R12 : i + 1)
        if (r->gpr[i] != PATTERN)
            sim_broken(RULE_RESUME_HELD, "CPU %u: register %u of what made the SYSCALL was written before something else was resumed", cpu->id, i);
}

void held_end(struct sim_cpu *cpu)
{
    struct resume *const r = cpu->held;
    if (!r)
        return;
    cpu->held = NULL;
    memory_check(cpu->sim, r, sizeof(*r), "registers of what ran before");
    const u64 *const low = r->gpr + RBX, *const high = r->gpr + R12;
    if (unlikely((low[0] ^ PATTERN) | (low[1] ^ PATTERN) | (low[2] ^ PATTERN) | (high[0] ^ PATTERN) | (high[1] ^ PATTERN) | (high[2] ^ PATTERN) |
                 (high[3] ^ PATTERN)))
        held_written(cpu, r);
    memcpy(r->gpr + RBX, cpu->held_value, LOW * sizeof(u64));
    memcpy(r->gpr + R12, cpu->held_value + LOW, HIGH * sizeof(u64));
}
