/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of user mode that the machine keeps during a SYSCALL: C code preserves them, so kernel/bare saves them only when something else is
 * resumed. Here their places hold a pattern meanwhile. */
#include "held.h"
#include "cpu.h"
#include "machine_model.h"
#include "memory.h"

#define PATTERN 0x48454c4448454c44ul

static const u8 held[] = { RBX, RSP, RBP, R12, R13, R14, R15 };
static_assert(sizeof(held) == array_size(((struct sim_cpu *)0)->held_value), "one place for each");

void held_begin(struct sim_cpu *cpu, struct resume *r)
{
    cpu->held = r;
    for (u32 i = 0; i < array_size(held); i++) {
        cpu->held_value[i] = r->gpr[held[i]];
        r->gpr[held[i]] = PATTERN;
    }
}

void held_end(struct sim_cpu *cpu)
{
    struct resume *const r = cpu->held;
    if (!r)
        return;
    cpu->held = NULL;
    memory_check(cpu->sim, r, sizeof(*r), "registers of what ran before");
    for (u32 i = 0; i < array_size(held); i++) {
        if (r->gpr[held[i]] != PATTERN)
            sim_broken(RULE_RESUME_HELD, "CPU %u: register %u of what made the SYSCALL was written before something else was resumed", cpu->id, held[i]);
        r->gpr[held[i]] = cpu->held_value[i];
    }
}
